/**
 * {@linkcode getServerCertificate}: the certificate of a server, to look at or to trust.
 *
 * @module
 */

import { assertSeconds } from "./bytes.ts";
import { SSLError } from "./errors.ts";
import type { FileOrData } from "./files.ts";
import { openConnection } from "./net.ts";
import { derToPem } from "./pem.ts";
import { CERT_NONE, CERT_REQUIRED, type PolicyOptions } from "./policy.ts";
import type { SSLSocket } from "./socket.ts";

/** Options of {@linkcode getServerCertificate}. */
export interface ServerCertificateOptions {
  /** Check the certificate against these. @default {it is not checked} */
  caCerts?: FileOrData | readonly FileOrData[];
  /** The name to ask for (SNI). @default {hostname} */
  serverHostname?: string;
  /** The versions to speak. */
  sslVersion?: PolicyOptions["sslVersion"];
  /** Seconds to connect, and again for the handshake. @default {10} */
  timeout?: number;
}

/**
 * Connects to a server and gets its certificate: CPython's `ssl.get_server_certificate`. Without `caCerts` anybody can
 * answer: compare what you get with what its owner says before you trust it.
 *
 * @param address The host and port.
 * @param options See {@linkcode ServerCertificateOptions}.
 * @returns The certificate, PEM.
 * @throws {TypeError} An option that is wrong, or an unknown one; nothing was connected then.
 * @throws {SSLError} If the handshake fails, or the server has no certificate.
 * @throws {Deno.errors.TimedOut} If it takes longer than `timeout` to connect.
 *
 * @example Usage
 * ```ts
 * import { createCertificate, getServerCertificate, startServer } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
 * const ssl = { certfile: certificate, keyfile: key };
 * await using server = await startServer((_reader, writer) => writer.close(), { hostname: "127.0.0.1", port: 0, ssl });
 * const { port } = server.addr as Deno.NetAddr;
 * assertEquals(await getServerCertificate({ hostname: "127.0.0.1", port }), certificate);
 * ```
 */
export async function getServerCertificate(
  address: { hostname: string; port: number },
  options: ServerCertificateOptions = {},
): Promise<string> {
  const { hostname, port } = address;
  const { caCerts, serverHostname = hostname, sslVersion, timeout = 10, ...others } = options;
  const [other] = Object.keys(others);
  if (other !== undefined) throw new TypeError(`Cannot use ${other}: there is no such option`); // "cacerts" would check nothing
  assertSeconds("timeout", timeout);
  const [, writer] = await openConnection({
    hostname,
    port,
    serverHostname,
    connectTimeout: timeout,
    sslHandshakeTimeout: timeout,
    ssl: {
      certReqs: caCerts === undefined ? CERT_NONE : CERT_REQUIRED,
      ...(caCerts !== undefined && { caCerts }),
      ...(sslVersion !== undefined && { sslVersion }),
    },
  });
  try {
    const der = (writer.transport as SSLSocket).getpeercert(true);
    if (der !== undefined) return derToPem(der);
    throw new SSLError(`Cannot get the certificate of "${hostname}": it has none`, { kind: "protocol" });
  } finally {
    writer.abort();
    await writer.waitClosed();
  }
}
