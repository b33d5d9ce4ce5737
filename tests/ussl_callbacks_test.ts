/** The callbacks of MicroPython's tls.SSLContext: verify_callback, ecdsa_sign_callback, server_psk_keys. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { peerCertificate } from "../lib/peer_certificate.ts";
import {
  CERT_NONE,
  CERT_REQUIRED,
  PROTOCOL_TLS_CLIENT,
  PROTOCOL_TLS_SERVER,
  SSLContext,
  SSLError,
  type SSLSocket,
} from "../ussl.ts";
import { certFile, identity } from "./peers.ts";
import { pipe } from "./pipe.ts";
import { test } from "./sockets.ts";
import { text } from "./tcp_sockets.ts";
import { DEFER } from "./ussl_helpers.ts";

const NAMED = { server_hostname: "localhost" };
const KEY = new Uint8Array(16).map((_, i) => i);
const SUITES = {
  "TLSv1.2": "TLS-ECDHE-ECDSA-WITH-AES-128-GCM-SHA256",
  "TLSv1.3": "TLS1-3-AES-128-GCM-SHA256",
};

function contexts(): [client: SSLContext, server: SSLContext] {
  const [client, server] = [new SSLContext(PROTOCOL_TLS_CLIENT), new SSLContext(PROTOCOL_TLS_SERVER)];
  client.load_verify_locations(certFile("root.pem"));
  server.load_cert_chain(identity("ec").cert, identity("ec").key);
  return [client, server];
}

/** Connects both; what each side's handshake came to. */
async function connect(
  client: SSLContext,
  server: SSLContext,
  options: { server_hostname?: string } = NAMED,
  use: (client: SSLSocket, server: SSLSocket) => Promise<unknown> = async (client, server) => {
    await client.write("ping\n");
    assertEquals(text(await server.readline()), "ping\n");
  },
): Promise<(SSLError | undefined)[]> {
  const [near, far] = pipe();
  const ends = [
    await client.wrap_socket(near, { ...options, ...DEFER }),
    await server.wrap_socket(far, DEFER),
  ] as const;
  const outcomes = await Promise.allSettled(ends.map((end) => end.do_handshake()));
  if (outcomes.every(({ status }) => status === "fulfilled")) await use(...ends);
  await Promise.all(ends.map((end) => end.close()));
  return outcomes.map((one) => one.status === "rejected" ? one.reason : undefined);
}

for (const [version, suite] of Object.entries(SUITES)) {
  test(`SSLContext.verify_callback: sees each certificate of the chain, the leaf last, ${version}`, async () => {
    const [client, server] = contexts();
    client.set_ciphers([suite]);
    const seen: [string, number][] = [];
    client.verify_callback = (cert, depth) => {
      seen.push([peerCertificate(cert).subject!.at(-1)![0]![1], depth]);
      return 0;
    };
    assertEquals(await connect(client, server), [undefined, undefined]);
    assertEquals(seen.map(([, depth]) => depth), [1, 0]);
    assertEquals(seen.at(-1)![0], "localhost");
  });

  test(`SSLContext.ecdsa_sign_callback: OpenSSL has the key, and gets what load_cert_chain() was given, ${version}`, async () => {
    const [client, server] = contexts();
    client.set_ciphers([suite]);
    const seen: string[] = [];
    server.ecdsa_sign_callback = (key, hash) => {
      seen.push(`${text(key)} ${hash.length}`);
      return opensslSign(hash);
    };
    server.load_cert_chain(certFile("ec.pem"), encodeText("slot 7"));
    assertEquals(await connect(client, server), [undefined, undefined]);
    assertEquals(seen, ["slot 7 32"]);
    server.load_cert_chain(certFile("ec.pem"), null);
    assertEquals(await connect(client, server), [undefined, undefined]);
    assertEquals(seen.at(-1), " 32");
  });
}

/** With the key of ec.pem. */
function opensslSign(hash: Uint8Array): Uint8Array<ArrayBuffer> {
  const file = Deno.makeTempFileSync();
  try {
    Deno.writeFileSync(file, hash);
    const args = ["pkeyutl", "-sign", "-inkey", certFile("ec.key"), "-in", file, "-pkeyopt", "digest:sha256"];
    const { success, stdout, stderr } = new Deno.Command("openssl", { args }).outputSync();
    assert(success, new TextDecoder().decode(stderr));
    return new Uint8Array(stdout);
  } finally {
    Deno.removeSync(file);
  }
}

test("SSLContext.verify_callback: 0 does not accept what mbedTLS refuses; another number, or a throw, refuses", async () => {
  const [client, server] = contexts();
  client.verify_callback = () => 0;
  const [refused] = await connect(client, server, { server_hostname: "other.example" });
  assertEquals(refused!.errorcode, "MBEDTLS_ERR_X509_CERT_VERIFY_FAILED");
  const cause = new Error("no such friend");
  for (
    const callback of [() => 1, () => -0x2700, () => {
      throw cause;
    }, () => "0" as never]
  ) {
    client.verify_callback = callback;
    const [error, theirs] = await connect(client, server);
    assert(error instanceof SSLError && error.verify_flags !== 0);
    assertEquals(theirs!.errorcode, "MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE");
  }
  client.verify_callback = null;
  assertEquals(await connect(client, server), [undefined, undefined]);
  client.verify_callback = () => 1;
  client.verify_mode = CERT_NONE; // as in mbedTLS: nothing is checked, nobody asked
  assertEquals(await connect(client, server), [undefined, undefined]);
});

test("SSLContext.verify_callback: a server's, about its clients", async () => {
  const [client, server] = contexts();
  client.load_cert_chain(identity("client").cert, identity("client").key);
  server.load_verify_locations(certFile("root.pem"));
  server.verify_mode = CERT_REQUIRED;
  const depths: number[] = [];
  server.verify_callback = (_, depth) => depths.push(depth) && 0;
  assertEquals(await connect(client, server), [undefined, undefined]);
  assertEquals(depths, [1, 0]);
});

test("SSLContext.ecdsa_sign_callback: one that fails, signs wrongly, or is asked for RSA ends the handshake", async () => {
  const [client, server] = contexts();
  server.ecdsa_sign_callback = () => {
    throw new Error("the element does not answer");
  };
  server.load_cert_chain(certFile("ec.pem"), null);
  assert((await connect(client, server))[1]!.message.includes("the element does not answer"));
  server.ecdsa_sign_callback = () => new Uint8Array(0);
  assert((await connect(client, server))[1] instanceof SSLError);
  server.ecdsa_sign_callback = () => opensslSign(new Uint8Array(32));
  assert((await connect(client, server))[0] instanceof SSLError);
  server.load_cert_chain(certFile("rsa.pem"), null);
  client.load_verify_locations(certFile("root-rsa.pem"));
  assert((await connect(client, server))[1]!.message.includes("ecdsa_sign_callback cannot sign rsa_"));
  server.ecdsa_sign_callback = null;
  await assertRejects(() => server.wrap_socket(pipe()[0]), TypeError, "load_cert_chain() was given no key");
});

test("SSLContext.psk_identity and psk_key: a client and a server with keys alone, by a Map or by get()", async () => {
  for (
    const keys of [new Map([["device 1", KEY]]), {
      get: (id: Uint8Array) => text(id) === "device 1" ? KEY : null,
    }]
  ) {
    const [client, server] = [new SSLContext(PROTOCOL_TLS_CLIENT), new SSLContext(PROTOCOL_TLS_SERVER)];
    [client.psk_identity, client.psk_key] = ["device 1", KEY];
    server.server_psk_keys = keys;
    assertEquals(await connect(client, server, {}), [undefined, undefined]);
    client.set_ciphers(["TLS-PSK-WITH-AES-128-GCM-SHA256"]);
    server.set_ciphers(["TLS-PSK-WITH-AES-128-GCM-SHA256"]);
    const used: unknown[] = [];
    await connect(
      client,
      server,
      {},
      (end) => Promise.resolve(used.push(end.cipher(), end.getpeercert(true))),
    );
    assertEquals(used, [["TLS-PSK-WITH-AES-128-GCM-SHA256", "TLSv1.2"], null]);

    client.psk_key = new Uint8Array(16);
    assert((await connect(client, server, {})).every((error) => error instanceof SSLError), "wrong key");
    [client.psk_identity, client.psk_key] = [encodeText("device 2"), KEY];
    assert(
      (await connect(client, server, {})).every((error) => error instanceof SSLError),
      "unknown identity",
    );
  }
});

test("SSLContext.server_psk_keys: one that fails or gives no bytes is a rejection, and no certificate takes its place", async () => {
  const [client, server] = contexts();
  server.server_psk_keys = {
    get() {
      throw new Error("the database is gone");
    },
  };
  [client.psk_identity, client.psk_key] = ["x", KEY];
  const [mine, theirs] = await connect(client, server);
  assert(mine instanceof SSLError && theirs!.message.includes("the database is gone"));
  server.server_psk_keys = { get: () => "text" as never };
  assert((await connect(client, server)).every((error) => error instanceof SSLError));
  [client.psk_identity, client.psk_key] = [null, null];
  assert((await connect(client, server)).every((error) => error instanceof SSLError), "no silent fallback");
});

test("SSLContext: callbacks and keys of the wrong type or side are told at once", async () => {
  const [client, server] = contexts();
  for (const name of ["verify_callback", "ecdsa_sign_callback"] as const) {
    assertThrows(
      () => client[name] = 5 as never,
      TypeError,
      `Cannot use ${name}: expected a function or null, got number`,
    );
  }
  assertThrows(() => client.psk_key = "x" as never, TypeError, "Cannot use psk_key: expected a Uint8Array");
  assertThrows(() => client.psk_key = new Uint8Array(257), RangeError, "a key has 1 to 256 bytes, got 257");
  assertThrows(() => client.psk_key = new Uint8Array(0), RangeError, "a key has 1 to 256 bytes, got 0");
  assertThrows(() => client.psk_identity = 5 as never, TypeError, "Cannot use psk_identity: ");
  assertThrows(() => server.psk_key = KEY, TypeError, "Cannot use psk_key: it is for clients");
  assertThrows(
    () => server.server_psk_keys = KEY as never,
    TypeError,
    "Cannot use server_psk_keys: expected a Map",
  );
  assertThrows(
    () => client.server_psk_keys = new Map(),
    TypeError,
    "Cannot use server_psk_keys: it is for servers",
  );
  client.psk_identity = "alone"; // half of it does nothing
  assertEquals(await connect(client, server), [undefined, undefined]);
});
