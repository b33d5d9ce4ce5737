/** sign: certificates whose private key tlsio never sees. Here OpenSSL has it, in a process of its own. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { SSLError } from "../lib/errors.ts";
import { Certificate } from "../lib/own_certificate.ts";
import { CERT_REQUIRED, type SignHash } from "../lib/policy.ts";
import { SSLContext, wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import { TLSVersion } from "../lib/suites.ts";
import { ROOTS, tlsioServer } from "./interop.ts";
import { certFile, gnutlsClient, opensslClient } from "./peers.ts";
import { pipe } from "./pipe.ts";
import { assertTalk, CLIENT, closeBoth, pair, SERVER, test, VERSIONS } from "./sockets.ts";

const TEMP = Deno.makeTempDirSync();
addEventListener("unload", () => Deno.removeSync(TEMP, { recursive: true }));

/** OpenSSL signs with a key of `certs/`; `schemes` takes what it is asked for. */
function opensslSigner(name: string, schemes: string[] = []): SignHash {
  return (hash, scheme) => {
    schemes.push(scheme);
    const digest = `sha${scheme.match(/sha(\d+)$/)![1]}`;
    assertEquals(hash.length, { sha256: 32, sha384: 48, sha512: 64 }[digest]);
    const file = `${TEMP}/${crypto.randomUUID()}`;
    Deno.writeFileSync(file, hash);
    const padding = scheme.startsWith("ecdsa")
      ? []
      : scheme.startsWith("rsa_pss")
      ? ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest"]
      : ["-pkeyopt", "rsa_padding_mode:pkcs1"];
    const { success, stdout, stderr } = new Deno.Command("openssl", {
      args: [
        "pkeyutl",
        "-sign",
        "-inkey",
        certFile(`${name}.key`),
        "-in",
        file,
        "-pkeyopt",
        `digest:${digest}`,
      ]
        .concat(padding),
    }).outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return stdout as Uint8Array<ArrayBuffer>;
  };
}

function signed(name: string, schemes?: string[]) {
  return { certfile: certFile(`${name}.pem`), sign: opensslSigner(name, schemes) };
}

const KEYS = [
  ["ec", "ecdsa_secp256r1_sha256", "ecdsa_secp256r1_sha256"],
  ["p384", "ecdsa_secp384r1_sha384", undefined],
  ["rsa", "rsa_pss_rsae_sha256", "rsa_pkcs1_sha256"],
] as const;

for (const [name, sslVersion] of Object.entries(VERSIONS)) {
  for (const [key, in13, in12] of KEYS) {
    test(`sign: ${name}, a server's ${key} key is elsewhere`, async () => {
      const schemes: string[] = [];
      using context = await SSLContext.create({ serverSide: true, certificates: [signed(key, schemes)] });
      const { client, server } = await pair({ client: { sslVersion, caCerts: ROOTS }, server: { context } });
      await assertTalk(client, server);
      await closeBoth(client, server);
      const expected = name === "TLSv1.3" ? in13 : in12;
      assertEquals(schemes.length, 1);
      if (expected !== undefined) assertEquals(schemes, [expected]);
    });

    const tls = name.slice(4) as "1.2" | "1.3";
    Deno.test(`sign: ${name}, openssl and gnutls verify the signatures of a ${key} key that is elsewhere`, async () => {
      await using server = await tlsioServer({ certificates: [signed(key)] });
      const openssl = await opensslClient({ port: server.port, ca: ROOTS, tls });
      assertEquals([openssl.verifyCode, openssl.version], [0, name], openssl.stderr);
      const gnutls = await gnutlsClient({ port: server.port, ca: ROOTS, tls });
      assertEquals([gnutls.code, gnutls.version], [0, name], gnutls.stderr);
    });
  }

  test(`sign: ${name}, a client's key is elsewhere`, async () => {
    const server = { ...SERVER, certReqs: CERT_REQUIRED, caCerts: ROOTS } as const;
    for (const key of ["client", "client-rsa"]) {
      const both = await pair({ client: { sslVersion, certificates: [signed(key)] }, server });
      assertEquals(both.server.verifyFlags, 0);
      await assertTalk(both.client, both.server);
      await closeBoth(both.client, both.server);
    }
  });

  test(`sign: ${name}, what it throws, or gives that is no signature, ends the handshake`, async () => {
    const cause = new Error("the card was removed");
    let asked = 0;
    const fail: SignHash = () => {
      asked++;
      throw cause;
    };
    for (
      const [sign, words] of [
        [fail, "sign ended it: it failed: the card was removed"],
        [() => "signature", "it failed: Cannot use its signature: expected a Uint8Array, got string"],
        [() => new Uint8Array(0), "bytes, got 0"],
        [() => new Uint8Array(20_000), "bytes, got 20000"],
      ] as [SignHash, string][]
    ) {
      for (const key of ["ec", "rsa"]) {
        asked = 0;
        const certificates = [{ certfile: certFile(`${key}.pem`), sign }];
        const [near, far] = pipe();
        const [client, server] = await Promise.all([
          assertRejects(() => wrapSocket(near, { ...CLIENT, sslVersion, caCerts: ROOTS }), SSLError),
          assertRejects(() => wrapSocket(far, { serverSide: true, certificates }), SSLError),
        ]);
        assertEquals([server.kind, client.kind], ["config", "alert"]);
        assertStringIncludes(server.message, words);
        if (sign === fail) assertEquals([server.cause, asked], [cause, 1]);
      }
    }
    const certificates = [{ certfile: certFile("ec.pem"), sign: () => new Uint8Array(70) }]; // not a signature
    const [near, far] = pipe();
    const [client] = await Promise.all([
      assertRejects(() => wrapSocket(near, { ...CLIENT, sslVersion }), SSLError),
      assertRejects(() => wrapSocket(far, { serverSide: true, certificates }), SSLError),
    ]);
    assertEquals(client.kind, "protocol");
  });
}

test("sign: beside a key that is here, and chosen by getCertificate; each signs for its own", async () => {
  const schemes: string[] = [];
  const files = { certfile: certFile("ec.pem"), keyfile: certFile("ec.key") };
  using context = await SSLContext.create({
    serverSide: true,
    certificates: [files, signed("rsa", schemes)],
  });
  for (const [sigalgs, asked] of [[["ecdsa_secp256r1_sha256"], 0], [["rsa_pss_rsae_sha512"], 1]] as const) {
    const client = { caCerts: ROOTS, sigalgs, sslVersion: TLSVersion.TLSv1_3 } as WrapSocketOptions;
    const both = await pair({ client, server: { context } });
    assertEquals(schemes.length, asked);
    await closeBoth(both.client, both.server);
  }
  assertEquals(schemes, ["rsa_pss_rsae_sha512"]);

  const certificate = await Certificate.load(signed("rsa", schemes));
  const both = await pair({ client: { caCerts: ROOTS }, server: { getCertificate: () => certificate } });
  assert(schemes.length === 2);
  await closeBoth(both.client, both.server);
});

test("sign: wrong options; a certificate whose key cannot sign", async () => {
  const certfile = certFile("ec.pem");
  const sign = opensslSigner("ec");
  for (
    const [certificates, words] of [
      [[{ certfile, sign: "key" }], "Cannot use sign: expected a function, got string"],
      [[{ certfile, keyfile: certFile("ec.key"), sign }], "Cannot use sign: keyfile is given, too"],
      [[{ sign }], "certfile"],
      [[{ certfile: certFile("ec.key"), sign }], "the PEM holds no certificate"],
      [[{ certfile: certFile("ed25519.pem"), sign }], "Cannot load certfile"],
    ] as [never, string][]
  ) {
    await assertRejects(() => SSLContext.create({ serverSide: true, certificates }), Error, words);
  }
});
