/** Which host a certificate is for (RFC 9525), by handshakes with certificates made for the purpose. */
import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { type Bytes, encodeText } from "../lib/bytes.ts";
import { createCertificate } from "../lib/certificate.ts";
import { TLSConfig } from "../lib/config.ts";
import type { TLSConfigOptions } from "../lib/policy.ts";
import type { Duplex } from "../lib/duplex.ts";
import { SSLCertVerificationError } from "../lib/errors.ts";
import { SSLContext } from "../lib/ssl.ts";
import { EnginePair, FixedClock, fixedCore, source } from "./pair.ts";
import { pipe } from "./pipe.ts";

const core = fixedCore(1, new FixedClock(Date.now())); // new certificates are valid from yesterday on
const CN_MISMATCH = 4;

/** Whether a client takes a server's own certificate for `host`. Any other failure is an error. */
function accepts(host: string, certificate: Bytes, key: Bytes, options: TLSConfigOptions = {}): boolean {
  const chain = { name: "certificate", bytes: certificate };
  using client = new TLSConfig({ trust: [chain, source("root.pem")], ...options }, core);
  using server = new TLSConfig(
    { serverSide: true, credential: { chain, key: { name: "key", bytes: key } } },
    core,
  );
  using pair = new EnginePair(client, server, { serverHostname: host }).run();
  const { client: error } = pair.errors;
  if (error === undefined) return pair.client.handshakeDone;
  assertInstanceOf(error, SSLCertVerificationError, error.message);
  assertEquals(error.verifyFlags, CN_MISMATCH, error.message);
  return false;
}

/** A certificate for `hosts`, as bytes. */
function make(hosts: readonly string[], subject = "CN=some name"): [certificate: Bytes, key: Bytes] {
  const { certificate, key } = createCertificate({ subject, hosts });
  return [encodeText(certificate), encodeText(key)];
}

/** Names of the SAN, the hosts that they are for, and hosts that they are not for. */
const RULES: Record<string, { san: string[]; for: string[]; not: string[] }> = {
  "a DNS name is for that host": {
    san: ["www.example.test", "other.test"],
    for: ["www.example.test", "other.test", "WWW.Example.TEST"],
    not: [
      "example.test",
      "ww.example.test",
      "www.example.tes",
      "www.example.test.evil",
      "wwwxexample.test",
      "some name",
    ],
  },
  "a DNS name is compared without case": {
    san: ["WwW.ExAmPlE.tEsT"],
    for: ["www.example.test"],
    not: ["www.example.tesT.x"],
  },
  "a wildcard is one whole label, the first": {
    san: ["*.example.test"],
    for: [
      "a.example.test",
      "A.EXAMPLE.test",
      "xn--bcher-kva.example.test",
      "*.example.test".replace("*", "0"),
    ],
    not: [
      "example.test",
      "a.b.example.test",
      ".example.test",
      "aexample.test",
      "a.example.test.b",
      "*.example.test",
    ],
  },
  "a wildcard is not for a top-level domain": {
    san: ["*.test", "*"],
    for: [],
    not: ["example.test", "a.test", "test"],
  },
  "a wildcard is not a part of a label, nor a later label": {
    san: [
      "w*.example.test",
      "*w.example.test",
      "www.*.test",
      "*.*.test",
      "**.example.test",
      "*a.test",
      "x.example.*",
    ],
    for: [],
    not: ["www.example.test", "w.example.test", "a.b.test", "x.example.test", "xx.example.test"],
  },
  "an IPv4 address is for that address": {
    san: ["192.0.2.1"],
    for: ["192.0.2.1"],
    not: ["192.0.2.2", "192.0.2.10", "::ffff:192.0.2.1", "192.0.2.1.example.test", "example.test"],
  },
  "an IPv6 address is for that address, however it is written": {
    san: ["2001:db8::1"],
    for: ["2001:db8::1", "2001:DB8:0:0:0:0:0:1", "2001:0db8:0000:0000:0000:0000:0000:0001"],
    not: ["2001:db8::2", "::1", "2001:db8::"],
  },
  "an IPv4 address is not the IPv6 address that maps it": {
    san: ["::ffff:192.0.2.1"],
    for: ["::ffff:192.0.2.1"],
    not: ["192.0.2.1"],
  },
  "a wildcard is not for a top-level domain with the root's dot, either": {
    san: ["*.test.", "*..test", "*."],
    for: [],
    not: ["a.test.", "a.test", "a..test", "a."],
  },
  "no name is for no host": { san: ["", "*"], for: [], not: ["", "a"] },
  "a NUL does not end a name": {
    san: ["good.test\0.evil.test", "*.good.test\0.evil.test"],
    for: [],
    not: ["good.test", "a.good.test", "good.test.evil.test"],
  },
  "a dot behind the name is another name": { san: ["dotted.test."], for: [], not: ["dotted.test"] },
};

for (const [rule, { san, for: good, not: bad }] of Object.entries(RULES)) {
  Deno.test(`serverHostname: ${rule}`, () => {
    const [certificate, key] = make(san);
    for (const host of good) assert(accepts(host, certificate, key), `${san} is for ${host}`);
    for (const host of bad) assert(!accepts(host, certificate, key), `${san} is not for ${host}`);
  });
}

Deno.test("serverHostname: the text of an IP address in a DNS name is for no one", () => {
  const [certificate, key] = [source("ip-in-dns.pem").bytes, source("ec.key").bytes];
  assert(!accepts("127.0.0.1", certificate, key));
  assert(!accepts("127.0.0.1", certificate, key, { allowCommonName: true }));
});

Deno.test("serverHostname: the wildcards of tests/certs are for no one", () => {
  const key = source("ec.key").bytes;
  assert(!accepts("example.test", source("wildcard-suffix.pem").bytes, key));
  assert(!accepts("www.test.example", source("wildcard-partial.pem").bytes, key));
  assert(accepts("any.wild.test", source("ec.pem").bytes, key));
  assert(!accepts("wild.test", source("ec.pem").bytes, key));
});

Deno.test("serverHostname: without a SAN, the CN counts only when allowCommonName says so", () => {
  for (
    const [cn, host, matches] of [
      ["plain.test", "plain.test", true],
      ["plain.test", "PLAIN.test", true],
      ["plain.test", "other.test", false],
      ["*.wild.test", "a.wild.test", true],
      ["*.wild.test", "wild.test", false],
      ["192.0.2.1", "192.0.2.1", false], // an address is never a CN
    ] as const
  ) {
    const [certificate, key] = make([], `CN=${cn}`);
    assertEquals(accepts(host, certificate, key), false, `${cn} without the option`);
    assertEquals(accepts(host, certificate, key, { allowCommonName: true }), matches, `${cn} for ${host}`);
  }
});

Deno.test("serverHostname: with a SAN, the CN never counts", () => {
  for (const san of [["other.test"], ["192.0.2.1"]]) {
    const [certificate, key] = make(san, "CN=plain.test");
    for (const allowCommonName of [false, true]) {
      assert(!accepts("plain.test", certificate, key, { allowCommonName }), `SAN ${san}`);
    }
  }
});

Deno.test("serverHostname: only the CN of the subject counts, in all of its text", () => {
  const [certificate, key] = make([], "O=plain.test,CN=prefix plain.test,OU=plain.test");
  assert(!accepts("plain.test", certificate, key, { allowCommonName: true }));
});

Deno.test("serverHostname goes out as SNI; an IP address does not (RFC 6066 section 3)", () => {
  const [certificate, key] = make(["sni.test", "192.0.2.1", "::1"]);
  const chain = { name: "certificate", bytes: certificate };
  using client = new TLSConfig({ trust: [chain] }, core);
  using server = new TLSConfig(
    { serverSide: true, credential: { chain, key: { name: "key", bytes: key } } },
    core,
  );
  for (const [host, sent] of [["sni.test", true], ["192.0.2.1", false], ["::1", false]] as const) {
    using pair = new EnginePair(client, server, { serverHostname: host }).connect();
    assertEquals(Buffer.from(pair.flight("client")).includes(host), sent, host);
  }
});

// ---- The names that a socket takes ---------------------------------------------------------------------

/** Connects a socket to a server whose certificate is for `san`. */
async function connect(san: string[], serverHostname: string): Promise<string | undefined> {
  const { certificate, key } = createCertificate({ subject: "CN=x", hosts: san });
  using client = await SSLContext.create({ caCerts: certificate });
  using server = await SSLContext.create({ serverSide: true, certfile: certificate, keyfile: key });
  const [near, far] = pipe();
  const [mine, theirs] = await Promise.all([
    client.wrapSocket(near, { serverHostname }),
    server.wrapSocket(far),
  ]);
  await Promise.all([mine.close(), theirs.close()]);
  return mine.serverHostname;
}

Deno.test("wrapSocket() takes a host as people write it", async () => {
  for (
    const [written, san, meant] of [
      ["Example.TEST", "example.test", "example.test"],
      ["example.test.", "example.test", "example.test"],
      ["bücher.test", "xn--bcher-kva.test", "xn--bcher-kva.test"],
      ["BÜCHER.test", "xn--bcher-kva.test", "xn--bcher-kva.test"],
      ["a_b.test", "a_b.test", "a_b.test"],
      ["[::1]", "::1", "::1"],
      ["0:0::1", "::1", "0:0::1"],
      ["127.0.0.1", "127.0.0.1", "127.0.0.1"],
    ] as const
  ) {
    assertEquals(await connect([san], written), meant);
  }
});

Deno.test("wrapSocket() refuses what is no host, before any I/O", async () => {
  const untouchable = new Proxy({} as Duplex, {
    has: () => true,
    get(_, name) {
      if (name === "then") return undefined;
      throw new Error(`${String(name)} was touched`);
    },
  });
  using context = await SSLContext.create({ caCerts: source("root.pem").bytes });
  for (
    const host of [
      "",
      ".",
      "a b",
      "http://a.test",
      "a.test:443",
      "a.test/x",
      "user@a.test",
      "[a.test]",
      "[127.0.0.1]",
      "a?b",
      "a#b",
      "%41.test",
    ]
  ) {
    await assertRejects(
      () => context.wrapSocket(untouchable, { serverHostname: host }),
      TypeError,
      `Cannot use serverHostname: ${JSON.stringify(host)} is not a host name or IP address`,
    );
  }
  for (
    const host of [
      "a\0.test",
      "[::1",
      "::g",
      "1:2:3",
      "1.2.3.999",
      "1.2.3.04",
      `${"a.".repeat(130)}test`,
      "a\\b",
      "a\tb",
      "a..b",
      ".a",
      "@x:/",
    ]
  ) {
    const text = `Cannot use serverHostname: ${JSON.stringify(host)} is not a host name`;
    await assertRejects(() => context.wrapSocket(untouchable, { serverHostname: host }), TypeError, text);
  }
  for (const host of [5, null, {}, new URL("https://a.test")]) {
    await assertRejects(
      () => context.wrapSocket(untouchable, { serverHostname: host as string }),
      TypeError,
      "Cannot use serverHostname: expected a string",
    );
  }
});
