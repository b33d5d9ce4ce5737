/** What a socket says of its connection, under CPython's names. */

import { X509Certificate } from "node:crypto";
import { assert, assertEquals, assertNotEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED } from "../lib/policy.ts";
import { SSLError } from "../lib/errors.ts";
import { SSLSession } from "../lib/session.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { saveSession, SSLContext, type WrapSocketOptions } from "../lib/ssl.ts";
import { certFile, identity } from "./peers.ts";
import { assertTalk, closeBoth, type Pair, pair, SERVER, test, VERSIONS } from "./sockets.ts";

/** The DER of a file's first certificate. */
function der(name: string): Uint8Array {
  return new Uint8Array(new X509Certificate(Deno.readFileSync(certFile(name))).raw);
}

function wrapFiles(name: string): WrapSocketOptions {
  const { cert, key } = identity(name);
  return { certfile: cert, keyfile: key };
}

/** Both sides check each other. */
function mutual(options: WrapSocketOptions = {}): Promise<Pair> {
  return pair({
    client: { ...wrapFiles("client"), ...options },
    server: { certReqs: CERT_REQUIRED, caCerts: certFile("root.pem") },
  });
}

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`SSLSocket.getpeercert() has CPython's form, and DER, in ${version}`, async () => {
    const { client, server } = await mutual({ sslVersion });
    const cert = client.getpeercert();
    assertEquals(cert?.subjectAltName?.slice(0, 2), [["DNS", "localhost"], ["DNS", "example.test"]]);
    assertEquals(client.getpeercert(true), der("ec.pem"));
    assertEquals(server.getpeercert(true), der("client.pem"));
    const name = server.getpeercert()?.subject?.flat().find(([type]) => type === "commonName");
    assert(name !== undefined && name[1] !== "");
    await closeBoth(client, server);
  });

  test(`SSLSocket.getpeercert() is undefined when the peer sent none in ${version}`, async () => {
    const { client, server } = await pair({ client: { sslVersion } });
    assertEquals([server.getpeercert(), server.getpeercert(true)], [undefined, undefined]);
    assertEquals([server.getVerifiedChain(), server.getUnverifiedChain()], [[], []]);
    await closeBoth(client, server);
  });

  test(`SSLSocket.getVerifiedChain() has the anchor, getUnverifiedChain() what was sent, in ${version}`, async () => {
    const { client, server } = await pair({ client: { sslVersion }, server: wrapFiles("chain") });
    const sent = client.getUnverifiedChain();
    assertEquals(sent.length, 2);
    assertEquals(sent[0], der("chain.pem"));
    assertEquals(client.getVerifiedChain(), [...sent, der("root.pem")]);
    await closeBoth(client, server);
  });

  test(`SSLSocket.verifyFlags tells what CERT_OPTIONAL let pass in ${version}`, async () => {
    const { client, server } = await pair({
      client: { sslVersion, certReqs: CERT_OPTIONAL, serverHostname: "other.test" },
      server: wrapFiles("self"),
    });
    assertEquals(client.verifyFlags, 0x0c); // not trusted, not for that host
    assert(client.verifyMessage.includes("trusted"), client.verifyMessage);
    assertEquals(client.getpeercert(), {}); // CPython: nothing that was not validated
    assertEquals(client.getpeercert(true), der("self.pem"));
    await assertTalk(client, server);
    await closeBoth(client, server);
  });

  test(`SSLSocket.verifyFlags tells that CERT_NONE checked nothing in ${version}`, async () => {
    const { client, server } = await pair({ client: { sslVersion, certReqs: CERT_NONE } });
    assertEquals(client.getpeercert(), {});
    assertEquals(client.getpeercert(true), der("ec.pem"));
    assertEquals(client.getVerifiedChain(), []);
    await closeBoth(client, server);
  });

  test(`SSLSocket.getChannelBinding() is the same on both ends, and no other connection's, in ${version}`, async () => {
    const first = await pair({ client: { sslVersion } });
    const second = await pair({ client: { sslVersion } });
    const binding = first.client.getChannelBinding();
    assertEquals(binding.length, 32);
    assertEquals(first.server.getChannelBinding("tls-exporter"), binding);
    assertNotEquals(second.client.getChannelBinding(), binding);
    for (const { client, server } of [first, second]) await closeBoth(client, server);
  });

  test(`SSLSocket.exportKeyingMaterial() depends on label, context and length in ${version}`, async () => {
    const { client, server } = await pair({ client: { sslVersion } });
    const label = "EXPERIMENTAL tlsio";
    const both = (length: number, label: string, context?: Uint8Array) => {
      const [ours, theirs] = [client, server].map((end) => end.exportKeyingMaterial(length, label, context));
      assertEquals(ours, theirs);
      return ours!.toHex();
    };
    const made = [both(32, label), both(32, `${label}2`), both(32, label, encodeText("x"))];
    assertEquals(new Set(made).size, 3);
    assertEquals(both(32, label), made[0]);
    assertEquals(both(1024, label).length, 2048);
    assertEquals(both(32, label) === both(32, label, new Uint8Array(0)), version === "TLSv1.3"); // RFC 8446 7.5
    for (const length of [0, -1, 1.5, NaN, 1025]) {
      assertThrows(() => client.exportKeyingMaterial(length, label), RangeError, "Cannot use length: ");
    }
    await closeBoth(client, server);
  });

  test(`SSLSocket.cipher(), version() and group() agree on both ends in ${version}`, async () => {
    const { client, server } = await pair({
      client: { sslVersion, groups: ["secp384r1"] },
      server: wrapFiles("p384"),
    });
    const cipher = client.cipher();
    assertEquals([cipher, client.group()], [server.cipher(), server.group()]);
    assertEquals([cipher?.version, client.group()], [version, "secp384r1"]);
    assert([128, 256].includes(cipher!.bits));
    assert(cipher!.name.startsWith(version === "TLSv1.3" ? "TLS_" : "TLS_ECDHE_ECDSA_"), cipher!.name);
    await closeBoth(client, server);
  });

  test(`SSLSocket.selectedAlpnProtocol() is the server's choice in ${version}`, async () => {
    const client = { sslVersion, alpnProtocols: ["http/1.1", "h2"] };
    const chosen = await pair({ client, server: { alpnProtocols: ["h2", "http/1.1"] } });
    assertEquals([chosen.client, chosen.server].map((end) => end.selectedAlpnProtocol()), ["h2", "h2"]);
    const silent = await pair({ client });
    assertEquals([silent.client, silent.server].map((end) => end.selectedAlpnProtocol()), [
      undefined,
      undefined,
    ]);
    for (const { client, server } of [chosen, silent]) await closeBoth(client, server);
  });

  test(`saveSession() after close() resumes, with what the full handshake knew, in ${version}`, async () => {
    using context = await SSLContext.create(SERVER);
    const connect = async (more: WrapSocketOptions = {}) => {
      const made = await pair({ client: { sslVersion, ...more }, server: { context } });
      await assertTalk(made.client, made.server);
      await closeBoth(made.client, made.server);
      return made.client;
    };
    const first = await connect();
    const savedSession = saveSession(first);
    assert(savedSession instanceof SSLSession);
    assertStrictEquals(first.session, savedSession);
    assertEquals([first.sessionReused, savedSession.facts.version], [false, version]);
    for (const form of [savedSession, savedSession.toBytes()]) {
      const second = await connect({ savedSession: form });
      assertEquals([second.sessionReused, second.verifyFlags, second.version()], [true, 0, version]);
    }
    const other = await connect({ savedSession, serverHostname: "example.test" });
    assertEquals(other.sessionReused, false);
  });

  test(`SSLSocket.getpeercert() knows the certificate of a resumed connection in ${version}`, async () => {
    using context = await SSLContext.create(SERVER);
    const first = await pair({ client: { sslVersion }, server: { context } });
    await assertTalk(first.client, first.server);
    const savedSession = saveSession(first.client)!;
    await closeBoth(first.client, first.server);
    const { client, server } = await pair({ client: { sslVersion, savedSession }, server: { context } });
    assertEquals([client.sessionReused, server.sessionReused], [true, true]);
    assertEquals(client.getpeercert(true), der("ec.pem"));
    assertEquals(client.getpeercert()?.subjectAltName?.[0], ["DNS", "localhost"]);
    assertEquals(client.getVerifiedChain(), []); // none was checked this time
    await closeBoth(client, server);
  });
}

test("SSLSocket says nothing before the handshake, or says that it is not over", async () => {
  const { client } = await pair({ client: { doHandshake: false }, server: { doHandshake: false } });
  assertEquals([client.version(), client.cipher(), client.group()], [undefined, undefined, undefined]);
  assertEquals([client.serverHostname, client.serverSide], ["localhost", false]);
  assertEquals([client.sessionReused, client.session, client.pending()], [false, undefined, 0]);
  const ask: ((socket: SSLSocket) => unknown)[] = [
    (socket) => socket.getpeercert(),
    (socket) => socket.getVerifiedChain(),
    (socket) => socket.getUnverifiedChain(),
    (socket) => socket.getChannelBinding(),
  ];
  for (const call of ask) assertThrows(() => call(client), SSLError, "the TLS handshake is not over");
  client.abort();
});

test("SSLSocket.getChannelBinding() refuses another type", async () => {
  const { client, server } = await pair();
  assertThrows(() => client.getChannelBinding("tls-other" as "tls-exporter"), RangeError, `"tls-other"`);
  await closeBoth(client, server);
});

test("saveSession() of a server is undefined", async () => {
  const { client, server } = await pair();
  await assertTalk(client, server);
  await closeBoth(client, server);
  assertEquals(saveSession(server), undefined);
});

test("saveSession() of an aborted connection still resumes", async () => {
  using context = await SSLContext.create(SERVER);
  const first = await pair({ server: { context } });
  await assertTalk(first.client, first.server);
  first.client.abort();
  const second = await pair({
    client: { savedSession: saveSession(first.client)! },
    server: { context },
  });
  assertEquals(second.client.sessionReused, true);
  await closeBoth(second.client, second.server);
  first.server.abort();
});

test("SSLSocket.pending() counts what a read would give at once", async () => {
  const { client, server } = await pair();
  await server.write(encodeText("abcdef"));
  await client.read(new Uint8Array(2));
  assertEquals(client.pending(), 4);
  await client.read(new Uint8Array(4));
  assertEquals(client.pending(), 0);
  await closeBoth(client, server);
});
