/** Certificates and keys from wherever they are: a path, PEM text, or bytes. */

import { copyOf, encodeText, typeName } from "./bytes.ts";
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
  const given = sourceOf(option, value);
  if (given.path === undefined) return given;
  try {
    return { name: given.name, bytes: await Deno.readFile(given.path) };
  } catch (error) {
    throw named(given.name, error);
  }
}

/** As {@linkcode loadSource}, at once: for methods that are synchronous in MicroPython. */
export function loadSourceSync(option: string, value: unknown): Source {
  const given = sourceOf(option, value);
  if (given.path === undefined) return given;
  try {
    return { name: given.name, bytes: Deno.readFileSync(given.path) };
  } catch (error) {
    throw named(given.name, error);
  }
}

type Given = Source & { path?: undefined } | { readonly name: string; readonly path: string | URL };

/** What an option is: bytes, or where they are. */
function sourceOf(option: string, value: unknown): Given {
  if (value instanceof Uint8Array) return { name: option, bytes: copyOf(value) };
  if (typeof value === "string" && value.includes("-----BEGIN ")) {
    return { name: option, bytes: encodeText(value) };
  }
  if (typeof value === "string" || value instanceof URL) return { name: `${option} "${value}"`, path: value };
  throw new TypeError(`Cannot use ${option}: expected a path, PEM text or bytes, got ${typeName(value)}`);
}

/** The platform's own class of error (NotFound, PermissionDenied ...), with the option and path in its message. */
function named(name: string, error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { NotFound, PermissionDenied, IsADirectory } = Deno.errors;
  const states = [
    [NotFound, "no such file"],
    [PermissionDenied, "permission denied"],
    [IsADirectory, "it is a directory"],
  ] as const;
  for (const [Known, state] of states) {
    if (error instanceof Known) return new Known(`Cannot load ${name}: ${state}`, { cause: error });
  }
  error.message = `Cannot load ${name}: ${error.message}`;
  return error;
}
