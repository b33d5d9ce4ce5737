/** Certificates and keys on their way into the core: what to parse, and what to say when it does not. */

import { type Bytes, encodeText } from "./bytes.ts";
import type { Core } from "./core.ts";
import { CODE, codeText, SSLError } from "./errors.ts";

/** Bytes with the words that name them in an error: `certfile "server.pem"`. */
export interface Source {
  /** The option, with its path if it had one. */
  readonly name: string;
  /** PEM or DER. */
  readonly bytes: Bytes;
}

/** The length that mbedTLS wants: PEM counts its NUL, which `Core.with` has put there. */
export function parseLength(bytes: Bytes): number {
  return isPem(bytes) ? bytes.length + 1 : bytes.length;
}

/** Whether `bytes` hold PEM (RFC 7468). What begins as DER is DER: a name in it can hold the PEM of another certificate. */
export function isPem(bytes: Uint8Array): boolean {
  if (bytes[0] === 0x30 && bytes[1]! > 0x7f) return false; // a SEQUENCE with a length that no UTF-8 text has there
  return new TextDecoder("latin1").decode(bytes).includes("-----BEGIN ");
}

export function credentialError(code: number, where: number, chain: Source, key: Source): SSLError {
  const init = { kind: "config", code } as const;
  if (where === 0) {
    return new SSLError(`Cannot load ${chain.name}: ${noCertificate(chain.bytes, code)}`, init);
  }
  if (code === CODE.KEY_PASSWORD_REQUIRED) {
    return new SSLError(`Cannot load ${key.name}: the key is encrypted and no password was given`, init);
  }
  if (code === CODE.KEY_PASSWORD_MISMATCH) {
    return new SSLError(`Cannot load ${key.name}: the password does not open the key`, init);
  }
  if (where === 1) return new SSLError(`Cannot load ${key.name}: ${codeText(code)}`, init);
  return new SSLError(`Cannot use ${key.name}: it does not match the certificate of ${chain.name}`, init);
}

function noCertificate(bytes: Bytes, code: number): string {
  return isPem(bytes) && !decodePem(bytes).includes("-----BEGIN CERTIFICATE-----")
    ? "the PEM holds no certificate"
    : codeText(code);
}

export function crlError(name: string, bytes: Bytes, code: number): SSLError {
  const state = isPem(bytes) && !decodePem(bytes).includes("-----BEGIN X509 CRL-----")
    ? "the PEM holds no CRL"
    : codeText(code);
  return new SSLError(`Cannot load ${name}: ${state}`, { kind: "config", code });
}

function decodePem(bytes: Bytes): string {
  return new TextDecoder("latin1").decode(bytes);
}

function newTrust(core: Core): number {
  const trust = core.call.trust_new();
  if (trust === 0) {
    throw new SSLError("Cannot load caCerts: out of memory", { kind: "internal", code: CODE.ALLOC_FAILED });
  }
  return trust;
}

export function loadTrust(core: Core, sources: readonly Source[]): number {
  const trust = newTrust(core);
  for (const { name, bytes } of sources) {
    const code = core.with([bytes], (at) => core.call.trust_add(trust, at!, parseLength(bytes)));
    if (code === 0) continue;
    core.call.trust_free(trust);
    const problem = code > 0 ? `${code} of its certificates cannot be read` : noCertificate(bytes, code);
    throw new SSLError(`Cannot load ${name}: ${problem}`, { kind: "config", code: Math.min(code, 0) });
  }
  return trust;
}

/** Deno's copy of the Mozilla roots. One that mbedTLS cannot read is left out: it then verifies nothing. */
export function loadRoots(core: Core): number {
  const trust = newTrust(core);
  const { rootCertificates } = loadNodeTls();
  const pem = encodeText(`${rootCertificates.join("\n")}\n`);
  const code = core.with([pem], (at) => core.call.trust_add(trust, at!, pem.length + 1));
  core.check("load the default caCerts", code);
  return trust;
}

/** Not by `import`: that takes longer than a handshake, and who names a CA does without. */
function loadNodeTls(): typeof import("node:tls") {
  return globalThis.process.getBuiltinModule("node:tls");
}
