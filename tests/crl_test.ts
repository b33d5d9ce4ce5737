/** crls, crlCheck: revoked certificates, with lists that OpenSSL has made; which certificates in caCerts are anchors. */
import { assertEquals, assertInstanceOf, assertRejects, assertStringIncludes } from "@std/assert";
import { SSLCertVerificationError, SSLError } from "../lib/errors.ts";
import { saveSession, SSLContext, wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import { CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED } from "../lib/policy.ts";
import { opensslServer } from "./peers.ts";
import { certFile, identity, tempDir } from "./peers.ts";
import { pipe } from "./pipe.ts";
import { assertTalk, CLIENT, closeBoth, pair, SERVER, test, VERSIONS } from "./sockets.ts";

const pem = (name: string) => Deno.readTextFileSync(certFile(name));

async function openssl(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("openssl", { args }).output();
  if (!success) throw new Error(`openssl ${args[0]}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

interface CrlOptions {
  /** Certificates that are revoked. */
  revoked?: string[];
  /** As openssl takes it. */
  from?: string;
  until?: string;
}

/** A CRL of an authority of `certs/`, PEM. */
async function crlOf(
  authority: string,
  { revoked = [], from = "20240101000000Z", until = "20981231235959Z" }: CrlOptions = {},
): Promise<string> {
  await using dir = await tempDir();
  const lines = await Promise.all(revoked.map(async (name) => {
    const serial = (await openssl("x509", "-in", certFile(`${name}.pem`), "-noout", "-serial")).trim().slice(
      7,
    );
    return `R\t991231235959Z\t240101000000Z\t${serial}\tunknown\t/CN=${name}\n`;
  }));
  await Deno.writeTextFile(`${dir.path}/index`, lines.join(""));
  await Deno.writeTextFile(
    `${dir.path}/config`,
    `[ca]\ndefault_ca=a\n[a]\ndatabase=${dir.path}/index\ndefault_md=sha256\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n`,
  );
  const { cert, key } = identity(authority);
  const times = ["-crl_lastupdate", from, "-crl_nextupdate", until];
  return await openssl(
    "ca",
    "-gencrl",
    "-config",
    `${dir.path}/config`,
    "-cert",
    cert,
    "-keyfile",
    key,
    ...times,
  );
}

const EC = { revoked: "ec", crl: await crlOf("root", { revoked: ["ec"] }) };
const GOOD = await crlOf("root", { revoked: ["client"] });
const INTERMEDIATE = await crlOf("intermediate");
const CHAIN = { certfile: pem("chain.pem"), keyfile: pem("chain.key") };

/** How a client with `options` fails, and the alert that its server is sent. */
async function refused(options: WrapSocketOptions, server: WrapSocketOptions = {}) {
  const [near, far] = pipe();
  const [ours, theirs] = await Promise.all([
    assertRejects(() => wrapSocket(near, { ...CLIENT, ...options }), SSLError),
    assertRejects(() => wrapSocket(far, { ...SERVER, ...server }), SSLError),
  ]);
  assertInstanceOf(ours, SSLCertVerificationError);
  return { message: ours.message, flags: ours.verifyFlags, alert: theirs.alert?.name };
}

for (const [name, sslVersion] of Object.entries(VERSIONS)) {
  test(`crls: ${name}, a revoked certificate is refused, another of the same authority is not`, async () => {
    const { message, flags, alert } = await refused({ sslVersion, crls: EC.crl });
    assertStringIncludes(message, "the certificate has been revoked");
    assertEquals([flags, alert], [2, "certificate_revoked"]);

    const { client, server } = await pair({ client: { sslVersion, crls: [GOOD, INTERMEDIATE] } });
    assertEquals(client.verifyFlags, 0);
    await assertTalk(client, server);
    await closeBoth(client, server);
  });

  test(`crls: ${name}, an outdated list, one of another authority, one that is not from today: a clear error each`, async () => {
    const outdated = await crlOf("root", { until: "20240201000000Z" });
    const early = await crlOf("root", { from: "20970101000000Z" });
    for (
      const [crl, words, flag] of [
        [outdated, "the CRL is expired", 0x20],
        [early, "the CRL is from the future", 0x400],
        [await crlOf("root-rsa"), "there is no CRL of the certificate's issuer", 0x100],
      ] as const
    ) {
      const { message, flags } = await refused({ sslVersion, crls: crl });
      assertStringIncludes(message, words);
      assertEquals(flags, flag);
    }
  });
}

test("crls: a list whose signature is not the authority's", async () => {
  const der = Uint8Array.fromBase64(GOOD.replaceAll(/-----[^-]+-----|\s/g, ""));
  der[der.length - 3]! ^= 1; // in the signature
  const { message, flags } = await refused({ crls: der });
  assertStringIncludes(message, "the CRL is not correctly signed by the trusted CA");
  assertEquals(flags, 0x10);
});

test("crlCheck: the leaf's issuer must have given a list, or every issuer", async () => {
  const both = await pair({ client: { crls: [GOOD, INTERMEDIATE], crlCheck: "chain" }, server: CHAIN });
  await closeBoth(both.client, both.server);
  const leaf = await pair({ client: { crls: INTERMEDIATE }, server: CHAIN });
  await closeBoth(leaf.client, leaf.server);
  for (
    const [options, flags] of [
      [{ crls: GOOD }, 0x100], // none of the intermediate, which signed the leaf
      [{ crls: INTERMEDIATE, crlCheck: "chain" }, 0x100], // none of the root
      [{ crls: [INTERMEDIATE, await crlOf("root", { revoked: ["intermediate"] })] }, 2], // counts, asked for or not
    ] as const
  ) {
    assertEquals((await refused(options, CHAIN)).flags, flags);
  }
});

test("crls: a server's clients; CERT_OPTIONAL tells", async () => {
  const identityOf = { certfile: pem("client.pem"), keyfile: pem("client.key") };
  const [near, far] = pipe();
  const server = { ...SERVER, certReqs: CERT_REQUIRED, caCerts: pem("root.pem"), crls: GOOD } as const;
  const shaking = assertRejects(() => wrapSocket(far, server), SSLCertVerificationError, "has been revoked");
  const client = await wrapSocket(near, { ...CLIENT, ...identityOf });
  const { alert } = await assertRejects(() => client.read(new Uint8Array(1)), SSLError);
  assertEquals(alert?.name, "certificate_revoked");
  await Promise.all([shaking, client.close()]);

  const told = await pair({ client: { certReqs: CERT_OPTIONAL, crls: EC.crl } });
  assertEquals([told.client.verifyFlags, told.client.verifyMessage], [
    2,
    "The certificate has been revoked (is on a CRL)",
  ]);
  await closeBoth(told.client, told.server);
});

test("crls: a session that was begun with another list is not resumed", async () => {
  const first = await pair({ client: { crls: GOOD } });
  await assertTalk(first.client, first.server);
  const savedSession = saveSession(first.client)!;
  await closeBoth(first.client, first.server);
  const again = await pair({ client: { crls: GOOD, savedSession } });
  assertEquals(again.client.sessionReused, true);
  await closeBoth(again.client, again.server);
  assertEquals((await refused({ crls: EC.crl, savedSession })).flags, 2);
});

test("crls: openssl s_server with a revoked certificate", async () => {
  await using peer = await opensslServer(identity("ec"));
  const connect = async (crls: string) =>
    await wrapSocket(await Deno.connect({ hostname: "127.0.0.1", port: peer.port }), { ...CLIENT, crls });
  await assertRejects(() => connect(EC.crl), SSLCertVerificationError, "has been revoked");
  const client = await connect(GOOD);
  await client.close();
});

test("crls, crlCheck: wrong options", async () => {
  for (
    const [options, words] of [
      [{ crls: [] }, "Cannot use crls: the list is empty"],
      [{ crls: certFile("none.crl") }, "no such file"],
      [{ crls: pem("root.pem") }, "Cannot load crls: the PEM holds no CRL"],
      [{ crls: new Uint8Array(8) }, "Cannot load crls: "],
      [{ crlCheck: "leaf" }, "Cannot use crlCheck: crls is missing"],
      [
        { crls: GOOD, crlCheck: "all" as "leaf" },
        'Cannot use crlCheck: expected "leaf" or "chain", got "all"',
      ],
      [{ crls: GOOD, certReqs: CERT_NONE }, "Cannot use crls: with certReqs CERT_NONE"],
    ] as const
  ) {
    await assertRejects(
      () => SSLContext.create({ ...{ caCerts: pem("root.pem") }, ...options }),
      Error,
      words,
    );
  }
});

test("caCerts: an intermediate is an anchor (CPython's VERIFY_X509_PARTIAL_CHAIN), a leaf only if it signed itself", async () => {
  const partial = await pair({ client: { caCerts: pem("intermediate.pem") }, server: CHAIN });
  assertEquals(partial.client.getVerifiedChain().length, 2);
  await closeBoth(partial.client, partial.server);
  const self = { certfile: pem("self.pem"), keyfile: pem("self.key") };
  const own = await pair({ client: { caCerts: pem("self.pem") }, server: self });
  assertEquals(own.client.getVerifiedChain().length, 1);
  await closeBoth(own.client, own.server);
  const { flags } = await refused({ caCerts: pem("chain-leaf.pem") }, CHAIN);
  assertEquals(flags, 8);
});
