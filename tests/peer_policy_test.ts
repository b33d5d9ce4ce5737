/** verifyConnection, verifyCallback, pins, onUnknownPeer: which peers will do. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { SSLCertVerificationError, SSLError } from "../lib/errors.ts";
import { peerCertificate } from "../lib/peer_certificate.ts";
import { type ConnectionState, publicKeyPin } from "../lib/peer_policy.ts";
import { CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED } from "../lib/policy.ts";
import { saveSession, SSLContext, wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { certFile } from "./peers.ts";
import { pipe } from "./pipe.ts";
import {
  assertTalk,
  CLIENT,
  closeBoth,
  isPending,
  LONG,
  pair,
  readText,
  SERVER,
  SHORT,
  test,
  VERSIONS,
} from "./sockets.ts";

const pem = (name: string) => Deno.readTextFileSync(certFile(name));
const MUTUAL_SERVER = { certReqs: CERT_REQUIRED, caCerts: pem("root.pem") } as const;
const MUTUAL_CLIENT = { certfile: pem("client.pem"), keyfile: pem("client.key") };
const ACCESS_DENIED = { description: 49, name: "access_denied" };

type End = "client" | "server";

/** The failures of an end with `options`, and of its peer. */
async function refusedBy(
  end: End,
  options: WrapSocketOptions,
  peer: WrapSocketOptions = {},
): Promise<[SSLError, SSLError]> {
  if (end === "client") return await refused(options, peer);
  const [client, server] = await refused(peer, options);
  return [server, client];
}

/** Both ends' failures: of the client, of the server. The client reads, or a TLS 1.3 server's alert comes too late. */
async function refused(client: WrapSocketOptions, server: WrapSocketOptions): Promise<[SSLError, SSLError]> {
  const [near, far] = pipe();
  const ended = async (wrapping: Promise<SSLSocket>) => {
    const socket = await wrapping;
    try {
      await readText(socket);
    } finally {
      await socket.close();
    }
  };
  return await Promise.all([
    assertRejects(() => ended(wrapSocket(near, { ...CLIENT, ...client })), SSLError),
    assertRejects(() => ended(wrapSocket(far, { ...SERVER, ...server })), SSLError),
  ]);
}

/** A client that resumes what `first` began. */
async function resume(client: WrapSocketOptions, server: WrapSocketOptions) {
  const first = await pair({ client, server });
  await assertTalk(first.client, first.server);
  const savedSession = saveSession(first.client)!;
  await closeBoth(first.client, first.server);
  return await pair({ client: { ...client, savedSession }, server });
}

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

// ---- pins -----------------------------------------------------------------------------------------------

const LEAF_PIN = publicKeyPin(pem("ec.pem"));
const ROOT_PIN = publicKeyPin(pem("root.pem"));
const OTHER_PIN = publicKeyPin(pem("rsa.pem"));

test("publicKeyPin: what openssl makes of the key", async () => {
  const run = async (args: string[], input: Uint8Array) => {
    const child = new Deno.Command("openssl", { args, stdin: "piped", stdout: "piped", stderr: "null" })
      .spawn();
    const writer = child.stdin.getWriter();
    await writer.write(input);
    await writer.close();
    return (await child.output()).stdout;
  };
  for (const name of ["ec", "rsa", "p384"]) {
    const key = await run(["x509", "-pubkey", "-noout"], new TextEncoder().encode(pem(`${name}.pem`)));
    const der = await run(["pkey", "-pubin", "-outform", "der"], key);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", der as Uint8Array<ArrayBuffer>));
    assertEquals(publicKeyPin(pem(`${name}.pem`)), `sha256//${hash.toBase64()}`);
  }
  assertEquals(publicKeyPin(await Deno.readFile(certFile("ec.der"))), LEAF_PIN);
  for (const bad of ["", "no PEM", pem("ec.key"), new Uint8Array(3)]) {
    assertThrows(() => publicKeyPin(bad), SSLError, "Cannot read the certificate");
  }
});

for (const [name, sslVersion] of Object.entries(VERSIONS)) {
  test(`pins: ${name}, the leaf's key or an authority's of the chain; no other`, async () => {
    for (const pins of [[LEAF_PIN], [OTHER_PIN, LEAF_PIN], [ROOT_PIN]]) {
      const again = await resume({ sslVersion, pins }, {});
      assert(again.client.sessionReused);
      await closeBoth(again.client, again.server);
    }
    const [ours, theirs] = await refusedBy("client", { sslVersion, pins: [OTHER_PIN] });
    assertEquals(ours.kind, "verify");
    assertStringIncludes(
      ours.message,
      `Cannot complete TLS handshake with "localhost": the peer has none of the pinned keys: its key is ${LEAF_PIN}`,
    );
    assertEquals(theirs.alert?.name, "bad_certificate");
  });

  test(`pins: ${name}, with CERT_NONE the leaf's key alone counts, whoever signed it`, async () => {
    const server = { certfile: pem("self.pem") + pem("root.pem"), keyfile: pem("self.key") };
    const client = { sslVersion, certReqs: CERT_NONE } as const;
    const { client: near, server: far } = await pair({
      client: { ...client, pins: [publicKeyPin(pem("self.pem"))] },
      server,
    });
    await assertTalk(near, far);
    await closeBoth(near, far);
    const [ours] = await refusedBy("client", { ...client, pins: [ROOT_PIN] }, server);
    assertStringIncludes(ours.message, "none of the pinned keys");
  });
}

test("pins: a server's clients, and one that shows no certificate", async () => {
  const pins = [publicKeyPin(pem("client.pem"))];
  const { client, server } = await pair({ client: MUTUAL_CLIENT, server: { ...MUTUAL_SERVER, pins } });
  await closeBoth(client, server);
  const optional = { ...MUTUAL_SERVER, certReqs: CERT_OPTIONAL, pins } as const;
  const [ours] = await refusedBy("server", optional);
  assertStringIncludes(ours.message, "none of the pinned keys: it sent no certificate");
});

test("pins: a session is resumed only under the same ones", async () => {
  const first = await pair();
  await assertTalk(first.client, first.server);
  const savedSession = saveSession(first.client)!;
  await closeBoth(first.client, first.server);
  const [ours] = await refusedBy("client", { savedSession, pins: [OTHER_PIN] });
  assertStringIncludes(ours.message, "none of the pinned keys");
});

// ---- onUnknownPeer --------------------------------------------------------------------------------------

const SELF = { certfile: pem("self.pem"), keyfile: pem("self.key") };

for (const [name, sslVersion] of Object.entries(VERSIONS)) {
  test(`onUnknownPeer: ${name}, trust on first use, then the same key alone, also of a resumed session`, async () => {
    const known = new Map<string, string>();
    let asked = 0;
    const onUnknownPeer = ({ serverHostname, pin }: ConnectionState) => {
      asked++;
      if (!known.has(serverHostname!)) known.set(serverHostname!, pin!);
      return known.get(serverHostname!) === pin;
    };
    const client = { sslVersion, onUnknownPeer };
    const again = await resume(client, SELF);
    assert(again.client.sessionReused);
    assertEquals([asked, again.client.verifyFlags & 8, known.get("localhost")], [
      2,
      8,
      publicKeyPin(pem("self.pem")),
    ]);
    await assertTalk(again.client, again.server);
    await closeBoth(again.client, again.server);

    const impostor = { certfile: pem("impostor.pem"), keyfile: pem("impostor.key") };
    const [ours, theirs] = await refusedBy("client", client, impostor);
    assertInstanceOf(ours, SSLCertVerificationError);
    assertStringIncludes(ours.message, "not correctly signed by the trusted CA");
    assertEquals([ours.kind, theirs.alert?.name], ["verify", "unknown_ca"]);

    const trusted = await pair({ client }); // nobody asks about a peer that an authority vouches for
    assertEquals([asked, trusted.client.verifyFlags], [3, 0]);
    await closeBoth(trusted.client, trusted.server);
  });

  test(`onUnknownPeer: ${name}, a server's unknown clients; one without a certificate is refused`, async () => {
    const seen: (string | undefined)[] = [];
    const server = {
      sslVersion,
      certReqs: CERT_REQUIRED,
      caCerts: [],
      onUnknownPeer: ({ pin }: ConnectionState) => Promise.resolve(seen.push(pin) === 1),
    } as const;
    const { client, server: far } = await pair({ client: MUTUAL_CLIENT, server });
    await assertTalk(client, far);
    await closeBoth(client, far);
    assertEquals(seen, [publicKeyPin(pem("client.pem"))]);
    const [, theirs] = await refusedBy("server", server, MUTUAL_CLIENT);
    assertEquals(theirs.alert?.name, "unknown_ca");
    const [none, alert] = await refusedBy("server", server);
    assertEquals([none.kind, none.reason], ["verify", "MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE"]);
    assertEquals(alert.alert?.name, name === "TLSv1.3" ? "certificate_required" : "handshake_failure");
    assertEquals(seen.length, 2);
  });
}

test("onUnknownPeer: not asked about a certificate that is bad in itself; what it throws, and a wrong answer", async () => {
  let asked = 0;
  const onUnknownPeer = () => ++asked > 0;
  const expired = { certfile: pem("expired.pem"), keyfile: pem("ec.key") };
  const [ours] = await refusedBy("client", { onUnknownPeer }, expired);
  assertStringIncludes(ours.message, "expired");
  const [name] = await refusedBy("client", { onUnknownPeer, serverHostname: "other.test" });
  assertStringIncludes(name.message, 'the certificate is not for "other.test"');
  assertEquals(asked, 0);

  const cause = new Error("the store is locked");
  const [failed] = await refusedBy("client", { onUnknownPeer: () => Promise.reject(cause) }, SELF);
  assertEquals([failed.kind, failed.cause], ["verify", cause]);
  const wrong = (() => {}) as unknown as () => boolean;
  const [undecided] = await refusedBy("client", { onUnknownPeer: wrong }, SELF);
  assertStringIncludes(
    undecided.message,
    "onUnknownPeer refuses the peer: expected true or false, got undefined",
  );
});

test("onUnknownPeer: a session that it accepted is not resumed without it", async () => {
  const first = await pair({ client: { onUnknownPeer: () => true }, server: SELF });
  await assertTalk(first.client, first.server);
  const savedSession = saveSession(first.client)!;
  await closeBoth(first.client, first.server);
  const [ours] = await refusedBy("client", { savedSession }, SELF);
  assertEquals((ours as SSLCertVerificationError).verifyFlags & 8, 8);
});

// ---- Arguments ------------------------------------------------------------------------------------------

const WRONG: [WrapSocketOptions, string][] = [
  [{ pins: [] }, "Cannot use pins: the list is empty, no peer would do"],
  [{ pins: LEAF_PIN as unknown as string[] }, "Cannot use pins: expected a list, got string"],
  [{ pins: [LEAF_PIN, "sha1//abc"] }, 'expected "sha256//" and the base64 of 32 bytes, got "sha1//abc"'],
  [{ pins: ["sha256//AAAA"] }, 'got "sha256//AAAA"'],
  [{ pins: [7 as unknown as string] }, "got number"],
  [{ pins: [LEAF_PIN], psk: { identity: "i", key: new Uint8Array(16) } }, "shows no certificate"],
  [{ ...SERVER, pins: [LEAF_PIN] }, "Cannot use pins: a server needs certReqs"],
  [{ onUnknownPeer: true as unknown as () => boolean }, "Cannot use onUnknownPeer: expected a function"],
  [{ certReqs: CERT_OPTIONAL, onUnknownPeer: () => true }, "it needs certReqs CERT_REQUIRED"],
  [{ verifyConnection: "no" as unknown as () => void }, "Cannot use verifyConnection: expected a function"],
  [{ verifyCallback: 1 as unknown as () => number }, "Cannot use verifyCallback: expected a function"],
  [{ certReqs: CERT_NONE, verifyCallback: () => 0 }, "Cannot use verifyCallback: with certReqs CERT_NONE"],
  [{ renegotiation: true, pins: [LEAF_PIN] }, "Cannot use renegotiation with"],
  [{ caCerts: [] }, "Cannot use caCerts: the list is empty"],
];

test("pins, onUnknownPeer, verifyConnection, verifyCallback: wrong options fail before any I/O", async () => {
  for (const [options, message] of WRONG) {
    await assertRejects(() => wrapSocket(pipe()[0], { ...CLIENT, ...options }), TypeError, message);
  }
});
