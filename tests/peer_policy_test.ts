/** verifyConnection, verifyCallback: the program's own say about its peers. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { SSLCertVerificationError, SSLError } from "../lib/errors.ts";
import { MemoryBIO } from "../lib/memory_bio.ts";
import { peerCertificate } from "../lib/peer_certificate.ts";
import { type ConnectionState, publicKeyPin } from "../lib/peer_policy.ts";
import { CERT_OPTIONAL, CERT_REQUIRED } from "../lib/policy.ts";
import { saveSession, SSLContext, wrapSocket } from "../lib/ssl.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { pipe } from "./pipe.ts";
import {
  assertTalk,
  CLIENT,
  closeBoth,
  idle,
  isPending,
  LONG,
  pair,
  readText,
  SERVER,
  SHORT,
  test,
  VERSIONS,
} from "./sockets.ts";
import { ACCESS_DENIED, MUTUAL_CLIENT, MUTUAL_SERVER, pem, refusedBy, resume } from "./refusals.ts";
for (const [name, sslVersion] of Object.entries(VERSIONS)) {
  test(`verifyConnection: ${name}, both ends, with what is known, once, also of a resumed session`, async () => {
    const seen: Record<string, ConnectionState[]> = { client: [], server: [] };
    const client = {
      sslVersion,
      ...MUTUAL_CLIENT,
      alpnProtocols: ["p"],
      verifyConnection: (state: ConnectionState) => void seen.client!.push(state),
    };
    const server = {
      ...MUTUAL_SERVER,
      alpnProtocols: ["p"],
      verifyConnection: async (state: ConnectionState) => {
        await new Promise((resolve) => setTimeout(resolve, 5));
        seen.server!.push(state);
      },
    };
    const again = await resume(client, server);
    assertEquals([again.client.sessionReused, again.server.sessionReused], [true, true]);
    await assertTalk(again.client, again.server);
    await closeBoth(again.client, again.server);

    for (const [end, states] of Object.entries(seen)) {
      assertEquals(states.map(({ sessionReused }) => sessionReused), [false, true], end);
      const leaf = end === "client" ? "ec.pem" : "client.pem";
      for (const state of states) {
        assertEquals([state.version, state.alpnProtocol, state.verifyFlags], [name, "p", 0], end);
        assertEquals([state.serverHostname, state.pin], ["localhost", publicKeyPin(pem(leaf))], end);
        assertEquals(state.peerCertificates.length, 1);
      }
      assertEquals(states.map(({ verifiedChain }) => verifiedChain.length), [2, 0], end);
    }
  });

  test(`verifyConnection: ${name}, what it throws ends the handshake at both ends, with its alert`, async () => {
    for (const refuses of ["client", "server"] as const) {
      const cause = new Error("not on the list");
      const own = { sslVersion, verifyConnection: () => Promise.reject(cause) };
      const [ours, theirs] = await refusedBy(refuses, own);
      assertInstanceOf(ours, SSLCertVerificationError);
      assertEquals([ours.kind, ours.cause], ["verify", cause]);
      assertStringIncludes(ours.message, "verifyConnection refuses the peer: not on the list");
      assertEquals([theirs.kind, theirs.alert?.name], ["alert", "bad_certificate"]);

      const denied = new SSLError("Cannot go on: denied", { kind: "verify", alert: ACCESS_DENIED });
      const deny = {
        sslVersion,
        verifyConnection: () => {
          throw denied;
        },
      };
      const [first, second] = await refusedBy(refuses, deny);
      assertEquals(first, denied);
      assertEquals(second.alert, ACCESS_DENIED);
    }
  });

  test(`verifyConnection: ${name}, a client shows its certificate only after it`, async () => {
    const order: string[] = [];
    const { client, server } = await pair({
      client: {
        sslVersion,
        ...MUTUAL_CLIENT,
        verifyConnection: async () => {
          await new Promise((resolve) => setTimeout(resolve, 20));
          order.push("client's hook");
        },
      },
      server: {
        ...MUTUAL_SERVER,
        verifyCallback: () => {
          order.push("client's certificate");
          return 0;
        },
      },
    });
    assertEquals(order, ["client's hook", "client's certificate", "client's certificate"]);
    await closeBoth(client, server);
  });
}

test("verifyConnection: false, or an Error that is not thrown, is no consent", async () => {
  for (const [answer, got] of [[false, "boolean"], [new Error("no"), "Error"], [null, "null"]] as const) {
    const verifyConnection = (() => answer) as unknown as () => void;
    const [ours, theirs] = await refusedBy("client", { verifyConnection });
    assertStringIncludes(
      ours.message,
      `verifyConnection refuses the peer: expected nothing, or a throw, got ${got}`,
    );
    assertEquals([ours.kind, theirs.alert?.name], ["verify", "bad_certificate"]);
  }
});

test("verifyConnection, onUnknownPeer: wrapBio(), which could not ask them, refuses them", async () => {
  for (const name of ["verifyConnection", "onUnknownPeer"]) {
    using context = await SSLContext.create({ [name]: () => true });
    const wrap = () => context.wrapBio(new MemoryBIO(), new MemoryBIO(), { serverHostname: "localhost" });
    assertThrows(wrap, TypeError, `Cannot wrapBio(): ${name} needs a socket`);
  }
});

test("verifyConnection: it is not asked once the connection has ended while onUnknownPeer was", async () => {
  const asked: string[] = [];
  const { promise: unknown, resolve: isUnknown } = Promise.withResolvers<void>();
  const { promise: answer, resolve } = Promise.withResolvers<boolean>();
  const [near, far] = pipe();
  const client = await wrapSocket(near, {
    ...CLIENT,
    caCerts: [],
    doHandshake: false,
    onUnknownPeer: () => (isUnknown(), answer),
    verifyConnection: () => void asked.push("verifyConnection"),
  });
  const accepting = assertRejects(() => wrapSocket(far, SERVER), SSLError);
  const handshake = assertRejects(() => client.handshake(), SSLError, "was aborted");
  await unknown;
  client.abort();
  resolve(true);
  await Promise.all([handshake, accepting]);
  await idle();
  assertEquals(asked, []);
});

test("verifyConnection: no data is given before it, nor sent", async () => {
  const { promise: judged, resolve: accept } = Promise.withResolvers<void>();
  const { client, server } = await pair({
    client: { doHandshake: false },
    server: { doHandshake: false, verifyConnection: () => judged },
  });
  const received = readText(server);
  const sent = client.write(new TextEncoder().encode("early")); // TLS 1.3: the client is done, and may send
  const answered = server.write(new TextEncoder().encode("answer"));
  const read = readText(client);
  await sent;
  assert(await isPending(Promise.race([received, answered, read])), "data came before the hook had its say");
  accept();
  assertEquals(await Promise.all([received, read]), ["early", "answer"]);
  await closeBoth(client, server);
});

test("verifyConnection: one that never answers ends with the handshake's timeout", async () => {
  for (const end of ["client", "server"] as const) {
    const own = { verifyConnection: () => new Promise<void>(() => {}), timeout: SHORT };
    const [ours, theirs] = await refusedBy(end, own);
    assertEquals(ours.kind, "timeout");
    assertStringIncludes(ours.message, "timed out after 0.2 seconds");
    assertEquals(theirs.kind, "eof");
  }
});

test("verifyConnection: a socket that is dropped while it is asked stays dropped", async () => {
  const { promise: asked, resolve: isAsked } = Promise.withResolvers<void>();
  const { promise: judged, resolve: accept } = Promise.withResolvers<void>();
  const { client, server } = await pair({
    client: { doHandshake: false },
    server: {
      doHandshake: false,
      verifyConnection: () => {
        isAsked();
        return judged;
      },
    },
  });
  const shaking = assertRejects(() => server.handshake(), SSLError);
  const reading = assertRejects(() => readText(client), SSLError);
  await asked;
  server.abort();
  accept();
  assertStringIncludes((await shaking).message, "was aborted");
  await reading;
  await closeBoth(client, server);
});

test("verifyConnection: in non-blocking mode it is waited for with ready()", async () => {
  for (const [, sslVersion] of Object.entries(VERSIONS)) {
    const seen: boolean[] = [];
    const verifyConnection = async ({ sessionReused }: ConnectionState) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      seen.push(sessionReused);
    };
    const { client, server } = await pair({
      client: { sslVersion, doHandshake: false, verifyConnection },
      server: { doHandshake: false, verifyConnection },
    });
    const drive = async (socket: SSLSocket) => {
      socket.setBlocking(false);
      let calls = 0;
      for (; socket.tryHandshake().state !== "ok"; calls++) assert(await socket.ready("read", LONG));
      assert(calls < 20, `it took ${calls} calls`);
      socket.setBlocking(true);
    };
    await Promise.all([drive(client), drive(server)]);
    assertEquals(seen, [false, false]);
    await assertTalk(client, server);
    await closeBoth(client, server);
  }
});

test("verifyConnection: a config of getConfigForClient brings its own", async () => {
  const seen: string[] = [];
  using chosen = await SSLContext.create({ ...SERVER, verifyConnection: () => void seen.push("chosen") });
  const { client, server } = await pair({
    server: { verifyConnection: () => void seen.push("first"), getConfigForClient: () => chosen },
  });
  assertEquals(seen, ["chosen"]);
  await closeBoth(client, server);
});

// ---- verifyCallback -------------------------------------------------------------------------------------

for (const [name, sslVersion] of Object.entries(VERSIONS)) {
  test(`verifyCallback: ${name}, each certificate of the chain, anchor first; 0 goes on`, async () => {
    const seen: [string, number][] = [];
    const verifyCallback = (der: Uint8Array, depth: number) => {
      const { subject = [] } = peerCertificate(der); // it may be read inside
      seen.push([subject.flat().find(([type]) => type === "commonName")![1], depth]);
      return 0;
    };
    const { client, server } = await pair({
      client: { sslVersion, verifyCallback },
      server: { certfile: pem("chain.pem"), keyfile: pem("chain.key") },
    });
    assertEquals(seen.map(([, depth]) => depth), [2, 1, 0]);
    const chain = client.getVerifiedChain().toReversed().map((der) => peerCertificate(der).subject!.flat());
    assertEquals(
      seen.map(([name]) => name),
      chain.map((subject) => subject.find(([type]) => type === "commonName")![1]),
    );
    await closeBoth(client, server);
  });

  test(`verifyCallback: ${name}, another number or a throw ends the handshake, whatever certReqs`, async () => {
    const cause = new RangeError("too old");
    const fail = () => {
      throw cause;
    };
    for (const certReqs of [CERT_REQUIRED, CERT_OPTIONAL] as const) {
      for (
        const [verifyCallback, code, words] of [
          [() => -0x2700, -0x2700, "it returned -9984 for the certificate at depth 1"],
          [() => 1, -0x3000, "it returned 1 "],
          [fail, -0x3000, "it failed for the certificate at depth 1: too old"],
          [
            () => undefined as unknown as number,
            -0x3000,
            "it failed for the certificate at depth 1: expected a number, got undefined",
          ],
        ] as const
      ) {
        const [ours, theirs] = await refusedBy("client", { sslVersion, certReqs, verifyCallback });
        assertInstanceOf(ours, SSLCertVerificationError);
        assertEquals([ours.kind, ours.code, ours.verifyFlags], ["verify", code, 0x100]);
        assertStringIncludes(ours.message, `verifyCallback ended it: ${words}`);
        if (verifyCallback === fail) assertEquals(ours.cause, cause);
        assertEquals(theirs.alert, ACCESS_DENIED);
      }
    }
  });
}

test("verifyCallback: it cannot accept what does not verify, nor use the core that runs", async () => {
  const [error] = await refusedBy("client", { caCerts: pem("root-rsa.pem"), verifyCallback: () => 0 });
  assertEquals((error as SSLCertVerificationError).verifyFlags, 8);
  const { client, server } = await pair();
  const verifyCallback = () => client.exportKeyingMaterial(8, "label").length && 0;
  const [inside] = await refusedBy("client", { verifyCallback });
  assertStringIncludes(inside.message, "the core is running");
  await assertTalk(client, server);
  await closeBoth(client, server);
});

test("verifyCallback: a session is resumed only under the same one", async () => {
  const verifyCallback = () => 0;
  const first = await pair({ client: { verifyCallback } });
  await assertTalk(first.client, first.server);
  const savedSession = saveSession(first.client)!;
  await closeBoth(first.client, first.server);
  for (const [callback, resumed] of [[verifyCallback, true], [() => 0, false], [undefined, false]] as const) {
    const { client, server } = await pair({
      client: { savedSession, ...(callback && { verifyCallback: callback }) },
    });
    assertEquals(client.sessionReused, resumed);
    await closeBoth(client, server);
  }
});
