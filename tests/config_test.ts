/** What a config refuses, by name and before any I/O, and what it takes. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import type { TLSConfigOptions } from "../lib/policy.ts";
import type { Duplex } from "../lib/duplex.ts";
import { openConnection, startServer } from "../lib/net.ts";
import { SSLContext, wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import { TLSVersion } from "../lib/suites.ts";
import { TicketKeyRing } from "../lib/tickets.ts";
import {
  bytesFrom,
  clientOptions,
  configs,
  credential,
  EnginePair,
  fixedCore,
  source,
  VERSIONS,
} from "./pair.ts";
import { certFile } from "./peers/options.ts";

const core = fixedCore();

/** A connection that must not be used. */
const UNTOUCHABLE = new Proxy({} as Duplex, {
  has: () => true,
  get(_, name) {
    if (name === "then") return undefined;
    throw new Error(`${String(name)} was touched`);
  },
});

Deno.test("wrapSocket() of a client that checks certificates needs serverHostname, before any I/O", async () => {
  const caCerts = certFile("root.pem");
  const text = "Cannot check the server: CERT_REQUIRED needs serverHostname";
  await assertRejects(() => wrapSocket(UNTOUCHABLE, { caCerts }), TypeError, text);
  await assertRejects(() => wrapSocket(UNTOUCHABLE, { caCerts, doHandshake: false }), TypeError, text);
});

Deno.test("wrapSocket() refuses wrong options of a connection, before any I/O", async () => {
  using context = await SSLContext.create({ caCerts: certFile("root.pem") });
  const good = { serverHostname: "localhost" };
  for (
    const [options, text] of [
      [{ ...good, initialData: "x" }, "Cannot use initialData: expected a Uint8Array, got string"],
      [
        { ...good, savedSession: "x" },
        "Cannot use savedSession: expected an SSLSession or its bytes, got string",
      ],
      [
        { ...good, savedSession: {} },
        "Cannot use savedSession: expected an SSLSession or its bytes, got Object",
      ],
    ] as const
  ) await assertRejects(() => context.wrapSocket(UNTOUCHABLE, options as never), TypeError, text);
  for (const timeout of [0, -1, NaN, "5"]) {
    const text = "Cannot use timeout: expected a number of seconds above 0";
    await assertRejects(
      () => context.wrapSocket(UNTOUCHABLE, { ...good, timeout: timeout as 1 }),
      RangeError,
      text,
    );
  }
  const savedSession = new Uint8Array(100);
  await assertRejects(
    () => context.wrapSocket(UNTOUCHABLE, { ...good, savedSession }),
    SyntaxError,
    "savedSession",
  );
  const typo = (option: object) => ({ ...good, ...option }) as WrapSocketOptions;
  for (
    const [made, text] of [
      [
        () => wrapSocket(UNTOUCHABLE, typo({ context, certReqs: 2 })),
        "Cannot use certReqs: the context decides it",
      ],
      [() => context.wrapSocket(UNTOUCHABLE, typo({ pins: [] })), "Cannot use pins: the context decides it"],
      [() => context.wrapSocket(UNTOUCHABLE, typo({ pin: "x" })), "Cannot use pin: there is no such option"],
      [() => wrapSocket(UNTOUCHABLE, typo({ pin: "x" })), "Cannot use pin: there is no such option"],
      [
        () => wrapSocket(UNTOUCHABLE, typo({ context: 5 })),
        "Cannot use context: expected an SSLContext, got number",
      ],
      [
        () => SSLContext.create(typo({})),
        "Cannot use serverHostname: it is for a connection, not for a context",
      ],
      [() => SSLContext.create({ crl: "x" } as never), "Cannot use crl: there is no such option"],
      [
        () => openConnection({ hostname: "localhost", port: 1, ssl: typo({ pin: "x" }) }),
        "Cannot use pin: there is",
      ],
      [
        () => startServer(() => {}, { port: 0, ssl: typo({}) }),
        "Cannot use serverHostname: it is for a connection",
      ],
    ] as const
  ) {
    await assertRejects<Error>(made, TypeError, text);
  }
});

Deno.test("wrapSocket() refuses what is no connection", async () => {
  const options = { caCerts: certFile("root.pem"), serverHostname: "localhost" };
  for (const conn of [undefined, null, 5, {}, { read() {} }]) {
    await assertRejects(() => wrapSocket(conn as never, options), TypeError, "Cannot wrap conn: ");
  }
});

/** Options that a config refuses, with the error. */
const REFUSED: [Record<string, unknown>, typeof TypeError | typeof RangeError, string][] = [
  [
    { certReqs: 3 },
    RangeError,
    "Cannot use certReqs: expected CERT_NONE, CERT_OPTIONAL or CERT_REQUIRED, got 3",
  ],
  [{ certReqs: "2" }, RangeError, "Cannot use certReqs: "],
  [
    { ciphers: ["TLS_FAST_BUT_SAFE"] },
    TypeError,
    'Cannot use ciphers: unknown name "TLS_FAST_BUT_SAFE"; known are ',
  ],
  [{ ciphers: [] }, TypeError, "Cannot use ciphers: expected a list of at least one name"],
  [{ ciphers: "TLS_AES_128_GCM_SHA256" }, TypeError, "Cannot use ciphers: expected a list"],
  [{ ciphers: [4865] }, TypeError, "Cannot use ciphers: expected a list"],
  [{ groups: ["x448"] }, TypeError, 'Cannot use groups: unknown name "x448"; known are '],
  [{ groups: [] }, TypeError, "Cannot use groups: expected a list of at least one name"],
  [{ sigalgs: ["rsa_pkcs1_md5"] }, TypeError, 'Cannot use sigalgs: unknown name "rsa_pkcs1_md5"; known are '],
  [{ sigalgs: [] }, TypeError, "Cannot use sigalgs: expected a list of at least one name"],
  [{ alpnProtocols: "h2" }, TypeError, "Cannot use alpnProtocols: expected a list of names"],
  [{ alpnProtocols: [1] }, TypeError, "Cannot use alpnProtocols: expected a list of names"],
  [
    { alpnProtocols: [""] },
    RangeError,
    "Cannot use alpnProtocols: a name has 1 to 255 bytes and no NUL, got 0 bytes",
  ],
  [{ alpnProtocols: ["x".repeat(256)] }, RangeError, "Cannot use alpnProtocols: a name has 1 to 255 bytes"],
  [{ alpnProtocols: ["é".repeat(128)] }, RangeError, "got 256 bytes"],
  [{ alpnProtocols: ["a\0b"] }, RangeError, "Cannot use alpnProtocols: a name has 1 to 255 bytes and no NUL"],
  [{ sslVersion: 0x0302 }, RangeError, "Cannot use sslVersion: expected TLS 1.2 to TLS 1.3, got 0x302"],
  [
    { sslVersion: { minimum: TLSVersion.TLSv1_3, maximum: TLSVersion.TLSv1_2 } },
    RangeError,
    "Cannot use sslVersion: ",
  ],
  [{ sslVersion: { maximum: 0x0301 } }, RangeError, "Cannot use sslVersion: "],
  [{ sslVersion: "TLSv1.3" }, TypeError, "Cannot use sslVersion: "],
  [
    { maxFragmentLength: 1000 },
    RangeError,
    "Cannot use maxFragmentLength: expected 512, 1024, 2048 or 4096, got 1000",
  ],
  [
    { maxFragmentLength: 512, sslVersion: TLSVersion.TLSv1_3 },
    TypeError,
    "a client needs sslVersion TLS 1.2 for it",
  ],
  [{ psk: { identity: "a", key: new Uint8Array(0) } }, RangeError, "Cannot use psk: a key has 1 to "],
  [{ psk: { identity: "a", key: new Uint8Array(257) } }, RangeError, "Cannot use psk: a key has 1 to "],
  [
    { psk: { identity: "a", key: "secret" } },
    TypeError,
    "Cannot use psk.key: expected a Uint8Array, got string",
  ],
  [{ psk: { identity: 5, key: new Uint8Array(1) } }, TypeError, "Cannot use psk.identity: "],
  [{ psk: {} }, TypeError, "Cannot use psk.key: "],
  [{ psk: null }, TypeError, "Cannot use psk: expected { identity, key }, got null"],
  [{ keyLog: "keys.log" }, TypeError, "Cannot use keyLog: expected a function, got string"],
  [{ tickets: true }, TypeError, "Cannot use tickets: expected a TicketKeyRing or false, got boolean"],
  [{ sessionCacheSize: -1 }, RangeError, "Cannot use sessionCacheSize: expected a whole number, got -1"],
  [{ sessionCacheSize: 1.5 }, RangeError, "Cannot use sessionCacheSize: expected a whole number, got 1.5"],
];

Deno.test("TLSConfig refuses wrong options by name", () => {
  const start = core.allocated;
  for (const [options, type, text] of REFUSED) {
    assertThrows(() => new TLSConfig(clientOptions(options), core), type as typeof Error, text);
  }
  assertEquals(core.allocated, start, "nothing of a refused config is left");
});

Deno.test("TLSConfig takes the extremes of its options", () => {
  const taken: TLSConfigOptions[] = [
    { alpnProtocols: [] },
    { alpnProtocols: ["x".repeat(255)] },
    { sslVersion: { minimum: TLSVersion.TLSv1_3 } },
    { sslVersion: {} },
    { psk: { identity: bytesFrom(1, 128), key: bytesFrom(2, 256) } },
    { ciphers: ["TLS1-3-AES-128-GCM-SHA256", "tls_aes_256_gcm_sha384"] },
    { groups: ["P-256", "prime256v1", "X25519"] },
    { sessionCacheSize: 0 },
  ];
  for (const options of taken) new TLSConfig(clientOptions(options), core)[Symbol.dispose]();
});

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`TLSConfig: psk authenticates both ends without certificates (${version})`, () => {
    for (const length of [1, 16, 32, 64, 256]) {
      const psk = { identity: "device", key: bytesFrom(length, length) };
      using client = new TLSConfig({ sslVersion, psk }, core);
      using server = new TLSConfig({ sslVersion, psk, serverSide: true }, core);
      using pair = new EnginePair(client, server, { serverHostname: undefined }).connect();
      assertEquals(pair.client.peerCertificates(), []);
      assertEquals(pair.send("client", encodeText("hello")), encodeText("hello"));
      for (const other of [{ ...psk, key: bytesFrom(99, length) }, { ...psk, identity: "other" }]) {
        using wrong = new TLSConfig({ sslVersion, psk: other }, core);
        using refused = new EnginePair(wrong, server, { serverHostname: undefined }).run();
        assert(!refused.server.handshakeDone && !refused.client.handshakeDone);
        assert(refused.errors.server !== undefined || refused.errors.client !== undefined);
      }
    }
  });
}

Deno.test("TLSConfig seals with the newest key of the process's ring, too", () => {
  using both = configs(core);
  const nameOf = () => {
    using pair = new EnginePair(both.client, both.server).connect();
    return pair.client.session()!.toBytes().toHex();
  };
  const ring = TicketKeyRing.shared();
  ring.rotate();
  const name = ring.keys()[0]!.subarray(0, 16).toHex();
  assert(nameOf().includes(name));
});

Deno.test("TLSConfig frees all that it took once its last engine is gone", () => {
  const own = fixedCore();
  {
    using both = configs(own);
    using _pair = new EnginePair(both.client, both.server).connect(); // what mbedTLS allocates once for all
  }
  const start = own.allocated;
  const both = configs(own, {}, { credential: credential("client") }, {
    certReqs: 2,
    trust: [source("roots.pem")],
  });
  const pair = new EnginePair(both.client, both.server).connect();
  both[Symbol.dispose]();
  assertEquals(pair.send("client", encodeText("goes on")), encodeText("goes on"));
  assertThrows(
    () => new EnginePair(both.client, both.server),
    TypeError,
    "Cannot use TLSConfig: it is disposed",
  );
  pair[Symbol.dispose]();
  assertEquals(own.allocated, start);
});
