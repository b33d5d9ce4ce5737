/** The options of wrap_socket(): what is wrong is told before anything is sent; and what their defaults are. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { socket } from "../socket.ts";
import {
  CERT_NONE,
  CERT_OPTIONAL,
  CERT_REQUIRED,
  OSError,
  SSLError,
  wrap_socket,
  type WrapOptions,
} from "../ussl.ts";
import { certFile, identity } from "./peers.ts";
import { pipe } from "./pipe.ts";
import { isPending, test } from "./sockets.ts";
import { text } from "./tcp_sockets.ts";
import { CLIENT, DEFER, pair, SERVER, thrown } from "./ussl_helpers.ts";

const ROOT = certFile("root.pem");
const { cert, key } = identity("ec");
const read = (path: string) => Deno.readFileSync(path);
const readText = (path: string) => Deno.readTextFileSync(path);

/** Wrong options, the class of the error, and what it says. */
const WRONG: [
  options: Record<string, unknown>,
  type: typeof TypeError | typeof RangeError,
  message: string,
][] = [
  [{ serverSide: true }, TypeError, "Cannot use serverSide: known are "],
  [{ verify: 1 }, TypeError, "Cannot use verify: known are "],
  [{ server_side: 1 }, TypeError, "Cannot use server_side: expected a boolean, got number"],
  [
    { server_side: true },
    TypeError,
    "Cannot use server_side: it needs certfile (or cert) and keyfile (or key)",
  ],
  [{ server_side: true, certfile: cert }, TypeError, "Cannot use server_side: it needs certfile"],
  [{ certfile: cert }, TypeError, "Cannot use certfile: keyfile (or key) is missing"],
  [{ key: read(key) }, TypeError, "Cannot use keyfile: certfile (or cert) is missing"],
  [
    { certfile: cert, cert: read(cert), key: read(key) },
    TypeError,
    "Cannot use cert: certfile is given, too",
  ],
  [{ keyfile: key, key: read(key), cert: read(cert) }, TypeError, "Cannot use key: keyfile is given, too"],
  [{ cert, key }, TypeError, "Cannot use cert: expected PEM text or bytes, got other text"], // a path
  [
    { certfile: 7, keyfile: key },
    TypeError,
    "Cannot use certfile: expected a path, PEM text or bytes, got number",
  ],
  [{ cert: read(key), key: read(key) }, TypeError, "Cannot load cert: "],
  [{ cert: read(cert), key: read(cert) }, TypeError, "Cannot load key: "],
  [{ certfile: key, keyfile: key }, TypeError, `Cannot load certfile "${key}": `],
  [{ certfile: cert, keyfile: identity("rsa").key }, TypeError, "match"],
  [
    { cert_reqs: 3 },
    RangeError,
    "Cannot use cert_reqs: expected CERT_NONE, CERT_OPTIONAL or CERT_REQUIRED, got 3",
  ],
  [{ cert_reqs: "2" }, TypeError, "Cannot use cert_reqs: expected a number, got string"],
  [
    { cert_reqs: CERT_REQUIRED, server_hostname: "x" },
    TypeError,
    "Cannot use cert_reqs: it needs ca_certs or cadata",
  ],
  [
    { cert_reqs: CERT_OPTIONAL, server_hostname: "x" },
    TypeError,
    "Cannot use cert_reqs: it needs ca_certs or cadata",
  ],
  [{ cert_reqs: CERT_REQUIRED, ca_certs: ROOT }, TypeError, "CERT_REQUIRED requires server_hostname"],
  [{ ...SERVER, cert_reqs: CERT_REQUIRED }, TypeError, "Cannot use cert_reqs: it needs ca_certs or cadata"],
  [{ ...CLIENT, ca_certs: key }, TypeError, `Cannot load ca_certs "${key}": `],
  [{ ...CLIENT, ca_certs: null, cadata: new Uint8Array(9) }, TypeError, "Cannot load cadata: "],
  [{ ...CLIENT, cadata: read(ROOT) }, TypeError, "Cannot use cadata: ca_certs is given, too"],
  [{ server_hostname: "a b" }, TypeError, 'Cannot use server_hostname: "a b" is not a host name'],
  [{ server_hostname: 5 }, TypeError, "Cannot use server_hostname: expected a string, got number"],
  [{ saved_session: "x" }, TypeError, "Cannot use saved_session: expected an object, got string"],
  [
    { saved_session: Promise.resolve() },
    TypeError,
    "Cannot use saved_session: expected an SSLSession or its bytes, got Promise",
  ],
  [
    { saved_session: new Uint8Array(40) },
    TypeError,
    "Cannot use saved_session: these are not the bytes of an SSLSession",
  ],
  [{ ssl_version: 1 }, RangeError, "Cannot use ssl_version: expected 0, 0x0303 or 0x0304, got 1"],
  [{ timeout: 0 }, RangeError, "Cannot use timeout: expected seconds above 0, got 0"],
  [{ timeout: NaN }, RangeError, "Cannot use timeout: expected seconds above 0, got NaN"],
  [{ timeout: "10" }, TypeError, "Cannot use timeout: expected a number, got string"],
  [{ do_handshake: 0 }, TypeError, "Cannot use do_handshake: expected a boolean, got number"],
  [
    { do_handshake: true, do_handshake_on_connect: false },
    TypeError,
    "Cannot use do_handshake: do_handshake_on_connect says otherwise",
  ],
];

test("wrap_socket(): a wrong option is an error that names it, before anything is sent, and the socket is still yours", async () => {
  for (const [options, type, message] of WRONG) {
    const [near] = pipe();
    const error = await assertRejects(
      () => wrap_socket(near, options as WrapOptions),
      type as typeof TypeError,
    );
    assert(error.message.includes(message), `${error.message}\nand not\n${message}`);
    assertEquals([near.writes, near.reads, near.closed], [[], [], false]);
  }
});

test("wrap_socket(): what is no socket and no stream is a TypeError, and so are options that are no object", async () => {
  for (const bad of [undefined, null, "socket", 5, {}, { readable: 1 }]) {
    await assertRejects(
      () => wrap_socket(bad as never, {}),
      TypeError,
      "Cannot wrap sock: expected a socket or a stream of bytes",
    );
  }
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const reader = readable.getReader();
  await assertRejects(() => wrap_socket({ readable, writable }), TypeError, "its readable stream is locked");
  assertEquals(writable.locked, false);
  reader.releaseLock();
  await assertRejects(() => wrap_socket(pipe()[0], "x" as never), TypeError, "expected an object of options");
});

test("wrap_socket(): a file that is missing is ENOENT and names the option, another cannot be read", async () => {
  for (
    const [name, options] of [
      ["certfile", { certfile: "/no/such.pem", keyfile: key }],
      ["keyfile", { certfile: cert, keyfile: "/no/such.pem" }],
      ["ca_certs", { ...CLIENT, ca_certs: "/no/such.pem" }],
    ] as const
  ) {
    const error = await assertRejects(() => wrap_socket(socket(), options), OSError);
    assertEquals(error.args, [2, "ENOENT"]);
    assertEquals(error.message, `Cannot load ${name} "/no/such.pem": no such file`);
  }
  const folder = { certfile: certFile("."), keyfile: key };
  assertEquals(await thrown(() => wrap_socket(socket(), folder)), [21, "EISDIR"]);
});

test("wrap_socket(): None is null: left out", async () => {
  const [near, far] = pipe();
  const nothing = {
    keyfile: null,
    certfile: null,
    key: null,
    cert: null,
    ca_certs: null,
    cadata: null,
    server_hostname: null,
    saved_session: null,
  };
  const [client, server] = await Promise.all([
    wrap_socket(near, { ...nothing, server_side: false, cert_reqs: CERT_NONE, ssl_version: 0 }),
    wrap_socket(far, { ...nothing, ...SERVER }),
  ]);
  assertEquals(client.getpeercert(), {}); // not checked
  await Promise.all([client.close(), server.close()]);
});

test("CERT_NONE: the default: nobody is checked, and ca_certs not even read", async () => {
  const [client, server, closer] = await pair(
    { cert_reqs: CERT_NONE, ca_certs: "/no/such.pem", server_hostname: "other.example" },
    { certfile: identity("expired").cert },
  );
  await using _ = closer;
  await Promise.all([client.do_handshake(), server.do_handshake()]);
  assertEquals(client.getpeercert(true) !== null, true);
  assertEquals(server.getpeercert(true), null);
});

test("CERT_OPTIONAL: as strict as CERT_REQUIRED, as in Pycom's, for both sides", async () => {
  const [client, server, closer] = await pair(
    { cert_reqs: CERT_OPTIONAL, server_hostname: "other.example" },
    { cert_reqs: CERT_OPTIONAL, ca_certs: ROOT },
  );
  await using _ = closer;
  server.do_handshake().catch(() => {});
  const error = await assertRejects(() => client.do_handshake(), SSLError);
  assertEquals([error.errorcode, error.verify_flags], ["MBEDTLS_ERR_X509_CERT_VERIFY_FAILED", 4]);

  const [without, strict, also] = await pair({}, { cert_reqs: CERT_OPTIONAL, ca_certs: ROOT });
  await using __ = also;
  without.read(1).catch(() => {});
  assertEquals(await thrown(() => strict.do_handshake()), [-29824, "MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE"]);
});

for (
  const [name, credential] of Object.entries({
    "paths": { certfile: cert, keyfile: key },
    "PEM text": { certfile: readText(cert), keyfile: readText(key) },
    "PEM bytes": { cert: read(cert), key: read(key) },
    "PEM text as data": { cert: readText(cert), key: readText(key) },
    "DER bytes": { cert: read(certFile("ec.der")), key: read(certFile("ec.key.der")) },
    "both kinds": { certfile: cert, key: read(key) },
  })
) {
  test(`wrap_socket(): certificate and key as ${name}`, async () => {
    const [near, far] = pipe();
    const [client, server] = await Promise.all([
      wrap_socket(near, { cert_reqs: CERT_REQUIRED, cadata: read(ROOT), server_hostname: "localhost" }),
      wrap_socket(far, { server_side: true, ...credential }),
    ]);
    await client.write("hi");
    assertEquals(text(await server.recv(9)), "hi");
    await Promise.all([client.close(), server.close()]);
  });
}

test("do_handshake_on_connect: CPython's name of do_handshake", async () => {
  const [near] = pipe();
  const client = await wrap_socket(near, { do_handshake_on_connect: false });
  assertEquals([near.writes, client.version()], [[], null]);
  await client.close();
  const waiting = wrap_socket(pipe()[0], { do_handshake_on_connect: true, timeout: 0.1 });
  assert(await isPending(waiting));
  await assertRejects(() => waiting, SSLError);
});

test("server_side: a saved_session and a server_hostname are a client's, and passed over", async () => {
  const [client, server, closer] = await pair({}, {
    server_hostname: "a b",
    saved_session: new Uint8Array(3),
    ...DEFER,
  });
  await using _ = closer;
  await Promise.all([client.do_handshake(), server.do_handshake()]);
});
