/** The options of `wrap_socket()` as the seeds spell them, checked, and what they are in ours. */

import { typeName } from "./bytes.ts";
import { CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED, type CertReqs } from "./policy.ts";
import type { HeapLimits } from "./device_heap.ts";
import { SSLError as TLSError } from "./errors.ts";
import type { FileOrData } from "./files.ts";
import { OSError } from "./os_error.ts";
import { resolveProfile } from "./profile.ts";
import { SSLSession } from "./session.ts";
import type { SocketOptions } from "./socket_options.ts";
import type { ContextOptions } from "./context_options.ts";
import { SSLContext as TLSContext } from "./ssl.ts";
import { TLSVersion } from "./suites.ts";
import { osError, SSLError } from "./ussl_errors.ts";

/** Of one connection: what {@linkcode wrap_socket} and {@linkcode SSLContext.wrap_socket} share. */
export interface ConnectionOptions {
  /** Whether we are the server. @default {false} */
  server_side?: boolean;
  /** Client: the host, for SNI and, with `cert_reqs`, the check of its certificate. */
  server_hostname?: string | null;
  /** `false`: the first call that sends or receives completes the handshake. @default {true} */
  do_handshake?: boolean;
  /** CPython's name of `do_handshake`. */
  do_handshake_on_connect?: boolean;
  /** Client: what {@linkcode save_session} gave, or its bytes; one that does not fit is passed over. */
  saved_session?: SSLSession | Uint8Array | null;
  /** Seconds of wall-clock time for the handshake; {@linkcode SSL_TIMEOUT} then. @default {10} */
  timeout?: number;
  /** `false`: an end of the stream without the peer's goodbye is an error. MicroPython says none. @default {true} */
  suppress_ragged_eofs?: boolean;
}

/** Options of {@linkcode wrap_socket}. Python's `None` is `null`, or to leave it out. */
export interface WrapOptions extends ConnectionOptions {
  /** Our private key: a path, PEM text, or bytes (PEM or DER). */
  keyfile?: FileOrData | null;
  /** Our certificate, with its chain: a path, PEM text, or bytes (PEM or DER). */
  certfile?: FileOrData | null;
  /** Our private key, no path: MicroPython's name. */
  key?: string | Uint8Array | null;
  /** Our certificate, no path: MicroPython's name. */
  cert?: string | Uint8Array | null;
  /** What to ask of the peer's certificate. `CERT_OPTIONAL` is as strict as `CERT_REQUIRED`. @default {CERT_NONE} */
  cert_reqs?: CertReqs;
  /** `0`: TLS 1.2 and 1.3; or one of them, by its number `0x0303` or `0x0304`. @default {0} */
  ssl_version?: number;
  /** Whom to trust: a path, PEM text, or bytes (PEM or DER). */
  ca_certs?: FileOrData | null;
  /** Whom to trust, no path: MicroPython's name. */
  cadata?: string | Uint8Array | null;
  /** The device to be: `"esp32"`, `"rp2"`, `"pycom"` ... See `profile` of the contexts of `tlsio`. @default {"default"} */
  profile?: string | null;
  /** The device's heap, in bytes: see `heap` there. */
  heap?: HeapLimits | null;
}

/** What the options of a connection are in ours. */
export interface Connecting {
  readonly options: SocketOptions;
  /** Whether the handshake is part of wrapping, connecting and accepting. */
  readonly handshake: boolean;
}

const SHUTDOWN_TIMEOUT = 20; // seconds that what was sent has to leave; as long as a plain socket's

/** What each option is: a type of JavaScript's, data, or a file or data. */
const CONNECTION_TYPES = {
  server_side: "boolean",
  server_hostname: "string",
  do_handshake: "boolean",
  do_handshake_on_connect: "boolean",
  saved_session: "object",
  timeout: "number",
  suppress_ragged_eofs: "boolean",
} as const;
const CONTEXT_TYPES = {
  keyfile: "file",
  certfile: "file",
  key: "data",
  cert: "data",
  cert_reqs: "number",
  ssl_version: "number",
  ca_certs: "file",
  cadata: "data",
  profile: "string",
  heap: "object",
} as const;

/** Our names of options, and the seeds', in the messages of errors. */
const NAMES: Readonly<Record<string, string>> = {
  serverHostname: "server_hostname",
  savedSession: "saved_session",
  caCerts: "ca_certs",
  certReqs: "cert_reqs",
  sslVersion: "ssl_version",
};

type Given<T> = { [K in keyof T]?: NonNullable<T[K]> };

/** The options without those that are `null`; throws a `TypeError` for one that is not known, or of another type. */
export function given<T extends object>(options: T, types: Readonly<Record<string, string>>): Given<T> {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Cannot wrap_socket(): expected an object of options, got ${typeName(options)}`);
  }
  const entries = Object.entries(options).filter(([, value]) => value !== null && value !== undefined);
  for (const [name, value] of entries) {
    const type = Object.hasOwn(types, name) ? types[name]! : undefined;
    if (type === undefined) {
      throw new TypeError(`Cannot use ${name}: known are ${Object.keys(types).join(", ")}`);
    }
    if (type === "data") assertData(name, value);
    else if (type !== "file" && typeof value !== type) {
      throw new TypeError(
        `Cannot use ${name}: expected ${type === "object" ? "an" : "a"} ${type}, got ${typeName(value)}`,
      );
    }
  }
  return Object.fromEntries(entries) as Given<T>;
}

/** Throws a `TypeError` unless `value` is PEM text or bytes: MicroPython takes no path here. */
export function assertData(name: string, value: unknown): void {
  if (value instanceof Uint8Array || typeof value === "string" && value.includes("-----BEGIN ")) return;
  const got = typeof value === "string" ? "other text" : typeName(value);
  throw new TypeError(`Cannot use ${name}: expected PEM text or bytes, got ${got}`);
}

/** Checks the options of a connection. */
export function connecting(options: ConnectionOptions, serverSide: boolean): Connecting {
  const { do_handshake, do_handshake_on_connect, saved_session, server_hostname, ...rest } = given(
    options,
    CONNECTION_TYPES,
  );
  const choices = [do_handshake, do_handshake_on_connect].filter((one) => one !== undefined);
  if (new Set(choices).size > 1) {
    throw new TypeError("Cannot use do_handshake: do_handshake_on_connect says otherwise");
  }
  const { timeout } = rest;
  if (timeout !== undefined && !(timeout > 0)) {
    throw new RangeError(`Cannot use timeout: expected seconds above 0, got ${timeout}`);
  }
  const session = serverSide ? undefined : sessionOf(saved_session);
  return {
    handshake: choices[0] ?? true,
    options: {
      suppressRaggedEofs: rest.suppress_ragged_eofs ?? true,
      shutdownTimeout: SHUTDOWN_TIMEOUT,
      ...(timeout !== undefined && { timeout }),
      ...(server_hostname !== undefined && !serverSide && { serverHostname: server_hostname }),
      ...(session !== undefined && { savedSession: session }),
    },
  };
}

function sessionOf(saved: unknown): SSLSession | undefined {
  if (saved === undefined || saved instanceof SSLSession) return saved;
  if (saved instanceof Uint8Array) {
    try {
      return SSLSession.from(saved);
    } catch (error) {
      const [, state] = (error as Error).message.split(": ");
      throw new TypeError(`Cannot use saved_session: ${state}`, { cause: error });
    }
  }
  throw new TypeError(
    `Cannot use saved_session: expected an SSLSession or its bytes, got ${typeName(saved)}`,
  );
}

/** What the options of {@linkcode wrap_socket} are in ours, of the context and of the connection. */
export function wrapping(options: WrapOptions): { context: ContextOptions } & Connecting {
  const all = given(options, { ...CONTEXT_TYPES, ...CONNECTION_TYPES });
  const serverSide = all.server_side ?? false;
  const certfile = oneOf(all, "certfile", "cert");
  const keyfile = oneOf(all, "keyfile", "key");
  if (serverSide && !(certfile && keyfile)) {
    throw new TypeError("Cannot use server_side: it needs certfile (or cert) and keyfile (or key)");
  }
  if (!certfile !== !keyfile) {
    throw new TypeError(
      `Cannot use ${certfile ? "certfile: keyfile (or key)" : "keyfile: certfile (or cert)"} is missing`,
    );
  }
  const certReqs = all.cert_reqs ?? CERT_NONE;
  if (![CERT_NONE, CERT_OPTIONAL, CERT_REQUIRED].includes(certReqs)) {
    throw new RangeError(
      `Cannot use cert_reqs: expected CERT_NONE, CERT_OPTIONAL or CERT_REQUIRED, got ${certReqs}`,
    );
  }
  const caCerts = oneOf(all, "ca_certs", "cadata");
  if (certReqs !== CERT_NONE) {
    if (!caCerts) throw new TypeError("Cannot use cert_reqs: it needs ca_certs or cadata");
    if (!serverSide && all.server_hostname === undefined) {
      throw new TypeError("Cannot use cert_reqs: CERT_REQUIRED requires server_hostname");
    }
  }
  const sslVersion = versionOf(all.ssl_version ?? 0);
  const connection = Object.fromEntries(
    Object.entries(all).filter(([name]) => Object.hasOwn(CONNECTION_TYPES, name)),
  );
  return {
    ...connecting(connection, serverSide),
    context: {
      serverSide,
      ...(all.profile !== undefined && { profile: all.profile }),
      ...(all.heap !== undefined && { heap: all.heap }),
      // A profile has a default of its own, and a warning.
      ...(all.cert_reqs === undefined && all.profile !== undefined &&
          resolveProfile(all.profile) !== undefined
        ? {}
        : { certReqs: certReqs === CERT_NONE ? CERT_NONE : CERT_REQUIRED }),
      ...(certfile && keyfile && { certfile, keyfile }),
      ...(certReqs !== CERT_NONE && caCerts && { caCerts }),
      ...(sslVersion !== undefined && { sslVersion }),
    },
  };
}

type Sources = Partial<Record<"certfile" | "cert" | "keyfile" | "key" | "ca_certs" | "cadata", unknown>>;

/** The option by either of its names. */
function oneOf(options: Sources, file: keyof Sources, data: keyof Sources): FileOrData | undefined {
  const [one, other] = [options[file], options[data]];
  if (one !== undefined && other !== undefined) {
    throw new TypeError(`Cannot use ${data}: ${file} is given, too`);
  }
  return (one ?? other) as FileOrData | undefined;
}

function versionOf(version: number): TLSVersion | undefined {
  if (version === 0) return undefined;
  const known = Object.values(TLSVersion).find((one) => one === version);
  if (known !== undefined) return known;
  throw new RangeError(`Cannot use ssl_version: expected 0, 0x0303 or 0x0304, got ${version}`);
}

/**
 * Builds a context; what is wrong with certificates and keys is a `TypeError`, as a `ValueError` in Python, and a file that is
 * missing an `OSError`. In messages, `names` are the seeds' for ours.
 */
export async function build(
  options: ContextOptions,
  names: Readonly<Record<string, string>> = {},
): Promise<TLSContext> {
  try {
    return await TLSContext.create(options);
  } catch (error) {
    throw refusal(error, { ...NAMES, ...names });
  }
}

/** Throws for what `context` refuses of a connection. */
export function check(context: TLSContext, options: SocketOptions): void {
  try {
    TLSContext.check(context, options);
  } catch (error) {
    throw refusal(error);
  }
}

/** What is thrown for options that ours refuse. */
export function refusal(error: unknown, names: Readonly<Record<string, string>> = NAMES): unknown {
  if (!(error instanceof Error) || error instanceof OSError) return error;
  const pattern = new RegExp(`\\b(${Object.keys(names).join("|")})\\b`, "g");
  error.message = error.message.replace(pattern, (name) => names[name]!);
  if (error instanceof Deno.errors.NotFound) return osError("ENOENT", error);
  if (error instanceof Deno.errors.PermissionDenied) return osError("EACCES", error);
  if (error instanceof Deno.errors.IsADirectory) return osError("EISDIR", error);
  if (!(error instanceof TLSError)) return error;
  return error.kind === "config" ? new TypeError(error.message, { cause: error }) : new SSLError(error);
}
