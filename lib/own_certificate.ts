/**
 * Certificate: what we show of ourselves, read and checked once.
 *
 * @module
 */

import { typeName } from "./bytes.ts";
import { checkCredentials } from "./configure.ts";
import { Core } from "./core.ts";
import { type FileOrData, loadSource } from "./files.ts";
import type { OwnCredential, SignHash } from "./policy.ts";

/** A certificate with its key, or with who signs in its place. */
export interface CertificateFiles {
  /** The certificate, with the chain up to the root: a path, PEM text, or bytes (PEM or DER). */
  certfile: FileOrData;
  /** Its private key: a path, PEM text, or bytes (PEM or DER). */
  keyfile?: FileOrData;
  /** Opens an encrypted `keyfile`. */
  password?: string;
  /** Signs in place of a `keyfile`. See {@linkcode SignHash}. */
  sign?: SignHash;
}

/**
 * A server's certificate with its key, read once: what `getCertificate` chooses, and what `certificates` holds. Of several for
 * the same hosts, such as one with an RSA and one with an ECDSA key, a client is shown the first that it can verify.
 *
 * @example Read once, chosen for each connection
 * ```ts
 * import { Certificate, createCertificate, SSLContext } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const sites = new Map<string, Certificate>();
 * for (const host of ["a.test", "b.test"]) {
 *   const { certificate, key } = createCertificate({ subject: `CN=${host}`, hosts: [host] });
 *   sites.set(host, await Certificate.load({ certfile: certificate, keyfile: key }));
 * }
 * using context = await SSLContext.create({
 *   serverSide: true,
 *   certificates: sites.get("a.test")!,
 *   getCertificate: ({ serverName }) => sites.get(serverName ?? ""),
 * });
 * assertEquals(context.serverSide, true);
 * ```
 */
export class Certificate {
  /** For `TLSConfig`: the chains with their keys. */
  readonly credentials: readonly OwnCredential[];

  private constructor(credentials: readonly OwnCredential[]) {
    this.credentials = credentials;
  }

  /**
   * Reads one certificate with its key, or several for the same hosts.
   *
   * @param files Where they are.
   * @returns The certificate.
   * @throws {TypeError} If something is missing or of the wrong type.
   * @throws {Deno.errors.NotFound} A file that does not exist; the message names the option and the path.
   * @throws {SSLError} `kind: "config"`: a certificate or key that does not parse, or does not match.
   */
  static async load(files: CertificateFiles | readonly CertificateFiles[]): Promise<Certificate> {
    const credentials = await loadCredentials(Array.isArray(files) ? files : [files]);
    checkCredentials(Core.shared(), credentials);
    return new Certificate(credentials);
  }

  /** Shows what it is, never the keys. */
  [Symbol.for("Deno.customInspect")](): string {
    return `Certificate { ${this.credentials.map(({ chain }) => JSON.stringify(chain.name)).join(", ")} }`;
  }
}

/** Reads certificates and keys; a config checks them. */
export async function loadCredentials(files: readonly CertificateFiles[]): Promise<OwnCredential[]> {
  if (files.length === 0) throw new TypeError("Cannot use certificates: the list is empty");
  return await Promise.all(files.map(loadCredential));
}

async function loadCredential(files: CertificateFiles): Promise<OwnCredential> {
  if (typeof files !== "object" || files === null) {
    throw new TypeError(`Cannot use certificates: expected { certfile, keyfile }, got ${typeName(files)}`);
  }
  const { certfile, keyfile, password, sign } = files;
  if (sign !== undefined && typeof sign !== "function") {
    throw new TypeError(`Cannot use sign: expected a function, got ${typeName(sign)}`);
  }
  if (sign !== undefined && keyfile !== undefined) {
    throw new TypeError("Cannot use sign: keyfile is given, too");
  }
  if (certfile === undefined || (keyfile === undefined && sign === undefined)) {
    throw new TypeError(
      `Cannot use ${certfile ? "certfile" : "keyfile"}: the other of certfile and keyfile is missing`,
    );
  }
  const chain = await loadSource("certfile", certfile);
  if (sign !== undefined) return { chain, sign };
  return { chain, key: await loadSource("keyfile", keyfile), password };
}
