/** GnuTLS's own server and client programs. */
import { type ClientOptions, type ClientResult, flags, type ServerOptions, type Version } from "./options.ts";
import { PATIENCE, Program } from "./process.ts";
import { listening, onFreePort, type Server } from "./server.ts";

const PRIORITY: Record<Version, string> = {
  "1.2": "NORMAL:-VERS-ALL:+VERS-TLS1.2",
  "1.3": "NORMAL:-VERS-ALL:+VERS-TLS1.3",
  both: "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2",
};

/** Options of {@linkcode gnutlsServer}. */
export interface GnutlsServerOptions extends ServerOptions {
  /** `"echo"` (default): sends back each line. `"http"`: answers a request with a page about the connection. */
  mode?: "echo" | "http";
  /** A GnuTLS priority string, instead of `tls`. */
  priority?: string;
}

/**
 * Starts `gnutls-serv`. It has no option for the address and listens on all of them. Its `stdout` has a
 * paragraph for each connection, with channel bindings and, on request (`--keymatexport`), exported keys.
 */
export async function gnutlsServer(options: GnutlsServerOptions): Promise<Server> {
  const { mode = "echo", clientAuth = "none", args = [] } = options;
  return await onFreePort((port) => {
    const program = new Program("gnutls-serv", [
      ...flags({
        "--port": port,
        "--x509certfile": options.cert,
        "--x509keyfile": options.key,
        "--x509cafile": options.clientCa,
        "--disable-client-cert": clientAuth === "none",
        "--require-client-cert": clientAuth === "required",
        "--verify-client-cert": clientAuth !== "none",
        "--priority": options.priority ?? PRIORITY[options.tls ?? "both"],
        [`--${mode}`]: true,
      }),
      ...(options.alpn ?? []).flatMap((name) => ["--alpn", name]),
      ...args,
    ]);
    return listening(program, /listening on IPv4 \S+ port (\d+)\.\.\.done/);
  });
}

/** Options of {@linkcode gnutlsClient}. */
export interface GnutlsClientOptions extends ClientOptions {
  /** Sent after the (last) handshake. */
  input?: string;
  /** The connection ends when an output matches; default: when the (last) handshake is done. */
  until?: RegExp;
  /** Connect twice; `input`, `until` and the result are of the second connection, which tries to resume. */
  resume?: boolean;
  /** A GnuTLS priority string, instead of `tls`. */
  priority?: string;
}

/** Connects with `gnutls-cli`. Never throws because a handshake fails: see `code`, `stdout` and `stderr`. */
export async function gnutlsClient(options: GnutlsClientOptions): Promise<ClientResult> {
  const { servername = "localhost", host = "127.0.0.1", timeoutMs = PATIENCE } = options;
  await using program = new Program("gnutls-cli", [
    ...flags({
      "--port": options.port,
      "--sni-hostname": servername,
      "--disable-sni": servername === null,
      "--verify-hostname": options.ca === undefined ? undefined : servername,
      "--x509cafile": options.ca,
      "--insecure": options.ca === undefined,
      "--x509certfile": options.cert,
      "--x509keyfile": options.key,
      "--resume": options.resume,
      "--waitresumption": options.resume, // TLS 1.3: tickets come after the handshake
      "--priority": options.priority ?? PRIORITY[options.tls ?? "both"],
    }),
    ...(options.alpn ?? []).flatMap((name) => ["--alpn", name]),
    ...(options.args ?? []),
    host,
  ]);
  if (options.input !== undefined) await program.write(options.input);
  await program.waitFor(options.until ?? /Simple Client Mode/, timeoutMs).catch((error) => {
    if (program.running) throw error;
  });
  await program.closeStdin();
  const code = await program.exit(timeoutMs);
  const { stdout, stderr } = program;
  // "- Description: (TLS1.3-X.509)-(ECDHE-SECP256R1)-(ECDSA-SECP256R1-SHA256)-(AES-256-GCM)"
  const description = [...stdout.matchAll(/^- Description: \(TLS([\d.]+)[^)]*\)(.*)$/gm)].at(-1);
  return {
    code,
    stdout,
    stderr,
    version: description && `TLSv${description[1]}`,
    cipher: description?.[2]?.match(/\(([^()]*)\)$/)?.[1],
    resumed: stdout.includes("*** This is a resumed session"),
  };
}
