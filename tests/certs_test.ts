/** The test certificates are what their README says, by OpenSSL's judgement. */
import { assert, assertEquals } from "@std/assert";
import { configs, EnginePair, fixedCore, source, VERSIONS } from "./pair.ts";
import { certFile, identity, run } from "./peers.ts";

const ROOTS = certFile("roots.pem");

Deno.test("certs/README.md: lists the files that are there", async () => {
  const readme = await Deno.readTextFile(certFile("README.md"));
  const listed = new Set<string>();
  for (const [row] of readme.matchAll(/^\| `.*$/gm)) {
    let name = "";
    for (const [, file = ""] of row.split("|")[1]!.matchAll(/`([^`]+)`/g)) {
      if (!file.startsWith(".")) name = file.replace(/\.\w+$/, "");
      listed.add(file.startsWith(".") ? name + file : file);
    }
  }
  const there = (await Array.fromAsync(Deno.readDir(certFile("")))).map((entry) => entry.name)
    .filter((name) => !/^(README.md|make.sh)$/.test(name));
  assertEquals([...listed].sort(), there.sort());
});

// OpenSSL's verification codes; 0 where OpenSSL, which is less strict, accepts.
const VERDICTS: Record<string, number> = {
  ec: 0,
  rsa: 0,
  rsa4096: 0,
  p384: 0,
  p521: 0,
  ecdh: 0,
  "ecdh-rsa": 0,
  ed25519: 0,
  chain: 0,
  "chain-leaf": 20, // unable to get local issuer certificate
  expired: 10,
  future: 9, // not yet valid
  "cn-only": 0,
  "ip-in-dns": 62, // host name mismatch
  "wildcard-suffix": 62,
  "wildcard-partial": 62,
  "wrong-eku": 26, // unsuitable certificate purpose
  "leaf-issued": 79, // invalid CA certificate
  pathlen: 25, // path length constraint exceeded
  impostor: 7, // certificate signature failure
  self: 18, // self-signed
  book: 18,
};

Deno.test("certs: openssl verify says of each server certificate what README.md says", async () => {
  for (const [name, verdict] of Object.entries(VERDICTS)) {
    const cert = certFile(`${name}.pem`);
    const { stdout, stderr } = await run("openssl", [
      ...["verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "localhost"],
      ...["-CAfile", ROOTS, "-untrusted", cert, cert],
    ]);
    const codes = [...(stdout + stderr).matchAll(/error (\d+) at/g)].map((match) => Number(match[1]));
    assert(verdict === 0 ? codes.length === 0 : codes.includes(verdict), `${name}: ${stdout}${stderr}`);
  }
});

Deno.test("identity(): each server and client certificate comes with its own key", async () => {
  for (const name of [...Object.keys(VERDICTS), "sha1", "rsa1024", "client", "client-rsa"]) {
    const { cert, key } = identity(name);
    const inCert = await run("openssl", ["x509", "-in", cert, "-noout", "-pubkey"]);
    const inKey = await run("openssl", ["pkey", "-in", key, "-pubout"]);
    assertEquals(inKey.stdout, inCert.stdout, `${name}: ${inKey.stderr}`);
  }
});

Deno.test("certs: openssl reads each form of a key, and finds the same key in it", async () => {
  const forms: Record<string, string[]> = {
    ec: ["ec.key", "ec.key.der", "ec.sec1.key", "ec.sec1.der", "ec.pbes2.key", "ec.proctype.key"],
    rsa: ["rsa.key", "rsa.key.der", "rsa.pkcs1.key", "rsa.pkcs1.der", "rsa.pbes2.key", "rsa.proctype.key"],
    book: ["book.key", "book.key.der"],
  };
  for (const [name, files] of Object.entries(forms)) {
    const cert = await run("openssl", ["x509", "-in", certFile(`${name}.pem`), "-noout", "-pubkey"]);
    for (const file of files) {
      const key = await run("openssl", [
        ...["pkey", "-in", certFile(file), "-inform", file.endsWith(".der") ? "DER" : "PEM"],
        ...["-passin", "pass:tlsio", "-pubout"],
      ]);
      assertEquals(key.stdout, cert.stdout, `${file}: ${key.stderr}`);
    }
  }
});

Deno.test("certs/book.pem: is an authority that may also serve, as PEM and as DER, in both versions", () => {
  const core = fixedCore();
  for (const [chain, key] of [["book.pem", "book.key"], ["book.der", "book.key.der"]] as const) {
    const book = { chain: source(chain), key: source(key) };
    for (const [version, sslVersion] of VERSIONS) {
      using both = configs(core, { sslVersion }, { trust: [book.chain], checkHostname: false }, {
        credential: book,
      });
      using pair = new EnginePair(both.client, both.server).connect();
      assertEquals([pair.client.version, pair.client.verifyFlags], [version, 0]);
    }
  }
});
