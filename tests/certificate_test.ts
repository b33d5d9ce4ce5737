import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { type Bytes, encodeText } from "../lib/bytes.ts";
import { type CertificateOptions, createCertificate } from "../lib/certificate.ts";
import { parseAddress } from "../lib/ip_address.ts";
import { peerCertificate } from "../lib/peer_certificate.ts";
import { Core } from "../lib/core.ts";
import { SSLError } from "../lib/errors.ts";
import { source } from "./pair.ts";
import { run } from "./peers/process.ts";
import { tempDir } from "./peers/server.ts";

/** What `openssl` prints for a PEM text on its standard input. */
async function openssl(pem: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run("openssl", args, { stdin: pem });
  assertEquals(code, 0, stderr);
  return stdout;
}

/** Whether `openssl verify` takes the first certificate, under the last as the root. Returns what it says. */
async function verify(chain: readonly string[], ...args: string[]): Promise<string> {
  await using dir = await tempDir();
  const files = await Promise.all(chain.map(async (pem, i) => {
    const path = `${dir.path}/${i}.pem`;
    await Deno.writeTextFile(path, pem);
    return path;
  }));
  const between = files.slice(1, -1).flatMap((file) => ["-untrusted", file]);
  const root = files.at(-1)!;
  const { stdout, stderr } = await run("openssl", [
    "verify",
    "-x509_strict",
    "-CAfile",
    root,
    ...between,
    ...args,
    files[0]!,
  ]);
  return stdout + stderr;
}

function der(pem: string): Bytes {
  return new Uint8Array(new X509Certificate(pem).raw);
}

const HOSTS = [
  "localhost",
  "*.example.test",
  "127.0.0.1",
  "::1",
  "2001:db8::ff00:42:8329",
  "::ffff:192.0.2.1",
  "fe80::",
];

for (const keyType of ["P-256", "P-384", "P-521", "RSA-2048"] as const) {
  Deno.test(`createCertificate() with ${keyType} makes what openssl takes for a server and a client`, async () => {
    const ca = createCertificate({ subject: "CN=Test CA", isCA: true });
    const leaf = createCertificate({ subject: "CN=localhost", hosts: HOSTS, keyType, issuer: ca });
    for (const purpose of ["sslserver", "sslclient"]) {
      const said = await verify(
        [leaf.certificate, ca.certificate],
        "-purpose",
        purpose,
        "-verify_hostname",
        "localhost",
      );
      assertMatch(said, /: OK\n$/);
    }
    for (const ip of ["127.0.0.1", "::1", "2001:db8::ff00:42:8329", "fe80::"]) {
      assertMatch(await verify([leaf.certificate, ca.certificate], "-verify_ip", ip), /: OK\n$/, ip);
    }
    const bits = keyType.split("-")[1];
    assertStringIncludes(
      await openssl(leaf.certificate, "x509", "-noout", "-text"),
      `Public-Key: (${bits} bit)`,
    );
    const publicKeys = await Promise.all([
      openssl(leaf.certificate, "x509", "-noout", "-pubkey"),
      openssl(leaf.key, "pkey", "-pubout"),
    ]);
    assertEquals(publicKeys[0], publicKeys[1]);
  });
}

Deno.test("createCertificate() writes names, usage and times that a server needs", async () => {
  const { certificate } = createCertificate({
    subject: "CN=localhost,O=Example",
    hosts: ["localhost", "::1"],
    days: 30,
  });
  const text = await openssl(certificate, "x509", "-noout", "-text");
  for (
    const part of [
      "Version: 3",
      "Signature Algorithm: ecdsa-with-SHA256",
      "CA:FALSE",
      "Digital Signature, Key Encipherment",
      "TLS Web Server Authentication, TLS Web Client Authentication",
      "DNS:localhost",
      "IP Address:0:0:0:0:0:0:0:1",
      "X509v3 Subject Key Identifier",
      "X509v3 Authority Key Identifier",
    ]
  ) assertStringIncludes(text, part);
  const { validFrom, validTo, subject, issuer } = new X509Certificate(certificate);
  assertEquals(issuer, subject);
  const day = 86_400_000;
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  assert(Math.abs(from - (Date.now() - day)) < 60_000, "a peer's clock may be a day behind");
  assert(Math.abs(to - (Date.now() + 30 * day)) < 60_000);
});

Deno.test("createCertificate() gives each certificate a serial number of its own, positive and of 16 bytes", () => {
  const serials = Array.from(
    { length: 20 },
    () => new X509Certificate(createCertificate({ subject: "CN=x" }).certificate).serialNumber,
  );
  assertEquals(new Set(serials).size, 20);
  for (const serial of serials) assertMatch(serial, /^[4-7][0-9A-F]{31}$/);
});

Deno.test("createCertificate() with isCA makes an authority for leaves and for nothing else", async () => {
  const ca = createCertificate({ subject: "CN=Test CA,O=Example\\, Inc.", isCA: true });
  const text = await openssl(ca.certificate, "x509", "-noout", "-text");
  assertStringIncludes(text, "CA:TRUE, pathlen:0");
  assertStringIncludes(text, "Certificate Sign, CRL Sign");
  const leaf = createCertificate({ subject: "CN=leaf", issuer: ca });
  const under = createCertificate({ subject: "CN=under a leaf", issuer: leaf });
  assertMatch(await verify([leaf.certificate, ca.certificate]), /: OK\n$/);
  assertMatch(await verify([under.certificate, leaf.certificate, ca.certificate]), /invalid CA certificate/);
  const other = createCertificate({ subject: "CN=Test CA,O=Example\\, Inc.", isCA: true });
  assert(
    !(await verify([leaf.certificate, other.certificate])).includes(": OK"),
    "the same name, another key",
  );
});

Deno.test("createCertificate() writes any name, and a leaf that names it as its issuer", async () => {
  for (
    const [subject, commonName] of [
      ["CN=plain", "plain"],
      ["CN=Example\\, Inc.,O=a\\,b\\,c", "Example, Inc."],
      ["CN=back\\\\slash", "back\\slash"],
      ["CN=Zürich 東京", "Zürich 東京"],
      ["CN=a=b,OU=x", "a=b"],
      ["C=CH,ST=ZH,L=Zürich,O=Org,OU=Unit,CN=many parts", "many parts"],
      ['CN=plus \\+ quote \\" semicolon \\; angle \\<\\>', 'plus + quote " semicolon ; angle <>'],
      ["CN=\\#hash", "#hash"],
      ["CN= spaces ", " spaces "],
    ] as const
  ) {
    const ca = createCertificate({ subject, isCA: true });
    const leaf = createCertificate({ subject: "CN=leaf", issuer: ca });
    assertMatch(await verify([leaf.certificate, ca.certificate]), /: OK\n$/, subject);
    const names = Object.fromEntries(peerCertificate(der(ca.certificate)).subject!.flat());
    assertEquals(names.commonName, commonName);
    assertEquals(peerCertificate(der(leaf.certificate)).issuer, peerCertificate(der(ca.certificate)).subject);
  }
});

Deno.test("createCertificate() writes international names in ASCII", () => {
  const { certificate } = createCertificate({ subject: "CN=x", hosts: ["bücher.test", "*.bücher.test"] });
  const names = peerCertificate(der(certificate)).subjectAltName!.map(([, name]) => name).sort();
  assertEquals(names, ["*.xn--bcher-kva.test", "xn--bcher-kva.test"]);
});

Deno.test("createCertificate() refuses what it cannot write", () => {
  const core = Core.shared();
  const start = core.allocated;
  const good = { subject: "CN=x" };
  const ca = createCertificate({ ...good, isCA: true });
  const spoilt = ca.certificate.replace(/\n[A-Za-z0-9+/]{64}\n/, `\n${"A".repeat(64)}\n`);
  const cases: [unknown, new (...args: never[]) => Error, string][] = [
    [{ ...good, subject: "XX=unknown" }, SSLError, "Cannot make a certificate: "],
    [{ ...good, subject: "no equals sign" }, SSLError, "Cannot make a certificate: "],
    [{ ...good, subject: "" }, SSLError, "Cannot make a certificate: "],
    [{ ...good, subject: "CN=" + "x".repeat(300) }, SSLError, "Cannot make a certificate: "],
    [{ ...good, keyType: "DSA" }, TypeError, 'Cannot make a key: unknown type "DSA"; known are P-256, '],
    [{ ...good, days: 0 }, RangeError, "days must be above 0 and at most 1000000, got 0"],
    [{ ...good, days: NaN }, RangeError, "days must be above 0"],
    [{ ...good, days: 3e6 }, RangeError, "days must be above 0 and at most"],
    [
      { ...good, hosts: ["x".repeat(256)] },
      RangeError,
      "Cannot use host: a name has 255 bytes at most, got 256",
    ],
    [{ ...good, hosts: ["1.2.3.256"] }, TypeError, 'Cannot use host: "1.2.3.256" is not an IP address'],
    [{ ...good, hosts: ["1::2::3"] }, TypeError, 'Cannot use host: "1::2::3" is not an IP address'],
    [{ ...good, issuer: { ...ca, key: "no key" } }, SSLError, "Cannot make a certificate: "],
    [{ ...good, issuer: { ...ca, certificate: "none" } }, Error, ""],
    [
      {
        ...good,
        issuer: { ...ca, certificate: ca.certificate + spoilt },
      },
      Error,
      "",
    ],
  ];
  for (const [options, type, text] of cases) {
    assertThrows(() => createCertificate(options as CertificateOptions), type as typeof Error, text);
  }
  assertEquals(core.allocated, start);
});

Deno.test("createCertificate() leaves no key in the core's memory", () => {
  const core = Core.shared();
  const { key } = createCertificate({ subject: "CN=x" });
  const jwk = new TextDecoder("latin1").decode(core.memory);
  assert(!jwk.includes(key.split("\n")[1]!), "the PEM text");
});

Deno.test("parseAddress() knows addresses from names", () => {
  const known: Record<string, number[]> = {
    "127.0.0.1": [127, 0, 0, 1],
    "255.255.255.255": [255, 255, 255, 255],
    "::": Array(16).fill(0),
    "::1": [...Array(15).fill(0), 1],
    "1:2:3:4:5:6:7:8": [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8],
    "2001:DB8::": [0x20, 1, 0x0d, 0xb8, ...Array(12).fill(0)],
    "::ffff:1.2.3.4": [...Array(10).fill(0), 255, 255, 1, 2, 3, 4],
  };
  for (const [text, bytes] of Object.entries(known)) {
    assertEquals(parseAddress(text), Uint8Array.from(bytes), text);
  }
  for (const name of ["localhost", "a.b", "1.2.3", "1.2.3.4.5", "1.2.3.x", ""]) {
    assertEquals(parseAddress(name), undefined);
  }
  for (const text of ["1.2.3.256", "1.2.3.04", "::g", "1:2", ":::", "1:2:3:4:5:6:7:8:9"]) {
    assertThrows(() => parseAddress(text), TypeError, "is not an IP address");
  }
});

// ---- peerCertificate() ----------------------------------------------------------------------------------

Deno.test("peerCertificate() is in the form of CPython's getpeercert()", () => {
  const { serialNumber, ...rest } = peerCertificate(der(new TextDecoder().decode(source("ec.pem").bytes)));
  assertMatch(serialNumber!, /^[0-9A-F]+$/);
  const { subject, issuer, notBefore, notAfter, subjectAltName } = rest;
  assertEquals(subject!.at(-1)![0]![0], "commonName");
  assert(issuer!.flat().some(([type]) => type === "commonName"));
  for (const time of [notBefore!, notAfter!]) {
    assertMatch(time, /^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} GMT$/);
  }
  assertEquals(subjectAltName!.slice(0, 3), [["DNS", "localhost"], ["DNS", "example.test"], [
    "DNS",
    "*.wild.test",
  ]]);
  assertStringIncludes(JSON.stringify(subjectAltName), '["IP Address","127.0.0.1"]');
  assertEquals(
    peerCertificate(new Uint8Array(new X509Certificate(source("book.pem").bytes).raw)).subjectAltName,
    undefined,
  );
});

Deno.test("peerCertificate() does not take a part of a name for another name", () => {
  const { certificate } = createCertificate({ subject: "CN=x", hosts: ["evil.test#.DNS.victim.test"] });
  const bytes = der(certificate); // the signature does not matter here
  bytes.set(encodeText(", DNS:"), new TextDecoder("latin1").decode(bytes).indexOf("#.DNS."));
  const names = peerCertificate(bytes).subjectAltName!;
  assertEquals(names.length, 1, JSON.stringify(names));
});

Deno.test("peerCertificate() does not take a line of an attribute for another attribute", () => {
  const { certificate } = createCertificate({ subject: "CN=user\\0ACN=admin,O=Example" });
  const names = peerCertificate(der(certificate)).subject!.flat();
  assertEquals(names.length, 2, JSON.stringify(names));
  assert(!names.some(([type, value]) => type === "commonName" && value === "admin"));
});

Deno.test("peerCertificate() refuses what is no certificate", () => {
  for (const bytes of [new Uint8Array(0), new Uint8Array(100), encodeText("certificate")]) {
    assertThrows(() => peerCertificate(bytes), Error);
  }
  assertThrows(
    () => peerCertificate("pem" as never),
    TypeError,
    "Cannot use der: expected a Uint8Array, got string",
  );
});
