/** How a connection ends, and what may still happen on the way: the engine alone, no sockets. */
import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { type Bytes, concat, EMPTY, encodeText } from "../lib/bytes.ts";
import { SSLEOFError, SSLError } from "../lib/errors.ts";
import {
  bytesFrom,
  configs,
  type End,
  ENDS,
  EnginePair,
  fixedCore,
  type PairOptions,
  peerOf,
} from "./pair.ts";
import { VERSIONS } from "./pair.ts";
import { MESSAGE, message, Sealer, SEALER_CIPHERS, TYPE } from "./records.ts";

const core = fixedCore();
const HELLO = encodeText("hello");

for (const [version, sslVersion] of VERSIONS) {
  /** A connected pair, and the means to speak in the place of one of its ends. */
  const open = (options: PairOptions = {}) => {
    const lines: string[] = [];
    const keyLog = (line: string) => lines.push(line);
    const tickets = { tickets: false, ciphers: SEALER_CIPHERS } as const;
    const both = configs(core, { sslVersion, ...tickets }, { keyLog });
    const pair = new EnginePair(both.client, both.server, options).connect();
    both[Symbol.dispose](); // it is freed with its last engine
    const finished = version === "TLSv1.2" ? 1 : 0; // records under the application keys until now
    return Object.assign(pair, { as: (end: End) => new Sealer(pair, lines, end, finished) });
  };

  for (const end of ENDS) {
    Deno.test(`TLSEngine.read() reports eof after close_notify (${version} ${end})`, () => {
      using pair = open();
      const peer = peerOf(end);
      pair[end].closeNotify();
      assertEquals([pair[end].state, pair[peer].state], ["write-closed", "open"]);
      pair.run();
      assertEquals([pair[end].state, pair[peer].state], ["write-closed", "read-closed"]);
      for (let i = 0; i < 2; i++) assertEquals(pair[peer].read(new Uint8Array(9)), { state: "eof" });
      assertEquals(pair[end].read(new Uint8Array(9)), { state: "need-records" });
    });

    Deno.test(`TLSEngine: each direction closes by itself (${version} ${end} first)`, () => {
      using pair = open();
      const peer = peerOf(end);
      pair[end].closeNotify();
      pair.run();
      const error = assertThrows(
        () => pair[end].write(HELLO),
        SSLError,
        "Cannot write: close_notify was sent",
      );
      assertEquals(error.kind, "closed");
      assertEquals(pair.send(peer, HELLO), HELLO, "the other direction goes on");
      pair[end].closeNotify(); // once more does nothing
      assertEquals(pair[end].hasRecords, false);
      pair[peer].closeNotify();
      pair.run();
      assertEquals([pair[end].state, pair[peer].state], ["closed", "closed"]);
      assertEquals([pair.ended[end], pair.ended[peer]], [true, true]);
      assertEquals(assertThrows(() => pair[peer].write(HELLO), SSLError).kind, "closed");
      assertEquals(pair[end].read(new Uint8Array(9)), { state: "eof" });
    });

    Deno.test(`TLSEngine.read() throws SSLEOFError at an end without close_notify (${version} ${end})`, () => {
      using pair = open();
      pair[end].receiveEof();
      const error = assertThrows(() => pair[end].read(new Uint8Array(9)), SSLEOFError);
      assertEquals([error.kind, error.reason], ["eof", "MBEDTLS_ERR_SSL_CONN_EOF"]);
      assertEquals(pair[end].state, "failed");
    });

    Deno.test(`TLSEngine.read() gives the data before the end first (${version} ${end})`, () => {
      for (const suppressRaggedEofs of [false, true]) {
        for (const closes of [false, true]) {
          using pair = open({ suppressRaggedEofs });
          const from = peerOf(end);
          pair[from].write(HELLO);
          if (closes) pair[from].closeNotify();
          pair[end].receive(pair[from].takeRecords());
          pair[end].receiveEof();
          const buffer = new Uint8Array(100);
          assertEquals(pair[end].read(buffer), { state: "data", bytes: HELLO.length });
          if (closes || suppressRaggedEofs) assertEquals(pair[end].read(buffer), { state: "eof" });
          else assertThrows(() => pair[end].read(buffer), SSLEOFError);
        }
      }
    });

    Deno.test(`TLSEngine.read() gives the data before a broken record first (${version} ${end})`, () => {
      using pair = open();
      const from = peerOf(end);
      pair[from].write(HELLO);
      const good = pair[from].takeRecords();
      pair[from].write(HELLO);
      const bad = pair[from].takeRecords();
      bad[bad.length - 1]! ^= 1;
      pair[end].receive(concat([good, bad]));
      const buffer = new Uint8Array(100);
      assertEquals(pair[end].read(buffer), { state: "data", bytes: HELLO.length });
      assertEquals(
        assertThrows(() => pair[end].read(buffer), SSLError).reason,
        "MBEDTLS_ERR_SSL_INVALID_MAC",
      );
    });

    Deno.test(`TLSEngine: a record cut short is no quiet end, either (${version} ${end})`, () => {
      using pair = open({ suppressRaggedEofs: false });
      const from = peerOf(end);
      pair[from].write(HELLO);
      pair[end].receive(pair[from].takeRecords().slice(0, -1));
      assertEquals(pair[end].read(new Uint8Array(9)), { state: "need-records" });
      pair[end].receiveEof();
      assertThrows(() => pair[end].read(new Uint8Array(9)), SSLEOFError);
    });

    Deno.test(`TLSEngine.takeUnread() gives what follows close_notify (${version} ${end})`, () => {
      using pair = open();
      const from = peerOf(end);
      pair[from].write(HELLO);
      pair[from].closeNotify();
      pair[end].receive(concat([pair[from].takeRecords(), encodeText("220 plain text")]));
      const buffer = new Uint8Array(100);
      assertEquals(pair[end].read(buffer), { state: "data", bytes: HELLO.length });
      assertEquals(pair[end].read(buffer), { state: "eof" });
      assertEquals(new TextDecoder().decode(pair[end].takeUnread()), "220 plain text");
      assertEquals(pair[end].takeUnread(), EMPTY);
    });

    Deno.test(`TLSEngine takes no handshake message that nobody asked for (${version} ${end})`, () => {
      const types = [
        MESSAGE.serverHello,
        MESSAGE.certificate,
        MESSAGE.certificateRequest,
        MESSAGE.finished,
        99,
      ];
      // A client of TLS 1.3 may get tickets; one of TLS 1.2 a HelloRequest: below.
      if (end === "server") types.push(MESSAGE.newSessionTicket);
      for (const type of types) {
        using pair = open();
        pair[end].receive(pair.as(peerOf(end)).seal(TYPE.handshake, message(type, bytesFrom(type, 40))));
        pair.run();
        assertEquals(pair.errors[end]?.kind, "protocol", `message ${type}: ${pair.errors[end]?.message}`);
        assertEquals(pair.errors[peerOf(end)]?.kind, "alert", `message ${type}: the peer is told`);
      }
    });
  }

  Deno.test(`TLSEngine.closeNotify() before the handshake closes without a word (${version})`, () => {
    using both = configs(core, { sslVersion });
    using pair = new EnginePair(both.client, both.server);
    pair.client.closeNotify();
    assertEquals([pair.client.state, pair.client.hasRecords], ["closed", false]);
    assertEquals(assertThrows(() => pair.client.handshake(), SSLError).kind, "closed");
    assertEquals(assertThrows(() => pair.client.write(HELLO), SSLError).kind, "closed");
  });

  Deno.test(`TLSEngine: the end of the stream in the handshake is an SSLEOFError (${version})`, () => {
    for (const suppressRaggedEofs of [false, true]) {
      using both = configs(core, { sslVersion });
      using pair = new EnginePair(both.client, both.server, { suppressRaggedEofs });
      pair.client.handshake();
      pair.eof();
      assertInstanceOf(pair.errors.client, SSLEOFError);
      assertInstanceOf(pair.errors.server, SSLEOFError);
    }
  });
}

Deno.test("TLSEngine.updateKey() moves on to new keys, one direction or both, and data goes on (TLSv1.3)", () => {
  using both = configs(core, { sslVersion: VERSIONS[1][1] });
  using pair = new EnginePair(both.client, both.server).connect();
  for (const end of ENDS) {
    for (const request of [false, true, true]) {
      pair[end].updateKey(request);
      for (const from of ENDS) {
        const data = bytesFrom(7, 20_000);
        assertEquals(pair.send(from, data), data);
      }
    }
  }
  for (const end of ENDS) pair[end].updateKey(true); // both at once
  assertEquals(pair.send("client", HELLO), HELLO);
  assertEquals(pair.send("server", HELLO), HELLO);
});

Deno.test("TLSEngine.updateKey() is refused where there is no TLS 1.3", () => {
  using both = configs(core, { sslVersion: VERSIONS[0][1] });
  using pair = new EnginePair(both.client, both.server);
  assertThrows(() => pair.client.updateKey(), TypeError);
  pair.connect();
  assertThrows(() => pair.client.updateKey(), TypeError);
  assertEquals(pair.send("client", HELLO), HELLO);
});

Deno.test("TLSEngine does not follow a peer that only ever changes its keys (TLSv1.3)", () => {
  using both = configs(core, { sslVersion: VERSIONS[1][1] });
  using pair = new EnginePair(both.client, both.server).connect();
  for (let i = 0; i < 100; i++) pair.client.updateKey(true);
  pair.run();
  assertEquals(pair.errors.server?.reason, "MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE");
  assert(pair.flight("server").length < 10_000);
});

Deno.test("TLSEngine refuses a KeyUpdate that is malformed (TLSv1.3)", () => {
  for (
    const body of [
      Uint8Array.of(2),
      Uint8Array.of(),
      Uint8Array.of(0, 0),
      concat([Uint8Array.of(0), message(99)]),
    ]
  ) {
    const lines: string[] = [];
    const shared = { sslVersion: VERSIONS[1][1], tickets: false, ciphers: SEALER_CIPHERS } as const;
    using both = configs(core, shared, { keyLog: (line) => lines.push(line) });
    using pair = new EnginePair(both.client, both.server).connect();
    const update: Bytes = body.length > 3
      ? concat([message(MESSAGE.keyUpdate, body.slice(0, 1)), body.slice(1)]) // what follows in the record has old keys
      : message(MESSAGE.keyUpdate, body);
    pair.server.receive(new Sealer(pair, lines, "client", 0).seal(TYPE.handshake, update));
    pair.run();
    assertEquals(pair.errors.server?.kind, "protocol", `${body}`);
  }
});

for (const end of ENDS) {
  Deno.test(`TLSEngine refuses to renegotiate, and goes on (TLSv1.2 ${end})`, () => {
    const lines: string[] = [];
    const shared = { sslVersion: VERSIONS[0][1], tickets: false, ciphers: SEALER_CIPHERS } as const;
    using both = configs(core, shared, { keyLog: (line) => lines.push(line) });
    using pair = new EnginePair(both.client, both.server).connect();
    const peer = new Sealer(pair, lines, peerOf(end), 1);
    const hello = end === "client"
      ? message(MESSAGE.helloRequest)
      : pair.flight("client").slice(5, 5 + (pair.flight("client")[3]! << 8 | pair.flight("client")[4]!));
    pair[end].receive(peer.seal(TYPE.handshake, hello));
    const buffer = new Uint8Array(9);
    assertEquals(pair[end].read(buffer), { state: "need-records" });
    const answer = pair[end].takeRecords();
    assertEquals([answer[0], answer.length], [TYPE.alert, 5 + 8 + 2 + 16], "one alert: no_renegotiation");
    pair[end].receive(peer.seal(TYPE.data, HELLO));
    assertEquals(pair[end].read(buffer), { state: "data", bytes: HELLO.length });
    assertEquals(pair[end].state, "open");
  });
}
