/** The trace of a connection in memory: what passes, seen from both ends, against the bytes on the wire. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { TLSEngine } from "../lib/engine.ts";
import { CERT_REQUIRED, type TLSConfigOptions } from "../lib/policy.ts";
import type { TraceEvent } from "../lib/trace.ts";
import {
  byteAtATime,
  clientOptions,
  configs,
  credential,
  type End,
  ENDS,
  EnginePair,
  fixedCore,
  flipAt,
  type PairOptions,
  peerOf,
  serverOptions,
  source,
  VERSIONS,
} from "./pair.ts";
import { MESSAGE, message, recordsOf, Sealer, SEALER_CIPHERS, TYPE } from "./records.ts";

const core = fixedCore();

/** A pair with the trace of each end. */
function traced(
  both: { client: TLSConfig; server: TLSConfig },
  options: PairOptions = {},
): EnginePair & { events: Record<End, TraceEvent[]> } {
  const events: Record<End, TraceEvent[]> = { client: [], server: [] };
  const pair = new EnginePair(both.client, both.server, {
    trace: (event) => events.client.push(event),
    serverTrace: (event) => events.server.push(event),
    ...options,
  });
  return Object.assign(pair, { events });
}

const DIRECTION = { client: "sent", server: "received" } as const; // of what the client sends

/** The messages of a trace, in order: `>` the client's, `<` the server's, `*` encrypted. */
function messages(events: readonly TraceEvent[], end: End): string[] {
  return events.filter(({ layer }) => layer === "message").map((event) => {
    const arrow = event.direction === DIRECTION[end] ? ">" : "<";
    return `${arrow}${event.encrypted ? "*" : " "}${event.name ?? event.contentType}`;
  });
}

/** What one direction has carried: layer, type, name and length of each. */
function carried(events: readonly TraceEvent[], direction: TraceEvent["direction"], layer: string) {
  return events.filter((event) => event.direction === direction && event.layer === layer)
    .map(({ contentType, name, code, level, length, encrypted }) => [
      contentType,
      name,
      code,
      level,
      length,
      encrypted,
    ]);
}

const CONTENT = ["change_cipher_spec", "alert", "handshake", "application_data"];

/** Asserts that both ends have seen the same, and that the records are those on the wire. */
function assertAgreement(pair: ReturnType<typeof traced>): void {
  for (const end of ENDS) {
    for (const layer of ["message", "record"]) {
      const sent = carried(pair.events[end], "sent", layer);
      assertEquals(carried(pair.events[peerOf(end)], "received", layer), sent);
    }
    const onWire = recordsOf(pair.flight(end)).map(({ 0: type, length }) => [CONTENT[type! - 20], length]);
    const records = carried(pair.events[end], "sent", "record");
    assertEquals(records.map(([type, , , , length]) => [type, length]), onWire);
  }
}

const HELLO_1_2 = [
  "> client_hello",
  "< server_hello",
  "< certificate",
  "< server_key_exchange",
  "< server_hello_done",
  "> client_key_exchange",
];
const CLIENT_END = ["> change_cipher_spec", ">*finished"];
const SERVER_END = ["< change_cipher_spec", "<*finished"];
const TICKETS = ["<*new_session_ticket", "<*new_session_ticket"];
const HELLO_1_3 = ["> client_hello", "< server_hello", "< change_cipher_spec", "<*encrypted_extensions"];
const AUTH_1_3 = ["<*certificate", "<*certificate_verify", "<*finished"];

interface Scenario {
  both?: TLSConfigOptions;
  client?: TLSConfigOptions;
  server?: TLSConfigOptions;
  resumed?: boolean;
  expected: Record<string, string[]>;
}

const SCENARIOS: Record<string, Scenario> = {
  "full": {
    expected: {
      "TLSv1.2": [...HELLO_1_2, ...CLIENT_END, "< new_session_ticket", ...SERVER_END],
      "TLSv1.3": [...HELLO_1_3, ...AUTH_1_3, ...CLIENT_END, ...TICKETS],
    },
  },
  "resumed": {
    resumed: true,
    expected: {
      "TLSv1.2": ["> client_hello", "< server_hello", ...SERVER_END, ...CLIENT_END],
      "TLSv1.3": [...HELLO_1_3, "<*finished", ...CLIENT_END, "<*new_session_ticket"],
    },
  },
  "with a client's certificate": {
    client: { credential: credential("client") },
    server: { certReqs: CERT_REQUIRED, trust: [source("root.pem")] },
    expected: {
      "TLSv1.2": [
        ...["> client_hello", "< server_hello", "< certificate", "< server_key_exchange"],
        ...["< certificate_request", "< server_hello_done"],
        ...["> certificate", "> client_key_exchange", "> certificate_verify", ...CLIENT_END],
        ...["< new_session_ticket", ...SERVER_END],
      ],
      "TLSv1.3": [
        ...[...HELLO_1_3, "<*certificate_request", ...AUTH_1_3],
        ...["> change_cipher_spec", ">*certificate", ">*certificate_verify", ">*finished", ...TICKETS],
      ],
    },
  },
  "with a HelloRetryRequest": {
    client: { groups: ["secp256r1", "x25519"] },
    server: { groups: ["x25519"] },
    expected: {
      "TLSv1.3": [
        ...["> client_hello", "< hello_retry_request", "> change_cipher_spec", "> client_hello"],
        ...["< change_cipher_spec", "< server_hello", "<*encrypted_extensions"],
        ...[...AUTH_1_3, ">*finished", ...TICKETS],
      ],
    },
  },
  "with records of 512 bytes": {
    both: { maxFragmentLength: 512 },
    expected: {
      "TLSv1.2": [...HELLO_1_2, ...CLIENT_END, "< new_session_ticket", ...SERVER_END],
    },
  },
};

for (const [name, { both = {}, client, server, resumed = false, expected }] of Object.entries(SCENARIOS)) {
  for (const [version, sslVersion] of VERSIONS.filter(([version]) => version in expected)) {
    for (const [delivery, deliver] of [["whole", undefined], ["byte at a time", byteAtATime]] as const) {
      Deno.test(`trace: a handshake ${name}, ${delivery}: each message in order, each record as on the wire (${version})`, () => {
        using configsOfBoth = configs(core, { sslVersion, ...both }, client, server);
        const savedSession = resumed ? sessionOf(configsOfBoth) : undefined;
        using pair = traced(configsOfBoth, {
          ...(deliver && { deliver }),
          ...(savedSession && { savedSession }),
        });
        pair.connect();
        assertEquals(pair.client.sessionReused, resumed);
        assertEquals(messages(pair.events.client, "client"), expected[version]);
        assertAgreement(pair);
        if (both.maxFragmentLength !== undefined) {
          const longest = Math.max(...pair.events.client.map(({ length }) => length));
          const cut = pair.events.client.filter((event) => event.layer === "record").length;
          assert(longest > 512 && cut > expected[version]!.length, "a message has taken several records");
        }
      });
    }
  }
}

function sessionOf({ client, server }: { client: TLSConfig; server: TLSConfig }) {
  using pair = new EnginePair(client, server).connect();
  return pair.client.session();
}

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`trace: data and the goodbyes, with the engine's state and a clock that goes on (${version})`, () => {
    using both = configs(core, { sslVersion });
    using pair = traced(both);
    const before = performance.now();
    pair.connect();
    const start = pair.events.client.length;
    pair.send("client", encodeText("hello"));
    pair.send("server", new Uint8Array(20_000)); // two records
    pair.close();
    const recordSize = version === "TLSv1.3" ? 16383 : 16384; // mbedTLS's; the content type takes a byte
    const tail = pair.events.client.slice(start).filter(({ layer }) => layer === "message");
    assertEquals(tail.map(({ direction, name, length, state }) => [direction, name, length, state]), [
      ["sent", undefined, 5, "open"],
      ["received", undefined, recordSize, "open"],
      ["received", undefined, 20_000 - recordSize, "open"],
      ["sent", "close_notify", 2, "open"],
      ["received", "close_notify", 2, "write-closed"],
    ]);
    assertEquals(tail.at(-1)!.level, "warning");
    assertEquals(pair.events.client[0]!.state, "handshake");
    assertAgreement(pair);
    const times = pair.events.client.map(({ time }) => time);
    assertEquals(times, times.toSorted((a, b) => a - b));
    assert(times[0]! >= before && times.at(-1)! <= performance.now());
  });

  Deno.test(`trace: alerts of both ends, where a handshake fails (${version})`, () => {
    using both = configs(core, { sslVersion }, { trust: [source("root-rsa.pem")] }); // not this server's
    using pair = traced(both);
    pair.run();
    assert(pair.errors.client !== undefined && pair.errors.server !== undefined);
    const alert = pair.events.client.find(({ contentType }) => contentType === "alert")!;
    assertEquals(
      [alert.direction, alert.name, alert.code, alert.level, alert.state],
      ["sent", "unknown_ca", 48, "fatal", "handshake"],
    );
    assertEquals(alert.encrypted, version === "TLSv1.3");
    const seen = pair.events.server.find(({ level }) => level !== undefined)!;
    assertEquals([seen.direction, seen.name, seen.level, seen.encrypted], [
      "received",
      "unknown_ca",
      "fatal",
      alert.encrypted,
    ]);
  });

  Deno.test(`trace: a record that does not decrypt shows as a record alone, and then the alert (${version})`, () => {
    using both = configs(core, { sslVersion });
    using pair = traced(both);
    pair.connect();
    const sent = pair.flight("client").length;
    pair.events.server.length = 0;
    pair.deliver = flipAt("client", sent + 20);
    pair.send("client", encodeText("changed on the way"));
    assertEquals(
      pair.events.server.map(({ layer, direction, contentType, name }) =>
        `${layer} ${direction} ${name ?? contentType}`
      ),
      [
        "record received application_data",
        "message sent bad_record_mac",
        `record sent ${version === "TLSv1.3" ? "application_data" : "alert"}`,
      ],
    );
  });

  Deno.test(`trace: an event holds no bytes of what passed (${version})`, () => {
    using both = configs(core, { sslVersion });
    using pair = traced(both);
    pair.connect();
    pair.send("client", encodeText("hello"));
    const allowed = [
      "code",
      "contentType",
      "direction",
      "encrypted",
      "layer",
      "length",
      "level",
      "name",
      "state",
      "time",
    ];
    for (const event of [...pair.events.client, ...pair.events.server]) {
      for (const [key, value] of Object.entries(event)) {
        assert(allowed.includes(key), key);
        const { length } = String(value);
        assert(["string", "number", "boolean"].includes(typeof value) && length < 25, `${key} ${value}`);
      }
    }
  });

  Deno.test(`trace: two connections at once do not see each other's (${version})`, () => {
    using both = configs(core, { sslVersion });
    using first = traced(both);
    using second = traced(both);
    using silent = new EnginePair(both.client, both.server);
    first.connect();
    const { length } = first.events.client;
    second.connect();
    silent.connect();
    assertEquals(first.events.client.length, length);
    assertEquals(second.events.client.length, length);
  });
}

Deno.test("trace: KeyUpdate, asked for and answered, after the handshake (TLSv1.3)", () => {
  using both = configs(core, { sslVersion: VERSIONS[1][1] });
  using pair = traced(both);
  pair.connect();
  pair.events.client.length = 0;
  pair.client.updateKey(true);
  pair.run();
  assertEquals(messages(pair.events.client, "client"), [">*key_update", "<*key_update"]);
  assertEquals(pair.events.client[0]!.length, 5);
});

Deno.test("trace: a renegotiation, under the keys of the first handshake (TLSv1.2)", () => {
  const lines: string[] = [];
  using both = configs(
    core,
    { sslVersion: VERSIONS[0][1], tickets: false, ciphers: SEALER_CIPHERS, renegotiation: true },
    { keyLog: (line) => lines.push(line) },
  );
  using pair = traced(both);
  pair.connect();
  pair.server.write(encodeText("lost")); // its place is the request's
  pair.server.takeRecords();
  pair.events.client.length = 0;
  const request = new Sealer(pair, lines, "server", 1).seal(TYPE.handshake, message(MESSAGE.helloRequest));
  pair.client.receive(request);
  pair.run();
  assertEquals(pair.errors, {});
  assertEquals(messages(pair.events.client, "client"), [
    "<*hello_request",
    ...[...HELLO_1_2, ...CLIENT_END, ...SERVER_END].map((line) => line.replace(" ", "*")),
  ]);
  assert(pair.events.client.every(({ state }) => state === "open"));
});

Deno.test("trace: a server shows what is not TLS: a record of an unknown type", () => {
  const events: TraceEvent[] = [];
  using config = new TLSConfig(serverOptions(), core);
  using server = new TLSEngine(config, { trace: (event) => events.push(event) });
  server.receive(encodeText("GET / HTTP/1.1\r\n\r\n"));
  assertThrows(() => server.handshake());
  assertEquals([events[0]?.layer, events[0]?.contentType], ["record", "unknown"]);
});

Deno.test("trace: useConfig() goes on with it", () => {
  const events: TraceEvent[] = [];
  using config = new TLSConfig(serverOptions(), core);
  using other = new TLSConfig(serverOptions(), core);
  using trusting = new TLSConfig(clientOptions(), core);
  using client = new TLSEngine(trusting, { serverHostname: "localhost" });
  using server = new TLSEngine(config, { trace: (event) => events.push(event) });
  server.useConfig(other);
  client.handshake();
  server.receive(client.takeRecords());
  server.handshake();
  assertEquals(events.find(({ layer }) => layer === "message")?.name, "client_hello");
});

Deno.test("trace: what a callback throws is reported, and the connection goes on", () => {
  const reported: unknown[] = [];
  const listen = (event: ErrorEvent) => {
    event.preventDefault();
    reported.push(event.error);
  };
  globalThis.addEventListener("error", listen);
  try {
    using both = configs(core);
    const failure = new Error("no");
    const trace = () => {
      throw failure;
    };
    using pair = new EnginePair(both.client, both.server, { trace }).connect();
    assert(pair.client.handshakeDone && reported.length > 10 && reported.every((error) => error === failure));
  } finally {
    globalThis.removeEventListener("error", listen);
  }
});

Deno.test("trace: must be a function", () => {
  using config = new TLSConfig(clientOptions(), core);
  const trace = "yes" as unknown as () => void;
  assertThrows(
    () => new TLSEngine(config, { serverHostname: "localhost", trace }),
    TypeError,
    "Cannot use trace: expected a function, got string",
  );
});
