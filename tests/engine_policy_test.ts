/** An engine that judges its peer: the pause of the handshake, without I/O; and that nothing of it stays behind. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { SSLError } from "../lib/errors.ts";
import { publicKeyPin } from "../lib/peer_policy.ts";
import type { SignHash, TLSConfigOptions } from "../lib/policy.ts";
import {
  byteAtATime,
  configs,
  credential,
  EnginePair,
  FAITHFUL,
  fixedCore,
  type PairOptions,
  source,
  VERSIONS,
} from "./pair.ts";

const ASK = { verifyConnection: () => {} };
const pem = (name: string) => new TextDecoder().decode(source(name).bytes);

for (const [name, sslVersion] of VERSIONS) {
  for (const [how, deliver] of Object.entries(FAITHFUL)) {
    Deno.test(`TLSEngine.accept() ${name}, ${how}: handshake() stays at "verify" until then, for each end`, () => {
      const core = fixedCore();
      using both = configs(core, { sslVersion, ...ASK });
      using pair = new EnginePair(both.client, both.server, { deliver });
      pair.run();
      assertEquals([pair.client.handshake().state, pair.server.handshake().state], [
        "verify",
        "need-records",
      ]);
      assertEquals(pair.client.read(new Uint8Array(1)), { state: "need-records" });
      assertEquals(pair.client.write(new Uint8Array(1)), 0);
      const state = pair.client.connectionState(undefined);
      assertEquals([state.version, state.pin, state.verifyFlags], [name, publicKeyPin(pem("ec.pem")), 0]);
      assertEquals([pair.client.handshakeDone, pair.client.session()], [false, undefined]);

      pair.client.accept();
      pair.run();
      assertEquals(pair.server.handshake().state, "verify");
      assertEquals(pair.server.connectionState(undefined).peerCertificates, []);
      pair.server.accept();
      pair.run();
      assert(pair.client.handshakeDone && pair.server.handshakeDone);
      assertEquals(pair.send("client", new Uint8Array([1, 2])), new Uint8Array([1, 2]));
      assertEquals(pair.send("server", new Uint8Array([3])), new Uint8Array([3]));
    });
  }

  Deno.test(`TLSEngine.refuse() ${name}: at "verify" it sends the alert under keys that the peer can read`, () => {
    const core = fixedCore();
    for (const end of ["client", "server"] as const) {
      using both = configs(core, { sslVersion }, end === "client" ? ASK : {}, end === "server" ? ASK : {});
      using pair = new EnginePair(both.client, both.server);
      pair.run();
      const error = new SSLError("Cannot go on: not this one", { kind: "verify" });
      assertThrows(() => pair[end].refuse(error, 49), SSLError, "not this one");
      pair.run();
      assertEquals(pair[end].error, error);
      assertEquals(pair.errors[end === "client" ? "server" : "client"]?.alert?.name, "access_denied");
    }
  });

  Deno.test(`TLSEngine ${name}: it pauses once whether the offered session is taken or not, and after a retry`, () => {
    const core = fixedCore();
    using both = configs(core, { sslVersion }, ASK);
    using without = configs(core, { sslVersion }, ASK, { tickets: false, sessionCacheSize: 0 });
    using first = judged(both);
    first.send("server", new Uint8Array(1)); // its ticket comes with it
    const savedSession = first.client.session()!;
    using taken = judged(both, { savedSession });
    using declined = judged(without, { savedSession });
    assertEquals([taken.client.sessionReused, declined.client.sessionReused], [true, false]);
    using retry = configs(core, { sslVersion }, ASK, { groups: ["secp384r1"] });
    using retried = judged(retry);
    assertEquals(retried.client.group, "secp384r1");
  });

  Deno.test(`TLSEngine ${name}: with a pre-shared key it pauses, too`, () => {
    const core = fixedCore();
    const psk = { identity: "i", key: new Uint8Array(32).fill(3) };
    using both = configs(core, { sslVersion, psk }, ASK);
    using pair = judged(both);
    assertEquals(pair.client.connectionState(undefined).pin, undefined);
  });
}

/** A pair whose client has paused once, and gone on. */
function judged(both: ReturnType<typeof configs>, options: PairOptions = {}): EnginePair {
  const pair = new EnginePair(both.client, both.server, options);
  pair.run();
  assertEquals(pair.client.handshake().state, "verify");
  pair.client.accept();
  pair.run();
  assert(
    pair.client.handshakeDone && pair.server.handshakeDone,
    `${pair.errors.client ?? pair.errors.server}`,
  );
  return pair;
}

Deno.test("TLSEngine: pins are checked without anyone's help, at each end", () => {
  const core = fixedCore();
  const mutual = { certReqs: 2, trust: [source("roots.pem")], credential: credential("client") } as const;
  const pins = (name: string): TLSConfigOptions => ({ pins: [publicKeyPin(pem(name))] });
  for (
    const [clientPins, serverPins, fails] of [
      ["ec.pem", "client.pem", undefined],
      ["client.pem", "client.pem", "client"],
      ["root.pem", "rsa.pem", "server"],
    ] as const
  ) {
    using both = configs(core, mutual, pins(clientPins), {
      ...pins(serverPins),
      credential: credential("ec"),
    });
    using pair = new EnginePair(both.client, both.server, { deliver: byteAtATime }).run();
    assertEquals(Object.keys(pair.errors).includes(fails ?? "none"), fails !== undefined);
    if (fails !== undefined) assertEquals(pair.errors[fails]?.kind, "verify");
  }
});

Deno.test("a core holds nothing after configs with sign, pskCallback, pins and hooks, and their connections, refused or not", () => {
  const core = fixedCore();
  const sign: SignHash = () => {
    throw new Error("no");
  };
  const kinds: [TLSConfigOptions, TLSConfigOptions][] = [
    [ASK, ASK],
    [{ pins: [publicKeyPin(pem("rsa.pem"))] }, {}],
    [{ verifyCallback: () => 0 }, {}],
    [{ verifyCallback: () => -1 }, {}],
    [{ trust: [], onUnknownPeer: () => true }, {}],
    [{}, { credential: { chain: source("ec.pem"), sign } }],
    [{}, { credential: { chain: source("rsa.pem"), sign } }],
    [{}, { credential: [credential("ec"), credential("rsa")] as never }],
    [{ psk: { identity: "i", key: new Uint8Array(9) } }, { pskCallback: () => undefined }],
    [{ psk: { identity: "i", key: new Uint8Array(9) } }, { pskCallback: () => new Uint8Array(9) }],
  ];
  const all = () => {
    for (const [, sslVersion] of VERSIONS) {
      for (const [client, server] of kinds) {
        using both = configs(core, { sslVersion }, client, server);
        using pair = new EnginePair(both.client, both.server).run();
        both.server.withCertificate({ credentials: [credential("ec") as never] }, () => {});
        if (pair.client.error === undefined && !pair.client.handshakeDone) pair.client.accept();
        pair.run();
      }
    }
  };
  all(); // what is made once
  const before = core.allocated;
  for (let i = 0; i < 3; i++) all();
  assertEquals(core.allocated, before);
});
