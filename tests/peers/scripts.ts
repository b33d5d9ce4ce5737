/**
 * CPython and Node as peers: the scripts of this folder, which speak the protocol of `protocol.ts`. Both
 * languages take the same arguments and print the same lines of JSON.
 */
import type { PeerInfo, StepResult } from "./protocol.ts";
import { type ClientOptions, flags, scriptFile, type ServerOptions } from "./options.ts";
import { PATIENCE, Program, run } from "./process.ts";
import { listening, type Server } from "./server.ts";

/** A script's server process, and what it says of its connections. */
export interface ScriptServer extends Server {
  /** Everything it has said so far, in order. */
  events(): ServerEvent[];
  /** Waits for the first event of a kind, or the `nth` (from 1). */
  event(kind: ServerEvent["event"], nth?: number): Promise<ServerEvent>;
}

/** One event of a script's server. */
export interface ServerEvent extends Partial<PeerInfo> {
  /** A handshake ends in `open` or `failed`; asyncio does not tell of those that failed. */
  event: "listening" | "open" | "failed" | "closed";
  /** Of `closed`: the client ended the connection with a close_notify. Node cannot tell, and says `true`. */
  clean?: boolean;
  /** What the language's TLS module said. */
  error?: string;
}

/** Options of {@linkcode pythonServer} and {@linkcode nodeServer}. */
export interface ScriptServerOptions extends ServerOptions {
  /** OpenSSL cipher list. Python: the suites of TLS 1.2. */
  ciphers?: string;
}

async function scriptServer(
  name: string,
  args: string[],
  options: ScriptServerOptions,
): Promise<ScriptServer> {
  const program = new Program(name, [
    ...args,
    ...flags({
      "--cert": options.cert,
      "--key": options.key,
      "--ca": options.clientCa,
      "--client-auth": options.clientAuth,
      "--tls": options.tls,
      "--alpn": options.alpn?.join(","),
      "--ciphers": options.ciphers,
    }),
    ...(options.args ?? []),
  ]);
  const server = await listening(program, /"event": ?"listening", ?"port": ?(\d+)/);
  const events = () =>
    program.stdout.split("\n").slice(0, -1).filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as ServerEvent);
  return {
    ...server,
    events,
    async event(kind, nth = 1) {
      await program.waitFor(new RegExp(`(?:"event": ?"${kind}".*\\n[^]*?){${nth}}`));
      return events().filter((event) => event.event === kind)[nth - 1]!;
    },
  };
}

const PYTHON_SERVERS = { threads: "server.py", asyncio: "asyncio_server.py", starttls: "starttls_server.py" };

/** Starts `server.py`, or by `style` another of the Python servers, on a free port of 127.0.0.1. */
export function pythonServer(
  options: ScriptServerOptions & { style?: keyof typeof PYTHON_SERVERS },
): Promise<ScriptServer> {
  const script = PYTHON_SERVERS[options.style ?? "threads"];
  return scriptServer("python3", ["-B", scriptFile(script)], options);
}

/** Starts `server.mjs` on a free port of 127.0.0.1, in Node itself. */
export function nodeServer(options: ScriptServerOptions): Promise<ScriptServer> {
  return scriptServer("node", [scriptFile("server.mjs")], options);
}

/** Options of {@linkcode pythonClient} and {@linkcode nodeClient}. */
export interface ScriptClientOptions extends ClientOptions {
  /** Lines of the protocol, for each connection. */
  steps?: readonly string[];
  /** One after the other; every one after the first tries to resume. Default 1. */
  connections?: number;
  /** OpenSSL cipher list. Python: the suites of TLS 1.2. */
  ciphers?: string;
}

/** What a script's client found on one connection. */
export interface ConnectionReport {
  version?: PeerInfo["version"];
  /** OpenSSL's name. */
  cipher?: string;
  resumed?: boolean;
  alpn?: string | null;
  steps: StepResult[];
  /** How the server ended it. Node and asyncio cannot tell `clean` from `truncated` and say `ended`. */
  closed?: "clean" | "truncated" | "ended";
  /** What the language's TLS module said, when the handshake or a step failed. */
  error?: string;
}

/** What a script's client found. */
export interface ScriptResult {
  /** 0, or 1 when the last connection failed. */
  code: number;
  connections: ConnectionReport[];
  stderr: string;
}

async function scriptClient(
  name: string,
  args: string[],
  options: ScriptClientOptions,
): Promise<ScriptResult> {
  const { servername = "localhost", steps = ["INFO"], timeoutMs = PATIENCE } = options;
  const { code, stdout, stderr } = await run(name, [
    ...args,
    ...flags({
      "--host": options.host,
      "--port": options.port,
      "--servername": servername,
      "--ca": options.ca,
      "--cert": options.cert,
      "--key": options.key,
      "--tls": options.tls,
      "--alpn": options.alpn?.join(","),
      "--ciphers": options.ciphers,
      "--connections": options.connections,
    }),
    ...(options.args ?? []),
    ...steps,
  ], { timeoutMs });
  const connections = stdout.split("\n").filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line) as ConnectionReport);
  if (connections.length === 0) {
    throw new Error(`Cannot run ${args[0]}: exit status ${code}\n${stdout}${stderr}`);
  }
  return { code, connections, stderr };
}

/**
 * Connects with `client.py`, or with `style: "asyncio"` `asyncio_client.py`, which cannot resume. Never throws
 * because a handshake or a step fails: see `connections`.
 */
export function pythonClient(
  options: ScriptClientOptions & { style?: "blocking" | "asyncio" },
): Promise<ScriptResult> {
  const script = options.style === "asyncio" ? "asyncio_client.py" : "client.py";
  return scriptClient("python3", ["-B", scriptFile(script)], options);
}

/** Connects with `client.mjs`, in Node itself. Never throws because a handshake or a step fails. */
export function nodeClient(options: ScriptClientOptions): Promise<ScriptResult> {
  return scriptClient("node", [scriptFile("client.mjs")], options);
}
