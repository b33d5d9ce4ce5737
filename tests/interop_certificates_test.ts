/** certificates, getCertificate, crls, sign: with programs that no one here wrote. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Certificate } from "../lib/own_certificate.ts";
import { ROOTS, tlsioServer } from "./interop.ts";
import { certFile, gnutlsClient, opensslClient, type Version } from "./peers.ts";

const files = (name: string) => ({ certfile: certFile(`${name}.pem`), keyfile: certFile(`${name}.key`) });
const certificates = [files("ec"), files("rsa")];
const VERSIONS: Version[] = ["1.2", "1.3"];

for (const tls of VERSIONS) {
  Deno.test(`certificates: openssl TLSv${tls} is shown the one whose signature it names`, async () => {
    await using server = await tlsioServer({ certificates });
    for (
      const [sigalgs, kind, bits] of [
        ["rsa_pss_rsae_sha256:rsa_pkcs1_sha256", /RSA-PSS|RSA/, 2048],
        ["ecdsa_secp256r1_sha256", /ECDSA|ecdsa_secp256r1_sha256/, 256],
        ["ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256", /ECDSA|ecdsa_secp256r1_sha256/, 256],
      ] as const
    ) {
      const result = await opensslClient({ port: server.port, ca: ROOTS, tls, args: ["-sigalgs", sigalgs] });
      assertEquals([result.version, result.verifyCode], [`TLSv${tls}`, 0]);
      assertMatch(result.stdout.match(/Peer signature type: (.*)/i)![1]!, kind);
      assertStringIncludes(result.stdout, `Server public key is ${bits} bit`);
    }
  });

  Deno.test(`certificates: gnutls TLSv${tls} is shown the one whose signature it verifies`, async () => {
    await using server = await tlsioServer({ certificates });
    for (
      const [signatures, kind] of [
        ["+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-SHA256", "RSA"],
        ["+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SHA256", "ECDSA"],
      ] as const
    ) {
      const priority = `NORMAL:-VERS-ALL:+VERS-TLS${tls}:-SIGN-ALL:${signatures}`;
      const result = await gnutlsClient({ port: server.port, priority });
      assertEquals(result.version, `TLSv${tls}`, result.stderr);
      assertMatch(result.stdout, new RegExp(`Description: .*${kind}`));
    }
  });
}

Deno.test("certificates: openssl TLSv1.2 is shown the one of its suite", async () => {
  await using server = await tlsioServer({ certificates });
  for (const [kind, bits] of [["RSA", 2048], ["ECDSA", 256]] as const) {
    const args = ["-cipher", `ECDHE-${kind}-AES128-GCM-SHA256`];
    const result = await opensslClient({ port: server.port, ca: ROOTS, tls: "1.2", args });
    assertEquals(result.verifyCode, 0);
    assertStringIncludes(result.stdout, `Server public key is ${bits} bit`);
  }
});

Deno.test("getCertificate: openssl is shown the certificate of the name that it asks for", async () => {
  const rsa = await Certificate.load(files("rsa"));
  await using server = await tlsioServer({
    getCertificate: ({ serverName }) => Promise.resolve(serverName === "rsa.test" ? rsa : undefined),
  });
  for (const [servername, bits] of [["rsa.test", 2048], ["localhost", 256], [null, 256]] as const) {
    const result = await opensslClient({ port: server.port, servername });
    assertStringIncludes(result.stdout, `Server public key is ${bits} bit`);
  }
});
