/**
 * What the tests of `serve()` share: servers on a free port of 127.0.0.1, curl, and a client that sends whatever it is told.
 *
 * @module
 */
import { type HttpHandler, type HttpServeOptions, type HttpServer, serve } from "tlsio/http";
import { certFile, PATIENCE, Program, run, type RunOptions, type RunResult, within } from "./peers.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A server over TLS, with the certificate `ec`. */
export function secure(handler: HttpHandler, options: HttpServeOptions = {}): Promise<HttpServer> {
  const ssl = { certfile: certFile("ec.pem"), keyfile: certFile("ec.key"), ...options.ssl };
  return serve(handler, { hostname: "127.0.0.1", port: 0, ...options, ssl });
}

/** A server without TLS: what is between HTTP and the bytes is the same. */
export function plain(handler: HttpHandler, options: HttpServeOptions = {}): Promise<HttpServer> {
  return serve(handler, { hostname: "127.0.0.1", port: 0, ...options });
}

/** Answers with the method and the URL. */
export const say: HttpHandler = ({ method, url }) => new Response(`${method} ${new URL(url).pathname}`);

/** The port of a server. */
export function portOf(server: HttpServer): number {
  return (server.addr as Deno.NetAddr).port;
}

/** The URL of a path on a server over TLS. */
export function urlOf(server: HttpServer, path = "/"): string {
  return `https://localhost:${portOf(server)}${path}`;
}

function curlArgs(server: HttpServer, paths: readonly string[], args: readonly string[]): string[] {
  const resolve = ["--resolve", `localhost:${portOf(server)}:127.0.0.1`];
  const trust = ["--cacert", certFile("root.pem")];
  return [
    "-sS",
    "--noproxy",
    "*",
    ...resolve,
    ...trust,
    ...args,
    ...paths.map((path) => urlOf(server, path)),
  ];
}

/** Runs curl on one or several paths of a server over TLS, trusting `root.pem`. */
export function curl(
  server: HttpServer,
  paths: string | readonly string[],
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<RunResult> {
  return run("curl", curlArgs(server, [paths].flat(), args), options);
}

/** Starts curl; it prints what it receives at once. */
export function startCurl(server: HttpServer, path = "/"): Program {
  return new Program("curl", curlArgs(server, [path], ["-N"]));
}

/** A TCP connection that sends and receives text, with a limit on every wait. */
export class RawClient implements Disposable {
  readonly conn: Deno.TcpConn;
  /** All that was received. */
  received = "";

  private constructor(conn: Deno.TcpConn) {
    this.conn = conn;
  }

  /** Connects to a port of 127.0.0.1. */
  static async connect(server: HttpServer): Promise<RawClient> {
    return new RawClient(await Deno.connect({ hostname: "127.0.0.1", port: portOf(server) }));
  }

  /** Sends text. */
  async send(text: string): Promise<void> {
    let rest = encoder.encode(text);
    while (rest.length > 0) {
      rest = rest.subarray(await within(this.conn.write(rest), PATIENCE, "send to the server"));
    }
  }

  /** Waits for text; or, without a pattern, for the end of the stream. Returns all that was received. */
  async until(pattern?: RegExp): Promise<string> {
    const buffer = new Uint8Array(65536);
    while (pattern === undefined || !pattern.test(this.received)) {
      const what = `receive ${pattern ?? "the end"} after ${JSON.stringify(this.received.slice(-200))}`;
      const n = await within(this.conn.read(buffer), PATIENCE, what);
      if (n === null) {
        if (pattern === undefined) break;
        throw new Error(`Cannot ${what}: the stream has ended`);
      }
      this.received += decoder.decode(buffer.subarray(0, n));
    }
    return this.received;
  }

  [Symbol.dispose](): void {
    this.conn.close();
  }
}

/** Sends text to a server without TLS, and returns what it answers until it closes. */
export async function converse(server: HttpServer, text: string): Promise<string> {
  using client = await RawClient.connect(server);
  await client.send(text);
  return await client.until();
}

/** The status lines of an answer. */
export function statuses(answer: string): number[] {
  return [...answer.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => Number(status));
}

/** What is printed as an error while it is in scope. */
export function printedErrors(): { printed: unknown[][] } & Disposable {
  const { error } = console;
  const printed: unknown[][] = [];
  console.error = (...parts: unknown[]) => void printed.push(parts);
  return { printed, [Symbol.dispose]: () => void (console.error = error) };
}

/** Waits until something is so. */
export async function eventually(what: string, isSo: () => boolean): Promise<void> {
  for (const ends = Date.now() + PATIENCE; !isSo();) {
    if (Date.now() > ends) throw new Error(`Cannot wait until ${what}: not in ${PATIENCE} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A response that begins, and goes on when the test says so. */
export class SlowResponse {
  readonly #stream = new TransformStream<Uint8Array, Uint8Array>();
  readonly #writer = this.#stream.writable.getWriter();
  readonly response = new Response(this.#stream.readable);
  /** Settles when nobody reads it any more. */
  readonly cancelled = Promise.withResolvers<void>();

  constructor() {
    this.#writer.closed.catch(() => this.cancelled.resolve());
    this.#writer.write(new TextEncoder().encode("begun, ")).catch(() => {});
  }

  async finish(): Promise<void> {
    await this.#writer.write(new TextEncoder().encode("finished"));
    await this.#writer.close();
  }

  async fail(error: Error): Promise<void> {
    await this.#writer.abort(error);
  }
}
