/** Peers that try to get past the program's say about them: certificates that can be read in two ways, a handshake that goes on. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { Connection } from "../lib/connection.ts";
import { PAUSED } from "../lib/engine_state.ts";
import { TLSEngine } from "../lib/engine.ts";
import { CODE, SSLError } from "../lib/errors.ts";
import { peerCertificate } from "../lib/peer_certificate.ts";
import { publicKeyPin } from "../lib/peer_policy.ts";
import { CERT_NONE, CERT_REQUIRED, type TLSConfigOptions } from "../lib/policy.ts";
import type { SSLSession } from "../lib/session.ts";
import { maskedCertificate } from "./masked_certificate.ts";
import {
  clientOptions,
  configs,
  credential,
  type End,
  ENDS,
  EnginePair,
  fixedCore,
  peerOf,
  serverOptions,
  source,
  VERSIONS,
} from "./pair.ts";
import { pem } from "./refusals.ts";

const PSK = { identity: "device", key: new Uint8Array(32).fill(1) };

function armor(der: Uint8Array): string {
  return `-----BEGIN CERTIFICATE-----\n${der.toBase64()}\n-----END CERTIFICATE-----\n`;
}

Deno.test("pins: a certificate that holds the PEM of a pinned one has its own key alone", async () => {
  const pin = publicKeyPin(pem("ec.pem"));
  const masked = await maskedCertificate(pem("ec.pem"));
  assert(publicKeyPin(masked.certificate) !== pin);
  assertEquals(peerCertificate(masked.certificate).subject, [[["commonName", "localhost"]]]);
  const credential = {
    chain: { name: "masked", bytes: encodeText(armor(masked.certificate)) },
    key: { name: "its key", bytes: masked.key },
  };
  for (const [, sslVersion] of VERSIONS) {
    const core = fixedCore();
    using client = new TLSConfig({ certReqs: CERT_NONE, pins: [pin], sslVersion }, core);
    using server = new TLSConfig(serverOptions({ credential }), core);
    using pair = new EnginePair(client, server);
    pair.run();
    assertEquals([pair.client.handshakeDone, pair.errors.client?.kind], [false, "verify"]);
  }
});

/** Handshakes of several kinds: options of the client, and of the server. */
const WAYS: Record<string, [client: TLSConfigOptions, server: TLSConfigOptions]> = {
  "full, and by ticket": [{}, {}],
  "full, and by session id": [{}, { tickets: false }],
  "with a client's certificate": [{ credential: credential("client") }, {
    certReqs: CERT_REQUIRED,
    trust: [source("root.pem")],
  }],
  "with HelloRetryRequest": [{ groups: ["secp384r1", "secp256r1"] }, { groups: ["secp256r1"] }],
  "with a pre-shared key": [{ psk: PSK }, { pskCallback: () => PSK.key }],
};

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`pins, verifyConnection: what fails while a peer is judged ends the handshake for good (${version})`, () => {
    const core = fixedCore();
    const pins = [publicKeyPin(pem("rsa.pem"))];
    using client = new TLSConfig(clientOptions({ pins, verifyConnection() {}, sslVersion }), core);
    using server = new TLSConfig(serverOptions({ sslVersion }), fixedCore());
    using pair = new EnginePair(client, server);
    const { alloc } = core;
    core.alloc = (size) => {
      core.alloc = alloc; // the next one has memory again
      throw new SSLError(`Cannot allocate ${size} bytes`, { kind: "internal", code: CODE.ALLOC_FAILED });
    };
    pair.run();
    assertEquals([pair.errors.client?.code, pair.errors.server?.alert?.name], [
      CODE.ALLOC_FAILED,
      "internal_error",
    ]);
    for (const again of ["handshake", "accept"] as const) {
      assertThrows(() => pair.client[again](), SSLError, "Cannot allocate");
    }
    assertThrows(() => pair.client.write(encodeText("secret")), SSLError, "Cannot allocate");
    assertEquals([pair.client.handshakeDone, pair.server.handshakeDone], [false, false]);
  });
}

/** A judge that was asked, and then refuses, after everything that could get past it. */
function assertHolds(pair: EnginePair, judge: End): void {
  const ours = pair[judge];
  const theirs = pair[peerOf(judge)];
  const buffer = new Uint8Array(100);
  if (theirs.handshakeDone) { // it had the last word but one: its data is there, and is not given
    theirs.write(encodeText("too early"));
    ours.receive(theirs.takeRecords());
  }
  for (let round = 0; round < 3; round++) {
    assertEquals(ours.handshake(), { state: "verify" });
    assertEquals([ours.read(buffer), ours.write(encodeText("secret"))], [{ state: "need-records" }, 0]);
    assertEquals(ours.readEarlyData(buffer).state === "data", false);
    assertThrows(() => ours.exportKeyingMaterial(16, "EXPORTER-x"), SSLError);
    assertEquals([ours.session(), ours.pending, ours.hasRecords], [undefined, 0, false]);
  }
  const error = new SSLError("not you", { kind: "verify" });
  assertThrows(() => ours.refuse(error, 42), SSLError, "not you");
  for (const call of [() => ours.handshake(), () => ours.accept(), () => ours.read(buffer)]) {
    assertThrows(call, SSLError, "not you");
  }
  assertThrows(() => ours.write(buffer), SSLError, "not you");
  theirs.receive(ours.takeRecords());
  const alert = assertThrows(() => {
    if (!theirs.handshakeDone) theirs.handshake();
    theirs.read(buffer);
  }, SSLError);
  assertEquals(alert.alert?.name, "bad_certificate", "under keys that the peer can read");
}

for (const [version, sslVersion] of VERSIONS) {
  for (const [way, options] of Object.entries(WAYS)) {
    Deno.test(`verifyConnection: neither end gives or takes data before it, whatever is called (${version}, ${way})`, () => {
      for (const judge of ENDS) {
        const core = fixedCore();
        const own = { verifyConnection() {} };
        const client = { ...options[0], ...(judge === "client" && own) };
        using both = configs(core, { sslVersion }, client, { ...options[1], ...(judge === "server" && own) });
        const savedSession = sessionFor(both.client, both.server, judge);
        for (const resumed of [undefined, savedSession]) {
          using pair = new EnginePair(both.client, both.server, { savedSession: resumed });
          pair.run();
          assertEquals(pair[judge].sessionReused, resumed !== undefined);
          assertHolds(pair, judge);
        }
      }
    });
  }
}

Deno.test("earlyData: it is refused where somebody has a say about the peer first", () => {
  const core = fixedCore();
  for (const [name, judge] of [["onUnknownPeer", () => true], ["verifyConnection", () => {}]] as const) {
    using config = new TLSConfig(clientOptions({ [name]: judge }), core);
    const options = { serverHostname: "localhost", earlyData: encodeText("GET /") };
    assertThrows(() => new TLSEngine(config, options), TypeError, `before ${name}`);
    const server = serverOptions({ maxEarlyData: 100, [name]: judge });
    const asked = { ...server, certReqs: CERT_REQUIRED, trust: [source("root.pem")] } as const;
    assertThrows(() => new TLSConfig(asked, core), TypeError, "maxEarlyData");
  }
});

Deno.test("Core: reading or writing does not take a connection through its handshake, nor past its pause", () => {
  const core = fixedCore();
  using both = configs(core, {}, { verifyConnection() {} });
  const connection = new Connection(both.client);
  connection.setHost("localhost", true);
  const cannot = () => {
    const codes = [connection.read(new Uint8Array(10)), connection.write(encodeText("secret"))];
    assertEquals(codes, [CODE.BAD_INPUT_DATA, CODE.BAD_INPUT_DATA]);
    assertEquals(connection.wire.outputLength, 0);
  };
  cannot();
  assertEquals(connection.handshake(false), CODE.WANT_READ);
  using server = new TLSEngine(both.server);
  server.receive(connection.wire.take());
  server.handshake();
  connection.wire.receive(server.takeRecords());
  assertEquals(connection.handshake(false), PAUSED);
  cannot();
  connection.free();
});

/** A session of a handshake in which `judge` accepts its peer. */
function sessionFor(
  client: TLSConfig,
  server: TLSConfig,
  judge: "client" | "server",
): SSLSession | undefined {
  using pair = new EnginePair(client, server);
  pair.run();
  pair[judge].accept();
  pair.connect();
  return pair.client.session();
}
