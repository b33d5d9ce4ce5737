/** The methods by which MicroPython's sockets send and receive, written once, for plain connections and for TLS. */

import { type ByteQueue, MAX_BUFFERED, toBytes } from "./byte_queue.ts";
import { assertBytes, type Bytes } from "./bytes.ts";
import { OSError } from "./os_error.ts";
import type { Pollable } from "./poll.ts";

const NEWLINE = 0x0a;

/** A connection under the methods of a socket. Only {@linkcode StreamLink.until} waits. */
export interface StreamLink extends Pollable {
  /** Seconds that a call may wait: `null` for ever, 0 not at all. */
  timeout: number | null;
  /** What came and was not taken. */
  readonly received: ByteQueue;
  /** Makes a call of `timeout` seconds: tries, and tries again after each change, until there is a result. */
  until<T>(action: string, attempt: () => T | undefined, timeout?: number | null): Promise<T>;
  /** Whether at least `n` bytes wait, or all that will come; if not, more are asked for, `wanted` in all. Throws a failure. */
  has(action: string, n: number, wanted?: number): boolean;
  /** Takes bytes of `p` to send; `undefined`: it can take none now. Throws a failure. */
  send(action: string, p: Uint8Array): number | undefined;
}

/**
 * What a plain socket and an SSL socket have in common: modes, receiving, sending, polling. It is blocking at first: a call
 * waits until it is done; with `settimeout(seconds)` it fails with `ETIMEDOUT`, with `setblocking(false)` with `EAGAIN`, when
 * it would wait (longer). Nothing is lost by that: what came is there for the next call.
 */
export abstract class StreamSocket implements Pollable {
  readonly #link: StreamLink;

  /** @internal */
  protected constructor(link: StreamLink) {
    this.#link = link;
  }

  // ---- Modes ------------------------------------------------------------------------------------------

  /** Sets how long a call may wait, in seconds; `null`: for ever; 0: not at all, which is the non-blocking mode. */
  settimeout(seconds: number | null): void {
    if (seconds !== null && !(typeof seconds === "number" && seconds >= 0)) {
      throw new RangeError(
        `Cannot settimeout(): expected seconds of 0 or more, or null, got ${String(seconds)}`,
      );
    }
    this.#link.timeout = seconds;
  }

  /** What `settimeout()` set, as in CPython. */
  gettimeout(): number | null {
    return this.#link.timeout;
  }

  /** `true`: `settimeout(null)`; `false`: `settimeout(0)`. */
  setblocking(blocking: boolean): void {
    this.settimeout(blocking ? null : 0);
  }

  // ---- Receiving --------------------------------------------------------------------------------------

  /** Waits until there is `enough`. */
  #receive(action: string, enough: () => boolean): Promise<unknown> {
    return this.#link.until(action, () => enough() || undefined);
  }

  /** As {@linkcode StreamSocket.#receive}, for the methods that give what there is, or `null`, where `recv()` throws `EAGAIN`. */
  async #receiveStream(action: string, enough: () => boolean): Promise<boolean> {
    try {
      await this.#receive(action, enough);
      return true;
    } catch (error) {
      if (!(error instanceof OSError && error.errorcode === "EAGAIN")) throw error;
      return this.#link.received.length > 0;
    }
  }

  /** Takes `n` bytes, or as many as wait. */
  #take(n: number): Bytes {
    const { received } = this.#link;
    return received.take(Math.min(n, received.length));
  }

  /**
   * Receives what has come.
   *
   * @param bufsize How many bytes at most.
   * @returns At least one byte; none at the end of the stream.
   * @throws {OSError} `EAGAIN`, `ETIMEDOUT`, `ECONNRESET`, `ENOTCONN`, ...
   */
  async recv(bufsize: number): Promise<Uint8Array<ArrayBuffer>> {
    assertLength("recv()", bufsize);
    await this.#receive("recv", () => this.#link.has("recv", Math.min(bufsize, 1), bufsize));
    return this.#take(bufsize);
  }

  /**
   * Reads `size` bytes, or to the end of the stream.
   *
   * @param size How many bytes; without it all that will come, up to 64 MiB.
   * @returns The bytes, fewer at the end of the stream; in non-blocking mode those that came, `null` if none did.
   * @throws {OSError} As {@linkcode StreamSocket.recv} but for `EAGAIN`; `ENOMEM` for what is longer than 64 MiB.
   */
  async read(size?: number): Promise<Uint8Array<ArrayBuffer> | null> {
    if (size !== undefined && size !== -1) assertLength("read()", size);
    const wanted = size === undefined || size === -1 ? Infinity : size;
    const some = await this.#receiveStream("read", () => {
      if (wanted > MAX_BUFFERED) assertRoom("read()", this.#link);
      return this.#link.has("read", wanted);
    });
    return some ? this.#take(wanted) : null;
  }

  /**
   * Reads into a buffer, until it is full or the stream ends.
   *
   * @param buf Where to put the bytes.
   * @param nbytes How many at most. @default {buf.length}
   * @returns How many; in non-blocking mode `null` if none came.
   */
  async readinto(buf: Uint8Array, nbytes: number = buf.length): Promise<number | null> {
    assertBytes("buf", buf);
    assertLength("readinto()", nbytes);
    const bytes = await this.read(Math.min(nbytes, buf.length));
    if (bytes !== null) buf.set(bytes);
    return bytes && bytes.length;
  }

  /**
   * Reads a line with its `\n`.
   *
   * @param size How many bytes at most. @default {64 MiB}
   * @returns The line; less at the end of the stream or, as in MicroPython, when a non-blocking socket has only a part;
   *   `null` if it has nothing.
   */
  async readline(size?: number): Promise<Uint8Array<ArrayBuffer> | null> {
    if (size !== undefined && size !== -1) assertLength("readline()", size);
    const most = size === undefined || size === -1 ? Infinity : size;
    let length = 0;
    const some = await this.#receiveStream("readline", () => {
      for (;;) {
        if (!this.#link.has("readline", length)) return false;
        const { received } = this.#link;
        const at = received.peek().indexOf(NEWLINE, length);
        length = at < 0 ? received.length : at + 1;
        if (at >= 0 || length >= most) return true;
        assertRoom("readline()", this.#link);
        if (!this.#link.has("readline", length + 1)) return false;
        if (received.length === length) return true; // the end of the stream
      }
    });
    return some ? this.#take(Math.min(length, most)) : null;
  }

  // ---- Sending ----------------------------------------------------------------------------------------

  /**
   * Sends what can be taken at once, up to 64 KiB. What was taken is on its way; that it did not arrive, a later call says.
   *
   * @param data Bytes or text.
   * @returns How many bytes were taken.
   * @throws {OSError} `EAGAIN`, `ETIMEDOUT`, `EPIPE`, `ECONNRESET`, `ENOTCONN`, ...
   */
  async send(data: Uint8Array | string): Promise<number> {
    return await this.#send("send", toBytes("data", data));
  }

  #send(action: string, bytes: Uint8Array): Promise<number> {
    return this.#link.until(action, () => this.#link.send(action, bytes));
  }

  /**
   * Sends all; the timeout is for all of it. In non-blocking mode `EAGAIN` may come after a part was taken: use
   * {@linkcode StreamSocket.send} there.
   *
   * @param data Bytes or text.
   * @throws {OSError} As {@linkcode StreamSocket.send}.
   */
  async sendall(data: Uint8Array | string): Promise<void> {
    await this.#sendAll("sendall", toBytes("data", data));
  }

  #sendAll(action: string, bytes: Uint8Array): Promise<unknown> {
    let at = 0;
    return this.#link.until(action, () => {
      do {
        const n = this.#link.send(action, at === 0 ? bytes : bytes.subarray(at));
        if (n === undefined) return undefined;
        at += n;
      } while (at < bytes.length);
      return true;
    });
  }

  /**
   * Writes all; in non-blocking mode what can be taken at once.
   *
   * @param buf Bytes or text.
   * @returns How many bytes; `null` if a non-blocking socket can take none now.
   * @throws {OSError} As {@linkcode StreamSocket.send} but for `EAGAIN`.
   */
  async write(buf: Uint8Array | string): Promise<number | null> {
    const bytes = toBytes("buf", buf);
    if (this.#link.timeout !== 0) {
      await this.#sendAll("write", bytes);
      return bytes.length;
    }
    try {
      return await this.#send("write", bytes);
    } catch (error) {
      if (error instanceof OSError && error.errorcode === "EAGAIN") return null;
      throw error;
    }
  }

  /** The socket itself, which has the methods of a file already, as in MicroPython. */
  makefile(_mode?: string, _buffering?: number): this {
    return this;
  }

  // ---- Polling ----------------------------------------------------------------------------------------

  /** For `poll()`: which events of `mask` there are now; a failure and a closed socket whatever the mask. */
  pollEvents(mask: number): number {
    return this.#link.pollEvents(mask);
  }

  /** For `poll()`: calls `wake` whenever the events may be others, until disposed of. */
  subscribe(wake: () => void): Disposable {
    return this.#link.subscribe(wake);
  }
}

function assertLength(method: string, length: unknown): void {
  if (Number.isInteger(length) && (length as number) >= 0) return;
  throw new RangeError(`Cannot ${method}: expected a whole number of bytes, got ${String(length)}`);
}

/** A peer that never ends what it sends cannot fill the memory. */
function assertRoom(method: string, { received }: StreamLink): void {
  if (received.length < MAX_BUFFERED) return;
  throw new OSError("ENOMEM", `Cannot ${method}`, { text: `more than ${MAX_BUFFERED} bytes` });
}
