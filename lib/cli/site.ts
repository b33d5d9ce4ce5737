/** What `tlsio serve` serves: the handler of its requests, and the lines that it prints. */

import type { HttpHandler, ServeInfo } from "../http.ts";
import { demo, type Fact } from "./demo_page.ts";
import { staticFiles } from "./static_files.ts";
import { oneLine, outputStyle, printable } from "./terminal.ts";

/** What to serve. */
export interface Site {
  /** The folder; none: the demo. */
  readonly folder: string | undefined;
  /** Print no line for each request. */
  readonly quiet: boolean;
  /** The channel on which its Workers say how they are; none: nobody asks. */
  readonly channel?: string | undefined;
}

/** The handler of a site. */
export async function siteHandler({ folder, quiet }: Site): Promise<HttpHandler> {
  const handler = folder === undefined ? demoHandler : await staticFiles(folder);
  return quiet ? handler : logged(handler);
}

/** The module that makes the same handler in a Worker: what it needs is in the URL. */
export function siteModule(site: Site): URL {
  const module = new URL("./site_worker.ts", import.meta.url);
  module.searchParams.set("site", JSON.stringify(site));
  return module;
}

const demoHandler: HttpHandler = (request, info) => demo(request, connectionFacts(info));

function connectionFacts({ remoteAddr, tls }: ServeInfo): Fact[] {
  const client = tls!.peerCertificate?.subject;
  return [
    ["TLS version", tls!.version],
    ["Cipher suite", tls!.cipher],
    ["Key exchange", tls!.group ?? "none"],
    ["Resumed", tls!.sessionReused ? "yes, an earlier session" : "no, a full handshake"],
    ["ALPN", tls!.alpnProtocol ?? "none"],
    ["Client certificate", client?.flat().map(([type, value]) => `${type}=${value}`).join(", ") ?? "none"],
    ["Your address", address(remoteAddr)],
  ];
}

/** A handler that prints a line for each request. */
function logged(handler: HttpHandler): HttpHandler {
  const { dim } = outputStyle();
  return async (request, info) => {
    const { pathname, search } = new URL(request.url);
    const log = (status: number) => {
      const tls = `${info.tls!.version}${info.tls!.sessionReused ? " resumed" : ""}`;
      const target = printable(`${request.method} ${pathname}${search}`);
      console.log(`${dim(`${clock()} ${address(info.remoteAddr)}`)} ${target} ${status} ${dim(tls)}`);
    };
    try {
      const response = await handler(request, info);
      log(response.status);
      return response;
    } catch (error) {
      log(500);
      throw error;
    }
  };
}

/** Prints that a connection, or a worker, has failed. */
export function logFailure(
  error: unknown,
  { remoteAddr, phase }: { remoteAddr?: Deno.Addr; phase: string },
): void {
  const peer = remoteAddr === undefined ? "" : ` ${address(remoteAddr)}`;
  console.log(`${outputStyle().dim(`${clock()}${peer}`)} ${phase} failed: ${oneLine(error)}`);
}

/** Answers in place of a handler that threw. */
export function serverError(error: unknown): Response {
  console.error(`tlsio serve: ${oneLine(error)}`);
  return new Response("Internal Server Error\n", { status: 500 });
}

/** The time of day, for a line of the log. */
export function clock(): string {
  return new Date().toTimeString().slice(0, 8);
}

/** An address, for a line of the log. */
export function address(addr: Deno.Addr): string {
  const { hostname, port } = addr as Deno.NetAddr;
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}
