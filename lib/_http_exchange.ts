/**
 * One request and its response: what is refused before a handler sees it, the limit of its body, the framing of its
 * answer. Parsing is `node:http`'s, and the `Request` and `Response` are made and sent by `@remix-run/node-fetch-server`.
 */

import {
  type IncomingMessage,
  type OutgoingHttpHeader,
  type OutgoingHttpHeaders,
  ServerResponse,
  STATUS_CODES,
} from "node:http";
import { createRequest, sendResponse } from "./_fetch_adapter.ts";
import type { HttpConnection } from "./_http_connection.ts";

/** A host name or IP address, with or without a port: nothing that could be taken for a path, a query or a user. */
const AUTHORITY = /^(?:[a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

type HeadersGiven = OutgoingHttpHeaders | OutgoingHttpHeader[];

/** Writes a reason where a `Response` has none, and leaves the framing to node. */
export class FramedResponse extends ServerResponse {
  override strictContentLength = true; // a body longer than it says would be taken for the next response

  override writeHead(status: number, reason?: string | HeadersGiven, headers?: HeadersGiven): this {
    if (typeof reason !== "string") return super.writeHead(status, reason);
    if (headers !== undefined && !Array.isArray(headers)) delete headers["transfer-encoding"];
    return super.writeHead(status, reason || STATUS_CODES[status], headers);
  }
}

/** The connection of a request. */
export function connectionOf(request: IncomingMessage): HttpConnection {
  return request.socket as unknown as HttpConnection;
}

/**
 * Whether a request is to be refused.
 *
 * @returns The status, or `undefined`.
 */
export function objection(request: IncomingMessage, maxBodySize: number): number | undefined {
  const { headers, headersDistinct, httpVersion, method } = request;
  const hosts = headersDistinct.host?.length ?? 0;
  const isOld = httpVersion === "1.0";
  if (!isOld && httpVersion !== "1.1") return 505;
  if (hosts > 1 || (hosts === 0 && !isOld)) return 400; // RFC 9112 section 3.2
  if (isOld && headers["transfer-encoding"] !== undefined) return 400; // section 6.1
  if (method === "TRACE" || /\bwebsocket\b/i.test(headers.upgrade ?? "")) return 501;
  if (Number(headers["content-length"] ?? 0) > maxBodySize) return 413;
  return undefined;
}

/**
 * Makes the `Request`.
 *
 * @throws {TypeError} If its target, host or method is not one that a `Request` can have.
 */
export function requestOf(incoming: IncomingMessage, response: ServerResponse): Request {
  const { encrypted, info } = connectionOf(incoming);
  const protocol = encrypted ? "https:" : "http:";
  let host = incoming.headers.host ?? hostOf(info.localAddr);
  if (!incoming.url?.startsWith("/")) { // the absolute form, which says the host again (RFC 9112 section 3.2.2)
    const target = new URL(incoming.url ?? "");
    if (!/^https?:$/.test(target.protocol)) throw new TypeError("Cannot serve a request: it is not for HTTP");
    host = target.host;
    incoming.url = target.pathname + target.search;
  }
  if (!AUTHORITY.test(host)) throw new TypeError("Cannot serve a request: its host is not one");
  return createRequest(incoming, response, { protocol, host });
}

function hostOf(addr: Deno.Addr): string {
  if (!("hostname" in addr)) return "localhost";
  return addr.hostname.includes(":") ? `[${addr.hostname}]:${addr.port}` : `${addr.hostname}:${addr.port}`;
}

/** Ends a request whose body turns out to be larger than `maxBodySize`: 413, and whoever reads it gets an error. */
export function limitBody(incoming: IncomingMessage, response: ServerResponse, maxBodySize: number): void {
  if (incoming.method === "GET" || incoming.method === "HEAD") return; // their bodies are not read at all
  let size = 0;
  incoming.on("data", function count(chunk: Uint8Array): void {
    size += chunk.length;
    if (size <= maxBodySize) return;
    incoming.off("data", count);
    const error = new RangeError(`Cannot read the request's body: it is larger than ${maxBodySize} bytes`);
    if (response.headersSent) incoming.destroy(error);
    else connectionOf(incoming).refuse(response, 413);
    if (incoming.listenerCount("error") > 0) incoming.emit("error", error); // nobody: the handler wants no more of it
  });
}

/**
 * Sends a response, unless the client has left or another response was sent. Its body is read to the end or cancelled.
 *
 * @throws What the body's stream throws, or node of headers that cannot be sent.
 */
export async function send(outgoing: ServerResponse, response: Response): Promise<void> {
  try {
    if (!outgoing.headersSent && !outgoing.destroyed) await sendResponse(outgoing, response);
  } finally {
    // The body of a HEAD, or one that was cut short, may hold a file open.
    if (response.body !== null && !response.body.locked) await response.body.cancel().catch(() => {});
  }
}
