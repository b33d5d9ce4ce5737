/** What each end asks of the other's certificate, and what it says about it. */
import { assert, assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED, type TLSConfigOptions } from "../lib/policy.ts";
import { SSLCertVerificationError } from "../lib/errors.ts";
import { configs, credential, EnginePair, fixedCore, source, VERSIONS } from "./pair.ts";

const core = fixedCore();

/** MBEDTLS_X509_BADCERT_* bits. */
const BAD = {
  EXPIRED: 0x1,
  CN_MISMATCH: 0x4,
  NOT_TRUSTED: 0x8,
  MISSING: 0x40,
  SKIP_VERIFY: 0x80,
  FUTURE: 0x200,
  EXT_KEY_USAGE: 0x1000,
  BAD_MD: 0x4000,
  BAD_KEY: 0x10000,
};

/** Servers that a client must refuse: certificate, key, the flags, what the error says, and the alert. */
const REFUSED: [string, string, number, string, string][] = [
  ["expired", "ec", BAD.EXPIRED, "validity has expired", "certificate_expired"],
  ["future", "ec", BAD.FUTURE, "validity starts in the future", "certificate_unknown"],
  ["self", "self", BAD.NOT_TRUSTED, "not correctly signed by the trusted CA", "unknown_ca"],
  ["chain-leaf", "chain", BAD.NOT_TRUSTED, "not correctly signed by the trusted CA", "unknown_ca"],
  ["leaf-issued", "ec", BAD.NOT_TRUSTED, "not correctly signed by the trusted CA", "unknown_ca"],
  ["pathlen", "ec", BAD.NOT_TRUSTED, "not correctly signed by the trusted CA", "unknown_ca"],
  ["impostor", "impostor", BAD.NOT_TRUSTED, "not correctly signed by the trusted CA", "unknown_ca"],
  ["cn-only", "ec", BAD.CN_MISMATCH, 'the certificate is not for "localhost"', "bad_certificate"],
  ["ip-in-dns", "ec", BAD.CN_MISMATCH, 'the certificate is not for "localhost"', "bad_certificate"],
  ["sha1", "ec", BAD.BAD_MD, "unacceptable hash", "certificate_unknown"],
  ["rsa1024", "rsa1024", BAD.BAD_KEY, "unacceptable key", "unsupported_certificate"],
];

for (const [version, sslVersion] of VERSIONS) {
  for (const [name, key, flags, text, alert] of REFUSED) {
    const server = { credential: credential(name, key) };

    Deno.test(`CERT_REQUIRED refuses ${name}.pem and says why to both ends (${version})`, () => {
      using both = configs(core, { sslVersion }, { certReqs: CERT_REQUIRED }, server);
      using pair = new EnginePair(both.client, both.server).run();
      const { client } = pair.errors;
      assertInstanceOf(client, SSLCertVerificationError);
      assertEquals([client.kind, client.verifyFlags], ["verify", flags]);
      assertEquals(client.reason, "MBEDTLS_ERR_X509_CERT_VERIFY_FAILED");
      assertStringIncludes(client.message, `Cannot complete TLS handshake with "localhost": `);
      assertStringIncludes(client.message, text);
      assert(!client.message.endsWith("."), client.message);
      assert(client.verifyMessage !== "");
      assertEquals(pair.errors.server?.alert?.name, alert);
    });

    Deno.test(`CERT_OPTIONAL goes on with ${name}.pem and verifyFlags says why not (${version})`, () => {
      using both = configs(core, { sslVersion }, { certReqs: CERT_OPTIONAL }, server);
      using pair = new EnginePair(both.client, both.server).connect();
      assertEquals(pair.client.verifyFlags, flags);
      assert(pair.client.verifyMessage !== "");
    });
  }

  Deno.test(`CERT_NONE goes on with any certificate, and verifyFlags says that none was checked (${version})`, () => {
    for (const name of ["ec", "expired", "self"]) {
      const server = { credential: credential(name, name === "expired" ? "ec" : name) };
      using both = configs(core, { sslVersion }, { certReqs: CERT_NONE }, server);
      using pair = new EnginePair(both.client, both.server).connect();
      assertEquals(pair.client.peerCertificates().length, 1);
      assertEquals(pair.client.verifiedChain(), []);
      assertEquals(pair.client.verifyFlags, BAD.SKIP_VERIFY, name);
    }
  });

  Deno.test(`CERT_OPTIONAL and CERT_REQUIRED say nothing against a good certificate (${version})`, () => {
    for (const certReqs of [CERT_OPTIONAL, CERT_REQUIRED] as const) {
      for (const name of ["ec", "rsa", "p384", "p521", "chain"]) {
        using both = configs(core, { sslVersion }, { certReqs }, { credential: credential(name) });
        using pair = new EnginePair(both.client, both.server).connect();
        assertEquals([pair.client.verifyFlags, pair.client.verifyMessage], [0, ""], name);
      }
    }
  });

  Deno.test(`TLSEngine.verifiedChain() goes from the leaf to the trust anchor (${version})`, () => {
    using both = configs(core, { sslVersion }, {}, { credential: credential("chain") });
    using pair = new EnginePair(both.client, both.server).connect();
    const names = (chain: Uint8Array[]) => chain.map((der) => new X509Certificate(der).subject);
    const [leaf, intermediate] = names(pair.client.peerCertificates());
    assertEquals(names(pair.client.peerCertificates()).length, 2);
    const root = new X509Certificate(source("root.pem").bytes).subject;
    assertEquals(names(pair.client.verifiedChain()), [leaf!, intermediate!, root]);
    assertEquals([pair.server.peerCertificates(), pair.server.verifiedChain()], [[], []]);
  });

  Deno.test(`TLSConfig takes SHA-1 certificates only where sigalgs names SHA-1 (${version})`, () => {
    const sigalgs = ["ecdsa_secp256r1_sha256", "rsa_pss_rsae_sha256", "ecdsa_sha1"];
    using both = configs(core, { sslVersion }, { sigalgs }, { credential: credential("sha1", "ec") });
    using pair = new EnginePair(both.client, both.server).connect();
    assertEquals(pair.client.verifyFlags, 0);
  });

  Deno.test(`checkHostname: false takes a certificate for another host, and nothing else (${version})`, () => {
    for (const [name, flags] of [["cn-only", 0], ["expired", BAD.EXPIRED]] as const) {
      const server = { credential: credential(name, "ec") };
      using both = configs(core, { sslVersion }, { checkHostname: false }, server);
      using pair = new EnginePair(both.client, both.server).run();
      const { client } = pair.errors;
      assertEquals(client instanceof SSLCertVerificationError ? client.verifyFlags : 0, flags);
    }
  });

  // ---- The server asks -----------------------------------------------------------------------------------

  /** A handshake with a client that shows `name`, or nothing, to a server that asks as `certReqs` says. */
  const ask = (certReqs: 0 | 1 | 2, name?: string, more: TLSConfigOptions = {}) => {
    const client = name === undefined ? {} : { credential: credential(name) };
    using both = configs(core, { sslVersion, tickets: false }, client, {
      certReqs,
      ...(certReqs === CERT_NONE ? {} : { trust: [source("root.pem")] }),
      ...more,
    });
    return new EnginePair(both.client, both.server).run();
  };

  Deno.test(`A server with CERT_REQUIRED gets a client's good certificate, or ends the handshake (${version})`, () => {
    {
      using pair = ask(CERT_REQUIRED, "client");
      assertEquals(pair.errors, {});
      assertEquals(pair.server.verifyFlags, 0);
      const sent = pair.server.peerCertificates();
      assertEquals(sent, [new Uint8Array(new X509Certificate(source("client.pem").bytes).raw)]);
      assertEquals(pair.server.verifiedChain().length, 2);
    }
    for (
      const [name, reason] of [[undefined, "verify"], ["client-rsa", "verify"], ["self", "verify"]] as const
    ) {
      using pair = ask(CERT_REQUIRED, name);
      assertEquals(pair.errors.server?.kind, reason, `${name}: ${pair.errors.server?.message}`);
      assertEquals(pair.errors.client?.kind, "alert", `${name}: the client is told`);
      assert(!pair.server.handshakeDone);
    }
  });

  Deno.test(`A server with CERT_OPTIONAL goes on and says what it got (${version})`, () => {
    const cases: [string | undefined, number, number][] = [
      ["client", 0, 1],
      ["client-rsa", BAD.NOT_TRUSTED, 1],
      ["self", BAD.NOT_TRUSTED | BAD.EXT_KEY_USAGE, 1],
      [undefined, BAD.MISSING, 0],
    ];
    for (const [name, flags, certificates] of cases) {
      using pair = ask(CERT_OPTIONAL, name);
      assertEquals(pair.errors, {}, name);
      assertEquals(
        [pair.server.verifyFlags, pair.server.peerCertificates().length],
        [flags, certificates],
        name,
      );
    }
  });

  Deno.test(`A server with CERT_NONE asks for no certificate and gets none (${version})`, () => {
    using pair = ask(CERT_NONE, "client");
    assertEquals(pair.errors, {});
    assertEquals([pair.server.peerCertificates(), pair.server.verifyFlags], [[], BAD.SKIP_VERIFY]);
  });

  Deno.test(`A server checks that a client's certificate is for clients (${version})`, () => {
    using pair = ask(CERT_REQUIRED, "ec"); // for servers only
    assertEquals(pair.server.handshakeDone, false);
    assertInstanceOf(pair.errors.server, SSLCertVerificationError, pair.errors.server?.message);
    assertEquals(pair.errors.server.verifyFlags, BAD.EXT_KEY_USAGE);
  });
}
