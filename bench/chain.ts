/**
 * Certificate chains of any length, made by the machine's OpenSSL: our own certificates stop at one below the root.
 *
 * @module
 */

import { HOST, type Identity } from "./peer.ts";
import { NotRun } from "./runner.ts";

const LEAF = ["basicConstraints=critical,CA:FALSE", `subjectAltName=DNS:${HOST}`];
const AUTHORITY = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"];

/**
 * Makes a chain.
 *
 * @param length P-256 certificates, from the server's to the one below the root.
 * @throws {NotRun} If OpenSSL is not installed, or is too old to sign so.
 */
export function makeChain(length: number): Identity {
  const folder = Deno.makeTempDirSync({ prefix: "tlsio_bench_" });
  try {
    issue(folder, "0", AUTHORITY);
    for (let i = 1; i <= length; i++) issue(folder, `${i}`, i === length ? LEAF : AUTHORITY, `${i - 1}`);
    const read = (name: string) => Deno.readTextFileSync(`${folder}/${name}`);
    const chain = Array.from({ length }, (_, i) => read(`${length - i}.pem`));
    return { certificate: chain.join(""), key: read(`${length}.key`), ca: read("0.pem") };
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

function issue(folder: string, name: string, extensions: readonly string[], issuer?: string): void {
  const path = (file: string) => `${folder}/${file}`;
  const args = [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"],
    ...["-subj", `/CN=bench ${name}`, "-keyout", path(`${name}.key`), "-out", path(`${name}.pem`)],
    ...extensions.flatMap((extension) => ["-addext", extension]),
    ...(issuer === undefined ? [] : ["-CA", path(`${issuer}.pem`), "-CAkey", path(`${issuer}.key`)]),
  ];
  try {
    const { success, stderr } = new Deno.Command("openssl", { args }).outputSync();
    if (success) return;
    throw new NotRun(`openssl cannot issue certificates: ${new TextDecoder().decode(stderr).trim()}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new NotRun("openssl is not installed: it makes the certificates");
  }
}
