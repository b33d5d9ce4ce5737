/** MicroPython's tls.SSLContext. */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import type { WrapSocketOptions } from "../lib/ssl.ts";
import { socket } from "../socket.ts";
import {
  CERT_NONE,
  CERT_OPTIONAL,
  CERT_REQUIRED,
  OSError,
  PROTOCOL_TLS_CLIENT,
  PROTOCOL_TLS_SERVER,
  save_session,
  SSLContext,
  SSLError,
  type SSLSocket,
} from "../ussl.ts";
import { certFile, identity, micropythonClient, run } from "./peers.ts";
import { pipe } from "./pipe.ts";
import { test } from "./sockets.ts";
import { listen, text } from "./tcp_sockets.ts";
import { DEFER, thrown } from "./ussl_helpers.ts";

const ROOT = certFile("root.pem");
const ROOT_PEM = Deno.readFileSync(ROOT);
const DER = Deno.readFileSync(certFile("ec.der"));
const KEY_DER = Deno.readFileSync(certFile("ec.key.der"));
const NAMED = { server_hostname: "localhost" };

/** Contexts of both sides that fit together. */
function contexts(): [client: SSLContext, server: SSLContext] {
  const [client, server] = [new SSLContext(PROTOCOL_TLS_CLIENT), new SSLContext(PROTOCOL_TLS_SERVER)];
  client.load_verify_locations(ROOT);
  server.load_cert_chain(identity("ec").cert, identity("ec").key);
  return [client, server];
}

/** A connection by them, the handshake deferred. */
async function connected(
  client: SSLContext,
  server: SSLContext,
  options: Parameters<SSLContext["wrap_socket"]>[1] = NAMED,
): Promise<[SSLSocket, SSLSocket, AsyncDisposable]> {
  const [near, far] = pipe();
  const made = [
    await client.wrap_socket(near, { ...options, ...DEFER }),
    await server.wrap_socket(far, DEFER),
  ] as const;
  return [...made, {
    [Symbol.asyncDispose]: async () => void await Promise.all(made.map((one) => one.close())),
  }];
}

test("SSLContext: both protocols, their first verify_mode, and no other", () => {
  assertEquals(new SSLContext(PROTOCOL_TLS_CLIENT).verify_mode, CERT_REQUIRED);
  assertEquals(new SSLContext(PROTOCOL_TLS_SERVER).verify_mode, CERT_NONE);
  for (const bad of [2, 7, "client", undefined]) {
    assertThrows(
      () => new SSLContext(bad as number),
      RangeError,
      "Cannot use protocol: expected PROTOCOL_TLS_CLIENT",
    );
  }
  return Promise.resolve();
});

test("SSLContext.wrap_socket(): one context, many connections, which resume each other's sessions", async () => {
  const [client, server] = contexts();
  let saved;
  for (const resumed of [false, true]) {
    const [mine, theirs, closer] = await connected(client, server, {
      ...NAMED,
      ...(saved && { saved_session: saved }),
    });
    await using _ = closer;
    await Promise.all([mine.do_handshake(), theirs.do_handshake()]);
    assertEquals(mine.session_reused, resumed);
    saved = await save_session(mine);
  }
});

test("SSLContext.wrap_socket(): of sockets, and MicroPython's client", async () => {
  const [, server] = contexts();
  const listener = await server.wrap_socket(socket(), { server_side: true });
  await using _ = listener;
  listener.bind(["127.0.0.1", 0]);
  listener.listen(2);
  const { port } = listener.localAddr as Deno.NetAddr;
  const theirs = micropythonClient({ port, hostname: "localhost", ca: ROOT, line: "a" });
  const [conn] = await listener.accept();
  await conn.write(text(await conn.readline())!.toUpperCase());
  await conn.close();
  assertEquals((await theirs).line, "A\n");
});

test("SSLContext.load_cert_chain(): data and paths, PEM and DER; what is wrong is told at once", async () => {
  const [client] = contexts();
  for (const [cert, key] of [[DER, KEY_DER], [identity("ec").cert, KEY_DER]] as const) {
    const server = new SSLContext(PROTOCOL_TLS_SERVER);
    server.load_cert_chain(cert, key);
    const [mine, theirs, closer] = await connected(client, server);
    await using _ = closer;
    await Promise.all([mine.do_handshake(), theirs.do_handshake()]);
    assertEquals(mine.getpeercert(true), DER);
  }
  const server = new SSLContext(PROTOCOL_TLS_SERVER);
  const missing = assertThrows(() => server.load_cert_chain("/no/such.pem", KEY_DER), OSError);
  assertEquals([missing.errno, missing.message], [2, 'Cannot load certfile "/no/such.pem": no such file']);
  assertThrows(() => server.load_cert_chain(DER, DER), TypeError, "Cannot load keyfile: ");
  assertThrows(() => server.load_cert_chain(new Uint8Array(5), KEY_DER), TypeError, "Cannot load certfile: ");
  assertThrows(() => server.load_cert_chain(DER, identity("rsa").key), TypeError, "match");
  assertThrows(
    () => server.load_cert_chain(DER, undefined as never),
    TypeError,
    "Cannot use keyfile: expected a path",
  );
  await assertRejects(() => server.wrap_socket(pipe()[0]), TypeError, "a server needs load_cert_chain()");
});

test("SSLContext.load_verify_locations(): cafile and cadata, one after the other; what is wrong is told at once", async () => {
  const [, server] = contexts();
  for (
    const source of [ROOT, ROOT_PEM, { cafile: ROOT }, {
      cafile: certFile("root-rsa.pem"),
      cadata: text(ROOT_PEM),
    }]
  ) {
    const client = new SSLContext(PROTOCOL_TLS_CLIENT);
    client.load_verify_locations(certFile("impostor-root.pem"));
    client.load_verify_locations(source);
    const [mine, theirs, closer] = await connected(client, server);
    await using _ = closer;
    await Promise.all([mine.do_handshake(), theirs.do_handshake()]);
  }
  const client = new SSLContext(PROTOCOL_TLS_CLIENT);
  assertEquals(assertThrows(() => client.load_verify_locations("/no/such.pem"), OSError).errno, 2);
  assertThrows(() => client.load_verify_locations(new Uint8Array(5)), TypeError, "Cannot load cadata: ");
  assertThrows(() => client.load_verify_locations({}), TypeError, "cafile and cadata are missing");
  assertThrows(() => client.load_verify_locations(5 as never), TypeError, "cafile and cadata are missing");
  await assertRejects(
    () => client.wrap_socket(pipe()[0], NAMED),
    TypeError,
    "verify_mode needs load_verify_locations()",
  );
});

test("SSLContext.verify_mode: REQUIRED refuses, OPTIONAL and NONE go on; what is changed counts afterwards", async () => {
  const [client, server] = contexts();
  const wrong = { server_hostname: "other.example" };
  for (const [mode, fails] of [[CERT_REQUIRED, true], [CERT_OPTIONAL, false], [CERT_NONE, false]] as const) {
    client.verify_mode = mode;
    const [mine, theirs, closer] = await connected(client, server, wrong);
    await using _ = closer;
    const both = await Promise.allSettled([mine.do_handshake(), theirs.do_handshake()]);
    assertEquals(both[0].status, fails ? "rejected" : "fulfilled");
    if (both[0].status === "rejected") assertInstanceOf(both[0].reason, SSLError);
  }
  assertThrows(() => client.verify_mode = 3 as 2, RangeError, "Cannot use verify_mode: ");
  client.verify_mode = CERT_REQUIRED;
  await assertRejects(
    () => client.wrap_socket(pipe()[0]),
    TypeError,
    "CERT_REQUIRED requires server_hostname",
  );
  await assertRejects(
    () => client.wrap_socket(pipe()[0], { ...NAMED, server_side: true }),
    TypeError,
    "Cannot use server_side: the context is a client's",
  );
  const bad = { ...NAMED, certfile: "x" } as WrapSocketOptions;
  await assertRejects(
    () => client.wrap_socket(pipe()[0], bad as never),
    TypeError,
    "Cannot use certfile: known are server_side",
  );

  server.verify_mode = CERT_REQUIRED;
  await assertRejects(
    () => server.wrap_socket(pipe()[0]),
    TypeError,
    "verify_mode needs load_verify_locations()",
  );
  server.load_verify_locations(ROOT);
  const [without, strict, closer] = await connected(client, server);
  await using _ = closer;
  without.read(1).catch(() => {});
  assertEquals(await thrown(() => strict.read(1)), [-29824, "MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE"]);
  client.load_cert_chain(identity("client").cert, identity("client").key);
  const [having, host, other] = await connected(client, server);
  await using __ = other;
  await Promise.all([having.do_handshake(), host.do_handshake()]);
});

test("SSLContext.get_ciphers(): spelled as MicroPython spells them", async () => {
  const ours = new SSLContext(PROTOCOL_TLS_CLIENT).get_ciphers();
  const { stdout } = await run("micropython", [
    "-c",
    "import tls; print('\\n'.join(tls.SSLContext(0).get_ciphers()))",
  ]);
  const theirs = new Set(stdout.trim().split("\n"));
  assert(ours.length > 10 && theirs.size > 10);
  assertEquals(ours.filter((name) => !theirs.has(name)), []); // Debian's mbedTLS has them all
});

test("SSLContext.set_ciphers(): in order, for both versions; unknown or none is MBEDTLS_ERR_SSL_BAD_CONFIG", async () => {
  const [client, server] = contexts();
  for (
    const name of [
      "TLS1-3-AES-256-GCM-SHA384",
      "TLS-ECDHE-ECDSA-WITH-AES-128-CBC-SHA256",
      "TLS_AES_128_GCM_SHA256",
    ]
  ) {
    for (const end of [client, server]) end.set_ciphers([name]); // a server, too, has CBC only where it is named
    const [mine, theirs, closer] = await connected(client, server);
    await using _ = closer;
    await Promise.all([mine.do_handshake(), theirs.do_handshake()]);
    assertEquals(
      mine.cipher()![0].replaceAll("-", "_").replace("TLS1_3", "TLS"),
      name.replaceAll("-", "_").replace("TLS1_3", "TLS"),
    );
  }
  for (const bad of [[], ["TLS-NO-SUCH"], ["TLS1-3-AES-256-GCM-SHA384", "x"]]) {
    const error = assertThrows(() => client.set_ciphers(bad), SSLError, "Cannot set_ciphers(): ");
    assertEquals(error.args, [-24192, "MBEDTLS_ERR_SSL_BAD_CONFIG"]);
  }
  for (const bad of ["TLS1-3-AES-256-GCM-SHA384", [5], undefined]) {
    assertThrows(() => client.set_ciphers(bad as never), TypeError, "expected a list of names");
  }
});

test("SSLContext.wrap_socket(): deferred, wrapped first, connected afterwards", async () => {
  const [client, server] = contexts();
  const [listener, address] = listen();
  await using _ = listener;
  const sock = socket();
  const mine = await client.wrap_socket(sock, { ...NAMED, do_handshake_on_connect: false });
  await sock.connect(address);
  const [conn] = await listener.accept();
  const theirs = await server.wrap_socket(conn, { ...DEFER, server_side: true });
  const [, line] = await Promise.all([mine.write("x\n"), theirs.readline()]);
  assertEquals(text(line), "x\n");
  await Promise.all([mine.close(), theirs.close()]);
});

test("SSLContext: a device's has the device's suites, once it is loaded", async () => {
  const context = new SSLContext(PROTOCOL_TLS_CLIENT, { profile: "rp2", heap: { budget: 50 * 1024 } });
  const unloaded = 'Cannot get_ciphers(): "rp2" is not loaded before the first wrap_socket()';
  assertThrows(() => context.get_ciphers(), TypeError, unloaded);
  context.verify_mode = CERT_NONE;
  const ss = await context.wrap_socket(socket(), { do_handshake: false });
  await ss.close();
  const suites = context.get_ciphers();
  assertEquals(suites.length, 24); // with those for a pre-shared key
  assertEquals(suites[0], "TLS-ECDHE-ECDSA-WITH-AES-256-GCM-SHA384");
  context.set_ciphers(["TLS-RSA-WITH-AES-128-CCM"]); // of another device
  await assertRejects(
    () => context.wrap_socket(socket()),
    TypeError,
    'the profile "rp2" has no "TLS-RSA-WITH-',
  );

  const wrong = (device: object, text: string) =>
    assertThrows(() => new SSLContext(PROTOCOL_TLS_CLIENT, device), TypeError, text);
  wrong({ profile: "esp8266" }, 'Cannot use profile: unknown name "esp8266"');
  wrong({ profile: 32 }, "Cannot use profile: expected a string, got number");
  wrong({ clock: 0 }, "Cannot use clock: known are profile, heap");
});
