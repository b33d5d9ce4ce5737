/**
 * Errors: one {@linkcode SSLError} that says who is at fault, and the few subclasses that callers catch.
 *
 * @module
 */

import codes from "../wasm/dist/error_codes.json" with { type: "json" };

/**
 * Who or what is at fault.
 *
 * - `"alert"`: the peer gave up and said why (`alert`).
 * - `"protocol"`: the peer broke the protocol, or the two have no version, suite or group in common.
 * - `"verify"`: the peer's certificate was not accepted.
 * - `"eof"`: the peer went away without a close_notify: what it sent may be cut short.
 * - `"timeout"`: the peer took too long.
 * - `"closed"`: the connection is closed, by us.
 * - `"config"`: the certificates, keys or options do not fit together.
 * - `"internal"`: the core failed: out of memory, or a defect of tlsio's.
 */
export type SSLErrorKind =
  | "alert"
  | "protocol"
  | "verify"
  | "eof"
  | "timeout"
  | "closed"
  | "config"
  | "internal";

/** An alert: its number and its name in RFC 8446 section 6. */
export interface Alert {
  /** The AlertDescription, 0 to 255. */
  readonly description: number;
  /** Its name, such as `"handshake_failure"`; `"unknown"` for a number without one. */
  readonly name: string;
}

/** What an {@linkcode SSLError} is made of. */
export interface SSLErrorInit {
  /** Who is at fault. */
  kind: SSLErrorKind;
  /** mbedTLS's error code, below 0; 0 when the error is tlsio's own. */
  code?: number;
  /** The alert that the peer sent. */
  alert?: Alert | undefined;
  /** The error behind this one. */
  cause?: unknown;
}

/** mbedTLS error codes that tlsio acts on. The full list is generated from mbedTLS's headers. */
export const CODE = {
  WANT_READ: -0x6900,
  WANT_WRITE: -0x6880,
  TIMEOUT: -0x6800,
  CONN_EOF: -0x7280,
  FATAL_ALERT: -0x7780,
  PEER_CLOSE_NOTIFY: -0x7880,
  NEW_SESSION_TICKET: -0x7b00,
  HELLO_VERIFY_REQUIRED: -0x6a80,
  CANNOT_WRITE_EARLY_DATA: -0x7c80,
  INVALID_RECORD: -0x7200,
  INVALID_MAC: -0x7180,
  UNEXPECTED_MESSAGE: -0x7700,
  NO_CLIENT_CERTIFICATE: -0x7480,
  NO_APPLICATION_PROTOCOL: -0x7580,
  CA_CHAIN_REQUIRED: -0x7680,
  BAD_CERTIFICATE: -0x7a00,
  BAD_PROTOCOL_VERSION: -0x6e80,
  HANDSHAKE_FAILURE: -0x6e00,
  ILLEGAL_PARAMETER: -0x6600,
  DECODE_ERROR: -0x7300,
  ALLOC_FAILED: -0x7f00,
  INTERNAL_ERROR: -0x6c00,
  BAD_INPUT_DATA: -0x7100,
  BAD_CONFIG: -0x5e80,
  CERT_VERIFY_FAILED: -0x2700,
  KEY_PASSWORD_REQUIRED: -0x3c00,
  KEY_PASSWORD_MISMATCH: -0x3b80,
  KEY_TYPE_MISMATCH: -0x3f00,
  ENTROPY_FAILED: -0x003c,
  ECP_VERIFY_FAILED: -0x4e00,
  RSA_VERIFY_FAILED: -0x4380,
} as const;

const KINDS: ReadonlyMap<number, SSLErrorKind> = new Map<number, SSLErrorKind>([
  [CODE.FATAL_ALERT, "alert"],
  [CODE.CERT_VERIFY_FAILED, "verify"],
  [CODE.NO_CLIENT_CERTIFICATE, "verify"],
  [CODE.CONN_EOF, "eof"],
  [CODE.TIMEOUT, "timeout"],
  [CODE.HELLO_VERIFY_REQUIRED, "closed"],
  [CODE.CA_CHAIN_REQUIRED, "config"],
  [CODE.BAD_CONFIG, "config"],
  [CODE.ALLOC_FAILED, "internal"],
  [CODE.INTERNAL_ERROR, "internal"],
  [CODE.ENTROPY_FAILED, "internal"],
]);

/** RFC 8446 section 6, with the numbers that TLS 1.2 peers still send. */
const ALERTS: Readonly<Record<number, string>> = {
  0: "close_notify",
  10: "unexpected_message",
  20: "bad_record_mac",
  21: "decryption_failed",
  22: "record_overflow",
  30: "decompression_failure",
  40: "handshake_failure",
  41: "no_certificate",
  42: "bad_certificate",
  43: "unsupported_certificate",
  44: "certificate_revoked",
  45: "certificate_expired",
  46: "certificate_unknown",
  47: "illegal_parameter",
  48: "unknown_ca",
  49: "access_denied",
  50: "decode_error",
  51: "decrypt_error",
  60: "export_restriction",
  70: "protocol_version",
  71: "insufficient_security",
  80: "internal_error",
  86: "inappropriate_fallback",
  90: "user_canceled",
  100: "no_renegotiation",
  109: "missing_extension",
  110: "unsupported_extension",
  112: "unrecognized_name",
  113: "bad_certificate_status_response",
  115: "unknown_psk_identity",
  116: "certificate_required",
  120: "no_application_protocol",
};

/** The alert with number `description`. */
export function alertOf(description: number): Alert {
  return { description, name: ALERTS[description] ?? "unknown" };
}

/** The fatal alert that tells a peer of `code`, where mbedTLS has sent none. */
const ALERT_FOR_CODE: ReadonlyMap<number, number> = new Map([
  [CODE.UNEXPECTED_MESSAGE, 10],
  [CODE.INVALID_RECORD, 50],
  [CODE.DECODE_ERROR, 50],
  [CODE.ILLEGAL_PARAMETER, 47],
  [CODE.BAD_PROTOCOL_VERSION, 70],
  [CODE.HANDSHAKE_FAILURE, 40],
  [CODE.NO_APPLICATION_PROTOCOL, 120],
  [CODE.NO_CLIENT_CERTIFICATE, 40], // RFC 5246 section 7.4.6; for TLS 1.3, mbedTLS sends certificate_required
  [CODE.ALLOC_FAILED, 80],
  [CODE.BAD_INPUT_DATA, 47], // what mbedTLS says of a point that is not on the curve, among others
  [CODE.ECP_VERIFY_FAILED, 51],
  [CODE.RSA_VERIFY_FAILED, 51],
]);

/** The number of the fatal alert that tells a peer of the failure `code`; `undefined` where none is due. */
export function alertForCode(code: number): number | undefined {
  const byKind: Partial<Record<SSLErrorKind, number>> = { protocol: 40, internal: 80 };
  return ALERT_FOR_CODE.get(code) ?? byKind[kindOf(code, "protocol")];
}

/** Who is at fault; `otherwise` where mbedTLS has one code for several things. */
function kindOf(code: number, otherwise: SSLErrorKind): SSLErrorKind {
  return KINDS.get(code) ?? (codeName(code).includes("ALLOC_FAILED") ? "internal" : otherwise);
}

const NAMES: ReadonlyMap<number, { name: string; text: string }> = new Map(
  (codes as [number, string, string][]).map(([code, name, text]) => [code, { name, text }]),
);

/** The two halves of a code: mbedTLS adds a module's error (0x0002 to 0x007F) to a layer's (0x1000 and up). */
function halves(code: number): number[] {
  const high = -(-code & 0xff80);
  const low = -(-code & 0x7f);
  return [high, low].filter((half) => half !== 0);
}

/** The searchable name of `code`: `"MBEDTLS_ERR_PK_KEY_INVALID_FORMAT+MBEDTLS_ERR_ASN1_OUT_OF_DATA"`. */
export function codeName(code: number): string {
  if (code === 0) return "";
  const parts = NAMES.has(code) ? [code] : halves(code);
  return parts.map((part) => NAMES.get(part)?.name ?? `-0x${(-part).toString(16).padStart(4, "0")}`).join(
    "+",
  );
}

/** mbedTLS's own sentence about `code`, in the house style: lower case first letter, no full stop. */
export function codeText(code: number): string {
  const parts = NAMES.has(code) ? [code] : halves(code);
  return parts.map((part) => plain(NAMES.get(part)?.text ?? codeName(part))).join(": ");
}

function plain(text: string): string {
  const trimmed = text.replace(/\.+\s*$/, "").replaceAll("n't ", " not ");
  return /^[A-Z][a-z ]/.test(trimmed) ? trimmed[0]!.toLowerCase() + trimmed.slice(1) : trimmed;
}

/**
 * A TLS failure. `message` says what was tried and why it failed; the fields are for programs.
 *
 * @example Usage
 * ```ts
 * import { SSLError } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new SSLError("Cannot read: peer sent garbage", { kind: "protocol", code: -0x7200 });
 * assertEquals(error.reason, "MBEDTLS_ERR_SSL_INVALID_RECORD");
 * ```
 */
export class SSLError extends Error {
  /** The class's name. */
  override readonly name: string = "SSLError";
  /** Who or what is at fault. */
  readonly kind: SSLErrorKind;
  /** mbedTLS's error code, below 0; 0 when the error is tlsio's own. MicroPython's `OSError` carries the same. */
  readonly code: number;
  /** The name of `code`, `"MBEDTLS_ERR_SSL_..."`; `""` when it is 0. */
  readonly reason: string;
  /** The alert that the peer sent, if it did. */
  readonly alert: Alert | undefined;

  /**
   * Makes an error.
   *
   * @param message Action, colon, state.
   * @param init Its kind, code, alert and cause.
   */
  constructor(message: string, init: SSLErrorInit) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.kind = init.kind;
    this.code = init.code ?? 0;
    this.reason = codeName(this.code);
    this.alert = init.alert;
  }
}

/** The peer closed the connection without a close_notify: the data may be cut short (truncation). */
export class SSLEOFError extends SSLError {
  /** The class's name. */
  override readonly name: string = "SSLEOFError";
}

/** The peer's certificate was not accepted. */
export class SSLCertVerificationError extends SSLError {
  /** The class's name. */
  override readonly name: string = "SSLCertVerificationError";
  /** `MBEDTLS_X509_BADCERT_*` bits: what is wrong with the chain. */
  readonly verifyFlags: number;
  /** The flags in words. */
  readonly verifyMessage: string;

  /**
   * Makes an error.
   *
   * @param message Action, colon, state.
   * @param init Kind, code and cause, with the verify flags and their words.
   */
  constructor(message: string, init: SSLErrorInit & { verifyFlags: number; verifyMessage: string }) {
    super(message, init);
    this.verifyFlags = init.verifyFlags;
    this.verifyMessage = init.verifyMessage;
  }
}

/**
 * The error for an mbedTLS code.
 *
 * @param action What was tried, such as `"complete TLS handshake with \"example.com\""`.
 * @param code mbedTLS's code, below 0.
 * @param alert The alert that the peer sent, for `FATAL_ALERT`.
 * @param otherwise Who is at fault where the code does not say.
 * @returns An {@linkcode SSLError}, or an {@linkcode SSLEOFError} when the peer went away.
 */
export function errorFromCode(
  action: string,
  code: number,
  alert?: Alert,
  otherwise: SSLErrorKind = "protocol",
): SSLError {
  const kind = kindOf(code, otherwise);
  if (kind === "eof") {
    return new SSLEOFError(`Cannot ${action}: peer closed the connection without a close_notify`, {
      kind,
      code,
    });
  }
  const state = alert === undefined ? codeText(code) : `peer sent alert ${alert.name} (${alert.description})`;
  return new SSLError(`Cannot ${action}: ${state}`, { kind, code, alert });
}

/**
 * The error of an allocation that failed.
 *
 * @param action What was tried.
 * @param said What mbedTLS said of it, which becomes the cause; 0: not known.
 * @returns The error.
 */
export function noMemory(action: string, said: number): SSLError {
  const error = errorFromCode(action, CODE.ALLOC_FAILED);
  if (said >= 0 || said === CODE.ALLOC_FAILED) return error;
  const { message, kind, code } = error;
  return new SSLError(message, { kind, code, cause: errorFromCode(action, said) });
}

/** The certificate is for other hosts: mbedTLS speaks of a CN, but we go by the SAN. */
const BADCERT_CN_MISMATCH = 4;

/**
 * The error for a certificate that was not accepted.
 *
 * @param action What was tried.
 * @param code mbedTLS's code, below 0.
 * @param verifyFlags What is wrong with the chain.
 * @param words The flags in words; `""`: those of the code.
 * @param hostname The host that the certificate must be for.
 * @returns The error.
 */
export function verifyError(
  action: string,
  code: number,
  verifyFlags: number,
  words: string,
  hostname: string | undefined,
): SSLCertVerificationError {
  const verifyMessage = words || codeText(code);
  const state = verifyFlags === BADCERT_CN_MISMATCH
    ? `the certificate is not for ${JSON.stringify(hostname)}`
    : verifyMessage[0]!.toLowerCase() + verifyMessage.slice(1);
  return new SSLCertVerificationError(`Cannot ${action}: ${state}`, {
    kind: "verify",
    code,
    verifyFlags,
    verifyMessage,
  });
}

/** The error for a peer that is refused by `reason`, whatever mbedTLS says of its certificate in `words`. */
export function distrustError(
  action: string,
  reason: string,
  verifyFlags: number,
  words: string,
  cause: unknown,
): SSLCertVerificationError {
  return new SSLCertVerificationError(`Cannot ${action}: ${reason}`, {
    kind: "verify",
    verifyFlags,
    verifyMessage: words || reason,
    cause,
  });
}

/** The flags before a certificate has been looked at. */
const NOT_VERIFIED = 0xffffffff;

/** Whether a failure is for {@linkcode verifyError}: a valid certificate for another purpose is a BAD_CERTIFICATE with flags. */
export function isAboutCertificate(code: number, verifyFlags: number): boolean {
  if (code === CODE.CERT_VERIFY_FAILED) return true;
  return code === CODE.BAD_CERTIFICATE && verifyFlags !== 0 && verifyFlags !== NOT_VERIFIED;
}

/** Makes the error of something that took longer than `seconds`. */
export function timedOut(action: string, seconds: number): () => SSLError {
  const text = `Cannot ${action}: timed out after ${seconds} seconds`;
  return () => new SSLError(text, { kind: "timeout", code: CODE.TIMEOUT });
}
