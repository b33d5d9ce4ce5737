/**
 * NodeDuplex: a {@linkcode Duplex} as a stream of `node:stream`, with what `node:http` asks of a `net.Socket`.
 *
 * It reads only when node asks, and one write is under way at a time: back-pressure passes through in both directions.
 * `destroy()` says goodbye (close_notify, FIN) to a peer that may still be sending; `destroy(error)` drops it.
 */

import { Buffer } from "node:buffer";
import { Duplex as NodeStream } from "node:stream";
import { Alarm } from "./_alarm.ts";
import { type Bytes, concat } from "./bytes.ts";
import { inTime } from "./deadline.ts";
import type { Duplex } from "./duplex.ts";
import { SSLSocket } from "./socket.ts";

const HIGH_WATER = 65536; // bytes in each direction; node's own default
const SMALLEST_READ = 4096; // bytes; an idle connection keeps this buffer
const COPIED = 1024; // bytes; what was read is copied up to this size, so that the buffer can be used again
const LARGEST_READ = 65536; // bytes; a read of this size is the fastest per byte (Deno 2.9)
const PIECE = 131072; // bytes written at once, and what small writes are joined to: as much as an engine takes
const LONGEST_TIMER = 2_000_000; // seconds, 23 days: a timer has 31 bits
const LINGER_MAX = 1 << 20; // bytes read and thrown away while waiting for the peer to close

const ENCODER = new TextEncoder();

/** What node writes: its heads are strings. */
interface Chunk {
  chunk: Bytes | string;
  encoding: string;
}

/** Options of a {@linkcode NodeDuplex}. */
export interface NodeDuplexOptions {
  /** Seconds that the peer may take for a piece of 128 KiB. */
  sendTimeout: number;
  /** Seconds to wait for a peer without TLS to close; one with TLS has its own. */
  lingerTimeout: number;
  /** Told of each limit that it reaches, by the option's name. */
  onLimit: (limit: string) => void;
}

/** A Duplex for node. */
export class NodeDuplex extends NodeStream {
  /** Whether TLS is on it. */
  readonly encrypted: boolean;
  /** Settles when the Duplex is closed, some time after `"close"`; never fails. */
  readonly released: Promise<void>;
  /** Node's names for the addresses. */
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /** Milliseconds of silence until `"timeout"`; 0: none. */
  timeout = 0;
  readonly #duplex: Duplex;
  readonly #options: NodeDuplexOptions;
  readonly #release: () => void;
  #readSize = SMALLEST_READ;
  #reading: Promise<number | null> | undefined;
  #spare: Bytes | undefined; // for the next read
  readonly #idle = new Alarm(() => this.emit("timeout"));
  readonly #late: Alarm; // of a write

  /** Takes the Duplex over. */
  constructor(duplex: Duplex, options: NodeDuplexOptions) {
    super({ readableHighWaterMark: HIGH_WATER, writableHighWaterMark: HIGH_WATER, decodeStrings: false });
    this.#duplex = duplex;
    this.#options = options;
    const { sendTimeout, onLimit } = options;
    this.#late = new Alarm(() => {
      onLimit("sendTimeout");
      this.destroy(new Error(`Cannot send: the peer takes nothing for ${sendTimeout} seconds`));
    });
    this.encrypted = duplex instanceof SSLSocket;
    [this.localAddress, this.localPort] = hostAndPort(duplex.localAddr);
    [this.remoteAddress, this.remotePort] = hostAndPort(duplex.remoteAddr);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.released = promise;
    this.#release = resolve;
  }

  // ---- Reading ----------------------------------------------------------------------------------------

  override _read(): void {
    this.#pull().catch((error) => this.destroy(error));
  }

  async #pull(): Promise<void> {
    const buffer = this.#spare ?? new Uint8Array(this.#readSize);
    this.#spare = undefined;
    this.#reading = this.#duplex.read(buffer);
    this.waits();
    const n = await this.#reading;
    this.#reading = undefined;
    if (this.destroyed) return;
    this.came(n ?? 0);
    this.#active();
    this.#readSize = n === buffer.length ? LARGEST_READ : SMALLEST_READ;
    if (n === null) this.push(null);
    else if (n <= COPIED && buffer.length === this.#readSize) this.push(this.#copy(buffer, n));
    else this.push(buffer.subarray(0, n)); // given away: bodies are views of it
  }

  /** A read begins; for who counts how long the peer is waited for. */
  protected waits(): void {}

  /** It has brought `n` bytes. */
  protected came(_n: number): void {}

  #copy(buffer: Bytes, n: number): Buffer {
    this.#spare = buffer;
    return Buffer.from(buffer.subarray(0, n));
  }

  // ---- Writing ----------------------------------------------------------------------------------------

  override _write(chunk: Bytes | string, encoding: string, done: (error?: Error | null) => void): void {
    this.#send([{ chunk, encoding }]).then(() => done(), done);
  }

  override _writev(chunks: Chunk[], done: (error?: Error | null) => void): void {
    this.#send(chunks).then(() => done(), done);
  }

  async #send(chunks: Chunk[]): Promise<void> {
    // A head and a small body go out as one TLS record and one packet.
    const isSmall = chunks.reduce((sum, { chunk }) => sum + chunk.length, 0) <= PIECE;
    for (const bytes of isSmall ? [join(chunks)] : chunks.map((chunk) => join([chunk]))) {
      for (let at = 0; at < bytes.length;) at += await this.#sendPiece(bytes.subarray(at, at + PIECE));
    }
  }

  async #sendPiece(piece: Bytes): Promise<number> {
    const { sendTimeout } = this.#options;
    if (sendTimeout <= LONGEST_TIMER) this.#late.set(sendTimeout * 1000);
    try {
      return await this.#duplex.write(piece);
    } finally {
      this.#late.lift();
      this.#active();
    }
  }

  // ---- Closing ----------------------------------------------------------------------------------------

  override _final(done: (error?: Error | null) => void): void {
    Promise.resolve(this.#duplex.closeWrite?.()).then(() => done(), done);
  }

  /** Ends the stream, and closes it once everything is written: the peer need not end its direction for that. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#idle.stop();
    this.#late.stop();
    const isComplete = error === null && this.writableLength === 0; // else a goodbye would hide that bytes are missing
    (isComplete ? this.#close() : this.#abort()).catch(() => {}).finally(this.#release);
    done(error);
  }

  // deno-lint-ignore require-await -- rejects where the Duplex throws
  async #abort(): Promise<void> {
    if (this.#duplex.abort) this.#duplex.abort();
    else return this.#duplex.close();
  }

  async #close(): Promise<void> {
    const late = () => new Error("Cannot wait for the peer to close: it takes too long");
    if (!this.encrypted) await inTime(this.#linger(), this.#options.lingerTimeout, late).catch(() => {});
    await this.#duplex.close();
  }

  /** Closing at once with unread data would make TCP send a reset that overtakes the response. */
  async #linger(): Promise<void> {
    await this.#duplex.closeWrite?.();
    let n = await this.#reading;
    for (let total = 0; n !== null && total < LINGER_MAX; total += n ?? 0) {
      n = await this.#duplex.read(new Uint8Array(SMALLEST_READ));
    }
  }

  // ---- Timeout ----------------------------------------------------------------------------------------

  /** Emits `"timeout"` after so many milliseconds without a byte in either direction. */
  setTimeout(milliseconds: number, callback?: () => void): this {
    if (callback) this.once("timeout", callback);
    this.timeout = milliseconds;
    if (milliseconds > 0 && !this.destroyed) this.#idle.set(milliseconds);
    else this.#idle.lift();
    return this;
  }

  #active(): void {
    if (this.timeout > 0 && !this.destroyed) this.#idle.set(this.timeout);
  }
}

/** Joins chunks into one array. */
function join(chunks: readonly Chunk[]): Bytes {
  const [first] = chunks;
  if (chunks.length === 1 && typeof first!.chunk !== "string") return first!.chunk;
  const joined = new Uint8Array(chunks.reduce((sum, { chunk }) => sum + chunk.length, 0));
  let at = 0;
  for (const { chunk, encoding } of chunks) {
    const place = joined.subarray(at, at += chunk.length);
    if (typeof chunk !== "string") place.set(chunk);
    else if (!writeAscii(chunk, encoding, place)) return concat(chunks.map(encode));
  }
  return joined;
}

/** Nearly all heads are ASCII, which is UTF-8 as well, and ten times as fast that way as by `Buffer` (Deno 2.9). */
function writeAscii(text: string, encoding: string, place: Bytes): boolean {
  return (encoding === "latin1" || encoding === "utf8") &&
    ENCODER.encodeInto(text, place).read === text.length;
}

function encode({ chunk, encoding }: Chunk): Bytes {
  return typeof chunk === "string" ? Buffer.from(chunk, encoding as BufferEncoding) : chunk;
}

function hostAndPort(addr: Deno.Addr | undefined): [string | undefined, number | undefined] {
  return addr !== undefined && "hostname" in addr ? [addr.hostname, addr.port] : [undefined, undefined];
}
