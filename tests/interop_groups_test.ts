/** Groups of the key exchange, HelloRetryRequest, signature schemes, and certificates on larger curves. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { SSLError } from "tlsio";
import { GROUPS, SIGALGS } from "../lib/suites.ts";
import { closeInOrder, receive, ROOTS, send, tlsioClient, tlsioServer } from "./interop.ts";
import {
  gnutlsClient,
  gnutlsServer,
  identity,
  nodeClient,
  nodeServer,
  opensslClient,
  opensslServer,
  pythonClient,
  runSteps,
} from "./peers.ts";

const ECHO = { input: "ECHO 6 0\nhello\n", until: /^hello$/m };
const VERSIONS = ["1.2", "1.3"] as const;

/** Each group as the programs write it. */
const SPELT: Record<string, { openssl: string; told: string; gnutls: string }> = {
  x25519: { openssl: "X25519", told: "X25519", gnutls: "X25519" },
  secp256r1: { openssl: "P-256", told: "prime256v1", gnutls: "SECP256R1" },
  secp384r1: { openssl: "P-384", told: "secp384r1", gnutls: "SECP384R1" },
  secp521r1: { openssl: "P-521", told: "secp521r1", gnutls: "SECP521R1" },
};

for (const group of GROUPS.keys()) {
  const { openssl, told, gnutls } = SPELT[group]!;
  const args = ["-groups", openssl];

  for (const tls of VERSIONS) {
    Deno.test(`interop openssl s_client -> tlsio TLSv${tls} ${group} only: agreed`, async () => {
      // In TLS 1.2 the groups are those of certificates, too (RFC 8422 section 5.1): no ECDSA without its curve.
      await using server = await tlsioServer({ identity: "rsa" });
      const client = await opensslClient({ port: server.port, ca: ROOTS, tls, args, ...ECHO });
      assertEquals(client.code, 0, client.stderr);
      assertMatch(client.stdout, new RegExp(`^Server Temp Key: (ECDH, )?${told}`, "m"));
      assertEquals((await server.served(1))[0]?.group, group);
    });

    Deno.test(`interop tlsio -> openssl s_server TLSv${tls} ${group} only: agreed`, async () => {
      await using server = await opensslServer({ ...identity("rsa"), tls, args });
      const socket = await tlsioClient(server.port);
      assertEquals([socket.version(), socket.group()], [`TLSv${tls}`, group]);
      assertEquals((await runSteps(socket, ["LINE hello"]))[0]?.line, "olleh");
      await closeInOrder(socket);
    });

    Deno.test(`interop gnutls TLSv${tls} ${group} only: agreed in both directions`, async () => {
      const priority = `NORMAL:-VERS-ALL:+VERS-TLS${tls}:-GROUP-ALL:+GROUP-${gnutls}`;
      await using server = await tlsioServer({ identity: "rsa" });
      const client = await gnutlsClient({ port: server.port, ca: ROOTS, priority, ...ECHO });
      assertEquals(client.code, 0, client.stderr);
      assertEquals((await server.served(1))[0]?.group, group);

      await using host = await gnutlsServer({ ...identity("ec"), priority });
      const socket = await tlsioClient(host.port);
      assertEquals(socket.group(), group);
      await send(socket, "hello\n");
      assertEquals(await receive(socket, /\n/), "hello\n");
      await closeInOrder(socket);
    });
  }
}

/** How many ClientHellos went over the connection, by `-msg`. */
function hellos(text: string): number {
  return text.match(/Handshake \[length [0-9a-f]+\], ClientHello/g)?.length ?? 0;
}

for (const resumed of [false, true]) {
  const how = resumed ? "resumed" : "full";

  Deno.test(`interop openssl s_client -> tlsio TLSv1.3 HelloRetryRequest, ${how}: x25519 offered, P-384 wanted`, async () => {
    await using server = await tlsioServer({ groups: ["secp384r1"] });
    const session = await Deno.makeTempFile();
    try {
      const args = ["-groups", "X25519:P-384", "-msg"];
      const at = { port: server.port, ca: ROOTS, args };
      if (resumed) await opensslClient({ ...at, sessionOut: session });
      const client = await opensslClient({ ...at, ...ECHO, ...(resumed && { sessionIn: session }) });
      assertEquals([client.code, client.resumed, hellos(client.stdout)], [0, resumed, 2], client.stderr);
      const { group, resumed: ours } = (await server.served(resumed ? 2 : 1)).at(-1)!;
      assertEquals([group, ours], ["secp384r1", resumed]);
    } finally {
      await Deno.remove(session);
    }
  });

  Deno.test(`interop tlsio -> openssl s_server TLSv1.3 HelloRetryRequest, ${how}: x25519 offered, P-384 wanted`, async () => {
    await using server = await opensslServer({
      ...identity("ec"),
      args: ["-groups", "P-384", "-msg"],
    });
    const groups = { groups: ["x25519", "secp384r1"] };
    const visit = async (saved = {}) => {
      const before = hellos(server.program.stdout);
      const socket = await tlsioClient(server.port, { ...groups, ...saved });
      assertEquals((await runSteps(socket, ["LINE hello"]))[0]?.line, "olleh");
      const { session } = socket;
      const seen = { group: socket.group(), reused: socket.sessionReused };
      await closeInOrder(socket);
      return { ...seen, hellos: hellos(server.program.stdout) - before, session };
    };
    let { session, ...seen } = await visit();
    if (resumed) ({ session, ...seen } = await visit({ savedSession: session }));
    assertEquals(seen, { group: "secp384r1", reused: resumed, hellos: 2 });
  });
}

Deno.test("interop tlsio -> openssl s_server no group in common: an alert is the error", async () => {
  await using server = await opensslServer({ ...identity("ec"), args: ["-groups", "P-384"] });
  const error = await assertRejects(() => tlsioClient(server.port, { groups: ["x25519"] }), SSLError);
  assertEquals([error.kind, error.alert?.name], ["alert", "handshake_failure"]);
});

for (const tls of VERSIONS) {
  Deno.test(`interop openssl s_client -> tlsio TLSv${tls} no group in common: alert handshake_failure`, async () => {
    await using server = await tlsioServer({ groups: ["secp384r1"] });
    const client = await opensslClient({ port: server.port, ca: ROOTS, tls, args: ["-groups", "X25519"] });
    assertMatch(client.stderr, /alert handshake failure/);
    assertEquals((await server.failed() as SSLError).kind, "protocol");
  });
}

// ---- Signatures -----------------------------------------------------------------------------------------

/** The certificate of `certs/` whose key makes signatures of the scheme. */
function keyFor(scheme: string): string {
  if (scheme.startsWith("rsa")) return "rsa";
  return { secp256r1: "ec", secp384r1: "p384", secp521r1: "p521" }[scheme.split("_")[1]!]!;
}

/** "rsa_pss_rsae_sha256" is "SHA256", "RSA-PSS" for OpenSSL. */
function opensslWords(scheme: string): [digest: string, type: string] {
  const type = scheme.startsWith("rsa_pss") ? "RSA-PSS" : scheme.startsWith("rsa") ? "RSA" : "ECDSA";
  return [scheme.split("_").at(-1)!.toUpperCase(), type];
}

for (const scheme of SIGALGS.keys()) {
  for (const tls of VERSIONS) {
    if (tls === "1.3" && scheme.startsWith("rsa_pkcs1")) continue; // RFC 8446 section 4.2.3: certificates only
    const key = keyFor(scheme);
    const [digest, type] = opensslWords(scheme);

    // mbedTLS verifies RSA-PSS in TLS 1.2 but does not sign with it.
    const isSigner = tls === "1.3" || !scheme.startsWith("rsa_pss");
    const claim = isSigner ? "it signs the handshake" : "alert handshake_failure";
    Deno.test(`interop openssl s_client -> tlsio TLSv${tls} ${scheme} only: ${claim}`, async () => {
      await using server = await tlsioServer({ identity: key, sigalgs: [scheme] });
      const client = await opensslClient({ port: server.port, ca: ROOTS, tls, ...ECHO });
      if (!isSigner) return void assertMatch(client.stderr, /alert handshake failure/);
      assertEquals(client.code, 0, client.stderr);
      assertMatch(
        client.stdout,
        new RegExp(`^Peer signing digest: ${digest}\nPeer signature type: ${type}$`, "m"),
      );
    });

    Deno.test(`interop tlsio -> openssl s_server TLSv${tls} ${scheme} only: it signs the handshake`, async () => {
      await using server = await opensslServer({ ...identity(key), tls });
      const socket = await tlsioClient(server.port, { sigalgs: [scheme] });
      assertEquals((await runSteps(socket, ["LINE hello"]))[0]?.line, "olleh");
      await closeInOrder(socket);
    });
  }
}

for (const key of ["p384", "p521", "chain"]) {
  for (const tls of VERSIONS) {
    Deno.test(`interop python, node, gnutls, openssl -> tlsio TLSv${tls} certificate ${key}: accepted`, async () => {
      await using server = await tlsioServer({ identity: key });
      const at = { port: server.port, ca: ROOTS, tls };
      for (const connect of [pythonClient, nodeClient]) {
        const { connections } = await connect({ ...at, steps: ["ECHO 10 1"] });
        assertEquals(connections[0]?.steps[0]?.ok, true, connections[0]?.error);
      }
      assertEquals((await gnutlsClient({ ...at, ...ECHO })).code, 0);
      assertEquals((await opensslClient({ ...at, ...ECHO })).code, 0);
      assertEquals((await server.served(4)).map(({ ended }) => ended), ["eof", "eof", "eof", "eof"]);
    });

    Deno.test(`interop tlsio -> node, gnutls TLSv${tls} certificate ${key}: accepted`, async () => {
      await using node = await nodeServer({ ...identity(key), tls });
      await using gnutls = await gnutlsServer({ ...identity(key), tls });
      for (const { port } of [node, gnutls]) {
        const socket = await tlsioClient(port);
        assertEquals([socket.version(), socket.verifyFlags], [`TLSv${tls}`, 0]);
        assertEquals(socket.getUnverifiedChain().length, key === "chain" ? 2 : 1);
        await closeInOrder(socket);
      }
    });
  }
}
