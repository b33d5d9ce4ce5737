/**
 * What a server's Workers and the thread that started them say to each other, and what can cross between them: options
 * without functions, errors as data.
 *
 * @module
 */

import type { Bytes } from "./bytes.ts";
import { copyOf, typeName } from "./bytes.ts";
import { SSLCertVerificationError, SSLEOFError, SSLError, type SSLErrorInit } from "./errors.ts";
import type { ConnectionFailure } from "./server.ts";
import type { ServerStats } from "./server_stats.ts";

/** Which kind of server the workers run: that of `startServer()`, or that of `serve()`. */
export type ServerKind = "streams" | "http";

/** The first message to a Worker. All others go over its port, so that the handler's module has the Worker's own. */
export interface Start {
  readonly port: MessagePort;
  /** A Web Lock that the Worker holds as long as it lives: the only sign that Deno gives of every kind of end. */
  readonly lock: string;
  readonly kind: ServerKind;
  /** The URL of the handler's module. */
  readonly module: string;
  /** Options of `startServer()` or `serve()` without functions. */
  readonly options: Record<string, unknown>;
  /** The keys of the ring of session tickets. */
  readonly keys: Bytes;
  /** Whether to pass on the failures of connections. */
  readonly report: boolean;
}

/** What a Worker is told. */
export type Command =
  | { readonly type: "keys"; readonly keys: Bytes }
  | { readonly type: "stats"; readonly id: number }
  | { readonly type: "context"; readonly id: number; readonly ssl: Record<string, unknown> }
  | { readonly type: "close" };

/** What a Worker tells. */
export type Report =
  | { readonly type: "alive" }
  | { readonly type: "listening"; readonly addr: Deno.NetAddr }
  | { readonly type: "failed"; readonly error: ErrorData } // it does not start
  | { readonly type: "failure"; readonly error: ErrorData; readonly failure: ConnectionFailure }
  | { readonly type: "uncaught"; readonly error: ErrorData; readonly stats: ServerStats | undefined }
  | { readonly type: "stats"; readonly id: number; readonly stats: ServerStats | undefined }
  | { readonly type: "context"; readonly id: number; readonly error: ErrorData | undefined }
  | { readonly type: "closed"; readonly stats: ServerStats | undefined };

/** Web Locks, which Deno 2.9 has, but not its types. */
export const locks = (navigator as unknown as { locks: LockManager }).locks;

interface LockManager {
  request(name: string, granted: () => unknown): Promise<unknown>;
  request(name: string, options: { signal: AbortSignal }, granted: () => unknown): Promise<unknown>;
}

// ---- Options --------------------------------------------------------------------------------------------

/**
 * A copy of an option's value for another thread.
 *
 * @param name The option, for errors.
 * @param value Its value.
 * @param transfer Takes the buffers of the copied bytes: they move, so that no other copy of a key stays behind.
 * @returns The copy.
 * @throws {TypeError} Naming the option that is, or holds, what cannot cross.
 */
export function copyForWorker(name: string, value: unknown, transfer: ArrayBuffer[]): unknown {
  if (value instanceof Uint8Array) {
    const copy = copyOf(value);
    transfer.push(copy.buffer);
    return copy;
  }
  if (typeof value === "function" || typeof value === "symbol") throw cannotCross(name, `a ${typeof value}`);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => copyForWorker(name, item, transfer));
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw cannotCross(name, `of type ${typeName(value)}`);
  }
  const entries = Object.entries(value);
  return Object.fromEntries(
    entries.map(([key, item]) => [key, copyForWorker(`${name}.${key}`, item, transfer)]),
  );
}

/** The error for an option that cannot cross, with what to do about it. */
export function cannotCross(name: string, what: string): TypeError {
  const option = name.split(".")[0];
  return new TypeError(
    `Cannot use ${name} with workers: it is ${what}, which cannot cross to a Worker; ` +
      `let the handler's module make it: export const options = { ${option}: ... }`,
  );
}

// ---- Errors ---------------------------------------------------------------------------------------------

/** An error as data. Structured clone would keep neither class nor fields. */
export interface ErrorData {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Of an `SSLError`. */
  readonly tls: SSLErrorInit | undefined;
  /** Of an `SSLCertVerificationError`. */
  readonly verify: { readonly verifyFlags: number; readonly verifyMessage: string } | undefined;
}

/** `error` as data. */
export function errorData(error: unknown): ErrorData {
  if (!(error instanceof Error)) {
    return { name: "Error", message: String(error), stack: undefined, tls: undefined, verify: undefined };
  }
  const { name, message, stack } = error;
  const { kind, code, alert } = error as SSLError;
  const { verifyFlags, verifyMessage } = error as SSLCertVerificationError;
  return {
    name,
    message,
    stack,
    tls: error instanceof SSLError ? { kind, code, alert } : undefined,
    verify: error instanceof SSLCertVerificationError ? { verifyFlags, verifyMessage } : undefined,
  };
}

const PLAIN_ERRORS = { RangeError, SyntaxError, TypeError };

/** The error that `data` was made of, with the stack that it had in its Worker. */
export function errorFrom(data: ErrorData): Error {
  const error = remake(data);
  if (data.stack !== undefined) error.stack = data.stack;
  return error;
}

function remake({ name, message, tls, verify }: ErrorData): Error {
  if (tls !== undefined) {
    if (verify !== undefined) return new SSLCertVerificationError(message, { ...tls, ...verify });
    return name === "SSLEOFError" ? new SSLEOFError(message, tls) : new SSLError(message, tls);
  }
  const classes: Record<string, new (message: string) => Error> = { ...PLAIN_ERRORS, ...Deno.errors };
  const Class = Object.hasOwn(classes, name) ? classes[name] : undefined; // a name may be "constructor"
  if (Class !== undefined) return new Class(message);
  return Object.assign(new Error(message), { name });
}
