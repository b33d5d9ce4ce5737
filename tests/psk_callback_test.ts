/** pskCallback: a server with several pre-shared keys. */
import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { decodeText } from "../lib/bytes.ts";
import { SSLError } from "../lib/errors.ts";
import { PSK_MAX, type PskCallback } from "../lib/policy.ts";
import { saveSession, SSLContext, wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { tlsioServer } from "./interop.ts";
import { gnutlsClient, opensslClient } from "./peers.ts";
import { pipe } from "./pipe.ts";
import { assertTalk, closeBoth, test, VERSIONS } from "./sockets.ts";

const KEYS = new Map(["one", "two", "three"].map((name, i) => [name, new Uint8Array(32).fill(i + 1)]));
const find: PskCallback = (identity) => KEYS.get(decodeText(identity));

/** Both ends of a handshake with keys alone. */
function shake(
  client: WrapSocketOptions,
  server: WrapSocketOptions,
): [Promise<SSLSocket>, Promise<SSLSocket>] {
  const [near, far] = pipe();
  return [wrapSocket(near, client), wrapSocket(far, { serverSide: true, pskCallback: find, ...server })];
}

async function pairOf(
  client: WrapSocketOptions,
  server: WrapSocketOptions = {},
): Promise<[SSLSocket, SSLSocket]> {
  return await Promise.all(shake(client, server));
}

/** Both failures. */
async function refused(
  client: WrapSocketOptions,
  server: WrapSocketOptions = {},
): Promise<[SSLError, SSLError]> {
  const [near, far] = shake(client, server);
  return await Promise.all([assertRejects(() => near, SSLError), assertRejects(() => far, SSLError)]);
}

for (const [name, sslVersion] of Object.entries(VERSIONS)) {
  test(`pskCallback: ${name}, the key of each identity`, async () => {
    for (const [identity, key] of KEYS) {
      const [client, server] = await pairOf({ sslVersion, psk: { identity, key } });
      assertEquals([client.version(), client.getpeercert()], [name, undefined]);
      await assertTalk(client, server);
      await closeBoth(client, server);
    }
  });

  test(`pskCallback: ${name}, an unknown identity and a wrong key end the handshake at both ends`, async () => {
    const [client, server] = await refused({
      sslVersion,
      psk: { identity: "four", key: new Uint8Array(32) },
    });

    assertEquals(client.alert?.name, "unknown_psk_identity");
    assertEquals([server.kind, server.reason], ["protocol", "MBEDTLS_ERR_SSL_UNKNOWN_IDENTITY"]);
    const [wrong] = await refused({ sslVersion, psk: { identity: "one", key: new Uint8Array(32) } });
    assertEquals(wrong.kind, "alert");
  });

  test(`pskCallback: ${name}, what it throws or gives that is no key is the cause`, async () => {
    const psk = { identity: "one", key: KEYS.get("one")! };
    const cause = new Error("the table is locked");
    const fail = () => {
      throw cause;
    };
    for (
      const [pskCallback, words] of [
        [fail, "pskCallback ended it: it failed: the table is locked"],
        [() => "key", "it failed: Cannot use its key: expected a Uint8Array, got string"],
        [() => new Uint8Array(0), `it failed: a key has 1 to ${PSK_MAX} bytes, got 0`],
        [() => new Uint8Array(PSK_MAX + 1), `got ${PSK_MAX + 1}`],
      ] as [PskCallback, string][]
    ) {
      const [, server] = await refused({ sslVersion, psk }, { pskCallback });
      assertEquals(server.kind, "config");
      assertStringIncludes(server.message, words);
      if (pskCallback === fail) assertEquals(server.cause, cause);
    }
  });

  test(`pskCallback: ${name}, sessions are resumed by the server with the same one`, async () => {
    const psk = { identity: "two", key: KEYS.get("two")! };
    const first = await pairOf({ sslVersion, psk });
    await assertTalk(...first);
    const savedSession = saveSession(first[0])!;
    await closeBoth(...first);
    for (
      const [pskCallback, resumed] of [[find, true], [
        (id: Uint8Array<ArrayBuffer>) => find(id),
        false,
      ]] as const
    ) {
      const [client, server] = await pairOf({ sslVersion, psk, savedSession }, { pskCallback });
      assertEquals(client.sessionReused, resumed);
      await closeBoth(client, server);
    }
  });

  const tls = name.slice(4) as "1.2" | "1.3";
  Deno.test(`pskCallback: openssl TLSv${tls}, two identities; an unknown one`, async () => {
    await using server = await tlsioServer({ pskCallback: find });
    for (const [identity, key] of [...KEYS, ["four", new Uint8Array(32)] as const]) {
      const args = ["-psk", key.toHex(), "-psk_identity", identity, "-cipher", "ALL:PSK:@SECLEVEL=0"];
      const client = await opensslClient({ port: server.port, tls, args });
      assertEquals(client.code, identity === "four" ? 1 : 0, client.stderr);
      if (identity === "four") assertMatch(client.stderr, /alert unknown psk identity/);
    }
  });
}

Deno.test("pskCallback: gnutls TLSv1.3", async () => {
  await using server = await tlsioServer({ pskCallback: find });
  const args = ["--pskusername", "three", "--pskkey", KEYS.get("three")!.toHex()];
  const priority = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+ECDHE-PSK:+PSK";
  const client = await gnutlsClient({ port: server.port, priority, args });
  assertEquals([client.code, client.version], [0, "TLSv1.3"], client.stderr);
});

test("pskCallback: it is given identities as bytes, of any kind", async () => {
  const identity = new Uint8Array([0xff, 0, 0x80]);
  const seen: string[] = [];
  const key = new Uint8Array(16).fill(9);
  const pskCallback = (id: Uint8Array<ArrayBuffer>) => {
    seen.push(id.toHex());
    return key;
  };
  const [client, server] = await pairOf({ psk: { identity, key } }, { pskCallback });
  assertEquals(seen, ["ff0080"]);
  await closeBoth(client, server);
});

test("pskCallback: wrong options", async () => {
  const psk = { identity: "one", key: KEYS.get("one")! };
  for (
    const [options, words] of [
      [{ pskCallback: find }, "Cannot use pskCallback: it is for servers"],
      [{ serverSide: true, pskCallback: KEYS }, "Cannot use pskCallback: expected a function, got Map"],
      [{ serverSide: true, pskCallback: find, psk }, "Cannot use pskCallback: psk is given, too"],
    ] as [WrapSocketOptions, string][]
  ) {
    await assertRejects(() => SSLContext.create(options), TypeError, words);
  }
});
