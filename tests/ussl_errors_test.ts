/** How errors of the TLS layer and of the connection below are told: MicroPython's mbedtls_raise_error(). */
import { assert, assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { CODE, errorFromCode, SSLEOFError, SSLError as TLSError, verifyError } from "../lib/errors.ts";
import { toSeedError } from "../lib/ussl_errors.ts";
import { OSError, SSLError, wrap_socket } from "../ussl.ts";
import { pipe } from "./pipe.ts";
import { test } from "./sockets.ts";
import { CLIENT, DEFER, pair, thrown } from "./ussl_helpers.ts";

const reset = new Deno.errors.ConnectionReset("reset by peer");
const below = (cause: unknown) =>
  new SSLEOFError("Cannot read from the connection below TLS: reset by peer", {
    kind: "eof",
    code: CODE.CONN_EOF,
    cause,
  });

/** Errors of ours, and what a seed's program sees. */
const TABLE: Record<string, [error: unknown, args: readonly [number, string], isTls: boolean]> = {
  "out of memory": [errorFromCode("go on", CODE.ALLOC_FAILED), [12, "ENOMEM"], false],
  "an alert": [
    errorFromCode("read", CODE.FATAL_ALERT, { description: 40, name: "handshake_failure" }),
    [-30592, "MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE"],
    true,
  ],
  "an end without a goodbye": [
    errorFromCode("read", CODE.CONN_EOF),
    [-29312, "MBEDTLS_ERR_SSL_CONN_EOF"],
    true,
  ],
  "no record": [errorFromCode("read", CODE.INVALID_RECORD), [-29184, "MBEDTLS_ERR_SSL_INVALID_RECORD"], true],
  "no certificate": [
    errorFromCode("read", CODE.NO_CLIENT_CERTIFICATE),
    [-29824, "MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE"],
    true,
  ],
  "a code of two halves": [
    errorFromCode("read", -0x3d00 - 0x60),
    [-15712, "MBEDTLS_ERR_PK_KEY_INVALID_FORMAT+MBEDTLS_ERR_ASN1_OUT_OF_DATA"],
    true,
  ],
  "a number of the connection below, tunnelled": [below(reset), [104, "ECONNRESET"], false],
  "a socket below that was closed meanwhile": [
    below(new Deno.errors.Interrupted("operation canceled")),
    [9, "EBADF"],
    false,
  ],
  "an OSError of the socket below": [below(new OSError("EPIPE", "Cannot send()")), [32, "EPIPE"], false],
  "a failure below without a number": [
    below(new Deno.errors.UnexpectedEof("gone")),
    [-29312, "MBEDTLS_ERR_SSL_CONN_EOF"],
    true,
  ],
  "a failure below of any kind": [
    new TLSError("Cannot read from the connection below TLS: x", { kind: "closed", cause: new Error("x") }),
    [5, "EIO"],
    false,
  ],
  "a callback of the program's that failed": [
    new TLSError("Cannot complete TLS handshake: a callback threw", {
      kind: "verify",
      code: CODE.CERT_VERIFY_FAILED,
      cause: new Deno.errors.NotFound("its own"),
    }),
    [-9984, "MBEDTLS_ERR_X509_CERT_VERIFY_FAILED"],
    true,
  ],
  "a closed connection": [
    new TLSError("Cannot use the socket: it is closed", { kind: "closed" }),
    [9, "EBADF"],
    false,
  ],
  "an error of the platform": [reset, [104, "ECONNRESET"], false],
};

for (const [name, [error, args, isTls]] of Object.entries(TABLE)) {
  test(`SSLError: ${name} is ${args[1]}`, () => {
    const seen = toSeedError("read", error);
    assertInstanceOf(seen, OSError);
    assertEquals([seen.args, seen instanceof SSLError], [args, isTls]);
    if (isTls) assertEquals([seen.message, seen.cause], [(error as Error).message, error]);
    return Promise.resolve();
  });
}

test("SSLError: a certificate that is not accepted has its flags, and their words, as MicroPython's ValueError", () => {
  const words = "The certificate validity has expired";
  const ours = verifyError("complete TLS handshake", CODE.CERT_VERIFY_FAILED, 1, words, "localhost");
  const seen = toSeedError("connect", ours) as SSLError;
  assertEquals([seen.verify_flags, seen.verify_message, seen.name], [1, words, "SSLError"]);
  assertEquals(seen.message, "Cannot complete TLS handshake: the certificate validity has expired");
  return Promise.resolve();
});

test("SSLError: what is no error of a connection stays as it is", () => {
  const wrong = new TypeError("Cannot use p: expected a Uint8Array, got string");
  assertStrictEquals(toSeedError("write", wrong), wrong);
  return Promise.resolve();
});

test("SSLError: the end of the stream in a handshake, for both sides", async () => {
  for (const who of ["client", "server"]) {
    const [client, server, closer] = await pair();
    await using _ = closer;
    const [waits, leaves] = who === "client" ? [client, server] : [server, client];
    const handshake = thrown(() => waits.do_handshake());
    await leaves.close();
    assertEquals(await handshake, [-29312, "MBEDTLS_ERR_SSL_CONN_EOF"]);
    assertEquals(await thrown(() => waits.write("x")), [-29312, "MBEDTLS_ERR_SSL_CONN_EOF"]); // it stays
  }
});

test("SSLError: a reset of the connection below comes through with its own number", async () => {
  const [near, far] = pipe();
  await using client = await wrap_socket(near, { ...CLIENT, ...DEFER });
  const reading = thrown(() => client.read(1));
  near.failReads(reset);
  assertEquals(await reading, [104, "ECONNRESET"]);
  assert(!client.connected || (await thrown(() => client.write("x")))[0] === 104);
  far.close();
});

test("OSError.args: the number and its name, as MicroPython's e.args", () => {
  assertEquals(new OSError("EAGAIN", "Cannot recv()").args, [11, "EAGAIN"]);
  return Promise.resolve();
});
