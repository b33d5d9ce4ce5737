/**
 * What the interop tests share: tlsio's own server and client in the roles of the peers of `peers.ts`, and the
 * cases of their table.
 *
 * @module
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  type ConnectionFailure,
  type ContextOptions,
  type Server,
  type SSLSocket,
  startServer,
  type StreamReader,
  TLSVersion,
  wrapSocket,
  type WrapSocketOptions,
  type Writer,
} from "tlsio";
import {
  certFile,
  handleProtocol,
  identity as filesOf,
  PATIENCE,
  type PeerInfo,
  run,
  within,
} from "./peers.ts";

/** Seconds that a connection may take to shake hands, even one of a crowd on a busy machine, and to say goodbye. */
const HANDSHAKE_TIMEOUT = 60;
const SHUTDOWN_TIMEOUT = 10;

// ---- The table ------------------------------------------------------------------------------------------

/** One row: a version, a kind of key, and whether a session is resumed. */
export interface Case {
  readonly version: "1.2" | "1.3";
  /** A certificate of `certs/`. */
  readonly key: "ec" | "rsa";
  readonly resumed: boolean;
}

/** Every combination. */
export const CASES: readonly Case[] = (["1.2", "1.3"] as const).flatMap((version) =>
  (["ec", "rsa"] as const).flatMap((key) => [false, true].map((resumed) => ({ version, key, resumed })))
);

/** `"TLSv1.3 ECDSA resumed"`: for the names of tests. */
export function caseName({ version, key, resumed }: Case): string {
  return `TLSv${version} ${key === "ec" ? "ECDSA" : "RSA"} ${resumed ? "resumed" : "full"}`;
}

/** The number of a version. */
export const VERSION = { "1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3 } as const;

/** Both authorities of `certs/`. */
export const ROOTS = certFile("roots.pem");

/**
 * The cipher in a suite's name, however it is spelt: IANA's `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`, OpenSSL's
 * `ECDHE-RSA-AES128-GCM-SHA256` and GnuTLS's `AES-128-GCM` are all `"AES128GCM"`; CBC has no third part.
 */
export function cipherFamily(suite: string | undefined): string {
  const name = suite?.toUpperCase().replaceAll(/[-_]/g, "") ?? "";
  const family = name.match(/CHACHA20|AES(128|256)(GCM|CCM8?)?/)?.[0];
  if (family === undefined) throw new Error(`Cannot find the cipher in "${suite}"`);
  return family;
}

/** Asserts what a case says about our own end. */
export function assertCase(
  { version, key, resumed }: Case,
  ours: Pick<PeerInfo, "version" | "cipher" | "resumed">,
): void {
  assertEquals([ours.version, ours.resumed], [`TLSv${version}`, resumed]);
  if (version === "1.2") assertStringIncludes(ours.cipher, key === "ec" ? "_ECDSA_" : "_RSA_");
}

// ---- tlsio as the server --------------------------------------------------------------------------------

/** One connection that our server has served. */
export interface Served extends Omit<PeerInfo, "sni"> {
  group: string | undefined;
  /** `"eof"`: the peer said goodbye first, with a close_notify. */
  ended: "eof" | "quit" | "drop" | "failed";
  /** Why it failed. */
  error?: unknown;
}

/** Options of {@linkcode tlsioServer}. */
export interface TlsioServerOptions extends ContextOptions {
  /** A certificate of `certs/` with its key. @default {"ec"; none with psk, pskCallback or certificates} */
  identity?: string;
  /** Serves a connection instead of `handleProtocol()`. */
  handler?: (reader: StreamReader, writer: Writer, socket: SSLSocket) => Promise<void>;
}

/** Our server on a port of 127.0.0.1. */
export interface TlsioServer extends AsyncDisposable {
  readonly port: number;
  readonly server: Server;
  /** Handshakes that failed. */
  readonly failures: { error: unknown; phase: ConnectionFailure["phase"] }[];
  /** Waits until `count` connections have ended; returns them in the order of their ends. */
  served(count: number): Promise<Served[]>;
  /** Waits until `count` connections have failed to shake hands; returns the last one's error. */
  failed(count?: number): Promise<unknown>;
}

/** The CN of the certificate that the peer was verified by. */
function clientName(socket: SSLSocket): string | null {
  const { subject = [] } = socket.getpeercert() ?? {};
  return subject.flat().find(([name]) => name === "commonName")?.[1] ?? null;
}

/** What our own end knows of a connection, as the peers say it. */
export function infoOf(socket: SSLSocket): Omit<PeerInfo, "sni"> {
  return {
    version: socket.version() as PeerInfo["version"],
    cipher: socket.cipher()!.name,
    resumed: socket.sessionReused,
    alpn: socket.selectedAlpnProtocol() ?? null,
    client: clientName(socket),
  };
}

/** A list that can be waited for. */
class Log<T> {
  readonly entries: T[] = [];
  #wake = Promise.withResolvers<void>();

  add(entry: T): void {
    this.entries.push(entry);
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  async reach(count: number, what: string): Promise<T[]> {
    const ends = Date.now() + PATIENCE;
    while (this.entries.length < count) {
      await within(this.#wake.promise, ends - Date.now(), `${what} (${this.entries.length} of ${count})`);
    }
    return this.entries;
  }
}

/** Starts tlsio's server with the protocol of `peers/protocol.ts`; it ends with its scope. */
export async function tlsioServer(options: TlsioServerOptions = {}): Promise<TlsioServer> {
  const needsNone = options.psk ?? options.pskCallback ?? options.certificates;
  const { identity = needsNone === undefined ? "ec" : undefined, handler, ...given } = options;
  const served = new Log<Served>();
  const failures = new Log<{ error: unknown; phase: ConnectionFailure["phase"] }>();
  const files = identity === undefined ? undefined : filesOf(identity);
  const server = await startServer(async (reader, writer) => {
    const socket = writer.transport as SSLSocket;
    await socket.handshake(); // a device's server leaves it to us
    const facts = { ...infoOf(socket), group: socket.group() };
    try {
      if (handler !== undefined) {
        await handler(reader, writer, socket);
        await close(writer);
        served.add({ ...facts, ended: "quit" });
        return;
      }
      const ended = await handleProtocol(socket, () => ({ ...infoOf(socket), sni: null }));
      if (ended === "drop") socket.abort();
      else await close(writer);
      served.add({ ...facts, ended });
    } catch (error) {
      socket.abort();
      served.add({ ...facts, ended: "failed", error });
    }
  }, {
    hostname: "127.0.0.1",
    port: 0,
    backlog: 1024,
    ssl: { ...(files && { certfile: files.cert, keyfile: files.key }), ...given },
    sslHandshakeTimeout: HANDSHAKE_TIMEOUT,
    sslShutdownTimeout: SHUTDOWN_TIMEOUT,
    onError: (error, { phase }) => failures.add({ error, phase }),
  });
  return {
    port: (server.addr as Deno.NetAddr).port,
    server,
    failures: failures.entries,
    served: (count) => served.reach(count, "wait for the end of connections"),
    failed: async (count = 1) =>
      (await failures.reach(count, "wait for failed handshakes"))[count - 1]?.error,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** How a peer of {@linkcode httpHandler} has to end: by a close_notify, or as browsers do, just so. */
export interface HttpOptions {
  ragged?: boolean;
  /** Makes the answer. @default {what was posted} */
  answer?: (path: string, body: Uint8Array, socket: SSLSocket) => string | Uint8Array;
  /** @default {"text/html"} */
  type?: string;
}

/** A handler of {@linkcode tlsioServer} that answers one HTTP/1.1 request, then closes first. */
export function httpHandler({ ragged, answer = (_, body) => body, type = "text/html" }: HttpOptions = {}) {
  return async (reader: StreamReader, writer: Writer, socket: SSLSocket): Promise<void> => {
    const head = new TextDecoder().decode(await reader.readuntil("\r\n\r\n"));
    const length = Number(head.match(/^content-length: (\d+)/im)?.[1] ?? 0);
    if (/^expect: 100-continue/im.test(head)) writer.write("HTTP/1.1 100 Continue\r\n\r\n");
    const content = answer(head.split(" ")[1]!, await reader.readexactly(length), socket);
    const body = typeof content === "string" ? new TextEncoder().encode(content) : content;
    const headers = [`Content-Length: ${body.length}`, `Content-Type: ${type}`, "Connection: close"];
    writer.write(`HTTP/1.1 200 OK\r\n${headers.join("\r\n")}\r\n\r\n`);
    writer.write(body);
    await writer.drain();
    if (!ragged) await closeInOrder(socket);
  };
}

async function close(writer: Writer): Promise<void> {
  writer.close();
  await writer.waitClosed();
}

// ---- tlsio as the client --------------------------------------------------------------------------------

/** Connects to a port of 127.0.0.1 as tlsio's client; trusts both authorities, expects `localhost`. */
export async function tlsioClient(port: number, options: WrapSocketOptions = {}): Promise<SSLSocket> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  return await wrapSocket(conn, clientOptions(options));
}

/** The options of {@linkcode tlsioClient}. */
export function clientOptions(options: WrapSocketOptions = {}): WrapSocketOptions {
  return {
    serverHostname: "localhost",
    timeout: HANDSHAKE_TIMEOUT,
    shutdownTimeout: SHUTDOWN_TIMEOUT,
    ...(options.context === undefined && options.psk === undefined && { caCerts: ROOTS }),
    ...options,
  };
}

/** Says goodbye, and reads until the peer has, too. An end without its close_notify rejects. */
export async function closeInOrder(socket: SSLSocket): Promise<void> {
  await socket.closeWrite();
  const buffer = new Uint8Array(4096);
  const untilEnd = async () => {
    while (await socket.read(buffer) !== null);
  };
  await within(untilEnd(), PATIENCE, "wait for the peer's close_notify");
  await socket.close();
}

/** Writes all of `data`. */
export async function send(socket: SSLSocket, data: string | Uint8Array<ArrayBuffer>): Promise<void> {
  await within(
    socket.write(typeof data === "string" ? new TextEncoder().encode(data) : data),
    PATIENCE,
    "write to the peer",
  );
}

/** Reads text until it matches, or to the end of the stream without `until`. */
export async function receive(socket: SSLSocket, until?: RegExp): Promise<string> {
  const buffer = new Uint8Array(65536);
  const decoder = new TextDecoder();
  let text = "";
  const all = async () => {
    while (until === undefined || !until.test(text)) {
      const n = await socket.read(buffer);
      if (n === null) break;
      text += decoder.decode(buffer.subarray(0, n), { stream: true });
    }
  };
  await within(all(), PATIENCE, `read ${until ?? "to the end"} from the peer, got ${JSON.stringify(text)}`);
  return text;
}

/** Runs a Python program that connects to `port`; it prints JSON. */
export async function python(script: string, port: number, ...argv: string[]): Promise<unknown> {
  const head = `import json, socket, ssl, sys
port, ca = int(sys.argv[1]), sys.argv[2]
def connect(context, **options):
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    return context.wrap_socket(sock, server_hostname="localhost", **options)
`;
  const { code, stdout, stderr } = await run("python3", ["-c", head + script, String(port), ROOTS, ...argv]);
  assertEquals(code, 0, stderr);
  return JSON.parse(stdout);
}
