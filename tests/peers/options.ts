/** What every TLS peer can be told, in one vocabulary. */
import { fileURLToPath } from "node:url";

/** Which versions of TLS a peer speaks. */
export type Version = "1.2" | "1.3" | "both";

/** Options that every server takes. */
export interface ServerOptions {
  /** Path of a PEM file: see {@linkcode certFile}. */
  cert: string;
  key: string;
  /** Default `"both"`. */
  tls?: Version;
  /** Whether clients are asked for a certificate. Default `"none"`. */
  clientAuth?: "none" | "optional" | "required";
  /** The authorities of client certificates, a path. Needed unless `clientAuth` is `"none"`. */
  clientCa?: string;
  alpn?: readonly string[];
  /** More arguments of the program, as they are. */
  args?: readonly string[];
}

/** Options that every client takes. */
export interface ClientOptions {
  port: number;
  /** Default `"127.0.0.1"`. */
  host?: string;
  /** Sent as SNI, and the name that the certificate must have. Default `"localhost"`; `null`: neither. */
  servername?: string | null;
  /** The authorities of the server's certificate, a path. None: the certificate is not verified at all. */
  ca?: string;
  /** The client's own certificate. */
  cert?: string;
  key?: string;
  /** Default `"both"`. */
  tls?: Version;
  alpn?: readonly string[];
  /** More arguments of the program, as they are. */
  args?: readonly string[];
  /** For all of it. Default 20 s. */
  timeoutMs?: number;
}

/** What a client found out about its connection; from the program's own words. */
export interface ClientResult {
  /** Exit status of the program. */
  code: number;
  stdout: string;
  stderr: string;
  /** `"TLSv1.2"` or `"TLSv1.3"`; `undefined` when there was no handshake. */
  version: string | undefined;
  /** The suite, as the program spells it. */
  cipher: string | undefined;
  /** The (last) handshake resumed a session. */
  resumed: boolean;
}

/**
 * The path of a file of `tests/certs/`; its README.md lists them.
 *
 * @param name Such as `"ec.pem"`.
 */
export function certFile(name: string): string {
  return fileURLToPath(new URL(`../certs/${name}`, import.meta.url));
}

/** The path of a script of `tests/peers/`. */
export function scriptFile(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/** Certificates whose key has another name. */
const KEY_OF: Record<string, string> = { "chain-leaf": "chain", "ecdh-rsa": "ecdh" };
for (
  const name of ["expired", "future", "cn-only", "ip-in-dns", "wildcard-suffix", "wildcard-partial"]
    .concat("wrong-eku", "sha1", "leaf-issued", "pathlen")
) KEY_OF[name] = "ec";

/** The paths of a certificate of `tests/certs/` and its key: `...identity("ec")`. */
export function identity(name: string): { cert: string; key: string } {
  return { cert: certFile(`${name}.pem`), key: certFile(`${KEY_OF[name] ?? name}.key`) };
}

/** `["-flag", value]` for each value that is there. */
export function flags(values: Record<string, string | number | boolean | null | undefined>): string[] {
  return Object.entries(values).flatMap(([flag, value]) =>
    value === undefined || value === null || value === false
      ? []
      : value === true
      ? [flag]
      : [flag, String(value)]
  );
}
