/**
 * {@linkcode createDefaultContext}: CPython's defaults, chosen by what the context is for.
 *
 * @module
 */

import { typeName } from "./bytes.ts";
import { keyLogFromEnv } from "./key_log.ts";
import type { ContextOptions } from "./context_options.ts";
import { SSLContext } from "./ssl.ts";

/** What a context is for: CPython's `ssl.Purpose`. */
export const Purpose = {
  /** To check servers: a client's context. */
  SERVER_AUTH: "SERVER_AUTH",
  /** To check clients, where that is asked for: a server's context. */
  CLIENT_AUTH: "CLIENT_AUTH",
} as const;

/** One of {@linkcode Purpose}. */
export type Purpose = (typeof Purpose)[keyof typeof Purpose];

/**
 * Builds a context: CPython's `ssl.create_default_context`. A client's checks certificate and host against the Mozilla roots
 * or `caCerts`; a server's asks for no certificate.
 *
 * With `SSLKEYLOGFILE` in the environment it logs the keys there, if this process may read that variable
 * (`--allow-env=SSLKEYLOGFILE`) and write the file; without the first it does not look.
 *
 * @param purpose What it is for. @default {Purpose.SERVER_AUTH}
 * @param options More options. A server needs `certfile` and `keyfile`.
 * @returns The context.
 * @throws {TypeError} If the purpose is unknown, or `options` are for the other side.
 * @throws What {@linkcode SSLContext.create} throws; and what the platform does when the key log cannot be written.
 *
 * @example A client's context
 * ```ts
 * import { createCertificate, createDefaultContext, Purpose } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const { certificate } = createCertificate({ subject: "CN=My CA", isCA: true });
 * using context = await createDefaultContext(Purpose.SERVER_AUTH, { caCerts: certificate });
 * assertEquals(context.serverSide, false);
 * ```
 */
export async function createDefaultContext(
  purpose: Purpose = Purpose.SERVER_AUTH,
  options: Omit<ContextOptions, "serverSide"> = {},
): Promise<SSLContext> {
  if (!Object.hasOwn(Purpose, purpose)) {
    const got = typeof purpose === "string" ? JSON.stringify(purpose) : typeName(purpose);
    throw new TypeError(`Cannot use purpose: expected Purpose.SERVER_AUTH or CLIENT_AUTH, got ${got}`);
  }
  if ((options as ContextOptions).serverSide !== undefined) {
    throw new TypeError("Cannot use serverSide: the purpose decides it");
  }
  const keylogFilename = options.keylogFilename ?? keyLogFromEnv();
  return await SSLContext.create({
    ...options,
    serverSide: purpose === Purpose.CLIENT_AUTH,
    ...(keylogFilename !== undefined && { keylogFilename }),
  });
}
