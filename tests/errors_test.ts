import { assert, assertEquals, assertInstanceOf, assertMatch, assertStrictEquals } from "@std/assert";
import {
  alertForCode,
  alertOf,
  CODE,
  codeName,
  codeText,
  errorFromCode,
  SSLCertVerificationError,
  SSLEOFError,
  SSLError,
} from "../lib/errors.ts";
import codes from "../wasm/dist/error_codes.json" with { type: "json" };

Deno.test("SSLError says who is at fault, and carries mbedTLS's number and name", () => {
  const cause = new Error("below");
  const alert = alertOf(40);
  const error = new SSLError("Cannot read: x", { kind: "alert", code: CODE.FATAL_ALERT, alert, cause });
  assertInstanceOf(error, Error);
  assertEquals([error.name, error.message, error.kind, error.code], [
    "SSLError",
    "Cannot read: x",
    "alert",
    -0x7780,
  ]);
  assertEquals(error.reason, "MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE");
  assertEquals(error.alert, { description: 40, name: "handshake_failure" });
  assertStrictEquals(error.cause, cause);
});

Deno.test("SSLError without a code or a cause has none", () => {
  const error = new SSLError("Cannot read: the socket is closed", { kind: "closed" });
  assertEquals([error.code, error.reason, error.alert], [0, "", undefined]);
  assert(!("cause" in error));
});

Deno.test("SSLError's subclasses are SSLErrors with their own name", () => {
  const eof = new SSLEOFError("x", { kind: "eof" });
  const verify = new SSLCertVerificationError("x", { kind: "verify", verifyFlags: 9, verifyMessage: "why" });
  for (const error of [eof, verify]) assertInstanceOf(error, SSLError);
  assertEquals([eof.name, verify.name], ["SSLEOFError", "SSLCertVerificationError"]);
  assertEquals([verify.verifyFlags, verify.verifyMessage], [9, "why"]);
});

Deno.test("CODE has mbedTLS's numbers", () => {
  const known = new Map((codes as [number, string, string][]).map(([code, name]) => [code, name]));
  const names: Partial<Record<keyof typeof CODE, string>> = {
    FATAL_ALERT: "MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE",
    NEW_SESSION_TICKET: "MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET",
    CERT_VERIFY_FAILED: "MBEDTLS_ERR_X509_CERT_VERIFY_FAILED",
    KEY_PASSWORD_REQUIRED: "MBEDTLS_ERR_PK_PASSWORD_REQUIRED",
    KEY_PASSWORD_MISMATCH: "MBEDTLS_ERR_PK_PASSWORD_MISMATCH",
    KEY_TYPE_MISMATCH: "MBEDTLS_ERR_PK_TYPE_MISMATCH",
    PEER_CLOSE_NOTIFY: "MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY",
    ECP_VERIFY_FAILED: "MBEDTLS_ERR_ECP_VERIFY_FAILED",
    RSA_VERIFY_FAILED: "MBEDTLS_ERR_RSA_VERIFY_FAILED",
    BAD_PROTOCOL_VERSION: "MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION",
    ENTROPY_FAILED: "MBEDTLS_ERR_ENTROPY_SOURCE_FAILED",
  };
  for (const [key, code] of Object.entries(CODE)) {
    assertEquals(known.get(code), names[key as keyof typeof CODE] ?? `MBEDTLS_ERR_SSL_${key}`);
  }
});

Deno.test("codeName() and codeText() know every code of mbedTLS, alone and added to another", () => {
  for (const [code, name, text] of codes as [number, string, string][]) {
    assertEquals(codeName(code), name);
    assert(text !== "" && codeText(code) !== "", name);
    assert(!/\.$|n't/.test(codeText(code)), `${name}: ${codeText(code)}`);
  }
  const sum = -0x3d00 - 0x0060; // a key of a bad format, in which ASN.1 ran out of data
  assertEquals(codeName(sum), "MBEDTLS_ERR_PK_KEY_INVALID_FORMAT+MBEDTLS_ERR_ASN1_OUT_OF_DATA");
  assertMatch(codeText(sum), /^invalid key tag or value: /);
  assertEquals(
    [codeName(0), codeName(-0x0f80)],
    ["", "-0x0f80"],
    "a number without a name is itself",
  );
  assertEquals(codeName(-0x0001 - 0x7f00), "MBEDTLS_ERR_SSL_ALLOC_FAILED+MBEDTLS_ERR_ERROR_GENERIC_ERROR");
});

Deno.test("errorFromCode() says what was tried and why it failed", () => {
  const error = errorFromCode("read", CODE.INVALID_MAC);
  assertEquals([error.kind, error.code], ["protocol", CODE.INVALID_MAC]);
  assertEquals(error.message, "Cannot read: verification of the message MAC failed");
  const alert = errorFromCode("write", CODE.FATAL_ALERT, alertOf(80));
  assertEquals([alert.kind, alert.message], ["alert", "Cannot write: peer sent alert internal_error (80)"]);
  const eof = errorFromCode("read", CODE.CONN_EOF);
  assertInstanceOf(eof, SSLEOFError);
  assertEquals(eof.message, "Cannot read: peer closed the connection without a close_notify");
});

Deno.test("errorFromCode() tells the peer's fault from ours", () => {
  const kinds = {
    verify: ["CERT_VERIFY_FAILED", "NO_CLIENT_CERTIFICATE"],
    config: ["CA_CHAIN_REQUIRED", "BAD_CONFIG"],
    internal: ["ALLOC_FAILED", "INTERNAL_ERROR", "ENTROPY_FAILED"],
    timeout: ["TIMEOUT"],
    protocol: [
      "UNEXPECTED_MESSAGE",
      "DECODE_ERROR",
      "ILLEGAL_PARAMETER",
      "HANDSHAKE_FAILURE",
      "INVALID_RECORD",
    ],
  } as const;
  for (const [kind, names] of Object.entries(kinds)) {
    for (const name of names) assertEquals(errorFromCode("x", CODE[name]).kind, kind as "verify", name);
  }
  for (const [code, name] of codes as [number, string, string][]) {
    if (name.endsWith("_ALLOC_FAILED")) assertEquals(errorFromCode("x", code).kind, "internal", name);
  }
});

Deno.test("alertOf() names the alerts of RFC 8446 section 6", () => {
  const named: Record<number, string> = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    40: "handshake_failure",
    42: "bad_certificate",
    45: "certificate_expired",
    48: "unknown_ca",
    50: "decode_error",
    70: "protocol_version",
    90: "user_canceled",
    109: "missing_extension",
    110: "unsupported_extension",
    112: "unrecognized_name",
    116: "certificate_required",
    120: "no_application_protocol",
  };
  for (const [number, name] of Object.entries(named)) {
    assertEquals(alertOf(Number(number)), { description: Number(number), name });
  }
  assertEquals(alertOf(255), { description: 255, name: "unknown" });
});

Deno.test("errorFromCode() blames whom the caller names where mbedTLS does not say", () => {
  for (const code of [CODE.BAD_INPUT_DATA, CODE.KEY_TYPE_MISMATCH, -0x2180]) {
    assertEquals(errorFromCode("x", code).kind, "protocol");
    assertEquals(errorFromCode("x", code, undefined, "config").kind, "config");
  }
  assertEquals(errorFromCode("x", CODE.ALLOC_FAILED, undefined, "config").kind, "internal");
});

Deno.test("alertForCode() has an alert for whatever a peer did wrong, and none for what it said", () => {
  const alerts = {
    UNEXPECTED_MESSAGE: 10,
    DECODE_ERROR: 50,
    BAD_INPUT_DATA: 47,
    ECP_VERIFY_FAILED: 51,
    ALLOC_FAILED: 80,
  };
  for (const [name, alert] of Object.entries(alerts)) {
    assertEquals(alertForCode(CODE[name as "ALLOC_FAILED"]), alert);
  }
  assertEquals(
    [alertForCode(-0x4f80), alertForCode(-0x3f80)],
    [40, 80],
    "the rest: handshake_failure, internal_error",
  );
  for (const code of [CODE.FATAL_ALERT, CODE.CONN_EOF, CODE.CERT_VERIFY_FAILED]) {
    assertEquals(alertForCode(code), undefined);
  }
});
