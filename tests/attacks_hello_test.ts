/** Attacks on the hellos: older versions, compression, extensions, ALPN, HelloRetryRequest, binders. See docs/attacks.md. */
import { assert, assertEquals } from "@std/assert";
import { type Bytes, concat, encodeText } from "../lib/bytes.ts";
import { CERT_OPTIONAL, CERT_REQUIRED } from "../lib/policy.ts";
import { TLSVersion } from "../lib/suites.ts";
import { assertRefused, attack, type AttackOptions, Bystander, type Change } from "./attack.ts";
import { uint16s, vector } from "./hellos.ts";
import {
  configs,
  credential,
  type Delivery,
  type End,
  ENDS,
  EnginePair,
  fixedCore,
  fixedRing,
  peerOf,
  source,
  VERSIONS,
} from "./pair.ts";
import { MESSAGE, message, record, recordsOf, Sealer, SEALER_CIPHERS, TYPE } from "./records.ts";

const core = fixedCore();
const TLS12 = { sslVersion: TLSVersion.TLSv1_2 };
const TLS13 = { sslVersion: TLSVersion.TLSv1_3 };
const ALPN = { alpnProtocols: ["a"] };
const ENCRYPTED_EXTENSIONS = 8;
const EXTENSION = { alpn: 16, extendedMasterSecret: 23, supportedVersions: 43, keyShare: 51 };
const CLOSED = /^(illegal_parameter|decode_error|unsupported_extension|missing_extension)$/;

interface Hello {
  /** All before the extensions. */
  readonly head: Bytes;
  readonly extensions: Bytes[];
}

function read(body: Bytes, from: End): Hello {
  let at = 34;
  at += 1 + body[at]!;
  if (from === "server") at += 3;
  else {
    at += 2 + (body[at]! << 8 | body[at + 1]!);
    at += 1 + body[at]!;
  }
  return { head: body.slice(0, at), extensions: list(body.slice(at + 2)) };
}

function list(bytes: Bytes): Bytes[] {
  const found: Bytes[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = 4 + (bytes[at + 2]! << 8 | bytes[at + 3]!);
    found.push(bytes.slice(at, at + length));
    at += length;
  }
  return found;
}

const typeOf = (extension: Bytes) => extension[0]! << 8 | extension[1]!;
const make = (type: number, ...content: Bytes[]) => concat([uint16s(type), vector(2, ...content)]);
const write = ({ head, extensions }: Hello) => concat([head, vector(2, ...extensions)]);

/** Changes the hello of `from`. */
function hello(from: End, change: (hello: Hello) => Hello): Pick<AttackOptions, "from" | "messages"> {
  const edit: Change = (body) => write(change(read(body, from)));
  return { from, messages: { [from === "client" ? MESSAGE.clientHello : MESSAGE.serverHello]: edit } };
}

/** A victim that must refuse with this alert. */
function refuses(victim: End, alert: string | RegExp, options: AttackOptions): void {
  using beside = new Bystander(core);
  using attacked = attack(core, options);
  const sent = attacked.alerts[victim].at(-1) ?? "nothing";
  if (typeof alert !== "string") {
    assert(alert.test(sent), `${sent}: ${attacked.pair.errors[victim]?.message}`);
  }
  assertRefused(attacked, victim, typeof alert === "string" ? alert : sent, beside);
}

// ---- Older versions ----------------------------------------------------------------------------------------

Deno.test("attack: downgrade: a ClientHello that was robbed of TLS 1.3 is found out by the server's random", () => {
  const rob = ({ head, extensions }: Hello) => ({
    head,
    extensions: extensions.filter((one) => typeOf(one) !== EXTENSION.supportedVersions),
  });
  refuses("client", "illegal_parameter", hello("client", rob));
});

Deno.test("attack: downgrade: the server's random of TLS 1.2 says that it could do more, and only then", () => {
  const random = (server: TLSVersion | undefined) => {
    using both = configs(core, {}, TLS12, server === undefined ? {} : { sslVersion: server });
    using pair = new EnginePair(both.client, both.server).connect();
    return new TextDecoder("latin1").decode(pair.flight("server").slice(5 + 4 + 2 + 24, 5 + 4 + 2 + 31));
  };
  assertEquals(random(undefined), "DOWNGRD");
  assert(random(TLSVersion.TLSv1_2) !== "DOWNGRD");
});

Deno.test("attack: downgrade: a ServerHello of TLS 1.2 with the sentinel of 1.1, of TLS 1.1, of SSL 3.0, of 1.3 outside", () => {
  const sentinel = (last: number): Change => (body) =>
    concat([body.slice(0, 26), new TextEncoder().encode("DOWNGRD"), Uint8Array.of(last), body.slice(34)]);
  for (const last of [0, 1]) {
    const messages = { [MESSAGE.serverHello]: sentinel(last) };
    refuses("client", "illegal_parameter", { from: "server", messages, serverOptions: TLS12 });
  }
  for (const version of [0x0300, 0x0301, 0x0302, 0x0304]) {
    const messages = { [MESSAGE.serverHello]: (body: Bytes) => concat([uint16s(version), body.slice(2)]) };
    refuses("client", /protocol_version|handshake_failure/, {
      from: "server",
      messages,
      serverOptions: TLS12,
    });
  }
});

Deno.test("attack: downgrade: a ServerHello that chooses TLS 1.2 by supported_versions, or a version of its own", () => {
  for (const version of [0x0303, 0x0302, 0x0305, 0x7f1c]) {
    const change = ({ head, extensions }: Hello) => ({
      head,
      extensions: extensions.map((one) =>
        typeOf(one) === EXTENSION.supportedVersions
          ? make(EXTENSION.supportedVersions, uint16s(version))
          : one
      ),
    });
    refuses("client", /illegal_parameter|protocol_version/, { both: TLS13, ...hello("server", change) });
  }
});

/** Adds a suite to the ClientHello. */
const withSuite = (suite: number): Change => (body) => {
  const at = 35 + body[34]!;
  return concat([
    body.slice(0, at),
    vector(2, uint16s(suite), body.slice(at + 2, at + 2 + (body[at]! << 8 | body[at + 1]!))),
    body.slice(at + 2 + (body[at]! << 8 | body[at + 1]!)),
  ]);
};

Deno.test("attack: downgrade: TLS_FALLBACK_SCSV of a client that comes back with TLS 1.2 (RFC 7507)", () => {
  const messages = { [MESSAGE.clientHello]: withSuite(0x5600) };
  refuses("server", "inappropriate_fallback", { from: "client", messages, clientOptions: TLS12 });
  // Where there is nothing to fall back from, it says nothing: the handshake goes on until somebody sees the change.
  for (const options of [{ both: TLS12 }, {}]) {
    using attacked = attack(core, { from: "client", messages, ...options });
    assertEquals(attacked.alerts.server.includes("inappropriate_fallback"), false);
  }
});

// ---- Compression -------------------------------------------------------------------------------------------

Deno.test("attack: compression: a client that demands it, a server that chooses it", () => {
  const offers = (...methods: number[]) => ({ head, extensions }: Hello) => ({
    head: concat([head.slice(0, -2), vector(1, Uint8Array.from(methods))]),
    extensions,
  });
  refuses("server", "illegal_parameter", { both: TLS12, ...hello("client", offers(1)) });
  for (const methods of [[1], [1, 0], [0, 1]]) {
    refuses("server", "illegal_parameter", { both: TLS13, ...hello("client", offers(...methods)) });
  }
  for (const both of [TLS12, TLS13]) {
    const chooses = ({ head, extensions }: Hello) => ({ head: head.with(head.length - 1, 1), extensions });
    refuses("client", "illegal_parameter", { both, ...hello("server", chooses) });
  }
});

// ---- Extensions --------------------------------------------------------------------------------------------

for (const [version, sslVersion] of VERSIONS) {
  const common = { both: { sslVersion }, clientOptions: ALPN, serverOptions: ALPN };

  for (const from of ["client", "server"] as const) {
    Deno.test(`attack: duplicate extensions: each of the ${from}'s hello, next to it and last (${version})`, () => {
      let types: number[] = [];
      {
        using _ = attack(core, {
          ...common,
          ...hello(from, (one) => (types = one.extensions.map(typeOf), one)),
        });
      }
      assert(types.length >= 2);
      for (const at of types.keys()) {
        const next = ({ head, extensions }: Hello) => ({
          head,
          extensions: extensions.toSpliced(at, 0, extensions[at]!),
        });
        const last = ({ head, extensions }: Hello) => ({
          head,
          extensions: [...extensions, extensions[at]!],
        });
        for (const change of [next, last]) {
          refuses(peerOf(from), "illegal_parameter", { ...common, ...hello(from, change) });
        }
      }
    });

    Deno.test(`attack: overlong vectors: a length in the ${from}'s hello that is one more, one less, 0 or all (${version})`, () => {
      const lengths: [at: number, width: number][] = [[34, 1]];
      const note: Change = (body) => {
        const { head, extensions } = read(body, from);
        if (from === "client") lengths.push([35 + body[34]!, 2], [head.length - 2, 1]);
        lengths.push([head.length, 2]);
        let at = head.length + 2;
        for (const one of extensions) {
          lengths.push([at + 2, 2]);
          at += one.length;
        }
        return body;
      };
      const type = from === "client" ? MESSAGE.clientHello : MESSAGE.serverHello;
      {
        using _ = attack(core, { ...common, from, messages: { [type]: note } });
      }
      using beside = new Bystander(core);
      for (const [at, width] of lengths) {
        for (const next of [(n: number) => n + 1, (n: number) => n - 1, () => 0, () => 256 ** width - 1]) {
          let isSame = false;
          const edit: Change = (body) => {
            const value = body.slice(at, at + width).reduce((n, byte) => n * 256 + byte, 0);
            const other = Math.max(0, next(value));
            isSame = other === value;
            const bytes = width === 1 ? [other & 255] : [other >> 8 & 255, other & 255];
            return concat([body.slice(0, at), Uint8Array.from(bytes), body.slice(at + width)]);
          };
          using attacked = attack(core, { ...common, from, messages: { [type]: edit } });
          const { pair } = attacked;
          if (isSame) continue;
          assert(
            pair.errors.client !== undefined || pair.errors.server !== undefined,
            `length at ${at}: it hangs`,
          );
          assertEquals(pair.client.handshakeDone && pair.server.handshakeDone, false);
          assertEquals([pair.received("client").length, pair.received("server").length], [0, 0]);
        }
      }
      beside.assertWell();
    });
  }
}

Deno.test("attack: duplicate extensions: in EncryptedExtensions and CertificateRequest", () => {
  const twice = (at: number): Change => (body) =>
    concat([body.slice(0, at), vector(2, body.slice(at + 2), body.slice(at + 2))]);
  const both = { ...TLS13, ...ALPN };
  refuses("client", "illegal_parameter", {
    both,
    from: "server",
    messages: { [ENCRYPTED_EXTENSIONS]: twice(0) },
  });
  refuses("client", "illegal_parameter", {
    both,
    serverOptions: { certReqs: CERT_OPTIONAL, trust: [source("root.pem")] },
    from: "server",
    messages: { [MESSAGE.certificateRequest]: twice(1) },
  });
});

Deno.test("attack: duplicate extensions: more than anyone can compare, in each hello; up to 64 are taken", () => {
  const unknown = (count: number) => Array.from({ length: count }, (_, i) => make(0x4000 + i));
  const adds = (count: number) => ({ head, extensions }: Hello) => ({
    head,
    extensions: [...unknown(count - extensions.length), ...extensions],
  });
  for (const both of [TLS12, TLS13]) {
    refuses("server", "illegal_parameter", { both, ...hello("client", adds(65)) });
    refuses("client", "illegal_parameter", { both, ...hello("server", adds(65)) });
    using attacked = attack(core, { both, ...hello("client", adds(64)) });
    assert(attacked.pair.flight("server").length > 500, "it goes on, until the Finished");
  }
});

Deno.test("attack: duplicate extensions: in a NewSessionTicket of TLS 1.3", () => {
  const lines: string[] = [];
  const shared = { ...TLS13, ciphers: SEALER_CIPHERS, keyLog: (line: string) => void lines.push(line) };
  using tickets = fixedRing();
  using both = configs(core, shared, {}, { tickets, numTickets: 0 });
  for (const [count, kind] of [[1, undefined], [2, "protocol"]] as const) {
    lines.length = 0;
    using pair = new EnginePair(both.client, both.server).connect();
    const early = make(42, uint16s(0, 1));
    const extensions = vector(2, ...Array<Bytes>(count).fill(early));
    const body = concat([
      new Uint8Array([0, 0, 14, 16, 0, 0, 0, 0]),
      vector(1),
      vector(2, encodeText("t")),
      extensions,
    ]);
    pair.client.receive(new Sealer(pair, lines, "server", 0).seal(TYPE.handshake, message(4, body)));
    pair.run();
    assertEquals(pair.errors.client?.kind, kind);
  }
});

Deno.test("attack: signature schemes: one of another curve than the key's, at each end, in TLS 1.3", () => {
  const otherCurve: Change = (body) => concat([uint16s(0x0503), body.slice(2)]); // ecdsa_secp384r1_sha384
  const mutual: Partial<AttackOptions> = {
    clientOptions: { credential: credential("client") },
    serverOptions: { certReqs: CERT_REQUIRED, trust: [source("root.pem")] },
  };
  for (const from of ENDS) {
    const messages = { [MESSAGE.certificateVerify]: otherCurve };
    refuses(peerOf(from), "illegal_parameter", { both: TLS13, ...mutual, from, messages });
  }
});

Deno.test("attack: unsolicited extensions: a context in the CertificateRequest of a handshake", () => {
  const context: Change = (body) => concat([vector(1, Uint8Array.of(1)), body.slice(1)]);
  refuses("client", "illegal_parameter", {
    both: TLS13,
    serverOptions: { certReqs: CERT_OPTIONAL, trust: [source("root.pem")] },
    from: "server",
    messages: { [MESSAGE.certificateRequest]: context },
  });
});

// ---- Resumption --------------------------------------------------------------------------------------------

for (const name of ["ticket", "session id"]) {
  Deno.test(`attack: extended master secret: a session that has it does not go on without (RFC 7627), by ${name}`, () => {
    using ring = fixedRing();
    using made = configs(core, { ...TLS12, tickets: name === "ticket" && ring });
    using first = new EnginePair(made.client, made.server).connect();
    const savedSession = first.client.session()!;
    const strips = (end: End): Delivery => ({ from, bytes }, at) => {
      if (from !== end || at > 0) return [bytes];
      const [one, ...rest] = recordsOf(bytes);
      const { head, extensions } = read(one!.slice(9), from);
      const left = extensions.filter((extension) => typeOf(extension) !== EXTENSION.extendedMasterSecret);
      assertEquals(left.length, extensions.length - 1);
      return [record(TYPE.handshake, message(one![5]!, write({ head, extensions: left }))), ...rest];
    };
    const certificates = (pair: EnginePair) => {
      const flight = recordsOf(pair.flight("server"));
      const clear = flight.slice(0, flight.findIndex((one) => one[0] === TYPE.changeCipherSpec) >>> 0);
      return clear.filter((one) => one[5] === MESSAGE.certificate);
    };
    {
      using pair = new EnginePair(made.client, made.server, { savedSession }).connect();
      assertEquals([pair.client.sessionReused, certificates(pair).length], [true, 0], "else it goes on");
    }
    {
      using pair = new EnginePair(made.client, made.server, { savedSession, deliver: strips("client") })
        .run();
      assertEquals(certificates(pair).length, 1, "the server makes a full handshake");
    }
    {
      using pair = new EnginePair(made.client, made.server, { savedSession, deliver: strips("server") })
        .run();
      assertEquals([pair.errors.client?.reason, pair.server.handshakeDone], [
        "MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE",
        false,
      ]);
    }
  });
}

Deno.test("attack: unsolicited extensions: in a ServerHello and in EncryptedExtensions", () => {
  const alpn = make(EXTENSION.alpn, vector(2, vector(1, Uint8Array.of(97))));
  const others = [0, 5, 10, 13, 18, 21, 42, 44, 0x1234, 0xff01].map((type) => make(type));
  const adds = (one: Bytes) => ({ head, extensions }: Hello) => ({ head, extensions: [...extensions, one] });
  for (const one of [alpn, ...others]) {
    refuses("client", CLOSED, { both: TLS13, ...hello("server", adds(one)) });
  }
  // TLS 1.2: mbedTLS refuses what it knows and did not ask for; what it does not know has no effect.
  for (const one of [alpn, make(35)]) {
    refuses("client", "unsupported_extension", { both: TLS12, ...hello("server", adds(one)) });
  }
  for (const one of [alpn, make(5), make(13), make(42, uint16s(0)), make(43), make(51), make(0x1234)]) {
    const edit: Change = (body) => vector(2, body.slice(2), one);
    refuses("client", CLOSED, { both: TLS13, from: "server", messages: { [ENCRYPTED_EXTENSIONS]: edit } });
  }
});

// ---- ALPN --------------------------------------------------------------------------------------------------

Deno.test("attack: ALPN confusion: a server that chooses what was not offered, two at once, none, an empty one", () => {
  const b = Uint8Array.of(98);
  const answers: [string, Bytes][] = [
    ["not offered", make(EXTENSION.alpn, vector(2, vector(1, b)))],
    ["none", make(EXTENSION.alpn, vector(2))],
    ["empty", make(EXTENSION.alpn, vector(2, vector(1)))],
    ["a length that is wrong", make(EXTENSION.alpn, vector(2, Uint8Array.of(9), b))],
  ];
  const two: [string, Bytes] = [
    "two",
    make(EXTENSION.alpn, vector(2, vector(1, Uint8Array.of(97)), vector(1, b))),
  ];
  const swap =
    (answer: Bytes) => (all: Bytes[]) => [...all.filter((one) => typeOf(one) !== EXTENSION.alpn), answer];
  for (const [what, answer] of [...answers, two]) {
    const alert = /illegal_parameter|decode_error|handshake_failure|no_application_protocol/;
    const change = ({ head, extensions }: Hello) => ({ head, extensions: swap(answer)(extensions) });
    refuses("client", alert, { both: { ...TLS12, ...ALPN }, ...hello("server", change) });
    const edit: Change = (body) => vector(2, ...swap(answer)(list(body.slice(2))));
    // Two in TLS 1.3: mbedTLS takes the first, which was offered; the server stands by it with its Finished.
    const refusal = what === "two" ? "decrypt_error" : alert;
    refuses("client", refusal, {
      both: { ...TLS13, ...ALPN },
      from: "server",
      messages: { [ENCRYPTED_EXTENSIONS]: edit },
    });
  }
});

// ---- HelloRetryRequest -------------------------------------------------------------------------------------

const RETRY = Uint8Array.fromHex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c");

/** A ServerHello that is a HelloRetryRequest with these extensions. */
function retry(...extensions: Bytes[]): Change {
  return (body) => {
    const { head } = read(body, "server");
    const all = [make(EXTENSION.supportedVersions, uint16s(0x0304)), ...extensions];
    return write({ head: concat([head.slice(0, 2), RETRY, head.slice(34)]), extensions: all });
  };
}

Deno.test("attack: HelloRetryRequest: without a change, for the group that was sent, for one that was not offered, malformed", () => {
  const both = { ...TLS13, groups: ["secp256r1", "secp384r1"] };
  const bad: [string, Bytes[]][] = [
    ["nothing to change", []],
    ["the group of the key that was sent", [make(EXTENSION.keyShare, uint16s(23))]],
    ["a group that was not offered", [make(EXTENSION.keyShare, uint16s(29))]],
    ["a group that is none", [make(EXTENSION.keyShare, uint16s(0xffff))]],
    ["a key share without a group", [make(EXTENSION.keyShare)]],
    ["a key in place of a group", [make(EXTENSION.keyShare, uint16s(23), vector(2, new Uint8Array(65)))]],
    ["an empty cookie", [make(44, vector(2))]],
  ];
  for (const [_what, extensions] of bad) {
    refuses("client", CLOSED, {
      both,
      from: "server",
      messages: { [MESSAGE.serverHello]: retry(...extensions) },
    });
  }
});

Deno.test("attack: HelloRetryRequest: a second one", () => {
  const both = { ...TLS13, groups: ["secp256r1", "secp384r1"] };
  const serverOptions = { groups: ["secp384r1"] }; // asks once by itself
  let hellos = 0;
  const again: Change = (body) => ++hellos === 1 ? body : retry(make(EXTENSION.keyShare, uint16s(23)))(body)!;
  refuses("client", /unexpected_message|illegal_parameter/, {
    both,
    serverOptions,
    from: "server",
    always: true,
    messages: { [MESSAGE.serverHello]: again },
  });
  assertEquals(hellos, 2);
});

Deno.test("attack: HelloRetryRequest: another suite, another version behind it", () => {
  const both = {
    ...TLS13,
    groups: ["secp256r1", "secp384r1"],
    ciphers: ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"],
  };
  const serverOptions = { groups: ["secp384r1"] };
  const changes: Change[] = [
    (body) => body.with(34 + 1 + body[34]! + 1, 2), // 0x1302
    (body) => concat([uint16s(0x0302), body.slice(2)]),
  ];
  for (const change of changes) {
    let hellos = 0;
    const second: Change = (body) => ++hellos === 1 ? body : change(body)!;
    refuses("client", /illegal_parameter|protocol_version/, {
      both,
      serverOptions,
      from: "server",
      always: true,
      messages: { [MESSAGE.serverHello]: second },
    });
  }
});

Deno.test("attack: HelloRetryRequest: a client that does not do as it was told", () => {
  const both = { ...TLS13, groups: ["secp256r1", "secp384r1"] };
  const serverOptions = { groups: ["secp384r1"] };
  let first: Bytes | undefined;
  const same: Change = (body) => first ??= body;
  refuses("server", /illegal_parameter|handshake_failure|unexpected_message/, {
    both,
    serverOptions,
    from: "client",
    always: true,
    messages: { [MESSAGE.clientHello]: same },
  });
});

// ---- PSK ---------------------------------------------------------------------------------------------------

Deno.test("attack: PSK binder: one that is wrong ends the handshake: decrypt_error, for a ticket and a key of our own", () => {
  const flip: Change = (body) => body.with(body.length - 1, body.at(-1)! ^ 1);
  using tickets = fixedRing();
  const both = { ...TLS13, tickets };
  using made = configs(core, both);
  using pair = new EnginePair(made.client, made.server).connect();
  const savedSession = pair.client.session()!;
  const messages = { [MESSAGE.clientHello]: flip };
  refuses("server", /decrypt_error|illegal_parameter/, { both, from: "client", messages, savedSession });
  const psk = { identity: "device", key: new Uint8Array(32).fill(7) };
  refuses("server", /decrypt_error|illegal_parameter/, { both: { ...TLS13, psk }, from: "client", messages });
});

Deno.test("attack: PSK binder: an extension behind pre_shared_key", () => {
  using tickets = fixedRing();
  const both = { ...TLS13, tickets };
  using made = configs(core, both);
  using pair = new EnginePair(made.client, made.server).connect();
  const add = ({ head, extensions }: Hello) => ({ head, extensions: [...extensions, make(0x1234)] });
  refuses("server", "illegal_parameter", {
    both,
    ...hello("client", add),
    savedSession: pair.client.session()!,
  });
});
