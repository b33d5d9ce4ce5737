/** `getpeercert()` and `getCiphers()` against CPython's own, field by field. */
import { assert, assertEquals } from "@std/assert";
import { peerCertificate, pemToDer, SSLContext } from "tlsio";
import { certificateBinding } from "../lib/peer_certificate.ts";
import { certFile, run, tempDir } from "./peers.ts";

/** What CPython's decoder says of certificates: the one behind `getpeercert()`. */
async function pythonCertificates(paths: string[]): Promise<Record<string, unknown>[]> {
  const script =
    "import json, ssl, sys\nprint(json.dumps([ssl._ssl._test_decode_cert(p) for p in sys.argv[1:]]))";
  const { code, stdout, stderr } = await run("python3", ["-c", script, ...paths]);
  assertEquals([code, stderr], [0, ""]);
  return JSON.parse(stdout);
}

Deno.test("getpeercert: each field of each certificate here is CPython's", async () => {
  const names = [];
  for await (const { name } of Deno.readDir(new URL("certs/", import.meta.url))) names.push(name);
  const paths = names.sort()
    .filter((name) => name.endsWith(".pem") && name !== "ed25519.pem").map((name) => certFile(name));
  assert(paths.length > 20, `${paths.length} certificates`);
  const theirs = await pythonCertificates(paths);
  for (const [i, path] of paths.entries()) {
    assertEquals<unknown>({ ...peerCertificate(await Deno.readFile(path)) }, theirs[i], path);
  }
});

Deno.test("getpeercert: version, OCSP, caIssuers, crlDistributionPoints and rare names are CPython's", async () => {
  await using dir = await tempDir();
  const config = `[req]
distinguished_name = name
prompt = no
utf8 = yes
string_mask = utf8only
[name]
C = AT
ST = Wien
L = Wien
street = Am Hof 1
postalCode = 1010
O = Größe & Co
OU = one
0.OU = two
businessCategory = Private Organization
serialNumber = FN 1234
jurisdictionC = AT
0.1.3.6.1.4.1.311.60.2.1.2 = Wien
organizationIdentifier = VATAT-1
CN = example.test
GN = Anna
SN = Muster
emailAddress = a@example.test
0.1.2.3.4.5 = unknown
[more]
subjectAltName = DNS:example.test,DNS:*.example.test,IP:192.0.2.1,IP:2001:db8::1,email:a@example.test,URI:https://example.test/x
authorityInfoAccess = OCSP;URI:http://ocsp.example.test/,caIssuers;URI:http://ca.example.test/ca.der,OCSP;URI:http://ocsp2.example.test/
crlDistributionPoints = URI:http://crl.example.test/1.crl,URI:ldap://crl.example.test/cn=1
[partial]
crlDistributionPoints = point
[point]
fullname = URI:http://crl.example.test/a.crl,DNS:other.test,URI:http://crl.example.test/b.crl
reasons = keyCompromise
`;
  await Deno.writeTextFile(`${dir.path}/req.cnf`, config);
  const make = async (name: string, args: string[]) => {
    const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "/dev/null"];
    const out = `${dir.path}/${name}.pem`;
    const { code, stderr } = await run("openssl", [
      "req",
      "-x509",
      "-config",
      `${dir.path}/req.cnf`,
      ...key,
      "-days",
      "20",
      "-out",
      out,
      ...args,
    ]);
    assertEquals(code, 0, stderr);
    return out;
  };
  const paths = [
    await make("all", ["-extensions", "more"]),
    await make("partial", ["-extensions", "partial"]),
    await make("multi", ["-subj", "/CN=a+OU=b/O=c", "-multivalue-rdn"]),
    await make("serial", ["-set_serial", "0x00ff01"]),
  ];
  const theirs = await pythonCertificates(paths);
  for (const [i, path] of paths.entries()) {
    assertEquals<unknown>({ ...peerCertificate(await Deno.readFile(path)) }, theirs[i], path);
  }
  const [all] = theirs;
  assertEquals([(all!.OCSP as string[]).length, (all!.crlDistributionPoints as string[]).length], [2, 2]);
});

Deno.test("getChannelBinding: the hash of the server's certificate is that of its signature, but no SHA-1", async () => {
  await using dir = await tempDir();
  for (
    const [signed, hashed] of [["sha1", "sha256"], ["sha224", "sha224"], ["sha384", "sha384"], [
      "sha512",
      "sha512",
    ]]
  ) {
    const path = `${dir.path}/${signed}.pem`;
    const key = ["-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null"];
    const made = await run("openssl", ["req", "-x509", "-subj", "/CN=a", ...key, `-${signed}`, "-out", path]);
    assertEquals(made.code, 0, made.stderr);
    const { stdout } = await run("openssl", ["x509", "-in", path, "-noout", "-fingerprint", `-${hashed}`]);
    const ours = certificateBinding(pemToDer(await Deno.readTextFile(path)));
    assertEquals(ours.toHex().toUpperCase(), stdout.trim().split("=")[1]!.replaceAll(":", ""), signed);
  }
});

Deno.test("getCiphers: what it says of a suite is what CPython says", async () => {
  const script = `import json, ssl
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.set_ciphers("ALL:@SECLEVEL=0")
print(json.dumps(context.get_ciphers()))`;
  const { stdout, stderr } = await run("python3", ["-c", script]);
  const theirs = new Map(
    (JSON.parse(stdout) as Record<string, unknown>[]).map((cipher) => [Number(cipher.id) & 0xffff, cipher]),
  );
  let compared = 0;
  for (const ours of SSLContext.getCiphers()) {
    const known = theirs.get(ours.id);
    if (known === undefined) continue;
    compared++;
    const { aead, symmetric, digest, kea, auth, strength_bits } = known;
    assertEquals(
      [ours.aead, ours.symmetric, ours.digest ?? null, ours.kea, ours.auth, ours.strengthBits],
      // OpenSSL counts the bits of CCM with a short tag by its tag.
      [aead, symmetric, digest, kea, auth, /CCM_8$/.test(ours.name) ? ours.strengthBits : strength_bits],
      ours.name,
    );
  }
  assert(compared >= 20, `${compared} suites in common\n${stderr}`);
});
