/** Certificates and keys: where they come from, in which forms, and what is said when they cannot be used. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { CERT_OPTIONAL, CERT_REQUIRED } from "../lib/policy.ts";
import { SSLError } from "../lib/errors.ts";
import type { ContextOptions } from "../lib/context_options.ts";
import { SSLContext } from "../lib/ssl.ts";
import { bytesFrom, configs, EnginePair, fixedCore, source } from "./pair.ts";
import { certFile } from "./peers/options.ts";

const core = fixedCore();
const PASSWORD = "tlsio"; // of the encrypted keys in tests/certs

/** What comes of a context with these options. */
async function create(options: ContextOptions): Promise<SSLContext> {
  return await SSLContext.create(options);
}

const EC = { certfile: certFile("ec.pem"), keyfile: certFile("ec.key") };

Deno.test("SSLContext.create() names the option and the path of a file that is missing or no file", async () => {
  const missing = certFile("no-such.pem");
  const cases: [ContextOptions, string][] = [
    [{ ...EC, certfile: missing }, "certfile"],
    [{ ...EC, keyfile: missing }, "keyfile"],
    [{ caCerts: missing }, "caCerts"],
    [{ caCerts: [certFile("root.pem"), missing] }, "caCerts"],
  ];
  for (const [options, option] of cases) {
    await assertRejects(
      () => create(options),
      Deno.errors.NotFound,
      `Cannot load ${option} "${missing}": no such file`,
    );
  }
  await assertRejects(() => create({ caCerts: certFile("") }), Deno.errors.IsADirectory, "it is a directory");
  const url = new URL("certs/no-such.pem", import.meta.url);
  await assertRejects(() => create({ caCerts: url }), Deno.errors.NotFound, `Cannot load caCerts "${url}"`);
});

Deno.test("SSLContext.create() takes a certificate as a path, a URL, PEM text and bytes", async () => {
  const pem = await Deno.readTextFile(certFile("root.pem"));
  const sources = [certFile("root.pem"), new URL("certs/root.pem", import.meta.url), pem, encodeText(pem)];
  for (const caCerts of [...sources, sources, `some words before\n${pem}`]) {
    using context = await create({ caCerts });
    assertEquals(context.serverSide, false);
  }
});

Deno.test("SSLContext.create() says what is wrong with a certificate or a key", async () => {
  const garbage = bytesFrom(1, 500);
  const cut = source("ec.pem").bytes.slice(0, 300);
  const ec = source("ec.pem").bytes;
  const cases: [ContextOptions, string][] = [
    [{ ...EC, certfile: garbage }, "Cannot load certfile: "],
    [{ ...EC, certfile: cut }, "Cannot load certfile: "],
    [
      { ...EC, certfile: certFile("ec.key") },
      `Cannot load certfile "${certFile("ec.key")}": the PEM holds no certificate`,
    ],
    [{ ...EC, certfile: new Uint8Array(0) }, "Cannot load certfile: "],
    [{ ...EC, keyfile: garbage }, "Cannot load keyfile: "],
    [{ ...EC, keyfile: ec }, "Cannot load keyfile: "],
    [{ ...EC, keyfile: new Uint8Array(0) }, "Cannot load keyfile: "],
    [{ ...EC, keyfile: certFile("self.key") }, "it does not match the certificate of certfile"],
    [{ ...EC, keyfile: certFile("rsa.key") }, "it does not match the certificate of certfile"],
    [{ caCerts: garbage }, "Cannot load caCerts: "],
    [
      { caCerts: certFile("ec.key") },
      `Cannot load caCerts "${certFile("ec.key")}": the PEM holds no certificate`,
    ],
    [{ caCerts: new Uint8Array(0) }, "Cannot load caCerts: "],
    [{ caCerts: [certFile("root.pem"), garbage] }, "Cannot load caCerts: "],
  ];
  for (const [options, text] of cases) {
    const error = await assertRejects(() => create(options), SSLError, text);
    assertEquals(error.kind, "config", error.message);
    assert(!error.message.endsWith("."), error.message);
  }
});

Deno.test("SSLContext.create() refuses a bundle in which a certificate cannot be read", async () => {
  const [good, bad] = ["root.pem", "root-rsa.pem"].map((name) =>
    new TextDecoder().decode(source(name).bytes)
  );
  const bundle = good! + bad!.replace(/\n[A-Za-z0-9+/]{64}\n/, `\n${"A".repeat(64)}\n`);
  const error = await assertRejects(
    () => create({ caCerts: bundle }),
    SSLError,
    "1 of its certificates cannot be read",
  );
  assertEquals(error.kind, "config");
});

Deno.test("SSLContext.create() needs certfile and keyfile together, and caCerts with something in it", async () => {
  await assertRejects(() => create({ certfile: EC.certfile }), TypeError, "Cannot use certfile: the other");
  await assertRejects(() => create({ keyfile: EC.keyfile }), TypeError, "Cannot use keyfile: the other");
  await assertRejects(() => create({ caCerts: [] }), TypeError, "Cannot use caCerts: the list is empty");
  await assertRejects(() => create({ serverSide: true }), TypeError, "it needs certfile and keyfile, or psk");
  for (const certReqs of [CERT_OPTIONAL, CERT_REQUIRED] as const) {
    const server = { serverSide: true, ...EC, certReqs };
    await assertRejects(
      () => create(server),
      TypeError,
      "Cannot check client certificates: caCerts is missing",
    );
  }
  await assertRejects(
    () => create({ profile: "no-such" }),
    TypeError,
    'Cannot use profile: unknown name "no-such"',
  );
});

for (const name of ["ec", "rsa"]) {
  const forms = [
    "key",
    "key.der",
    name === "ec" ? "sec1.key" : "pkcs1.key",
    name === "ec" ? "sec1.der" : "pkcs1.der",
  ];

  Deno.test(`TLSConfig takes an ${name} key as ${forms.join(", ")}, and a certificate as PEM and DER`, () => {
    for (const form of forms) {
      for (const chain of [`${name}.pem`, `${name}.der`]) {
        using both = configs(core, {}, {}, {
          credential: { chain: source(chain), key: source(`${name}.${form}`) },
        });
        using pair = new EnginePair(both.client, both.server).connect();
        assertEquals(pair.client.verifyFlags, 0, `${chain} ${form}`);
      }
    }
  });

  Deno.test(`TLSConfig opens an encrypted ${name} key with its password only`, () => {
    for (const form of ["pbes2", "proctype"]) {
      const key = source(`${name}.${form}.key`);
      const make = (password?: string) => {
        const options = { serverSide: true, credential: { chain: source(`${name}.pem`), key, password } };
        return new TLSConfig(options, core)[Symbol.dispose]();
      };
      make(PASSWORD);
      for (const password of ["wrong", `${PASSWORD} `, "x".repeat(1000)]) {
        const wrong = assertThrows(
          () => make(password),
          SSLError,
          `Cannot load ${key.name}: the password does not open`,
        );
        assertEquals(wrong.kind, "config");
      }
      for (const password of [undefined, ""]) {
        assertThrows(() => make(password), SSLError, "the key is encrypted and no password was given");
      }
    }
  });
}
