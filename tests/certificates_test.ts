/** certificates, getCertificate: which certificate a server shows. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { createCertificate } from "../lib/certificate.ts";
import type { ClientHello } from "../lib/client_hello.ts";
import { DERIVED_MAX, TLSConfig } from "../lib/config.ts";
import { SSLError } from "../lib/errors.ts";
import { Certificate } from "../lib/own_certificate.ts";
import type { SSLSocket } from "../lib/socket.ts";
import type { GetCertificate } from "../lib/context_options.ts";
import { saveSession, SSLContext, wrapSocket } from "../lib/ssl.ts";
import { TLSVersion } from "../lib/suites.ts";
import { certFile } from "./peers.ts";
import { pipe } from "./pipe.ts";
import {
  assertKind,
  assertTalk,
  closeBoth,
  dial,
  pair,
  SERVER,
  serving,
  SHORT,
  test,
  VERSIONS,
} from "./sockets.ts";

const ROOT = createCertificate({ subject: "CN=Certificates Root", isCA: true });

/** The files of a new certificate. */
function filesFor(host: string, keyType: "P-256" | "P-384" | "RSA-2048" = "P-256") {
  const { certificate, key } = createCertificate({
    subject: `CN=${host}`,
    hosts: [host],
    keyType,
    issuer: ROOT,
  });
  return { certfile: certificate, keyfile: key };
}

function shownTo(client: SSLSocket): string | undefined {
  return client.getpeercert()?.subject?.flat().find(([name]) => name === "commonName")?.[1];
}

function clientOf(host: string) {
  return { caCerts: ROOT.certificate, serverHostname: host };
}

const BOTH_KEYS = [filesFor("both.test"), filesFor("both.test", "RSA-2048")];
/** Whether a certificate has an RSA key: those have their algorithm's OID, 1.2.840.113549.1.1.1, in it. */
const isRsa = (der: Uint8Array) => der.toHex().includes("06092a864886f70d010101");

for (const [name, sslVersion] of Object.entries(VERSIONS)) {
  for (const order of ["ECDSA first", "RSA first"]) {
    test(`certificates: ${name}, ${order}, the one whose signature the client verifies`, async () => {
      const certificates = order === "RSA first" ? BOTH_KEYS.toReversed() : BOTH_KEYS;
      using context = await SSLContext.create({ serverSide: true, certificates });
      // ROOT signs with ECDSA: mbedTLS checks certificates by the same list.
      for (
        const [scheme, rsa] of [["rsa_pss_rsae_sha256", true], ["ecdsa_secp256r1_sha256", false]] as const
      ) {
        const sigalgs = rsa ? [scheme, "rsa_pkcs1_sha256"] : [scheme];
        const { client, server } = await pair({
          client: { ...clientOf("both.test"), sslVersion, sigalgs },
          server: { context },
        });
        assertEquals(isRsa(client.getpeercert(true)!), rsa);
        await assertTalk(client, server);
        await closeBoth(client, server);
      }
    });
  }
}

test("certificates: TLSv1.2, the one of the suite that is chosen", async () => {
  using context = await SSLContext.create({ serverSide: true, certificates: BOTH_KEYS });
  for (const kind of ["ECDSA", "RSA"]) {
    const { client, server } = await pair({
      client: {
        ...clientOf("both.test"),
        sslVersion: TLSVersion.TLSv1_2,
        ciphers: [`TLS_ECDHE_${kind}_WITH_AES_128_GCM_SHA256`],
      },
      server: { context },
    });
    assertEquals(isRsa(client.getpeercert(true)!), kind === "RSA");
    await closeBoth(client, server);
  }
});

test("getCertificate: the certificate of the name, with the policy of the context", async () => {
  const sites = new Map<string, Certificate>();
  for (const host of ["a.test", "b.test"]) sites.set(host, await Certificate.load(filesFor(host)));
  const getCertificate: GetCertificate = ({ serverName }) => sites.get(serverName!);
  using context = await SSLContext.create({
    serverSide: true,
    ...filesFor("default.test"),
    alpnProtocols: ["p"],
    getCertificate,
  });
  for (const [name, sslVersion] of Object.entries(VERSIONS)) {
    for (const host of ["a.test", "b.test", "default.test"]) {
      const { client, server } = await pair({
        client: { ...clientOf(host), sslVersion, alpnProtocols: ["p"] },
        server: { context },
      });
      assertEquals([shownTo(client), client.version(), client.selectedAlpnProtocol()], [host, name, "p"]);
      await assertTalk(client, server);
      await closeBoth(client, server);
    }
  }
});

test("getCertificate: of two chosen keys the one that the client can verify", async () => {
  const both = await Certificate.load(BOTH_KEYS);
  for (const [scheme, rsa] of [["rsa_pss_rsae_sha256", true], ["ecdsa_secp256r1_sha256", false]] as const) {
    const { client, server } = await pair({
      client: { ...clientOf("both.test"), sigalgs: [scheme], sslVersion: TLSVersion.TLSv1_3 },
      server: { getCertificate: () => Promise.resolve(both) },
    });
    assertEquals(isRsa(client.getpeercert(true)!), rsa);
    await closeBoth(client, server);
  }
});

test("getCertificate: 1000 handshakes at once, decided in any order, each with the right certificate", async () => {
  const hosts = Array.from({ length: 20 }, (_, i) => `host${i}.test`);
  const sites = new Map<string, Certificate>();
  for (const host of hosts) sites.set(host, await Certificate.load(filesFor(host)));
  const waiting: (() => void)[] = [];
  let atOnce = 0;
  using context = await SSLContext.create({
    serverSide: true,
    ...filesFor("default.test"),
    getCertificate: async ({ serverName }) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting.push(resolve);
      if (waiting.length === 1000) { // all are there: decide them, the last one first, with waits between
        atOnce = waiting.length;
        for (const decide of waiting.toReversed()) setTimeout(decide, Math.random() * 20);
      }
      await promise;
      return sites.get(serverName!);
    },
  });
  const contexts = await SSLContext.create({ caCerts: ROOT.certificate });
  const one = async (i: number) => {
    const host = hosts[i % hosts.length]!;
    const [near, far] = pipe();
    const [client, server] = await Promise.all([
      contexts.wrapSocket(near, { serverHostname: host, timeout: 60 }),
      context.wrapSocket(far, { timeout: 60 }),
    ]);
    assertEquals([shownTo(client), server.serverHostname], [host, host]);
    await closeBoth(client, server);
  };
  await Promise.all(Array.from({ length: 1000 }, (_, i) => one(i)));
  assertEquals(atOnce, 1000);
  contexts[Symbol.dispose]();
});

test("getCertificate: it is told the hello and the client's address", async () => {
  const told: [ClientHello, unknown][] = [];
  const getCertificate: GetCertificate = (hello, { remoteAddr }) => void told.push([hello, remoteAddr]);
  await using server = await serving(async (_, writer) => await writer.drain(), {
    ssl: { ...filesFor("a.test"), getCertificate },
  });
  const conn = await dial(server);
  const client = await wrapSocket(conn, clientOf("a.test"));
  assertEquals(told.map(([hello, addr]) => [hello.serverName, addr]), [["a.test", client.localAddr]]);
  await client.close();
});

test("getCertificate: after getConfigForClient, of the context that it chose", async () => {
  const certificate = await Certificate.load(filesFor("a.test"));
  using chosen = await SSLContext.create({
    serverSide: true,
    ...filesFor("b.test"),
    getCertificate: () => certificate,
  });
  const { client, server } = await pair({
    client: clientOf("a.test"),
    server: {
      getConfigForClient: () => chosen,
      getCertificate: () => {
        throw new Error("the first context's is not asked");
      },
    },
  });
  assertEquals(shownTo(client), "a.test");
  await closeBoth(client, server);
});

test("getCertificate: what it throws ends the handshake; a wrong answer; one that never answers", async () => {
  const cause = new Error("no database");
  for (
    const [getCertificate, words, alert, timeout] of [
      [() => Promise.reject(cause), "getCertificate failed: no database", "internal_error"],
      [
        () => "a.pem" as unknown as Certificate,
        "expected a Certificate or undefined, got string",
        "internal_error",
      ],
      [
        () => {
          throw new SSLError("Cannot serve this name", {
            kind: "config",
            alert: { description: 112, name: "unrecognized_name" },
          });
        },
        "Cannot serve this name",
        "unrecognized_name",
      ],
      [() => new Promise<undefined>(() => {}), "timed out after 0.2 seconds", undefined, SHORT],
    ] as [GetCertificate, string, string | undefined, number?][]
  ) {
    const [near, far] = pipe();
    const [client, server] = await Promise.all([
      assertRejects(() => wrapSocket(near, clientOf("a.test")), SSLError),
      assertRejects(() => wrapSocket(far, { ...SERVER, getCertificate, timeout: timeout ?? 10 }), SSLError),
    ]);
    assertStringIncludes(server.message, words);
    assertEquals(client.alert?.name, alert);
  }
  await assertRejects(
    () => wrapSocket(pipe()[0], { ...clientOf("a.test"), getCertificate: () => undefined }),
    TypeError,
    "Cannot use getCertificate: it is for servers",
  );
});

test("getCertificate: a session goes on with the same host's certificate, not with another's", async () => {
  const sites = new Map<string, Certificate>();
  const renew = async (host: string) => sites.set(host, await Certificate.load(filesFor(host)));
  await renew("a.test");
  await renew("b.test");
  using context = await SSLContext.create({
    serverSide: true,
    ...filesFor("default.test"),
    getCertificate: ({ serverName }) => sites.get(serverName!),
  });
  for (const sslVersion of Object.values(VERSIONS)) {
    const options = { ...clientOf("a.test"), sslVersion };
    const first = await pair({ client: options, server: { context } });
    await assertTalk(first.client, first.server);
    const savedSession = saveSession(first.client)!;
    await closeBoth(first.client, first.server);

    await renew("a.test");
    const again = await pair({ client: { ...options, savedSession }, server: { context } });
    assertEquals([again.client.sessionReused, shownTo(again.client)], [true, "a.test"]);
    await closeBoth(again.client, again.server);

    using other = await SSLContext.create({
      serverSide: true,
      ...filesFor("default.test"),
      getCertificate: () => sites.get("b.test"),
    });
    const [near, far] = pipe();
    const [client] = await Promise.all([
      assertRejects(() => wrapSocket(near, { ...options, savedSession }), SSLError),
      assertRejects(() => other.wrapSocket(far), SSLError),
    ]);
    assertStringIncludes(client.message, 'the certificate is not for "a.test"'); // not resumed, but shown
  }
});

test("getCertificate: a config is kept for the certificates that were used last, and freed with the rest", async () => {
  const own = await Certificate.load(filesFor("a.test"));
  const config = new TLSConfig({ serverSide: true, credential: own.credentials });
  const seen = new Set<TLSConfig>();
  for (let i = 0; i < DERIVED_MAX + 5; i++) {
    config.withCertificate({ credentials: own.credentials }, (derived) => seen.add(derived));
    config.withCertificate(own, (derived) => seen.add(derived));
  }
  assertEquals(seen.size, DERIVED_MAX + 6); // `own` was always the last one
  const first = [...seen][0]!;
  assertThrows(() => first.acquire(), TypeError, "disposed");
  config[Symbol.dispose]();
  for (const derived of seen) assertThrows(() => derived.acquire(), TypeError, "disposed");
});

test("Certificate: files, what is missing, what does not match; printing it shows no key", async () => {
  const loaded = await Certificate.load({ certfile: certFile("ec.pem"), keyfile: certFile("ec.key") });
  assertStringIncludes(Deno.inspect(loaded), "ec.pem");
  assert(!Deno.inspect(loaded).includes("ec.key"));
  const [a, b] = [filesFor("a.test"), filesFor("b.test")];
  for (
    const [files, words] of [
      [[], "Cannot use certificates: the list is empty"],
      [{ certfile: a.certfile }, "the other of certfile and keyfile is missing"],
      [{ certfile: certFile("none.pem"), keyfile: a.keyfile }, "no such file"],
      [{ certfile: a.certfile, keyfile: b.keyfile }, "it does not match the certificate of certfile"],
      [{ certfile: a.keyfile, keyfile: a.keyfile }, "the PEM holds no certificate"],
      [["a.pem"], "expected { certfile, keyfile }, got string"],
    ] as [never, string][]
  ) {
    await assertRejects(() => Certificate.load(files), Error, words);
  }
  await assertRejects(
    () => SSLContext.create({ serverSide: true, ...a, certificates: [b] }),
    TypeError,
    "Cannot use certfile: certificates is given, too",
  );
  await assertRejects(
    () => SSLContext.create({ certificates: BOTH_KEYS }),
    TypeError,
    "Cannot use certificates: a client has one",
  );
  const error = await assertKind(
    SSLContext.create({ serverSide: true, certificates: [a, { ...a, keyfile: b.keyfile }] }),
    "config",
  );
  assertStringIncludes(error.message, "does not match");
});
