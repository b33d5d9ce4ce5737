/** Records that no honest peer sends, against an engine: wrong sizes, wrong types, floods, other protocols. */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { type Bytes, concat, EMPTY, encodeText } from "../lib/bytes.ts";
import { TLSEngine } from "../lib/engine.ts";
import { SSLEOFError, SSLError } from "../lib/errors.ts";
import { bytesFrom, configs, type End, ENDS, EnginePair, fixedCore, peerOf, VERSIONS } from "./pair.ts";
import { MESSAGE, message, record, recordsOf, Sealer, SEALER_CIPHERS, TYPE } from "./records.ts";

const core = fixedCore();

/** An engine that has not received anything; a client has said hello. */
function fresh(end: End): TLSEngine {
  using both = configs(core);
  const engine = new TLSEngine(both[end], end === "client" ? { serverHostname: "localhost" } : {});
  if (end === "client") engine.handshake();
  engine.takeRecords();
  return engine;
}

/** What the engine makes of `bytes`: its failure, or nothing while it waits for more. */
function feed(engine: TLSEngine, bytes: Bytes): SSLError | undefined {
  try {
    engine.receive(bytes);
    if (engine.handshake().state === "done") engine.read(new Uint8Array(100));
    return undefined;
  } catch (error) {
    assertInstanceOf(error, SSLError);
    assert(!core.retired);
    return error;
  }
}

/** First bytes that a server or a client of TLS gets from something else. */
const OTHERS: Record<string, Bytes> = {
  "an HTTP request": encodeText("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
  "an HTTP answer": encodeText("HTTP/1.1 400 Bad Request\r\n\r\n"),
  "SSH": encodeText("SSH-2.0-OpenSSH_9.6\r\n"),
  "an SMTP greeting": encodeText("220 mail.test ESMTP\r\n"),
  "the hello of SSL 2.0": Uint8Array.from([0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10, ...bytesFrom(1, 37)]),
  "zeros": new Uint8Array(100),
  "ones": new Uint8Array(100).fill(255),
  "a record of no type": record(0, bytesFrom(1, 20)),
  "a record of type 99": record(99, bytesFrom(1, 20)),
  "a record of version 9.9": record(TYPE.handshake, message(MESSAGE.clientHello, bytesFrom(1, 40)), 0x0909),
  "a record of 16385 and more bytes": record(TYPE.handshake, new Uint8Array(16384 + 2049)),
  "a record of 65535 bytes": record(TYPE.handshake, new Uint8Array(65535)),
  "an empty handshake record": record(TYPE.handshake, EMPTY),
  "application data": record(TYPE.data, encodeText("hello")),
  "an alert of one byte": record(TYPE.alert, Uint8Array.of(1)),
  "an alert of three bytes": record(TYPE.alert, Uint8Array.of(2, 40, 0)),
  "a ChangeCipherSpec of two": record(TYPE.changeCipherSpec, Uint8Array.of(1, 1)),
};

for (const end of ENDS) {
  for (const [name, bytes] of Object.entries(OTHERS)) {
    Deno.test(`TLSEngine: ${name} instead of a handshake is an error of the peer's (${end})`, () => {
      using engine = fresh(end);
      const error = feed(engine, bytes);
      assert(error !== undefined, "at once, without waiting for more");
      assertEquals(error.kind, "protocol", error.message);
      const [alert] = recordsOf(engine.takeRecords());
      assertEquals([alert?.[0], alert?.[5]], [TYPE.alert, 2], "a fatal alert says so");
    });
  }

  Deno.test(`TLSEngine takes no other handshake message first (${end})`, () => {
    const expected = end === "client" ? MESSAGE.serverHello : MESSAGE.clientHello;
    for (let type = 0; type < 256; type++) {
      if (type === expected || (end === "client" && type === MESSAGE.helloRequest)) continue;
      using engine = fresh(end);
      const error = feed(engine, record(TYPE.handshake, message(type, bytesFrom(type, 60))));
      assertEquals(error?.kind, "protocol", `message ${type}: ${error?.message}`);
    }
  });

  Deno.test(`TLSEngine: random bytes instead of a handshake are an error, or wait and are an SSLEOFError (${end})`, () => {
    for (let seed = 0; seed < 300; seed++) {
      using engine = fresh(end);
      const garbage = bytesFrom(seed, 1 + (seed * 37) % 2000);
      const framed = seed % 3 === 0 ? record(TYPE.handshake, garbage) : garbage;
      const error = feed(engine, framed);
      if (error !== undefined) assertEquals(error.kind, "protocol", `seed ${seed}: ${error.message}`);
      else {
        engine.receiveEof();
        assertInstanceOf(feed0(engine), SSLEOFError, `seed ${seed}`);
      }
    }
  });

  Deno.test(`TLSEngine: a handshake message that claims 16 MB does not take them (${end})`, () => {
    using engine = fresh(end);
    const start = core.allocated;
    const type = end === "client" ? MESSAGE.serverHello : MESSAGE.clientHello;
    const head = Uint8Array.of(type, 255, 255, 255);
    let error = feed(engine, record(TYPE.handshake, concat([head, new Uint8Array(1000)])));
    for (let i = 0; i < 40 && error === undefined; i++) {
      error = feed(engine, record(TYPE.handshake, new Uint8Array(1000)));
    }
    assertEquals(error?.kind, "protocol");
    assert(core.allocated - start < 20_000);
  });
}

/** The engine's failure, without more bytes. */
function feed0(engine: TLSEngine): SSLError | undefined {
  try {
    engine.handshake();
    return undefined;
  } catch (error) {
    assertInstanceOf(error, SSLError);
    return error;
  }
}

Deno.test("TLSEngine: a client of TLS 1.0 or 1.1 is told which alert: protocol_version", () => {
  for (const version of [0x0300, 0x0301, 0x0302]) {
    const random = bytesFrom(1, 32);
    const hello = concat([
      Uint8Array.of(version >> 8, version & 255),
      random,
      Uint8Array.of(0, 0, 2, 0, 0x2f, 1, 0),
    ]);
    using engine = fresh("server");
    const error = feed(engine, record(TYPE.handshake, message(MESSAGE.clientHello, hello), 0x0301));
    assertEquals(error?.kind, "protocol");
    const [alert] = recordsOf(engine.takeRecords());
    assertEquals([...alert!.slice(5)], [2, 70], `version 0x${version.toString(16)}`);
  }
});

for (const [version, sslVersion] of VERSIONS) {
  /** A connected pair, and the means to speak in the place of one of its ends. */
  const open = () => {
    const lines: string[] = [];
    const shared = { sslVersion, tickets: false, ciphers: SEALER_CIPHERS } as const;
    using both = configs(core, shared, { keyLog: (line) => lines.push(line) });
    const pair = new EnginePair(both.client, both.server).connect();
    return Object.assign(pair, {
      as: (end: End) => new Sealer(pair, lines, end, version === "TLSv1.2" ? 1 : 0),
    });
  };

  Deno.test(`TLSEngine: a ClientHello in records of any size makes a handshake (${version})`, () => {
    for (const size of [4, 5, 100]) { // mbedTLS wants the message's header in one piece
      using both = configs(core, { sslVersion });
      using pair = new EnginePair(both.client, both.server, {
        deliver: ({ from, bytes }, at) => {
          if (from === "server" || at > 0) return [bytes];
          const hello = bytes.slice(5);
          return [
            concat(
              Array.from(
                { length: Math.ceil(hello.length / size) },
                (_, i) => record(TYPE.handshake, hello.slice(i * size, (i + 1) * size), 0x0301),
              ),
            ),
          ];
        },
      }).run();
      assertEquals(pair.errors, {}, `${size} bytes`);
      assert(pair.server.handshakeDone);
    }
  });

  for (const end of ENDS) {
    Deno.test(`TLSEngine: a sealed record that is too long is an error (${version} ${end})`, () => {
      for (const length of [16384, 16385, 17000]) {
        using pair = open();
        const data = bytesFrom(length, length);
        pair[end].receive(pair.as(peerOf(end)).seal(TYPE.data, data));
        pair.run();
        if (length === 16384) assertEquals(pair.received(end), data, "the longest that is allowed");
        else {assertEquals(
            [pair.errors[end]?.kind, pair.received(end).length],
            ["protocol", 0],
            `${length} bytes`,
          );}
      }
    });

    Deno.test(`TLSEngine: empty records do not stop data, and a flood of them ends (${version} ${end})`, () => {
      using pair = open();
      const sealer = pair.as(peerOf(end));
      const two = [0, 1].map(() => sealer.seal(TYPE.data, EMPTY));
      pair[end].receive(concat([...two, sealer.seal(TYPE.data, encodeText("after"))]));
      pair.run();
      assertEquals(pair.received(end), encodeText("after"));
      pair[end].receive(concat(Array.from({ length: 2000 }, () => sealer.seal(TYPE.data, EMPTY))));
      pair.run();
      assertEquals([pair.received(end).length, pair[end].takeRecords().length < 100], [0, true]);
    });

    Deno.test(`TLSEngine: records of a type that has no place here (${version} ${end})`, () => {
      for (const type of [0, TYPE.changeCipherSpec, 24, 99]) {
        using pair = open();
        pair[end].receive(pair.as(peerOf(end)).seal(type, Uint8Array.of(1)));
        pair.run();
        assertEquals(pair.received(end).length, 0);
        // TLS 1.2: a ChangeCipherSpec under the keys has no effect on a connection that does not renegotiate.
        if (pair.errors[end] !== undefined) assertEquals(pair.errors[end].kind, "protocol", `type ${type}`);
        else assertEquals(type, TYPE.changeCipherSpec);
      }
    });

    Deno.test(`TLSEngine: records in the clear are refused once there are keys (${version} ${end})`, () => {
      for (const bytes of [record(TYPE.data, encodeText("hello")), record(TYPE.alert, Uint8Array.of(1, 0))]) {
        using pair = open();
        pair[end].receive(bytes);
        pair.run();
        assertEquals([pair.errors[end]?.kind, pair.ended[end]], ["protocol", false], "no forged end");
      }
    });

    Deno.test(`TLSEngine: a peer's alert is what the error says (${version} ${end})`, () => {
      for (
        const [description, name] of [[80, "internal_error"], [42, "bad_certificate"], [
          200,
          "unknown",
        ]] as const
      ) {
        using pair = open();
        pair[end].receive(pair.as(peerOf(end)).seal(TYPE.alert, Uint8Array.of(2, description)));
        pair.run();
        assertEquals(pair.errors[end]?.alert, { description, name });
        assertEquals(
          [pair.errors[end]?.kind, pair[end].takeRecords().length],
          ["alert", 0],
          "an alert is not answered",
        );
      }
    });

    Deno.test(`TLSEngine: a flood of warnings neither ends the connection nor fills memory (${version} ${end})`, () => {
      using pair = open();
      const sealer = pair.as(peerOf(end));
      const start = core.allocated;
      const warnings = Array.from({ length: 1000 }, () => sealer.seal(TYPE.alert, Uint8Array.of(1, 90)));
      pair[end].receive(concat(warnings));
      pair.run();
      assert(core.allocated - start < 1000);
      assert(pair[end].takeRecords().length < 100);
      if (pair.errors[end] !== undefined) return; // an end of it is fine, too
      pair[end].receive(sealer.seal(TYPE.data, encodeText("after")));
      pair.run();
      assertEquals(pair.received(end), encodeText("after"));
    });
  }
}

Deno.test("TLSEngine does not pile up answers for a peer that takes none", () => {
  const buffer = new Uint8Array(100);
  {
    using both = configs(core, { sslVersion: VERSIONS[1][1] });
    using pair = new EnginePair(both.client, both.server).connect();
    let error: SSLError | undefined;
    for (let i = 0; i < 20_000 && error === undefined; i++) { // each asks for an answer of 27 bytes
      pair.client.updateKey(true);
      pair.client.write(encodeText("x"));
      error = feed(pair.server, pair.client.takeRecords());
    }
    assert(pair.server.takeRecords().length < 400_000, "KeyUpdate");
  }
  const lines: string[] = [];
  const shared = { sslVersion: VERSIONS[0][1], tickets: false, ciphers: SEALER_CIPHERS } as const;
  using both = configs(core, shared, { keyLog: (line) => lines.push(line) });
  using pair = new EnginePair(both.client, both.server).connect();
  const server = new Sealer(pair, lines, "server", 1);
  let error: SSLError | undefined;
  for (let i = 0; i < 20_000 && error === undefined; i++) { // each asks for an alert of 31 bytes
    error = feed(pair.client, server.seal(TYPE.handshake, message(MESSAGE.helloRequest)));
    if (error === undefined) pair.client.read(buffer);
  }
  assert(pair.client.takeRecords().length < 400_000, "HelloRequest");
});
