/**
 * HttpConnection: one client's connection, its requests under way, and what their handlers are told of it.
 */

import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import { Alarm } from "./_alarm.ts";
import { NodeDuplex, type NodeDuplexOptions } from "./_node_duplex.ts";
import type { PeerCertificate } from "./peer_certificate.ts";
import type { Duplex } from "./duplex.ts";
import { SSLSocket } from "./socket.ts";

/** Requests that one client may have under way at once; browsers and proxies do not pipeline, benchmarks take some 16. */
const PIPELINE_MAX = 256;

/** Bytes of responses that wait to be sent, with which the next request is answered all the same: they go out together. */
const AHEAD_MAX = 65536;

/**
 * Bytes of a chunked body that may be chunks' headers, extensions and trailers, and how many more with each byte of the body:
 * chunks of one byte have five. They count for no other limit. Node refuses extensions above 16 KiB; what is read ahead of the
 * handler counts here, too.
 */
const FRAMING_MAX = 1 << 20, FRAMING_PER_BYTE = 8;

/** Seconds beyond what `minDataRate` gives a body: for what the network holds back at its start. Kestrel's. */
const RATE_GRACE = 5;

/** Options of an {@linkcode HttpConnection}. */
export interface HttpConnectionOptions extends NodeDuplexOptions {
  /** Bytes a second of a request's body, while it is waited for; 0: any. */
  minDataRate: number;
}

/** What a handler is told of a request's connection. */
export interface ServeInfo {
  /** The client. */
  readonly remoteAddr: Deno.Addr;
  /** The address that it connected to. */
  readonly localAddr: Deno.Addr;
  /** Its TLS; `undefined` without. */
  readonly tls: ServeTlsInfo | undefined;
}

/** What a handler is told of the TLS of a request's connection. */
export interface ServeTlsInfo {
  /** `"TLSv1.2"` or `"TLSv1.3"`. */
  readonly version: string;
  /** The cipher suite, IANA name. */
  readonly cipher: string;
  /** The group of the key exchange, such as `"x25519"`; `undefined` without one. */
  readonly group: string | undefined;
  /** Whether an earlier session was resumed. */
  readonly sessionReused: boolean;
  /** The ALPN protocol that was agreed; `undefined`: none. */
  readonly alpnProtocol: string | undefined;
  /** The client's certificate; `undefined` when it sent none, without fields when it is not valid. */
  readonly peerCertificate: PeerCertificate | undefined;
  /** `MBEDTLS_X509_BADCERT_*` bits: 0 when that certificate is valid, 0x80 when none was checked. */
  readonly verifyFlags: number;
}

/** A connection as `node:http` sees it. */
export class HttpConnection extends NodeDuplex {
  /** How many there were. */
  requests = 0;
  /** The same for all its requests. */
  readonly info: ServeInfo;
  readonly #underWay = new Set<ServerResponse>(); // in the order of the requests, which is that of the responses
  readonly #options: HttpConnectionOptions;
  #body: IncomingMessage | undefined; // that comes
  #left = 0; // milliseconds that it may still be waited for
  #since = 0; // when the wait began
  readonly #slow: Alarm;
  #chunked: IncomingMessage | undefined; // whose body comes
  #framing = 0; // bytes that may still come without a byte of it
  readonly #turns: (() => void)[] = []; // of requests whose handlers have not begun
  #isBusy = false; // a handler runs
  #closing = false;

  /** Takes the Duplex over. */
  constructor(duplex: Duplex, options: HttpConnectionOptions) {
    super(duplex, options);
    this.#options = options;
    this.#slow = new Alarm(() => {
      options.onLimit("minDataRate");
      this.stopParsing(408);
    });
    this.on("timeout", () => options.onLimit("keepAliveTimeout"));
    this.info = {
      remoteAddr: duplex.remoteAddr!,
      localAddr: duplex.localAddr!,
      tls: duplex instanceof SSLSocket ? tlsInfo(duplex) : undefined,
    };
    this.on("error", () => {}); // clients vanish; whoever waits for bytes is told by the stream
  }

  /**
   * Follows a request until its response is sent.
   *
   * @returns Whether it is to be served: not when it is behind one that closes the connection (RFC 9112 section 9.6).
   */
  track(request: IncomingMessage, response: ServerResponse): boolean {
    if (this.#closing || this.destroyed) return false;
    if (this.#underWay.size === PIPELINE_MAX) {
      this.#options.onLimit("pipelined");
      this.destroy(new Error(`Cannot serve a client: it has more than ${PIPELINE_MAX} requests under way`));
      return false;
    }
    this.#underWay.add(response);
    const { headers } = request;
    const hasBody = headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
    if (hasBody && this.#options.minDataRate > 0) {
      this.#body = request;
      this.#left = RATE_GRACE * 1000;
    }
    if (headers["transfer-encoding"] !== undefined) {
      this.#chunked = request;
      this.#framing = FRAMING_MAX;
    }
    response.on("close", () => {
      this.#underWay.delete(response);
      this.#goOn();
      // A body that nobody waits for is not worth its bytes; node would read it to its end, and without a time limit.
      if (!request.complete || (this.#closing && this.#underWay.size === 0)) this.destroySoon();
    });
    return true;
  }

  // Only the time counts in which we wait for the client: a handler that takes a body slowly holds it back.

  protected override waits(): void {
    if (this.#body === undefined) return;
    if (this.#body.complete) {
      this.#body = undefined;
      return;
    }
    this.#since = performance.now();
    this.#slow.set(this.#left);
  }

  protected override came(n: number): void {
    if (this.#chunked?.complete) this.#chunked = undefined;
    if (this.#chunked !== undefined && (this.#framing -= n) < 0) {
      this.#chunked = undefined;
      this.#options.onLimit("maxBodySize");
      this.stopParsing(413);
      return;
    }
    if (this.#body === undefined) return;
    this.#slow.lift();
    this.#left += n * 1000 / this.#options.minDataRate - (performance.now() - this.#since);
  }

  /** So many bytes of a body have come out of what came. */
  framed(n: number): void {
    this.#framing = Math.min(FRAMING_MAX, this.#framing + n * (1 + FRAMING_PER_BYTE));
  }

  // Handlers run one after the other: only safe methods may run at once (RFC 9112 section 9.3.2), and a client that sends many
  // requests and reads nothing would have us hold all the responses.

  /** Waits until the handlers of the requests before are done; `undefined`: they are. Then {@linkcode done} must be called. */
  turn(): Promise<void> | undefined {
    if (this.#mayGoOn() && this.#turns.length === 0) {
      this.#isBusy = true;
      return undefined;
    }
    return new Promise((resolve) => this.#turns.push(resolve));
  }

  /** A handler is done, and node has its response. */
  done(): void {
    this.#isBusy = false;
    this.#goOn();
  }

  #mayGoOn(): boolean {
    if (this.#isBusy) return false;
    let ahead = 0;
    for (const response of this.#underWay) ahead += response.writableLength;
    return this.destroyed || ahead < AHEAD_MAX;
  }

  #goOn(): void {
    if (this.#turns.length === 0 || !this.#mayGoOn()) return;
    this.#isBusy = true;
    this.#turns.shift()!();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#slow.stop();
    super._destroy(error, done);
    this.#goOn();
  }

  /** Closes, at once or after the requests under way. */
  closeSoon(): void {
    this.#closing = true;
    const last = [...this.#underWay].at(-1);
    if (last === undefined) this.destroySoon();
    else last.shouldKeepAlive = false; // says "Connection: close", if the head is not sent yet
  }

  /** Whether the head of a request has come, and not yet its end. */
  get isReceiving(): boolean {
    return [...this.#underWay].some((response) => !response.req.complete);
  }

  /** Bytes that wait: of requests for node, of responses for the client, also of those behind another. */
  get held(): number {
    let bytes = this.readableLength + this.writableLength;
    for (const response of this.#underWay) {
      bytes += response.req.readableLength +
        (response.writableLength - (response.socket?.writableLength ?? 0));
    }
    return bytes;
  }

  /** Answers a request without a handler, and closes behind it. */
  refuse(response: ServerResponse, status: number): void {
    this.#closing = true;
    const { headers, body } = refusal(status);
    response.writeHead(status, headers);
    response.end(body);
  }

  /** Takes no more bytes: they cannot be parsed, or were late. The requests before them are answered; then it closes. */
  stopParsing(status: number): void {
    this.#body = undefined;
    this.#slow.stop();
    // Node's listeners go: they would feed a parser that has become another connection's (Deno 2.9).
    this.removeAllListeners("data").removeAllListeners("end");
    this.on("data", () => {}).on("end", () => {
      if (!this.writableEnded) this.destroy(new Error("Cannot answer a client: it has left"));
    });
    const last = [...this.#underWay].at(-1);
    if (last !== undefined && last.req.complete) return this.closeSoon();
    if (last !== undefined && (last.headersSent || this.#underWay.size > 1)) {
      this.destroy(new Error("Cannot serve a client: its request's body is malformed or late"));
      return;
    }
    this.#sayAndClose(status);
  }

  /** Answers a request for a tunnel. Node has let go of the connection: requests before it are lost. */
  refuseTunnel(): void {
    if (this.#underWay.size === 0) this.#sayAndClose(501);
    else this.destroy(new Error("Cannot serve a client: it asks for a tunnel with requests under way"));
  }

  #sayAndClose(status: number): void {
    const { body, headers } = refusal(status);
    const head = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("");
    this.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head}\r\n${body}`);
    this.destroySoon();
  }
}

/** Head and body of a response that the server gives by itself. */
function refusal(status: number): { headers: Record<string, string>; body: string } {
  const body = `${STATUS_CODES[status]}\n`;
  return {
    body,
    headers: {
      "Connection": "close",
      "Content-Type": "text/plain; charset=utf-8",
      "Content-Length": String(body.length),
    },
  };
}

/** Asked once per connection: 1 microsecond, and 40 for a client's certificate. */
function tlsInfo(socket: SSLSocket): ServeTlsInfo {
  return {
    version: socket.version()!,
    cipher: socket.cipher()!.name,
    group: socket.group(),
    sessionReused: socket.sessionReused,
    alpnProtocol: socket.selectedAlpnProtocol(),
    peerCertificate: socket.getpeercert(),
    verifyFlags: socket.verifyFlags,
  };
}
