/** Attacks on the hellos: older versions, compression, extensions, ALPN, HelloRetryRequest, binders. See docs/attacks.md. */
import { assert, assertEquals } from "@std/assert";
import { type Bytes, concat, encodeText } from "../lib/bytes.ts";
import { CERT_OPTIONAL, CERT_REQUIRED } from "../lib/policy.ts";
import { TLSVersion } from "../lib/suites.ts";
import { attack, type AttackOptions, Bystander, type Change, refuses } from "./attack.ts";
import {
  EXTENSION,
  extension,
  extensionsOf,
  type Hello,
  onHello,
  readHello,
  typeOf,
  writeHello,
} from "./hello_edits.ts";
import { uint16s, vector } from "./hellos.ts";
import {
  configs,
  credential,
  ENDS,
  EnginePair,
  fixedCore,
  fixedRing,
  peerOf,
  source,
  VERSIONS,
} from "./pair.ts";
import { MESSAGE, message, Sealer, SEALER_CIPHERS, TYPE } from "./records.ts";

const core = fixedCore();
const TLS12 = { sslVersion: TLSVersion.TLSv1_2 };
const TLS13 = { sslVersion: TLSVersion.TLSv1_3 };
const ALPN = { alpnProtocols: ["a"] };
const ENCRYPTED_EXTENSIONS = 8;
const CLOSED = /^(illegal_parameter|decode_error|unsupported_extension|missing_extension)$/;

// ---- Older versions ----------------------------------------------------------------------------------------

Deno.test("attack: downgrade: a ClientHello that was robbed of TLS 1.3 is found out by the server's random", () => {
  const rob = ({ head, extensions }: Hello) => ({
    head,
    extensions: extensions.filter((one) => typeOf(one) !== EXTENSION.supportedVersions),
  });
  refuses(core, "client", "illegal_parameter", onHello("client", rob));
});

Deno.test("attack: downgrade: the server's random of TLS 1.2 says that it could do more, and only then", () => {
  const random = (server: TLSVersion | undefined) => {
    using both = configs(core, {}, TLS12, server === undefined ? {} : { sslVersion: server });
    using pair = new EnginePair(both.client, both.server).connect();
    return new TextDecoder("latin1").decode(pair.flight("server").slice(5 + 4 + 2 + 24, 5 + 4 + 2 + 31));
  };
  assertEquals(random(undefined), "DOWNGRD");
  assert(random(TLSVersion.TLSv1_2) !== "DOWNGRD");
});

Deno.test("attack: downgrade: a ServerHello of TLS 1.2 with the sentinel of 1.1, of TLS 1.1, of SSL 3.0, of 1.3 outside", () => {
  const sentinel = (last: number): Change => (body) =>
    concat([body.slice(0, 26), new TextEncoder().encode("DOWNGRD"), Uint8Array.of(last), body.slice(34)]);
  for (const last of [0, 1]) {
    const messages = { [MESSAGE.serverHello]: sentinel(last) };
    refuses(core, "client", "illegal_parameter", { from: "server", messages, serverOptions: TLS12 });
  }
  for (const version of [0x0300, 0x0301, 0x0302, 0x0304]) {
    const messages = { [MESSAGE.serverHello]: (body: Bytes) => concat([uint16s(version), body.slice(2)]) };
    refuses(core, "client", /protocol_version|handshake_failure/, {
      from: "server",
      messages,
      serverOptions: TLS12,
    });
  }
});

Deno.test("attack: downgrade: a ServerHello that chooses TLS 1.2 by supported_versions, or a version of its own", () => {
  for (const version of [0x0303, 0x0302, 0x0305, 0x7f1c]) {
    const change = ({ head, extensions }: Hello) => ({
      head,
      extensions: extensions.map((one) =>
        typeOf(one) === EXTENSION.supportedVersions
          ? extension(EXTENSION.supportedVersions, uint16s(version))
          : one
      ),
    });
    refuses(core, "client", /illegal_parameter|protocol_version/, {
      both: TLS13,
      ...onHello("server", change),
    });
  }
});

/** Adds a suite to the ClientHello. */
const withSuite = (suite: number): Change => (body) => {
  const at = 35 + body[34]!;
  return concat([
    body.slice(0, at),
    vector(2, uint16s(suite), body.slice(at + 2, at + 2 + (body[at]! << 8 | body[at + 1]!))),
    body.slice(at + 2 + (body[at]! << 8 | body[at + 1]!)),
  ]);
};

Deno.test("attack: downgrade: TLS_FALLBACK_SCSV of a client that comes back with TLS 1.2 (RFC 7507)", () => {
  const messages = { [MESSAGE.clientHello]: withSuite(0x5600) };
  refuses(core, "server", "inappropriate_fallback", { from: "client", messages, clientOptions: TLS12 });
  // Where there is nothing to fall back from, it says nothing: the handshake goes on until somebody sees the change.
  for (const options of [{ both: TLS12 }, {}]) {
    using attacked = attack(core, { from: "client", messages, ...options });
    assertEquals(attacked.alerts.server.includes("inappropriate_fallback"), false);
  }
});

// ---- Compression -------------------------------------------------------------------------------------------

Deno.test("attack: compression: a client that demands it, a server that chooses it", () => {
  const offers = (...methods: number[]) => ({ head, extensions }: Hello) => ({
    head: concat([head.slice(0, -2), vector(1, Uint8Array.from(methods))]),
    extensions,
  });
  refuses(core, "server", "illegal_parameter", { both: TLS12, ...onHello("client", offers(1)) });
  for (const methods of [[1], [1, 0], [0, 1]]) {
    refuses(core, "server", "illegal_parameter", { both: TLS13, ...onHello("client", offers(...methods)) });
  }
  for (const both of [TLS12, TLS13]) {
    const chooses = ({ head, extensions }: Hello) => ({ head: head.with(head.length - 1, 1), extensions });
    refuses(core, "client", "illegal_parameter", { both, ...onHello("server", chooses) });
  }
});

// ---- Extensions --------------------------------------------------------------------------------------------

for (const [version, sslVersion] of VERSIONS) {
  const common = { both: { sslVersion }, clientOptions: ALPN, serverOptions: ALPN };

  for (const from of ["client", "server"] as const) {
    Deno.test(`attack: duplicate extensions: each of the ${from}'s hello, next to it and last (${version})`, () => {
      let types: number[] = [];
      {
        using _ = attack(core, {
          ...common,
          ...onHello(from, (one) => (types = one.extensions.map(typeOf), one)),
        });
      }
      assert(types.length >= 2);
      for (const at of types.keys()) {
        const next = ({ head, extensions }: Hello) => ({
          head,
          extensions: extensions.toSpliced(at, 0, extensions[at]!),
        });
        const last = ({ head, extensions }: Hello) => ({
          head,
          extensions: [...extensions, extensions[at]!],
        });
        for (const change of [next, last]) {
          refuses(core, peerOf(from), "illegal_parameter", { ...common, ...onHello(from, change) });
        }
      }
    });

    Deno.test(`attack: overlong vectors: a length in the ${from}'s hello that is one more, one less, 0 or all (${version})`, () => {
      const lengths: [at: number, width: number][] = [[34, 1]];
      const note: Change = (body) => {
        const { head, extensions } = readHello(body, from);
        if (from === "client") lengths.push([35 + body[34]!, 2], [head.length - 2, 1]);
        lengths.push([head.length, 2]);
        let at = head.length + 2;
        for (const one of extensions) {
          lengths.push([at + 2, 2]);
          at += one.length;
        }
        return body;
      };
      const type = from === "client" ? MESSAGE.clientHello : MESSAGE.serverHello;
      {
        using _ = attack(core, { ...common, from, messages: { [type]: note } });
      }
      using beside = new Bystander(core);
      for (const [at, width] of lengths) {
        for (const next of [(n: number) => n + 1, (n: number) => n - 1, () => 0, () => 256 ** width - 1]) {
          let isSame = false;
          const edit: Change = (body) => {
            const value = body.slice(at, at + width).reduce((n, byte) => n * 256 + byte, 0);
            const other = Math.max(0, next(value));
            isSame = other === value;
            const bytes = width === 1 ? [other & 255] : [other >> 8 & 255, other & 255];
            return concat([body.slice(0, at), Uint8Array.from(bytes), body.slice(at + width)]);
          };
          using attacked = attack(core, { ...common, from, messages: { [type]: edit } });
          const { pair } = attacked;
          if (isSame) continue;
          assert(
            pair.errors.client !== undefined || pair.errors.server !== undefined,
            `length at ${at}: it hangs`,
          );
          assertEquals(pair.client.handshakeDone && pair.server.handshakeDone, false);
          assertEquals([pair.received("client").length, pair.received("server").length], [0, 0]);
        }
      }
      beside.assertWell();
    });
  }
}

Deno.test("attack: duplicate extensions: in EncryptedExtensions and CertificateRequest", () => {
  const twice = (at: number): Change => (body) =>
    concat([body.slice(0, at), vector(2, body.slice(at + 2), body.slice(at + 2))]);
  const both = { ...TLS13, ...ALPN };
  refuses(core, "client", "illegal_parameter", {
    both,
    from: "server",
    messages: { [ENCRYPTED_EXTENSIONS]: twice(0) },
  });
  refuses(core, "client", "illegal_parameter", {
    both,
    serverOptions: { certReqs: CERT_OPTIONAL, trust: [source("root.pem")] },
    from: "server",
    messages: { [MESSAGE.certificateRequest]: twice(1) },
  });
});

Deno.test("attack: duplicate extensions: more than anyone can compare, in each hello; up to 64 are taken", () => {
  const unknown = (count: number) => Array.from({ length: count }, (_, i) => extension(0x4000 + i));
  const adds = (count: number) => ({ head, extensions }: Hello) => ({
    head,
    extensions: [...unknown(count - extensions.length), ...extensions],
  });
  for (const both of [TLS12, TLS13]) {
    refuses(core, "server", "illegal_parameter", { both, ...onHello("client", adds(65)) });
    refuses(core, "client", "illegal_parameter", { both, ...onHello("server", adds(65)) });
    using attacked = attack(core, { both, ...onHello("client", adds(64)) });
    assert(attacked.pair.flight("server").length > 500, "it goes on, until the Finished");
  }
});

Deno.test("attack: duplicate extensions: in a NewSessionTicket of TLS 1.3", () => {
  const lines: string[] = [];
  const shared = { ...TLS13, ciphers: SEALER_CIPHERS, keyLog: (line: string) => void lines.push(line) };
  using tickets = fixedRing();
  using both = configs(core, shared, {}, { tickets, numTickets: 0 });
  for (const [count, kind] of [[1, undefined], [2, "protocol"]] as const) {
    lines.length = 0;
    using pair = new EnginePair(both.client, both.server).connect();
    const early = extension(42, uint16s(0, 1));
    const extensions = vector(2, ...Array<Bytes>(count).fill(early));
    const body = concat([
      new Uint8Array([0, 0, 14, 16, 0, 0, 0, 0]),
      vector(1),
      vector(2, encodeText("t")),
      extensions,
    ]);
    pair.client.receive(new Sealer(pair, lines, "server", 0).seal(TYPE.handshake, message(4, body)));
    pair.run();
    assertEquals(pair.errors.client?.kind, kind);
  }
});

Deno.test("attack: signature schemes: one of another curve than the key's, at each end, in TLS 1.3", () => {
  const otherCurve: Change = (body) => concat([uint16s(0x0503), body.slice(2)]); // ecdsa_secp384r1_sha384
  const mutual: Partial<AttackOptions> = {
    clientOptions: { credential: credential("client") },
    serverOptions: { certReqs: CERT_REQUIRED, trust: [source("root.pem")] },
  };
  for (const from of ENDS) {
    const messages = { [MESSAGE.certificateVerify]: otherCurve };
    refuses(core, peerOf(from), "illegal_parameter", { both: TLS13, ...mutual, from, messages });
  }
});

Deno.test("attack: unsolicited extensions: a context in the CertificateRequest of a handshake", () => {
  const context: Change = (body) => concat([vector(1, Uint8Array.of(1)), body.slice(1)]);
  refuses(core, "client", "illegal_parameter", {
    both: TLS13,
    serverOptions: { certReqs: CERT_OPTIONAL, trust: [source("root.pem")] },
    from: "server",
    messages: { [MESSAGE.certificateRequest]: context },
  });
});

Deno.test("attack: unsolicited extensions: in a ServerHello and in EncryptedExtensions", () => {
  const alpn = extension(EXTENSION.alpn, vector(2, vector(1, Uint8Array.of(97))));
  const others = [0, 5, 10, 13, 18, 21, 42, 44, 0x1234, 0xff01].map((type) => extension(type));
  const adds = (one: Bytes) => ({ head, extensions }: Hello) => ({ head, extensions: [...extensions, one] });
  for (const one of [alpn, ...others]) {
    refuses(core, "client", CLOSED, { both: TLS13, ...onHello("server", adds(one)) });
  }
  // TLS 1.2: mbedTLS refuses what it knows and did not ask for; what it does not know has no effect.
  for (const one of [alpn, extension(35)]) {
    refuses(core, "client", "unsupported_extension", { both: TLS12, ...onHello("server", adds(one)) });
  }
  for (
    const one of [
      alpn,
      extension(5),
      extension(13),
      extension(42, uint16s(0)),
      extension(43),
      extension(51),
      extension(0x1234),
    ]
  ) {
    const edit: Change = (body) => vector(2, body.slice(2), one);
    refuses(core, "client", CLOSED, {
      both: TLS13,
      from: "server",
      messages: { [ENCRYPTED_EXTENSIONS]: edit },
    });
  }
});

// ---- ALPN --------------------------------------------------------------------------------------------------

Deno.test("attack: ALPN confusion: a server that chooses what was not offered, two at once, none, an empty one", () => {
  const b = Uint8Array.of(98);
  const answers: [string, Bytes][] = [
    ["not offered", extension(EXTENSION.alpn, vector(2, vector(1, b)))],
    ["none", extension(EXTENSION.alpn, vector(2))],
    ["empty", extension(EXTENSION.alpn, vector(2, vector(1)))],
    ["a length that is wrong", extension(EXTENSION.alpn, vector(2, Uint8Array.of(9), b))],
  ];
  const two: [string, Bytes] = [
    "two",
    extension(EXTENSION.alpn, vector(2, vector(1, Uint8Array.of(97)), vector(1, b))),
  ];
  const swap =
    (answer: Bytes) => (all: Bytes[]) => [...all.filter((one) => typeOf(one) !== EXTENSION.alpn), answer];
  for (const [what, answer] of [...answers, two]) {
    const alert = /illegal_parameter|decode_error|handshake_failure|no_application_protocol/;
    const change = ({ head, extensions }: Hello) => ({ head, extensions: swap(answer)(extensions) });
    refuses(core, "client", alert, { both: { ...TLS12, ...ALPN }, ...onHello("server", change) });
    const edit: Change = (body) => vector(2, ...swap(answer)(extensionsOf(body.slice(2))));
    // Two in TLS 1.3: mbedTLS takes the first, which was offered; the server stands by it with its Finished.
    const refusal = what === "two" ? "decrypt_error" : alert;
    refuses(core, "client", refusal, {
      both: { ...TLS13, ...ALPN },
      from: "server",
      messages: { [ENCRYPTED_EXTENSIONS]: edit },
    });
  }
});

// ---- HelloRetryRequest -------------------------------------------------------------------------------------

const RETRY = Uint8Array.fromHex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c");

/** A ServerHello that is a HelloRetryRequest with these extensions. */
function retry(...extensions: Bytes[]): Change {
  return (body) => {
    const { head } = readHello(body, "server");
    const all = [extension(EXTENSION.supportedVersions, uint16s(0x0304)), ...extensions];
    return writeHello({ head: concat([head.slice(0, 2), RETRY, head.slice(34)]), extensions: all });
  };
}

Deno.test("attack: HelloRetryRequest: without a change, for the group that was sent, for one that was not offered, malformed", () => {
  const both = { ...TLS13, groups: ["secp256r1", "secp384r1"] };
  const bad: [string, Bytes[]][] = [
    ["nothing to change", []],
    ["the group of the key that was sent", [extension(EXTENSION.keyShare, uint16s(23))]],
    ["a group that was not offered", [extension(EXTENSION.keyShare, uint16s(29))]],
    ["a group that is none", [extension(EXTENSION.keyShare, uint16s(0xffff))]],
    ["a key share without a group", [extension(EXTENSION.keyShare)]],
    ["a key in place of a group", [
      extension(EXTENSION.keyShare, uint16s(23), vector(2, new Uint8Array(65))),
    ]],
    ["an empty cookie", [extension(44, vector(2))]],
  ];
  for (const [_what, extensions] of bad) {
    refuses(core, "client", CLOSED, {
      both,
      from: "server",
      messages: { [MESSAGE.serverHello]: retry(...extensions) },
    });
  }
});

Deno.test("attack: HelloRetryRequest: a second one", () => {
  const both = { ...TLS13, groups: ["secp256r1", "secp384r1"] };
  const serverOptions = { groups: ["secp384r1"] }; // asks once by itself
  let hellos = 0;
  const again: Change = (body) =>
    ++hellos === 1 ? body : retry(extension(EXTENSION.keyShare, uint16s(23)))(body)!;
  refuses(core, "client", /unexpected_message|illegal_parameter/, {
    both,
    serverOptions,
    from: "server",
    always: true,
    messages: { [MESSAGE.serverHello]: again },
  });
  assertEquals(hellos, 2);
});

Deno.test("attack: HelloRetryRequest: another suite, another version behind it", () => {
  const both = {
    ...TLS13,
    groups: ["secp256r1", "secp384r1"],
    ciphers: ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"],
  };
  const serverOptions = { groups: ["secp384r1"] };
  const changes: Change[] = [
    (body) => body.with(34 + 1 + body[34]! + 1, 2), // 0x1302
    (body) => concat([uint16s(0x0302), body.slice(2)]),
  ];
  for (const change of changes) {
    let hellos = 0;
    const second: Change = (body) => ++hellos === 1 ? body : change(body)!;
    refuses(core, "client", /illegal_parameter|protocol_version/, {
      both,
      serverOptions,
      from: "server",
      always: true,
      messages: { [MESSAGE.serverHello]: second },
    });
  }
});

Deno.test("attack: HelloRetryRequest: a client that does not do as it was told", () => {
  const both = { ...TLS13, groups: ["secp256r1", "secp384r1"] };
  const serverOptions = { groups: ["secp384r1"] };
  let first: Bytes | undefined;
  const same: Change = (body) => first ??= body;
  refuses(core, "server", /illegal_parameter|handshake_failure|unexpected_message/, {
    both,
    serverOptions,
    from: "client",
    always: true,
    messages: { [MESSAGE.clientHello]: same },
  });
});
