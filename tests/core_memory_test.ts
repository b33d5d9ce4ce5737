/** What the core leaves in its memory, and what it does when there is none left. */
import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { createPrivateKey } from "node:crypto";
import { type Bytes, encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import type { Core } from "../lib/core.ts";
import { TLSVersion } from "../lib/suites.ts";
import { CODE, SSLError } from "../lib/errors.ts";
import { bytesFrom, configs, credential, ENDS, EnginePair, fixedCore, fixedRing } from "./pair.ts";
import { clientOptions, serverOptions, source, VERSIONS } from "./pair.ts";
import { exhaust, fullCore } from "./full_core.ts";
import { MESSAGE, message, Sealer, SEALER_CIPHERS, TYPE } from "./records.ts";

/** Whether `secret` is in the core's memory: as bytes, or as a big number in limbs (the bytes the other way round). */
function holds(core: Core, secret: Uint8Array): boolean {
  const memory = Buffer.from(core.memory.buffer);
  return memory.indexOf(secret) >= 0 || memory.indexOf(secret.toReversed()) >= 0;
}

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`Core: plaintext and traffic secrets are gone after dispose (${version})`, () => {
    const core = fixedCore();
    const secrets: Bytes[] = [];
    const keyLog = (line: string) => secrets.push(Uint8Array.fromHex(line.split(" ").at(-1)!));
    const both = configs(core, { sslVersion }, { keyLog });
    const pair = new EnginePair(both.client, both.server);
    pair.connect();
    const marks = { client: bytesFrom(1, 64), server: bytesFrom(2, 64) };
    assertEquals(pair.send("client", marks.client), marks.client);
    assertEquals(pair.send("server", marks.server), marks.server);
    const seen = [marks.client, marks.server, ...secrets].filter((secret) => holds(core, secret));
    assert(seen.length > 0, "the search finds what is there");

    pair[Symbol.dispose]();
    assert(!holds(core, marks.client), "what the client wrote");
    assert(!holds(core, marks.server), "what the server wrote");
    both[Symbol.dispose](); // its session cache keeps the secrets of TLS 1.2 sessions
    for (const [i, secret] of secrets.entries()) {
      assert(!holds(core, secret), `secret ${i} of ${secrets.length}`);
    }
  });
}

/** The private numbers of a key: what must not be left behind. */
function privateNumbers(name: string): Bytes[] {
  const jwk = createPrivateKey(new TextDecoder().decode(source(name).bytes)).export({ format: "jwk" });
  return [jwk.d, jwk.p, jwk.q].filter((part) => part !== undefined)
    .map((part) => Uint8Array.fromBase64(part, { alphabet: "base64url" }));
}

for (const name of ["ec", "rsa"]) {
  Deno.test(`TLSConfig: the private key is gone after dispose (${name})`, () => {
    const core = fixedCore();
    const numbers = privateNumbers(`${name}.key`);
    const config = new TLSConfig(serverOptions({ credential: credential(name) }), core);
    const client = new TLSConfig(clientOptions(), core);
    for (const number of numbers) assert(holds(core, number), "the search finds what is there");
    const pem = source(`${name}.key`).bytes;
    assert(!holds(core, pem.subarray(100, 132)), "the PEM text is wiped once it is parsed");
    const pair = new EnginePair(client, config);
    pair.connect();
    pair[Symbol.dispose]();
    config[Symbol.dispose]();
    for (const number of numbers) assert(!holds(core, number));
  });
}

Deno.test("TLSConfig: ticket keys and PSK are gone after dispose, the password at once", () => {
  const core = fixedCore();
  using ring = fixedRing(3);
  const ticketKey = ring.keys()[0]!.subarray(16);
  const psk = { identity: "device", key: bytesFrom(4, 32) };
  const withPsk = new TLSConfig({ psk }, core);
  const password = "correct horse battery staple";
  const wrong = { ...credential("ec", "ec.pbes2"), password };
  assertThrows(() => new TLSConfig(serverOptions({ credential: wrong }), core), SSLError);
  assert(!holds(core, encodeText(password)));
  const config = new TLSConfig(serverOptions({ tickets: ring }), core);
  assert(holds(core, psk.key), "the search finds what is there"); // AES keys are there in another form only
  config[Symbol.dispose]();
  withPsk[Symbol.dispose]();
  assert(!holds(core, ticketKey));
  assert(!holds(core, psk.key));
});

Deno.test("Core: out of memory is an SSLError of its own kind, and what there was goes on", () => {
  const core = fullCore();
  using both = configs(core);
  using pair = new EnginePair(both.client, both.server);
  pair.connect();
  const start = core.allocated;
  const blocks = exhaust(core, 0);
  const isOutOfMemory = (make: () => unknown) => {
    const error = assertThrows(make, SSLError);
    assertEquals([error.kind, error.code], ["internal", CODE.ALLOC_FAILED]);
  };
  isOutOfMemory(() => core.alloc(1 << 16));
  isOutOfMemory(() => new TLSConfig(clientOptions(), core));
  isOutOfMemory(() => new EnginePair(both.client, both.server));
  const data = bytesFrom(5, 50_000);
  assertEquals(pair.send("client", data), data, "a connection that has its buffers needs no more");

  for (const at of blocks) core.free(at);
  assertEquals(core.allocated, start);
  using next = new EnginePair(both.client, both.server);
  next.connect();
});

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`Core: a connection that can get no buffers fails as "internal", the others go on (${version})`, () => {
    const core = fullCore();
    using both = configs(core, { sslVersion });
    using one = new EnginePair(both.client, both.server).connect();
    using other = new EnginePair(both.client, both.server).connect();
    const message = bytesFrom(9, 500);
    const buffer = new Uint8Array(1000);
    one.server.write(message);
    const records = one.server.takeRecords();
    one.client.receive(records.slice(0, -100));
    assertEquals(one.client.read(buffer).state, "need-records"); // it keeps the buffers, for the rest
    const blocks = exhaust(core, 0);
    const error = assertThrows(() => other.client.write(message), SSLError);
    assertEquals([error.kind, error.code], ["internal", CODE.ALLOC_FAILED]);
    one.client.receive(records.slice(-100));
    assertEquals(one.client.read(buffer), { state: "data", bytes: 500 });
    assertEquals(buffer.slice(0, 500), message);
    for (const at of blocks) core.free(at);
  });

  for (const measure of [false, true]) {
    const how = `${version}${measure ? ", measured" : ""}`;
    Deno.test(`Core: a handshake that runs out of memory anywhere fails as "internal", without a trap (${how})`, () => {
      const core = fullCore();
      using both = configs(core, { sslVersion, measure });
      new EnginePair(both.client, both.server).connect()[Symbol.dispose](); // what mbedTLS allocates once for all
      const start = core.allocated;
      let failed = 0;
      let done = 0;
      for (let free = 1000; done < 3 && free < 200_000; free = Math.ceil(free * 1.1)) {
        const pair = new EnginePair(both.client, both.server);
        const room = core.alloc(free);
        const blocks = exhaust(core, 0);
        core.free(room); // now there are `free` bytes
        pair.run();
        if (pair.client.handshakeDone && pair.server.handshakeDone) done++;
        else failed++;
        assertEquals(pair.client.verifyFlags, 0, "no check is left out");
        for (const error of Object.values(pair.errors)) {
          if (error.kind === "alert") continue; // the other end told of its own
          // mbedTLS does not tell a signature that it could not check from one that is wrong.
          const expected = error.kind === "verify" ? "verify" : "internal";
          assertEquals(error.kind, expected, `${free} bytes free: ${error.message} (${error.reason})`);
        }
        assert(!core.retired);
        for (const at of blocks) core.free(at);
        pair[Symbol.dispose]();
        assertEquals(core.allocated, start, `${free} bytes free: all is given back`);
      }
      assert(failed > 5 && done > 0, `${failed} failed, ${done} were done`);
    });
  }
}

Deno.test("Core: an RSA key signs again after any signature that had no memory, without the kernel, too", () => {
  const simd = new WebAssembly.Module(
    Deno.readFileSync(new URL("../wasm/dist/core.simd.wasm", import.meta.url)),
  );
  for (const options of [{}, { module: simd }]) {
    const core = fullCore(options);
    using server = new TLSConfig(
      serverOptions({ credential: credential("rsa"), sslVersion: TLSVersion.TLSv1_2 }),
      core,
    );
    using client = new TLSConfig(clientOptions(), fixedCore(2));
    new EnginePair(client, server).connect()[Symbol.dispose]();
    let failed = 0;
    for (let free = 16; free < 4000; free += 64) {
      using pair = new EnginePair(client, server);
      pair.client.handshake();
      pair.server.receive(pair.client.takeRecords());
      const room = core.alloc(free);
      const blocks = exhaust(core, 0);
      core.free(room);
      try {
        pair.server.handshake();
      } catch (error) {
        assertInstanceOf(error, SSLError);
        failed++;
      }
      for (const at of blocks) core.free(at);
      new EnginePair(client, server).connect()[Symbol.dispose]();
    }
    assert(failed > 5, `${failed}`);
  }
});

/** What an idle connection may be asked to do. Each returns what `run` is to do under want of memory. */
const WAKERS: Record<string, (pair: EnginePair, seal: Sealer) => () => unknown> = {
  "write": ({ client }) => () => client.write(bytesFrom(1, 500)),
  "close": ({ client }) => () => client.closeNotify(),
  "export keying material": ({ client }) => () => client.exportKeyingMaterial(32, "EXPORTER-test"),
  "save its session": ({ client }) => () => client.session(),
  "read": ({ client, server }) => {
    server.write(bytesFrom(2, 500));
    client.receive(server.takeRecords());
    return () => client.read(new Uint8Array(600));
  },
};
const WAKERS_OF: Record<string, typeof WAKERS> = {
  "TLSv1.2": {
    ...WAKERS,
    "renegotiate": (pair, sealer) => {
      pair.server.write(encodeText("lost"));
      pair.server.takeRecords(); // the request takes its place
      pair.client.receive(sealer.seal(TYPE.handshake, message(MESSAGE.helloRequest)));
      return () => {
        pair.run();
        const errors = Object.values(pair.errors); // of both ends; the alert about it may be under keys of neither
        const error = errors.find(({ kind }) => kind === "internal") ?? errors[0];
        if (error !== undefined) throw error;
      };
    },
  },
  "TLSv1.3": {
    ...WAKERS,
    "update its key": ({ client }) => () => client.updateKey(true),
    "answer a KeyUpdate": ({ client, server }) => {
      server.updateKey(true);
      client.receive(server.takeRecords());
      return () => client.read(new Uint8Array(1));
    },
    "take a ticket": ({ client }, sealer) => {
      const ticket = [0, 0, 14, 16, 1, 2, 3, 4, 1, 0, 0, 40, ...bytesFrom(3, 40), 0, 0]; // RFC 8446 section 4.6.1
      client.receive(sealer.seal(TYPE.handshake, message(MESSAGE.newSessionTicket, Uint8Array.from(ticket))));
      return () => client.read(new Uint8Array(1));
    },
  },
};

for (const [version, sslVersion] of VERSIONS) {
  for (const [what, prepare] of Object.entries(WAKERS_OF[version]!)) {
    Deno.test(`Core: an idle connection that runs out of memory as it is to ${what} fails cleanly (${version})`, () => {
      const core = fullCore();
      const lines: string[] = [];
      const is12 = version === "TLSv1.2";
      const shared = { sslVersion, ciphers: SEALER_CIPHERS, renegotiation: is12 };
      const noTickets = is12 ? {} : { tickets: false as const }; // they would be records of the server's
      using both = configs(core, shared, { keyLog: (line) => lines.push(line) }, noTickets);
      new EnginePair(both.client, both.server).connect()[Symbol.dispose](); // what mbedTLS allocates once for all
      core.free(exhaust(core, 2 << 20)[0]!); // a heap of one MiB: faster to fill
      const start = core.allocated;
      const codes = new Set<number | undefined>();
      for (let free = 64, inRow = 0; inRow < 3 && free < 500_000; free = Math.ceil(free * 1.25)) {
        using busy = new EnginePair(both.client, both.server).connect();
        lines.splice(0);
        using pair = new EnginePair(both.client, both.server).connect();
        const run = prepare(pair, new Sealer(pair, lines, "server", is12 ? 1 : 0));
        const text = bytesFrom(free, 100);
        assertEquals(busy.server.write(text), text.length);
        const records = busy.server.takeRecords();
        busy.client.receive(records.slice(0, -1));
        assertEquals(busy.client.read(new Uint8Array(100)).state, "need-records"); // it has the buffers now

        const room = core.alloc(free);
        const blocks = exhaust(core, 0);
        core.free(room);
        let error: unknown;
        try {
          run();
        } catch (thrown) {
          error = thrown;
        }
        if (error !== undefined) {
          assertInstanceOf(error, SSLError);
          assert(
            ["internal", "config", "verify"].includes(error.kind),
            `${free} bytes free: ${error.message}`,
          );
          codes.add(error.code);
        }
        inRow = error === undefined ? inRow + 1 : 0;
        assert(!core.retired);
        busy.client.receive(records.slice(-1));
        const buffer = new Uint8Array(100);
        assertEquals(busy.client.read(buffer), { state: "data", bytes: 100 }, "another goes on");
        assertEquals(buffer, text);
        for (const at of blocks) core.free(at);
        for (const from of ENDS) assertEquals(busy.send(from, text), text);
      }
      assertEquals(core.allocated, start, "all is given back");
    });
  }
}
