/** What a stranger's chain may cost, how a refusal reads, and what a device's core does not check. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import type { Core } from "../lib/core.ts";
import { newEsp32Core } from "../lib/esp32.ts";
import { SSLCertVerificationError, type SSLError } from "../lib/errors.ts";
import { derToPem } from "../lib/pem.ts";
import { CERT_OPTIONAL, type TLSConfigOptions } from "../lib/policy.ts";
import { TLSVersion } from "../lib/suites.ts";
import { EnginePair, FixedClock, fixedCore, randomFrom } from "./pair.ts";
import { check, costly, COSTLY_KINDS, ends } from "./x509/cost.ts";
import { ask } from "./x509/verdict.ts";
import {
  intermediate,
  key,
  leaf,
  type Made,
  nameConstraints,
  privatePem,
  purposes,
  root,
} from "./x509/maker.ts";

const PAST = { from: "20200101000000Z", until: "20210101000000Z" };
const file = (made: readonly Made[]) => ({
  name: "certificates",
  bytes: encodeText(made.map(({ der }) => derToPem(der)).join("")),
});

/** A handshake of a client with a server that shows this chain. */
function shown(sent: Made[], trust: Made, options: TLSConfigOptions = {}, core = fixedCore(1)) {
  const own = { chain: file(sent), key: { name: "key", bytes: encodeText(privatePem(sent[0]!.key)) } };
  const sslVersion = TLSVersion.TLSv1_2;
  using client = new TLSConfig({ sslVersion, trust: [file([trust])], measure: true, ...options }, core);
  using server = new TLSConfig({ sslVersion, serverSide: true, credential: own }, fixedCore(2));
  using pair = new EnginePair(client, server, { serverHostname: "a.test" }).run();
  const { verifyFlags, verifyMessage } = pair.client;
  const operations = pair.client.cost().total.operations ?? {};
  const told: SSLError | undefined = pair.errors.server;
  return { error: pair.errors.client, alert: told?.alert?.name, verifyFlags, verifyMessage, operations };
}

Deno.test("x509: forty expired authorities of one name cost no more than 32 signatures", () => {
  const twins = Array.from(
    { length: 40 },
    () => root({ subject: "CN=twin", key: key("p256", "twin"), ...PAST }),
  );
  const { error, operations } = shown([leaf(twins[0]!), ...twins], root());
  assert(error !== undefined, "no more than eight intermediates");
  const checked = operations["P-256 verify"]!;
  assert(checked >= 30 && checked <= 32, `${checked} signatures`); // 324 without a bound
});

Deno.test("x509: what a stranger's chain may cost is bounded by time: of longer keys, fewer signatures", () => {
  const { asks, client } = ends(fixedCore(3));
  const most: Record<string, number> = { "P-256": 32, "P-384": 10, "RSA-4096": 16 };
  for (const kind of COSTLY_KINDS) {
    const { checks } = check(asks, client, costly(kind));
    const bound = most[kind] ?? (/P-521|8192/.test(kind) ? 5 : 32);
    assert(checks > 1 && checks <= bound, `${kind}: ${checks} signatures`);
  }
  asks[Symbol.dispose]();
  client[Symbol.dispose]();
});

Deno.test("x509: a chain of eight intermediates is within the bounds", () => {
  const top = root();
  const sent: Made[] = [];
  let by = top;
  for (let i = 0; i < 8; i++) {
    by = intermediate(by, [], { subject: `CN=${i}`, key: key("p256", `${i}`) });
    sent.unshift(by);
  }
  const { error, operations } = shown([leaf(by), ...sent], top);
  assertEquals(error, undefined);
  assertEquals(operations["P-256 verify"], 9 + 1, "the chain, and the server's own signature");
});

Deno.test("x509: a name that an authority must not certify has a flag, words and an alert of its own", () => {
  const top = root({ subject: "CN=constrained" });
  const middle = intermediate(top, [nameConstraints({ permitted: ["dns:b.test"] })]);
  const { error, alert } = shown([leaf(middle), middle], top);
  assert(error instanceof SSLCertVerificationError);
  assertEquals([error.verifyFlags, alert], [0x1000000, "certificate_unknown"]);
  assertStringIncludes(error.message, "the certificate has a name that its authority must not certify");

  const lenient = shown([leaf(middle), middle], top, { certReqs: CERT_OPTIONAL });
  assertEquals([lenient.error, lenient.verifyFlags], [undefined, 0x1000000]);
  assertStringIncludes(lenient.verifyMessage, "must not certify");
});

Deno.test("x509: any byte changed of an authority with constraints: never accepted, and the core goes on", () => {
  const top = root();
  const permitted = [
    "dns:test",
    "net:192.0.2.0/255.255.255.0",
    "dir:O=Example",
    "email:a.test",
    "uri:a.test",
  ];
  const middle = intermediate(top, [nameConstraints({ permitted, excluded: ["dns:b.test", "other:x"] })]);
  const names = ["dns:a.test", "ip:192.0.2.9", "dir:O=Example,CN=x", "email:x@a.test", "uri:https://a.test/"];
  const last = leaf(middle, names, { subject: "O=Example,CN=a" });
  const one = { name: "", expected: "reject", host: "a.test", role: "client" } as const;
  const build = () => ({ sent: [last, middle], trust: [top] });
  assertEquals(ask({ ...one, build }, build()).verdict, "accept");
  for (let at = 0; at < middle.der.length; at++) {
    const changed = { ...middle, der: middle.der.with(at, middle.der[at]! ^ 1 << at % 8) };
    const chain = { sent: [last, changed], trust: [top] };
    assertEquals(ask({ ...one, byHand: true, build }, chain).verdict, "reject", `byte ${at}`);
  }
});

Deno.test("x509: a device's core checks of an authority what the device does", async () => {
  const top = root();
  const UNREAD = "MBEDTLS_ERR_X509_INVALID_EXTENSIONS"; // what is critical and that it does not know
  const outside = { permitted: ["dns:b.test"] };
  for (
    const [extra, here, there] of [
      [nameConstraints(outside, false), 0x1000000, undefined],
      [nameConstraints(outside), 0x1000000, UNREAD],
      [nameConstraints({ permitted: ["dns:a.test"] }), undefined, UNREAD],
      [purposes("client"), 0x1000, undefined],
    ] as const
  ) {
    const middle = intermediate(top, [extra]);
    const flags = (core: Core) => {
      const { error } = shown([leaf(middle), middle], top, {}, core);
      return error instanceof SSLCertVerificationError ? error.verifyFlags : error?.reason;
    };
    const device = await newEsp32Core({ now: new FixedClock().now, random: randomFrom(1) });
    assertEquals([flags(fixedCore(1)), flags(device)], [here, there]);
  }
});
