/** Certificates and keys from wherever they are: a path, PEM text, or bytes. */

import { readFile } from "node:fs/promises";
import { type Bytes, encodeText, typeName } from "./bytes.ts";
import type { Source } from "./credentials.ts";

/** A path or `file:` URL, PEM text, or PEM or DER bytes. */
export type FileOrData = string | URL | Uint8Array;

/**
 * Loads what an option names.
 *
 * @param option The option's name, for errors.
 * @param value The option's value.
 * @returns The bytes and the words that name them.
 * @throws {TypeError} If the value is of another type.
 * @throws What the platform throws for a file that is missing or unreadable, with the option and path named.
 */
export async function loadSource(option: string, value: unknown): Promise<Source> {
  if (value instanceof Uint8Array) return { name: option, bytes: value.slice() as Bytes };
  if (typeof value === "string" && value.includes("-----BEGIN ")) {
    return { name: option, bytes: encodeText(value) };
  }
  if (typeof value !== "string" && !(value instanceof URL)) {
    throw new TypeError(`Cannot use ${option}: expected a path, PEM text or bytes, got ${typeName(value)}`);
  }
  const name = `${option} "${value}"`;
  try {
    return { name, bytes: new Uint8Array(await readFile(value)) };
  } catch (error) {
    throw named(name, error);
  }
}

/** The platform's own class of error (NotFound, PermissionDenied ...), with the option and path in its message. */
function named(name: string, error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { code } = error as { code?: string };
  const classes: Record<string, new (message: string, options?: ErrorOptions) => Error> = {
    ENOENT: Deno.errors.NotFound,
    EACCES: Deno.errors.PermissionDenied,
    EISDIR: Deno.errors.IsADirectory,
  };
  const state: Record<string, string> = {
    ENOENT: "no such file",
    EACCES: "permission denied",
    EISDIR: "it is a directory",
  };
  const Known = classes[code ?? ""];
  if (Known === undefined) {
    error.message = `Cannot load ${name}: ${error.message}`;
    return error;
  }
  return new Known(`Cannot load ${name}: ${state[code!]}`, { cause: error });
}
