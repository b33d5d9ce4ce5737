/** pins, onUnknownPeer: peers that are known by their keys. */
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { SSLCertVerificationError, SSLError } from "../lib/errors.ts";
import { type ConnectionState, publicKeyPin } from "../lib/peer_policy.ts";
import { CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED } from "../lib/policy.ts";
import { saveSession, wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import { certFile } from "./peers.ts";
import { pipe } from "./pipe.ts";
import { assertTalk, CLIENT, closeBoth, pair, SERVER, test, VERSIONS } from "./sockets.ts";
import { MUTUAL_CLIENT, MUTUAL_SERVER, pem, refusedBy, resume } from "./refusals.ts";

// ---- pins -----------------------------------------------------------------------------------------------

const LEAF_PIN = publicKeyPin(pem("ec.pem"));
const ROOT_PIN = publicKeyPin(pem("root.pem"));
const OTHER_PIN = publicKeyPin(pem("rsa.pem"));

test("publicKeyPin: what openssl makes of the key", async () => {
  const run = async (args: string[], input: Uint8Array) => {
    const child = new Deno.Command("openssl", { args, stdin: "piped", stdout: "piped", stderr: "null" })
      .spawn();
    const writer = child.stdin.getWriter();
    await writer.write(input);
    await writer.close();
    return (await child.output()).stdout;
  };
  for (const name of ["ec", "rsa", "p384"]) {
    const key = await run(["x509", "-pubkey", "-noout"], new TextEncoder().encode(pem(`${name}.pem`)));
    const der = await run(["pkey", "-pubin", "-outform", "der"], key);
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", der as Uint8Array<ArrayBuffer>));
    assertEquals(publicKeyPin(pem(`${name}.pem`)), `sha256//${hash.toBase64()}`);
  }
  assertEquals(publicKeyPin(await Deno.readFile(certFile("ec.der"))), LEAF_PIN);
  for (const bad of ["", "no PEM", pem("ec.key"), new Uint8Array(3)]) {
    assertThrows(() => publicKeyPin(bad), SSLError, "Cannot read the certificate");
  }
});

for (const [name, sslVersion] of Object.entries(VERSIONS)) {
  test(`pins: ${name}, the leaf's key or an authority's of the chain; no other`, async () => {
    for (const pins of [[LEAF_PIN], [OTHER_PIN, LEAF_PIN], [ROOT_PIN]]) {
      const again = await resume({ sslVersion, pins }, {});
      assert(again.client.sessionReused);
      await closeBoth(again.client, again.server);
    }
    const [ours, theirs] = await refusedBy("client", { sslVersion, pins: [OTHER_PIN] });
    assertEquals(ours.kind, "verify");
    assertStringIncludes(
      ours.message,
      `Cannot complete TLS handshake with "localhost": the peer has none of the pinned keys: its key is ${LEAF_PIN}`,
    );
    assertEquals(theirs.alert?.name, "bad_certificate");
  });

  test(`pins: ${name}, with CERT_NONE the leaf's key alone counts, whoever signed it`, async () => {
    const server = { certfile: pem("self.pem") + pem("root.pem"), keyfile: pem("self.key") };
    const client = { sslVersion, certReqs: CERT_NONE } as const;
    const { client: near, server: far } = await pair({
      client: { ...client, pins: [publicKeyPin(pem("self.pem"))] },
      server,
    });
    await assertTalk(near, far);
    await closeBoth(near, far);
    const [ours] = await refusedBy("client", { ...client, pins: [ROOT_PIN] }, server);
    assertStringIncludes(ours.message, "none of the pinned keys");
  });
}

test("pins: a server's clients, and one that shows no certificate", async () => {
  const pins = [publicKeyPin(pem("client.pem"))];
  const { client, server } = await pair({ client: MUTUAL_CLIENT, server: { ...MUTUAL_SERVER, pins } });
  await closeBoth(client, server);
  const optional = { ...MUTUAL_SERVER, certReqs: CERT_OPTIONAL, pins } as const;
  const [ours] = await refusedBy("server", optional);
  assertStringIncludes(ours.message, "none of the pinned keys: it sent no certificate");
});

test("pins: a session is resumed only under the same ones", async () => {
  const first = await pair();
  await assertTalk(first.client, first.server);
  const savedSession = saveSession(first.client)!;
  await closeBoth(first.client, first.server);
  const [ours] = await refusedBy("client", { savedSession, pins: [OTHER_PIN] });
  assertStringIncludes(ours.message, "none of the pinned keys");
});

// ---- onUnknownPeer --------------------------------------------------------------------------------------

const SELF = { certfile: pem("self.pem"), keyfile: pem("self.key") };

for (const [name, sslVersion] of Object.entries(VERSIONS)) {
  test(`onUnknownPeer: ${name}, trust on first use, then the same key alone, also of a resumed session`, async () => {
    const known = new Map<string, string>();
    let asked = 0;
    const onUnknownPeer = ({ serverHostname, pin }: ConnectionState) => {
      asked++;
      if (!known.has(serverHostname!)) known.set(serverHostname!, pin!);
      return known.get(serverHostname!) === pin;
    };
    const client = { sslVersion, onUnknownPeer };
    const again = await resume(client, SELF);
    assert(again.client.sessionReused);
    assertEquals([asked, again.client.verifyFlags & 8, known.get("localhost")], [
      2,
      8,
      publicKeyPin(pem("self.pem")),
    ]);
    await assertTalk(again.client, again.server);
    await closeBoth(again.client, again.server);

    const impostor = { certfile: pem("impostor.pem"), keyfile: pem("impostor.key") };
    const [ours, theirs] = await refusedBy("client", client, impostor);
    assertInstanceOf(ours, SSLCertVerificationError);
    assertStringIncludes(ours.message, "not correctly signed by the trusted CA");
    assertEquals([ours.kind, theirs.alert?.name], ["verify", "unknown_ca"]);

    const trusted = await pair({ client }); // nobody asks about a peer that an authority vouches for
    assertEquals([asked, trusted.client.verifyFlags], [3, 0]);
    await closeBoth(trusted.client, trusted.server);
  });

  test(`onUnknownPeer: ${name}, a server's unknown clients; one without a certificate is refused`, async () => {
    const seen: (string | undefined)[] = [];
    const server = {
      sslVersion,
      certReqs: CERT_REQUIRED,
      caCerts: [],
      onUnknownPeer: ({ pin }: ConnectionState) => Promise.resolve(seen.push(pin) === 1),
    } as const;
    const { client, server: far } = await pair({ client: MUTUAL_CLIENT, server });
    await assertTalk(client, far);
    await closeBoth(client, far);
    assertEquals(seen, [publicKeyPin(pem("client.pem"))]);
    const [, theirs] = await refusedBy("server", server, MUTUAL_CLIENT);
    assertEquals(theirs.alert?.name, "unknown_ca");
    const [none, alert] = await refusedBy("server", server);
    assertEquals([none.kind, none.reason], ["verify", "MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE"]);
    assertEquals(alert.alert?.name, name === "TLSv1.3" ? "certificate_required" : "handshake_failure");
    assertEquals(seen.length, 2);
  });
}

test("onUnknownPeer: a server is asked again about a client that resumes", async () => {
  for (const [name, sslVersion] of Object.entries(VERSIONS)) {
    const asked: [boolean, string | undefined][] = [];
    const onUnknownPeer = ({ sessionReused, pin }: ConnectionState) => {
      asked.push([sessionReused, pin]);
      return asked.length < 3;
    };
    const server = { certReqs: CERT_REQUIRED, caCerts: [], onUnknownPeer } as const;
    const client = { sslVersion, ...MUTUAL_CLIENT };
    const again = await resume(client, server);
    assertEquals([again.client.sessionReused, again.server.verifyFlags & 8], [true, 8]);
    await assertTalk(again.client, again.server);
    const savedSession = saveSession(again.client)!;
    await closeBoth(again.client, again.server);
    const pin = publicKeyPin(pem("client.pem"));
    assertEquals(asked, [[false, pin], [true, pin]], name);

    const [, theirs] = await refusedBy("server", server, { ...client, savedSession });
    assertEquals([theirs.alert?.name, asked.at(-1)], ["unknown_ca", [true, pin]], name);
  }
});

test("onUnknownPeer: not asked about a certificate that is bad in itself; what it throws, and a wrong answer", async () => {
  let asked = 0;
  const onUnknownPeer = () => ++asked > 0;
  const expired = { certfile: pem("expired.pem"), keyfile: pem("ec.key") };
  const [ours] = await refusedBy("client", { onUnknownPeer }, expired);
  assertStringIncludes(ours.message, "expired");
  const [name] = await refusedBy("client", { onUnknownPeer, serverHostname: "other.test" });
  assertStringIncludes(name.message, 'the certificate is not for "other.test"');
  assertEquals(asked, 0);

  const cause = new Error("the store is locked");
  const [failed] = await refusedBy("client", { onUnknownPeer: () => Promise.reject(cause) }, SELF);
  assertEquals([failed.kind, failed.cause], ["verify", cause]);
  const wrong = (() => {}) as unknown as () => boolean;
  const [undecided] = await refusedBy("client", { onUnknownPeer: wrong }, SELF);
  assertStringIncludes(
    undecided.message,
    "onUnknownPeer refuses the peer: expected true or false, got undefined",
  );
});

test("onUnknownPeer: a session that it accepted is not resumed without it", async () => {
  const first = await pair({ client: { onUnknownPeer: () => true }, server: SELF });
  await assertTalk(first.client, first.server);
  const savedSession = saveSession(first.client)!;
  await closeBoth(first.client, first.server);
  const [ours] = await refusedBy("client", { savedSession }, SELF);
  assertEquals((ours as SSLCertVerificationError).verifyFlags & 8, 8);
});

// ---- Arguments ------------------------------------------------------------------------------------------

const WRONG: [WrapSocketOptions, string][] = [
  [{ pins: [] }, "Cannot use pins: the list is empty, no peer would do"],
  [{ pins: LEAF_PIN as unknown as string[] }, "Cannot use pins: expected a list, got string"],
  [{ pins: [LEAF_PIN, "sha1//abc"] }, 'expected "sha256//" and the base64 of 32 bytes, got "sha1//abc"'],
  [{ pins: ["sha256//AAAA"] }, 'got "sha256//AAAA"'],
  [{ pins: [7 as unknown as string] }, "got number"],
  [{ pins: [LEAF_PIN], psk: { identity: "i", key: new Uint8Array(16) } }, "shows no certificate"],
  [
    { ...MUTUAL_SERVER, serverSide: true, pins: [LEAF_PIN], pskCallback: () => undefined },
    "shows no certificate",
  ],
  [{ ...SERVER, pins: [LEAF_PIN] }, "Cannot use pins: a server needs certReqs"],
  [{ onUnknownPeer: true as unknown as () => boolean }, "Cannot use onUnknownPeer: expected a function"],
  [{ certReqs: CERT_OPTIONAL, onUnknownPeer: () => true }, "it needs certReqs CERT_REQUIRED"],
  [{ verifyConnection: "no" as unknown as () => void }, "Cannot use verifyConnection: expected a function"],
  [{ verifyCallback: 1 as unknown as () => number }, "Cannot use verifyCallback: expected a function"],
  [{ certReqs: CERT_NONE, verifyCallback: () => 0 }, "Cannot use verifyCallback: with certReqs CERT_NONE"],
  [{ renegotiation: true, pins: [LEAF_PIN] }, "Cannot use renegotiation with"],
  [{ caCerts: [] }, "Cannot use caCerts: the list is empty"],
];

test("pins, onUnknownPeer, verifyConnection, verifyCallback: wrong options fail before any I/O", async () => {
  for (const [options, message] of WRONG) {
    await assertRejects(() => wrapSocket(pipe()[0], { ...CLIENT, ...options }), TypeError, message);
  }
});
