import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { concat, encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { TLSEngine } from "../lib/engine.ts";
import { type EngineState, moved } from "../lib/engine_state.ts";
import { SSLError } from "../lib/errors.ts";
import { bytesFrom, configs, credential, ENDS, EnginePair, FAITHFUL, fixedCore, peerOf } from "./pair.ts";
import { clientOptions, serverOptions, VERSIONS, whole } from "./pair.ts";
import { record, recordsOf, TYPE } from "./records.ts";

const core = fixedCore();

for (const [version, sslVersion] of VERSIONS) {
  for (const key of ["ec", "rsa"]) {
    for (const [manner, deliver] of Object.entries(FAITHFUL)) {
      Deno.test(`TLSEngine completes ${version} with an ${key} key and carries data, ${manner}`, () => {
        using both = configs(core, { sslVersion }, {}, { credential: credential(key) });
        using pair = new EnginePair(both.client, both.server, { deliver });
        pair.connect();
        for (const end of ENDS) {
          const engine = pair[end];
          assertEquals([engine.state, engine.handshakeDone, engine.version], ["open", true, version]);
          assertEquals(engine.cipher, { ...pair.client.cipher!, version, bits: 256 });
          assertEquals([engine.group, engine.sessionReused], ["x25519", false]);
          for (const length of [1, 100, 16384, 16385, 40_000]) {
            const data = bytesFrom(length, length);
            assertEquals(pair.send(end, data), data);
          }
        }
        pair.close();
        for (const end of ENDS) assertEquals([pair[end].state, pair.ended[end]], ["closed", true]);
      });
    }
  }

  Deno.test(`TLSEngine.read() gives what several records hold, in order (${version})`, () => {
    using both = configs(core, { sslVersion });
    using pair = new EnginePair(both.client, both.server).connect();
    for (const from of ENDS) {
      const lines = [1, 2, 3, 4].map((seed) => bytesFrom(seed, 1000 * seed));
      for (const line of lines) assertEquals(pair[from].write(line), line.length);
      const records = pair[from].takeRecords();
      assertEquals(recordsOf(records).length, 4, "each write is a record");
      const reader = pair[peerOf(from)];
      reader.receive(records);
      const buffer = new Uint8Array(20_000);
      assertEquals(reader.read(buffer), { state: "data", bytes: 10_000 });
      assertEquals(buffer.slice(0, 10_000), concat(lines));
      assertEquals(reader.read(buffer), { state: "need-records" });
    }
  });

  Deno.test(`TLSEngine.read() gives a record in pieces, and pending counts the rest (${version})`, () => {
    using both = configs(core, { sslVersion });
    using pair = new EnginePair(both.client, both.server).connect();
    const data = bytesFrom(1, 1000);
    pair.client.write(data);
    pair.server.receive(pair.client.takeRecords());
    assertEquals(pair.server.pending, 0, "nothing is decrypted before a read");
    const piece = new Uint8Array(300);
    for (const [bytes, pending] of [[300, 700], [300, 400], [300, 100], [100, 0]] as const) {
      const at = 1000 - pending - bytes;
      assertEquals(pair.server.read(piece), { state: "data", bytes });
      assertEquals(piece.slice(0, bytes), data.slice(at, at + bytes));
      assertEquals(pair.server.pending, pending);
    }
    assertEquals(pair.server.read(piece), { state: "need-records" });
  });

  Deno.test(`TLSEngine.write() stops at the high-water mark and goes on when records were taken (${version})`, () => {
    using both = configs(core, { sslVersion });
    using pair = new EnginePair(both.client, both.server).connect();
    const data = bytesFrom(2, 1_000_000);
    const taken = pair.client.write(data);
    assert(taken >= 131_072 - 16_384 && taken <= 131_072 + 16_384, `${taken} bytes`);
    assertEquals(pair.client.write(data), 0, "it is full");
    assert(pair.client.takeRecords().length < 160_000);
    assert(pair.client.write(data) > 0);
  });

  Deno.test(`TLSEngine: nothing to write is no record, no room to read is no data (${version})`, () => {
    using both = configs(core, { sslVersion });
    using pair = new EnginePair(both.client, both.server).connect();
    assertEquals(pair.client.write(new Uint8Array(0)), 0);
    assertEquals(pair.client.hasRecords, false);
    assertEquals(pair.client.takeRecords().length, 0);
    pair.client.write(encodeText("x"));
    pair.server.receive(pair.client.takeRecords());
    assertEquals(pair.server.read(new Uint8Array(0)), { state: "data", bytes: 0 });
    assertEquals(pair.server.read(new Uint8Array(9)), { state: "data", bytes: 1 });
  });

  Deno.test(`TLSEngine: maxFragmentLength bounds the records that it sends (${version})`, () => {
    const client = version === "TLSv1.2" ? { maxFragmentLength: 512 } as const : {};
    using both = configs(core, { sslVersion }, client, { maxFragmentLength: 512 });
    using pair = new EnginePair(both.client, both.server).connect();
    for (const from of version === "TLSv1.2" ? ENDS : ["server"] as const) {
      const data = bytesFrom(3, 2000);
      const start = pair.wire.length;
      assertEquals(pair.send(from, data), data);
      const sent = concat(pair.wire.slice(start).map(({ bytes }) => bytes));
      assertEquals(recordsOf(sent).length, 4);
      for (const { length } of recordsOf(sent)) assert(length < 512 + 64);
    }
  });

  Deno.test(`TLSEngine.exportKeyingMaterial() is the same at both ends (${version})`, () => {
    using both = configs(core, { sslVersion });
    using pair = new EnginePair(both.client, both.server).connect();
    const label = "EXPORTER-tlsio-test";
    const seen = new Set<string>();
    for (const context of [undefined, new Uint8Array(0), encodeText("a"), bytesFrom(1, 300)]) {
      const [client, server] = ENDS.map((end) => pair[end].exportKeyingMaterial(32, label, context));
      assertEquals(client, server);
      seen.add(client!.toHex());
    }
    assertEquals(seen.size, version === "TLSv1.2" ? 4 : 3, "TLS 1.3: no context is an empty one");
    assertEquals(pair.client.exportKeyingMaterial(100, label).length, 100);
    seen.add(pair.client.exportKeyingMaterial(32, "EXPORTER-other").toHex());
    using other = new EnginePair(both.client, both.server).connect();
    seen.add(other.client.exportKeyingMaterial(32, label).toHex());
    assertEquals(seen.size, version === "TLSv1.2" ? 6 : 5, "another label or connection gives other bytes");
  });
}

Deno.test("TLSEngine.alpnProtocol is the server's first that both have", () => {
  for (
    const [server, agreed] of [[["h2", "http/1.1"], "h2"], [["x", "http/1.1"], "http/1.1"], [[], undefined]]
  ) {
    using both = configs(core, {}, { alpnProtocols: ["http/1.1", "h2"] }, {
      alpnProtocols: server as string[],
    });
    using pair = new EnginePair(both.client, both.server).connect();
    for (const end of ENDS) assertEquals(pair[end].alpnProtocol, agreed as string);
  }
});

Deno.test("TLSEngine: no ALPN protocol in common fails the handshake at both ends", () => {
  for (const [, sslVersion] of VERSIONS) {
    using both = configs(core, { sslVersion }, { alpnProtocols: ["a"] }, { alpnProtocols: ["b"] });
    using pair = new EnginePair(both.client, both.server).run();
    assertEquals(pair.errors.server?.reason, "MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL");
    assertEquals(pair.errors.client?.alert, { description: 120, name: "no_application_protocol" });
  }
});

Deno.test("TLSEngine: no version in common fails the handshake at both ends", () => {
  const [[, tls12], [, tls13]] = VERSIONS;
  const cases = [
    [tls12, tls13, "protocol_version"],
    [tls13, tls12, "handshake_failure"], // to a TLS 1.2 server, it is a TLS 1.2 client without a suite
  ] as const;
  for (const [mine, theirs, alert] of cases) {
    using both = configs(core, {}, { sslVersion: mine }, { sslVersion: theirs });
    using pair = new EnginePair(both.client, both.server).run();
    assertEquals(pair.errors.server?.kind, "protocol");
    assertEquals(pair.errors.client?.alert?.name, alert);
  }
});

Deno.test("TLSEngine: its ports say what they wait for", () => {
  using both = configs(core);
  using client = new TLSEngine(both.client, { serverHostname: "localhost" });
  using server = new TLSEngine(both.server);
  assertEquals([client.wantsRecords, client.hasRecords], [true, false]);
  assertEquals(server.handshake(), { state: "need-records" });
  assertEquals(client.handshake(), { state: "need-records" });
  assert(client.hasRecords);
  assertEquals(client.write(encodeText("early")), 0, "nothing can be written before the handshake is over");
  assertEquals(client.read(new Uint8Array(9)), { state: "need-records" });
  server.receive(client.takeRecords());
  assert(!server.wantsRecords);
  client.receiveEof();
  assertThrows(() => client.receive(encodeText("more")), TypeError, "the end of the stream was received");
});

Deno.test("TLSEngine: any of handshake(), read() and write() drives the handshake", () => {
  using both = configs(core);
  using client = new TLSEngine(both.client, { serverHostname: "localhost" });
  using server = new TLSEngine(both.server);
  const buffer = new Uint8Array(100);
  for (let round = 0; round < 4 && !server.handshakeDone; round++) {
    client.write(encodeText("hello"));
    server.receive(client.takeRecords());
    server.read(buffer);
    client.receive(server.takeRecords());
  }
  assertEquals(new TextDecoder().decode(buffer.subarray(0, 5)), "hello");
});

Deno.test("moved() allows the moves of a connection's life and no others", () => {
  const allowed: Record<EngineState, string> = {
    "handshake": "open closed failed freed",
    "open": "read-closed write-closed failed freed",
    "read-closed": "closed failed freed",
    "write-closed": "closed failed freed",
    "closed": "failed freed",
    "failed": "freed",
    "freed": "",
  };
  const states = Object.keys(allowed) as EngineState[];
  for (const from of states) {
    for (const to of states) {
      if (allowed[from].split(" ").includes(to)) assertEquals(moved(from, to), to);
      else assertThrows(() => moved(from, to), Error, `Cannot move TLS engine from "${from}" to "${to}"`);
    }
  }
});

Deno.test("TLSEngine: the first failure is final, and every later call throws it", () => {
  using both = configs(core);
  using pair = new EnginePair(both.client, both.server).connect();
  const { client } = pair;
  client.receive(record(TYPE.data, bytesFrom(1, 40)));
  const first = assertThrows(() => client.read(new Uint8Array(9)), SSLError);
  assertEquals([first.kind, first.reason], ["protocol", "MBEDTLS_ERR_SSL_INVALID_MAC"]);
  assertEquals([client.state, client.error], ["failed", first]);
  const calls = {
    read: () => client.read(new Uint8Array(9)),
    write: () => client.write(encodeText("x")),
    handshake: () => client.handshake(),
    closeNotify: () => client.closeNotify(),
    updateKey: () => client.updateKey(),
    exportKeyingMaterial: () => client.exportKeyingMaterial(1, "x"),
    alpnProtocol: () => client.alpnProtocol,
    peerCertificates: () => client.peerCertificates(),
  };
  for (const [name, call] of Object.entries(calls)) assertStrictEquals(assertThrows(call), first, name);
  assertEquals(client.pending, 0);
});

Deno.test("TLSEngine: a failure queues the alert that tells the peer", () => {
  using both = configs(core);
  using pair = new EnginePair(both.client, both.server).connect();
  pair.client.receive(record(TYPE.data, bytesFrom(1, 40)));
  pair.run();
  assertEquals(pair.errors.client?.kind, "protocol");
  assertEquals(pair.errors.server?.alert, { description: 20, name: "bad_record_mac" });
});

Deno.test("TLSEngine: a failure in the call that also sent its flight queues an alert, too", () => {
  for (const [version, sslVersion] of VERSIONS) {
    using both = configs(core, { sslVersion });
    const unexpected = record(TYPE.data, bytesFrom(1, 40)); // in the clear, in the middle of a handshake
    const deliver = whole;
    using pair = new EnginePair(both.client, both.server, { deliver });
    pair.client.handshake();
    pair.server.receive(concat([pair.client.takeRecords(), unexpected]));
    assertThrows(() => pair.server.handshake(), SSLError);
    pair.client.receive(pair.server.takeRecords());
    const error = assertThrows(() => {
      pair.client.handshake(); // TLS 1.3: its own side of it is done
      pair.client.read(new Uint8Array(9));
      pair.client.receiveEof();
      pair.client.read(new Uint8Array(9));
    }, SSLError);
    assertEquals(error.kind, "alert", `${version}: ${error.message}`);
  }
});

Deno.test("TLSEngine after dispose refuses every call, and keeps what it learned", () => {
  const client = new TLSConfig(clientOptions(), core);
  const server = new TLSConfig(serverOptions(), core);
  const pair = new EnginePair(client, server).connect();
  const start = core.allocated;
  pair[Symbol.dispose]();
  assert(core.allocated < start);
  pair[Symbol.dispose]();
  for (const engine of [pair.client, pair.server]) {
    assertEquals([engine.state, engine.version, engine.pending], ["freed", "TLSv1.3", 0]);
    for (
      const call of [
        () => engine.read(new Uint8Array(1)),
        () => engine.write(encodeText("x")),
        () => engine.handshake(),
        () => engine.closeNotify(),
        () => engine.updateKey(),
        () => engine.exportKeyingMaterial(1, "x"),
        () => engine.verifiedChain(),
        () => engine.alpnProtocol,
      ]
    ) assertEquals(assertThrows(call, SSLError).kind, "closed");
  }
  assert(pair.client.session() !== undefined, "the session was saved first");
  for (const config of [client, server]) config[Symbol.dispose]();
  assertThrows(() => new TLSEngine(client), TypeError, "it is disposed");
});
