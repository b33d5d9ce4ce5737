/** OSError: how MicroPython's `socket` says what went wrong: a number, and its name in `errno`. */

/** The numbers of MicroPython's `errno` module, which are Linux's. -2 is lwIP's for a name that is not found. */
export const errno = {
  EAI_NONAME: -2,
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EISDIR: 21,
  EINVAL: 22,
  EMFILE: 24,
  EPIPE: 32,
  ENOPROTOOPT: 92,
  EPROTONOSUPPORT: 93,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETUNREACH: 101,
  ECONNABORTED: 103,
  ECONNRESET: 104,
  ENOBUFS: 105,
  EISCONN: 106,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
  ECONNREFUSED: 111,
  EHOSTUNREACH: 113,
  EALREADY: 114,
  EINPROGRESS: 115,
} as const;

/** A name in {@linkcode errno}. */
export type ErrorCode = keyof typeof errno;
/** The name of a number of mbedTLS's: an `OSError` of `tlsio/ussl` may have one. */
export type TLSErrorCode = `MBEDTLS_ERR_${string}`;

const TEXTS: Partial<Record<ErrorCode, string>> = {
  EAI_NONAME: "the host name is not known",
  EBADF: "the socket is closed",
  EAGAIN: "it would have to wait",
  EPIPE: "the connection is closed for writing",
  EADDRINUSE: "the address is in use",
  ECONNABORTED: "the connection was aborted",
  ECONNRESET: "the peer reset the connection",
  EISCONN: "the socket is connected",
  ENOTCONN: "the socket is not connected",
  ETIMEDOUT: "timed out",
  ECONNREFUSED: "the connection was refused",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "the network cannot be reached",
  EALREADY: "the socket is connecting",
  EINPROGRESS: "the connection is in progress",
};

/** Errors of Deno's own making, which carry no number. */
const NAMES: Readonly<Record<string, ErrorCode>> = {
  AddrInUse: "EADDRINUSE",
  AddrNotAvailable: "EADDRNOTAVAIL",
  BadResource: "EBADF",
  BrokenPipe: "EPIPE",
  ConnectionAborted: "ECONNABORTED",
  ConnectionRefused: "ECONNREFUSED",
  ConnectionReset: "ECONNRESET",
  Interrupted: "EBADF", // of a call that waited when its socket was closed
  NotConnected: "ENOTCONN",
  PermissionDenied: "EACCES",
  TimedOut: "ETIMEDOUT",
};

/**
 * A failure of a socket, as MicroPython's `OSError`.
 *
 * @example Usage
 * ```ts
 * import { errno, OSError } from "tlsio/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const error = new OSError("EAGAIN", "Cannot recv");
 * assertEquals([error.errno, error.errorcode], [errno.EAGAIN, "EAGAIN"]);
 * ```
 */
export class OSError extends Error {
  /** The class's name. */
  override readonly name: string = "OSError";
  /** The number: MicroPython's `e.errno`. */
  readonly errno: number;
  /** The number's name, as in Python's `errno.errorcode`. */
  readonly errorcode: ErrorCode | TLSErrorCode;

  /**
   * Makes an error.
   *
   * @param errorcode The name of its number.
   * @param action What could not be done.
   * @param options Its text, where the number's own does not say enough, and the error behind this one.
   */
  constructor(errorcode: ErrorCode, action: string, options: { text?: string; cause?: unknown } = {}) {
    const { text = TEXTS[errorcode] ?? errorcode, ...rest } = options;
    super(`${action}: ${text}`, rest);
    this.errno = errno[errorcode];
    this.errorcode = errorcode;
  }

  /** MicroPython's `e.args`: the number, and its name. */
  get args(): readonly [errno: number, errorcode: string] {
    return [this.errno, this.errorcode];
  }
}

/**
 * What a socket's call throws for an error of the platform. What is no failure of the network (a permission that was
 * not given) stays as it is.
 */
export function toOSError(action: string, error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof OSError) return error;
  const { code } = error as { code?: unknown };
  const known = typeof code === "string" && Object.hasOwn(errno, code)
    ? code as ErrorCode
    : NAMES[error.name];
  if (known !== undefined) {
    return new OSError(known, action, {
      cause: error,
      ...(TEXTS[known] === undefined && { text: error.message }),
    });
  }
  if (error.message.startsWith("failed to lookup")) {
    return new OSError("EAI_NONAME", action, { cause: error });
  }
  return error.name === "NotCapable" || error instanceof TypeError
    ? error
    : new OSError("EIO", action, { text: error.message, cause: error });
}
