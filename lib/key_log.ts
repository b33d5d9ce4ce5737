/**
 * Key logs in files, in NSS's format: what Wireshark needs to read a capture.
 *
 * @module
 */

import { typeName } from "./bytes.ts";

/**
 * Makes a key log that adds its lines to a file. The file is opened and closed for each line, so there is no handle to
 * keep, and several processes can write to the same one.
 *
 * @param option The option that names the file, for errors.
 * @param path The file: it is made if it does not exist, and only we may read it then.
 * @returns What takes the lines.
 * @throws What the platform throws for a file that cannot be written, with the option and path named.
 */
export function keyLogFile(option: string, path: unknown): (line: string) => void {
  if (typeof path !== "string" && !(path instanceof URL)) {
    throw new TypeError(`Cannot use ${option}: expected a path, got ${typeName(path)}`);
  }
  try {
    append(path, ""); // so that a wrong path shows before there are secrets to lose
  } catch (error) {
    if (error instanceof Error) error.message = `Cannot write ${option} "${path}": ${error.message}`;
    throw error;
  }
  let failed = false;
  return (line) => {
    try {
      append(path, `${line}\n`);
    } catch (error) {
      if (!failed) console.error(`Cannot write ${option} "${path}":`, error); // the connection goes on without
      failed = true;
    }
  };
}

function append(path: string | URL, text: string): void {
  Deno.writeTextFileSync(path, text, { append: true, mode: 0o600 });
}

/**
 * The file that the environment asks for by `SSLKEYLOGFILE`, as CPython, curl and browsers understand it.
 *
 * @returns Its path; `undefined`: none is set, or this process may not look (`--allow-env=SSLKEYLOGFILE`).
 */
export function keyLogFromEnv(): string | undefined {
  const name = "SSLKEYLOGFILE";
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? Deno.env.get(name) || undefined : undefined;
}
