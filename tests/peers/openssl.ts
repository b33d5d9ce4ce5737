/** OpenSSL's own server and client programs. */
import { type ClientOptions, type ClientResult, flags, type ServerOptions, type Version } from "./options.ts";
import { PATIENCE, Program } from "./process.ts";
import { listening, type Server } from "./server.ts";

const VERSION_FLAGS: Record<Version, string[]> = { "1.2": ["-tls1_2"], "1.3": ["-tls1_3"], both: [] };

/** Options of {@linkcode opensslServer}. */
export interface OpensslServerOptions extends ServerOptions {
  /**
   * What the server does with a connection. `"rev"` (default): sends each line back reversed. `"www"`: answers
   * any HTTP request with a page about the connection. `"files"`: serves its folder (`cwd`) over HTTP. `"raw"`:
   * `stdout` has what it receives, and `program.write()` sends. But a write that starts with one of these
   * letters is a command, and what follows the letter is lost: Q ends it all, q the connection; k and K update
   * the TLS 1.3 keys (K asks for the peer's, too), r and R renegotiate in TLS 1.2, c asks for a client
   * certificate in TLS 1.3, each followed by `SSL_do_handshake -> 1` in `stdout`: wait for that before the next
   * write; P sends plain text on the TCP connection.
   */
  mode?: "rev" | "www" | "files" | "raw";
  /** Intermediate certificates to send, a path: from `cert` the program takes the first one only. */
  chain?: string;
  cwd?: string;
}

/** Starts `openssl s_server` on a free port of 127.0.0.1. */
export async function opensslServer(options: OpensslServerOptions): Promise<Server> {
  const { mode = "rev", clientAuth = "none", cwd, args = [] } = options;
  const program = new Program("openssl", [
    "s_server",
    ...flags({
      "-accept": "127.0.0.1:0",
      "-cert": options.cert,
      "-key": options.key,
      "-cert_chain": options.chain,
      "-CAfile": options.clientCa,
      "-verify": clientAuth === "optional" ? 4 : undefined,
      "-Verify": clientAuth === "required" ? 4 : undefined,
      "-verify_return_error": clientAuth !== "none",
      "-alpn": options.alpn?.join(","),
      "-rev": mode === "rev",
      "-www": mode === "www",
      "-WWW": mode === "files",
    }),
    ...VERSION_FLAGS[options.tls ?? "both"],
    ...args,
  ], { lineBuffered: true, ...(cwd === undefined ? {} : { cwd }) });
  return await listening(program, /^ACCEPT .*:(\d+)$/m);
}

/** Options of {@linkcode opensslClient}. */
export interface OpensslClientOptions extends ClientOptions {
  /**
   * Sent after the handshake. If it starts with Q, R, K or k, it is a command, as for the server's `"raw"`;
   * `args: ["-quiet"]` switches that off, and most of the output.
   */
  input?: string;
  /** The connection ends when an output matches; default: when the handshake is done. */
  until?: RegExp;
  /** Path where the (last) session is put. The connection does not end before there is one. */
  sessionOut?: string;
  /** Path of a session to resume. */
  sessionIn?: string;
}

/** What `openssl s_client` found out. */
export interface OpensslClientResult extends ClientResult {
  /** X.509 verification, OpenSSL's number: 0 is good. */
  verifyCode: number | undefined;
  alpn: string | undefined;
}

/** Connects with `openssl s_client`. Never throws because a handshake fails: see `code` and `stderr`. */
export async function opensslClient(options: OpensslClientOptions): Promise<OpensslClientResult> {
  const { servername = "localhost", host = "127.0.0.1", timeoutMs = PATIENCE } = options;
  await using program = new Program("openssl", [
    "s_client",
    ...flags({
      "-connect": `${host}:${options.port}`,
      "-servername": servername,
      "-noservername": servername === null,
      "-CAfile": options.ca,
      "-verify_return_error": options.ca !== undefined,
      "-verify_hostname": options.ca === undefined ? undefined : servername,
      "-cert": options.cert,
      "-key": options.key,
      "-alpn": options.alpn?.join(","),
      "-sess_out": options.sessionOut,
      "-sess_in": options.sessionIn,
    }),
    ...VERSION_FLAGS[options.tls ?? "both"],
    ...(options.args ?? []),
  ], { lineBuffered: true });
  if (options.input !== undefined) await program.write(options.input);
  const milestones = [options.until ?? /Verify return code/];
  // In TLS 1.3 sessions come after the handshake. It prints one when it has saved it.
  if (options.sessionOut !== undefined) milestones.push(/SSL-Session:/);
  for (const milestone of milestones) {
    await program.waitFor(milestone, timeoutMs).catch((error) => {
      if (program.running) throw error; // it ends by itself when the handshake fails: a result
    });
  }
  await program.closeStdin();
  const code = await program.exit(timeoutMs);
  const { stdout, stderr } = program;
  // "New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384"; without a handshake "New, (NONE), Cipher is (NONE)". The
  // version in this line is the lowest of the suite, the one in "Protocol  : TLSv1.2" that of the connection.
  const [, kind, cipher] = stdout.match(/^(New|Reused), \S+, Cipher is ([^\s(]+)$/m) ?? [];
  const version = cipher?.startsWith("TLS_") ? "TLSv1.3" : stdout.match(/^ +Protocol +: (TLSv.*)$/m)?.[1];
  const verify = stdout.match(/Verify return code: (\d+)/)?.[1];
  // It prints the suite also when it has refused the certificate.
  const refused = options.ca !== undefined && verify !== "0";
  return {
    code,
    stdout,
    stderr,
    version: refused || cipher === undefined ? undefined : version,
    cipher: refused ? undefined : cipher,
    resumed: kind === "Reused",
    verifyCode: verify === undefined ? undefined : Number(verify),
    alpn: stdout.match(/^ALPN protocol: (.*)$/m)?.[1],
  };
}
