/**
 * One request and its response: what is refused before a handler sees it, the limit of its body, the framing of its
 * answer. Parsing is `node:http`'s, and a `Request` with a body is made by `@remix-run/node-fetch-server`.
 */

import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import { createRequest } from "./_fetch_adapter.ts";
import type { HttpConnection } from "./_http_connection.ts";

/** Statuses of responses without a body that say no length (RFC 9110 section 8.6). */
const BODILESS = [101, 204, 304];

/** A host name or IP address, with or without a port: nothing that could be taken for a path, a query or a user. */
const AUTHORITY = /^(?:[a-z0-9._~-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i;

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
  const { headers, rawHeaders, httpVersion, method } = request;
  let hosts = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.length === 4 && rawHeaders[i]!.toLowerCase() === "host") hosts++;
  }
  const isOld = httpVersion === "1.0";
  if (!isOld && httpVersion !== "1.1") return 505;
  if (hosts > 1 || (hosts === 0 && !isOld)) return 400; // RFC 9112 section 3.2
  const codings = headers["transfer-encoding"];
  // Section 6.1: who stands before us may have seen another end of the body.
  if (codings !== undefined && (isOld || headers["content-length"] !== undefined)) return 400;
  if (codings !== undefined && codings.toLowerCase() !== "chunked") return 400;
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
  assertAuthority(host); // whether it counts or not (section 3.2)
  if (!incoming.url?.startsWith("/")) { // the absolute form, which says the host again (RFC 9112 section 3.2.2)
    const target = new URL(incoming.url ?? "");
    if (!/^https?:$/.test(target.protocol)) throw new TypeError("Cannot serve a request: it is not for HTTP");
    host = target.host;
    assertAuthority(host);
    incoming.url = target.pathname + target.search;
  }
  const { method = "GET" } = incoming;
  if (!isBodiless(method)) return createRequest(incoming, response, { protocol, host });
  return bodilessRequest(incoming, response, `${protocol}//${host}${incoming.url}`);
}

function assertAuthority(host: string): void {
  if (!AUTHORITY.test(host)) throw new TypeError("Cannot serve a request: its host is not one");
}

/** Whether requests with this method have no body for fetch; if the client sends one, it is not read. */
function isBodiless(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

/** What `createRequest()` makes for these, in less time: that one copies the headers twice more (2 us and their garbage). */
function bodilessRequest(
  { method, headers }: IncomingMessage,
  response: ServerResponse,
  url: string,
): Request {
  const left = new AbortController();
  response.on("close", () => {
    if (!response.writableFinished) left.abort();
  });
  return new Request(url, {
    method: method!,
    headers: headers as Record<string, string>,
    signal: left.signal,
  });
}

function hostOf(addr: Deno.Addr): string {
  if (!("hostname" in addr)) return "localhost";
  return addr.hostname.includes(":") ? `[${addr.hostname}]:${addr.port}` : `${addr.hostname}:${addr.port}`;
}

/** Ends a request whose body turns out to be larger than `maxBodySize`: 413, and whoever reads it gets an error. */
export function limitBody(
  incoming: IncomingMessage,
  response: ServerResponse,
  maxBodySize: number,
  onLimit: () => void,
): void {
  if (isBodiless(incoming.method!)) return;
  let size = 0;
  const connection = connectionOf(incoming);
  incoming.on("data", function count(chunk: Uint8Array): void {
    size += chunk.length;
    connection.framed(chunk.length);
    if (size <= maxBodySize) return;
    incoming.off("data", count);
    onLimit();
    const error = new RangeError(`Cannot read the request's body: it is larger than ${maxBodySize} bytes`);
    if (response.headersSent) incoming.destroy(error);
    else connection.refuse(response, 413);
    if (incoming.listenerCount("error") > 0) incoming.emit("error", error); // nobody: the handler wants no more of it
  });
}

/**
 * Sends a response, unless the client has left or another response was sent. Its body is read to the end or cancelled.
 *
 * @throws What the body's stream throws, or node of headers that cannot be sent.
 */
export async function send(outgoing: ServerResponse, response: Response): Promise<void> {
  const reader = response.body?.getReader();
  const cancel = () => void reader?.cancel().catch(() => {}); // not waited for: that may take as long as it likes
  outgoing.on("close", cancel); // ends a read that waits; the body may hold a file open
  try {
    if (isOver(outgoing)) return;
    const isHead = outgoing.req.method === "HEAD";
    if (reader !== undefined && !isHead) return await sendBody(outgoing, response, reader);
    writeHead(outgoing, response, isHead ? undefined : 0);
    outgoing.end();
  } finally {
    outgoing.off("close", cancel);
    cancel();
  }
}

async function sendBody(
  outgoing: ServerResponse,
  response: Response,
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<void> {
  let isLast = false;
  reader.closed.then(() => isLast = true, () => {});
  let { value } = await reader.read();
  await null; // a body that was given whole ends here: its length is known, and it goes out with the head as one record
  if (isOver(outgoing)) return;
  writeHead(outgoing, response, isLast ? value?.length ?? 0 : undefined);
  while (!isLast && value !== undefined) {
    if (!outgoing.write(value)) await drained(outgoing);
    ({ value } = await reader.read());
    if (outgoing.destroyed) return;
  }
  outgoing.end(value);
}

/** Whether there is nothing to send: the client has left, or another response is on its way. */
function isOver(outgoing: ServerResponse): boolean {
  return outgoing.headersSent || outgoing.destroyed;
}

/** Writes the head; node adds the framing where `length` is `undefined`, whatever the handler says. */
function writeHead(outgoing: ServerResponse, response: Response, length: number | undefined): void {
  const { status, statusText } = response;
  const head: [string, string][] = []; // pairs: there may be more than one Set-Cookie
  let needsLength = length !== undefined && !BODILESS.includes(status);
  response.headers.forEach((value, name) => {
    if (name === "content-length") needsLength = false;
    if (name !== "transfer-encoding") head.push([name, value]);
  });
  if (needsLength) head.push(["content-length", String(length)]);
  outgoing.strictContentLength = true; // a body longer than it says would be taken for the next response
  outgoing.writeHead(status, statusText || STATUS_CODES[status], head as never); // node's types know no pairs
}

/** Waits until the client takes more, or has left. */
function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      outgoing.off("drain", settle).off("close", settle);
      resolve();
    };
    outgoing.on("drain", settle).on("close", settle);
  });
}
