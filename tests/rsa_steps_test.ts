/** RSA signatures of servers in steps: what a handshake is then, and what becomes of one that ends amid a signature. */
import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { CERT_REQUIRED, type TLSConfigOptions } from "../lib/policy.ts";
import type { TraceEvent } from "../lib/trace.ts";
import { Connection } from "../lib/connection.ts";
import { WORKING } from "../lib/engine_state.ts";
import { Core, type CoreOptions } from "../lib/core.ts";
import { TLSEngine } from "../lib/engine.ts";
import { CODE, SSLError } from "../lib/errors.ts";
import { TLSConfig } from "../lib/config.ts";
import {
  clientOptions,
  configs,
  credential,
  fixedCore,
  randomFrom,
  serverOptions,
  source,
  VERSIONS,
} from "./pair.ts";
import { exhaust, fullCore } from "./full_core.ts";
import { certFile } from "./peers.ts";
import { assertTalk, CLIENT, closeBoth, pair as sockets, test } from "./sockets.ts";

/** The core of engines without relaxed SIMD, where mbedTLS's integers compute. */
const SIMD = new WebAssembly.Module(
  Deno.readFileSync(new URL("../wasm/dist/core.simd.wasm", import.meta.url)),
);
const CORES: [string, CoreOptions][] = [["kernel", {}], ["integers", { module: SIMD }]];
/** Steps by which a key's first numbers that blind are made. */
const COLD = 3;
const RSA4096 = credential("rsa4096");

/** A client and a server whose client has said hello. */
function greeted(
  client: TLSConfig,
  server: TLSConfig,
  trace?: (event: TraceEvent) => void,
): { client: TLSEngine; server: TLSEngine } & Disposable {
  const ends = {
    client: new TLSEngine(client, { serverHostname: "localhost" }),
    server: new TLSEngine(server, { trace }),
  };
  ends.client.handshake();
  ends.server.receive(ends.client.takeRecords());
  return {
    ...ends,
    [Symbol.dispose]() {
      ends.client[Symbol.dispose]();
      ends.server[Symbol.dispose]();
    },
  };
}

/** Completes a handshake whose server has signed. */
function finish({ client, server }: { client: TLSEngine; server: TLSEngine }): void {
  for (let flights = 0; flights < 4 && !(client.handshakeDone && server.handshakeDone); flights++) {
    const records = server.takeRecords();
    if (records.length > 0) client.receive(records);
    client.handshake();
    const answer = client.takeRecords();
    if (answer.length > 0) server.receive(answer);
    assert(server.handshakeStep().state !== "working", "there is one signature");
  }
  assert(client.handshakeDone && server.handshakeDone);
}

/** Steps until the server has signed. */
function sign(server: TLSEngine): number {
  let steps = 0;
  while (server.handshakeStep().state === "working") steps++;
  return steps;
}

for (const [how, options] of CORES) {
  for (const [version, sslVersion] of VERSIONS) {
    const both: TLSConfigOptions = { sslVersion };
    const core = () => new Core({ ...options, random: randomFrom(1), now: () => Date.UTC(2030, 0, 1) });

    Deno.test(`handshakeStep(): a signature of RSA-4096 is made in steps (${version}, ${how})`, () => {
      using made = configs(core(), both, {}, { credential: RSA4096 });
      using ends = greeted(made.client, made.server);
      assertEquals(sign(ends.server), COLD + (how === "kernel" ? 3 : 22));
      finish(ends);
      using more = greeted(made.client, made.server);
      assertEquals(sign(more.server), how === "kernel" ? 3 : 22);
      finish(more);
      assertEquals(
        ends.client.signatureSchemes.peer,
        version === "TLSv1.3" ? "rsa_pss_rsae_sha256" : "rsa_pkcs1_sha256",
      );
      assertEquals(ends.server.signatureSchemes.own, ends.client.signatureSchemes.peer);
    });

    Deno.test(`handshake(): whoever asks for no steps sees none, also of what was begun in steps (${version}, ${how})`, () => {
      using made = configs(core(), both, {}, { credential: RSA4096 });
      for (const before of [2, 0, 1, 2]) { // the first with a cold key
        using ends = greeted(made.client, made.server);
        for (let step = 0; step < before; step++) assertEquals(ends.server.handshakeStep().state, "working");
        assertEquals(ends.server.handshake().state, "need-records");
        finish(ends);
      }
    });

    Deno.test(`handshakeStep(): a connection that is freed amid a signature leaves nothing (${version}, ${how})`, () => {
      const core_ = core();
      using made = configs(core_, both, {}, { credential: RSA4096 });
      const whole = greeted(made.client, made.server);
      const steps = sign(whole.server);
      finish(whole);
      whole[Symbol.dispose]();
      const before = core_.allocated;
      for (let most = 1; most <= steps - COLD; most++) {
        const ends = greeted(made.client, made.server);
        for (let step = 0; step < most; step++) assertEquals(ends.server.handshakeStep().state, "working");
        assert(core_.allocated > before);
        if (most % 2 === 0) ends.server.closeNotify();
        ends[Symbol.dispose]();
        assertEquals(core_.allocated, before, `after ${most} steps`);
      }
    });

    Deno.test(`handshakeStep(): a handshake costs, and its trace says, what it does at once (${version}, ${how})`, () => {
      const told = [false, true].map((inSteps) => {
        using made = configs(core(), { ...both, measure: true }, {}, { credential: RSA4096 });
        const events: string[] = [];
        const trace = (event: TraceEvent) =>
          void events.push([event.layer, event.name, event.code, event.length, event.state].join());
        using ends = greeted(made.client, made.server, trace);
        if (inSteps) assert(sign(ends.server) > COLD);
        else ends.server.handshake();
        finish(ends);
        const { operations, bulk, network } = ends.server.cost().handshake;
        return { operations, bulk, network: network.up, events };
      });
      assertEquals(told[1], told[0]);
      assertEquals(told[0]!.operations!["RSA-4096 private cold"], 1);
    });

    Deno.test(`handshakeStep(): a config that is disposed of amid a signature is freed after it (${version}, ${how})`, () => {
      const core_ = core();
      const left = [1, 2].map(() => {
        const made = configs(core_, both, {}, { credential: RSA4096 });
        {
          using ends = greeted(made.client, made.server);
          assertEquals(ends.server.handshakeStep().state, "working");
          made[Symbol.dispose]();
          sign(ends.server);
          finish(ends);
        }
        return core_.allocated; // what mbedTLS allocates once for all comes with the first
      });
      assertEquals(left[1], left[0]);
    });

    Deno.test(`handshakeStep(): what comes amid a signature is read after it (${version}, ${how})`, () => {
      using made = configs(core(), both, {}, { credential: RSA4096 });
      using ends = greeted(made.client, made.server);
      const { server } = ends;
      const alert = Uint8Array.of(21, 3, 3, 0, 2, 2, 40); // handshake_failure
      assertEquals(server.handshakeStep().state, "working");
      server.receive(alert);
      assertEquals([server.handshakeStep().state, server.state], ["working", "handshake"]);
      assertThrows(() => sign(server), SSLError, "handshake_failure");
      assert(server.takeRecords().length > 1000, "the flight with the signature");
    });
  }
}

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`handshakeStep(): a client signs at once (${version})`, () => {
    using made = configs(
      new Core({ module: SIMD }),
      { sslVersion },
      { credential: credential("client-rsa") },
      {
        certReqs: CERT_REQUIRED,
        trust: ["root.pem", "root-rsa.pem"].map((name) => source(name)),
      },
    );
    using ends = greeted(made.client, made.server);
    for (let flights = 0; flights < 4; flights++) {
      assertEquals(sign(ends.server), 0);
      const records = ends.server.takeRecords();
      if (records.length > 0) ends.client.receive(records);
      assertEquals(sign(ends.client), 0);
      const answer = ends.client.takeRecords();
      if (answer.length > 0) ends.server.receive(answer);
    }
    assert(ends.server.handshakeDone && ends.server.signatureSchemes.peer?.startsWith("rsa_"));
  });

  Deno.test(`handshakeStep(): fifty handshakes of one key at once (${version})`, () => {
    const core = fixedCore();
    using made = configs(core, { sslVersion }, {}, { credential: RSA4096 });
    const left: number[] = []; // what mbedTLS allocates once for all comes with the first fifty
    for (let i = 0; i < 2; i++) {
      const all = Array.from({ length: 50 }, () => greeted(made.client, made.server));
      let amid = all.map(({ server }) => server);
      for (let rounds = 0; amid.length > 0; rounds++) {
        assert(rounds < 10);
        amid = amid.filter((server) => server.handshakeStep().state === "working");
      }
      for (const ends of all) finish(ends);
      for (const ends of all) ends[Symbol.dispose]();
      left.push(core.allocated);
    }
    if (version === "TLSv1.3") assertEquals(left[0], left[1]); // of TLS 1.2, the server keeps sessions
  });

  Deno.test(`handshakeStep(): no steps where they are not worth it: RSA-2048 by the kernel, ECDSA (${version})`, () => {
    for (const name of ["rsa", "ec"]) {
      using made = configs(fixedCore(), { sslVersion }, {}, { credential: credential(name) });
      using ends = greeted(made.client, made.server);
      assertEquals(sign(ends.server), 0);
      finish(ends);
    }
  });

  for (const [how, options] of CORES) {
    Deno.test(`handshakeStep(): without memory in any step it fails as "internal" (${version}, ${how})`, () => {
      const core = fullCore(options);
      using server = new TLSConfig(serverOptions({ credential: RSA4096, sslVersion }), core);
      using client = new TLSConfig(clientOptions(), fixedCore(2));
      let failed = 0;
      for (const before of how === "kernel" ? [0, 1, 2] : [0, 1, 10, 11, 20]) {
        for (let free = 16; free < 60_000; free = Math.ceil(free * 1.5)) {
          using ends = greeted(client, server);
          for (let step = 0; step < before; step++) ends.server.handshakeStep();
          const room = core.alloc(free);
          const blocks = exhaust(core, 0);
          core.free(room);
          try {
            sign(ends.server);
          } catch (error) {
            assertInstanceOf(error, SSLError);
            assertEquals([error.kind, error.code], ["internal", CODE.ALLOC_FAILED]);
            failed++;
          }
          for (const at of blocks) core.free(at);
          assert(!core.retired);
        }
      }
      assert(failed > 5, `${failed}`);
      using ends = greeted(client, server);
      assert(sign(ends.server) > 2, "the key signs on");
      finish(ends);
    });
  }

  test(`wrapSocket(): no call of a server's core does more than a step of a signature (${version})`, async () => {
    const steps: number[] = [];
    const { handshake } = Connection.prototype;
    Connection.prototype.handshake = function (inSteps: boolean) {
      const code = handshake.call(this, inSteps);
      if (inSteps) steps.push(code);
      return code;
    };
    try {
      const ssl = { serverSide: true, certfile: certFile("rsa4096.pem"), keyfile: certFile("rsa4096.key") };
      const { client, server } = await sockets({
        client: { ...CLIENT, sslVersion, caCerts: certFile("roots.pem") },
        server: ssl,
      });
      await assertTalk(client, server);
      await closeBoth(client, server);
    } finally {
      Connection.prototype.handshake = handshake;
    }
    assertEquals(steps.filter((code) => code === WORKING).length, COLD + 3, steps.join());
    assertEquals(steps.at(-1), 0);
  });
}
