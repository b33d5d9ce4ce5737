/** certificates, getCertificate: which certificate a server shows. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { createCertificate } from "../lib/certificate.ts";
import type { ClientHello } from "../lib/client_hello.ts";
import { DERIVED_MAX, TLSConfig } from "../lib/config.ts";
import { SSLError } from "../lib/errors.ts";
import { Certificate } from "../lib/own_certificate.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { type GetCertificate, saveSession, SSLContext, wrapSocket } from "../lib/ssl.ts";
import { TLSVersion } from "../lib/suites.ts";
import { certFile } from "./peers.ts";
import { pipe } from "./pipe.ts";
import {
  assertKind,
  assertTalk,
  closeBoth,
  dial,
  pair,
  readText,
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
