/** How the seeds say that TLS failed: an `OSError` with mbedTLS's number. */

import { CODE, SSLCertVerificationError, SSLError as TLSError } from "./errors.ts";
import { errno, type ErrorCode, OSError, type TLSErrorCode, toOSError } from "./os_error.ts";

/** The number of the {@linkcode SSLError} of a handshake that took longer than `timeout`: `MBEDTLS_ERR_SSL_TIMEOUT`. */
export const SSL_TIMEOUT: number = CODE.TIMEOUT;

/**
 * A TLS failure: an `OSError` whose number is mbedTLS's, below 0, as in MicroPython, and whose `cause` is the error of
 * `tlsio`, which says more: who is at fault, and which alert was received.
 *
 * @example Who gave up
 * ```ts
 * import { SSLError, wrap_socket } from "tlsio/ussl";
 * import { assertEquals, assertRejects } from "@std/assert";
 *
 * const readable = new Response("HTTP/1.1 400 Bad Request\r\n").body!;
 * const writable = new WritableStream<Uint8Array>();
 * const error = await assertRejects(() => wrap_socket({ readable, writable }), SSLError);
 * assertEquals(error.args, [-29184, "MBEDTLS_ERR_SSL_INVALID_RECORD"]);
 * ```
 */
export class SSLError extends OSError {
  /** The class's name. */
  override readonly name: string = "SSLError";
  /** mbedTLS's number, below 0: {@linkcode SSL_TIMEOUT}, or -30592 for an alert of the peer's. Above -256 it is negated. */
  override readonly errno: number;
  /** Its name. */
  override readonly errorcode: TLSErrorCode;
  /** `MBEDTLS_X509_BADCERT_*` bits: what is wrong with the peer's certificate; 0: it is not that. */
  readonly verify_flags: number;
  /** The flags in mbedTLS's words; `""`. MicroPython raises a `ValueError` of them. */
  readonly verify_message: string;

  /**
   * Makes an error of one of `tlsio`'s.
   *
   * @param error It has a `code`, and its message is action, colon, state.
   */
  constructor(error: TLSError) {
    const [action, text] = splitMessage(error);
    super("EIO", action, { text, cause: error });
    this.errno = error.code > OS_ERRORS ? -error.code : error.code;
    this.errorcode = error.reason as TLSErrorCode;
    const isVerify = error instanceof SSLCertVerificationError;
    this.verify_flags = isVerify ? error.verifyFlags : 0;
    this.verify_message = isVerify ? error.verifyMessage : "";
  }
}

/** Both sides of the first colon. */
function splitMessage({ message }: Error): [action: string, state: string] {
  const at = message.indexOf(": ");
  return at < 0 ? ["Cannot go on", message] : [message.slice(0, at), message.slice(at + 2)];
}

/** An `OSError` with the message of `error`. */
export function osError(errorcode: ErrorCode, error: Error): OSError {
  const [action, text] = splitMessage(error);
  return new OSError(errorcode, action, { text, cause: error });
}

/**
 * Below these, mbedTLS's numbers are passed on as they are. MicroPython takes those above for the negated numbers of the
 * connection below, though mbedTLS has errors of its own there: MBEDTLS_ERR_MPI_ALLOC_FAILED, -16, is EBUSY.
 */
const OS_ERRORS = -256;

function nameOf(number: number): ErrorCode | undefined {
  return (Object.keys(errno) as ErrorCode[]).find((name) => errno[name] === number);
}

/**
 * A device's mbedTLS names the calculation that found no memory: MBEDTLS_ERR_MPI_ALLOC_FAILED, or another error with that in
 * its lower half. What says no more than that there was none is ENOMEM.
 */
function seedOfDevice(cause: unknown): OSError | undefined {
  if (!(cause instanceof TLSError)) return undefined;
  const named = cause.code > OS_ERRORS ? nameOf(-cause.code) : undefined;
  if (named !== undefined) return osError(named, cause);
  return cause.reason.includes("+") ? new SSLError(cause) : undefined;
}

/** What `action` throws for an error of the TLS layer or of the connection below: MicroPython's `mbedtls_raise_error()`. */
export function toSeedError(action: string, error: unknown): unknown {
  if (!(error instanceof TLSError)) return toOSError(`Cannot ${action}()`, error);
  if (error.code === CODE.ALLOC_FAILED) return seedOfDevice(error.cause) ?? osError("ENOMEM", error);
  const isBelow = error.kind === "eof" || error.kind === "closed";
  if (isBelow && error.cause !== undefined) { // the connection below has a number of its own
    const below = toOSError(`Cannot ${action}()`, error.cause);
    if (below instanceof OSError && below.errorcode !== "EIO") return below;
  }
  const named = error.code > OS_ERRORS ? nameOf(-error.code) : undefined;
  if (named !== undefined) return osError(named, error);
  if (error.code !== 0) return new SSLError(error);
  return osError(error.kind === "closed" && error.cause === undefined ? "EBADF" : "EIO", error);
}
