/**
 * An in-memory connection: two ends, each a Duplex with the manners of a `Deno.TcpConn` (bounded buffer, half close,
 * reset, errors by the same names) and with handles for what a network does at the wrong moment.
 *
 * Nothing here uses a timer: an end that waits, waits until the test lets it go on.
 *
 * @module
 */
import type { Duplex } from "../lib/duplex.ts";

export interface PipeOptions {
  /** Bytes that one direction holds before a write waits. @default {65536} */
  capacity?: number;
  /** Most bytes that one read gives or one write takes; 1 is byte at a time. @default {Infinity} */
  chunkSize?: number;
}

/**
 * Makes a connection.
 *
 * @param options See {@linkcode PipeOptions}.
 * @returns Both ends: what is written to one is read from the other.
 */
export function pipe({ capacity = 65536, chunkSize = Infinity }: PipeOptions = {}): [PipeEnd, PipeEnd] {
  const wire = new Wire();
  const there = new Direction(capacity);
  const back = new Direction(capacity);
  return [
    new PipeEnd({ wire, inbound: back, outbound: there, chunkSize, ports: [1, 2] }),
    new PipeEnd({ wire, inbound: there, outbound: back, chunkSize, ports: [2, 1] }),
  ];
}

/** Wakes whoever waits on either end, after every change. */
class Wire {
  #next = Promise.withResolvers<void>();

  changed(): Promise<void> {
    return this.#next.promise;
  }

  notify(): void {
    this.#next.resolve();
    this.#next = Promise.withResolvers();
  }
}

/** One way: bytes that were written and not yet read. */
class Direction {
  readonly #capacity: number;
  #chunks: Uint8Array[] = [];
  length = 0;
  /** The writing end sent its FIN. */
  ended = false;
  /** Why nothing travels any more: a reset, or a reader that is gone. */
  broken: Error | undefined;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get room(): number {
    return Math.max(0, this.#capacity - this.length);
  }

  push(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#chunks.push(bytes);
    this.length += bytes.length;
  }

  shift(p: Uint8Array): number {
    let n = 0;
    while (n < p.length && this.#chunks.length > 0) {
      const chunk = this.#chunks[0]!;
      const part = chunk.subarray(0, p.length - n);
      p.set(part, n);
      n += part.length;
      if (part.length === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(part.length);
    }
    this.length -= n;
    return n;
  }

  /** Nothing of it can be read or written any more. */
  break(error: Error): void {
    this.broken ??= error;
    this.#chunks = [];
    this.length = 0;
  }
}

interface PipeEndInit {
  wire: Wire;
  inbound: Direction;
  outbound: Direction;
  chunkSize: number;
  ports: [local: number, remote: number];
}

/** One end of a {@linkcode pipe}. Two reads at once, or two writes, are an error: they would hide a bug. */
export class PipeEnd implements Duplex {
  readonly localAddr: Deno.NetAddr;
  readonly remoteAddr: Deno.NetAddr;
  /** Size of each read that gave bytes, in order. */
  readonly reads: number[] = [];
  /** Size of each write that was taken, in order. */
  readonly writes: number[] = [];
  /** Sees each write on its way and says what travels instead: flip a byte, cut it short, drop it. */
  alter: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes;
  /** What {@linkcode close} throws, after it closed. */
  closeError: Error | undefined;
  /** What {@linkcode setNoDelay} was last called with. */
  noDelay: boolean | undefined;

  readonly #wire: Wire;
  readonly #inbound: Direction;
  readonly #outbound: Direction;
  readonly #chunkSize: number;
  #closed = false;
  #aborted = false;
  #reading = false;
  #writing = false;
  #readsBlocked = false;
  #writesBlocked = false;
  #readError: Error | undefined;
  #writeError: Error | undefined;

  constructor({ wire, inbound, outbound, chunkSize, ports }: PipeEndInit) {
    this.#wire = wire;
    this.#inbound = inbound;
    this.#outbound = outbound;
    this.#chunkSize = chunkSize;
    this.localAddr = { transport: "tcp", hostname: "127.0.0.1", port: ports[0] };
    this.remoteAddr = { transport: "tcp", hostname: "127.0.0.1", port: ports[1] };
  }

  /** Whether this end was closed or aborted. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Whether this end was aborted. */
  get aborted(): boolean {
    return this.#aborted;
  }

  /** Bytes that were written to this end's peer and that it has not read. */
  get unread(): number {
    return this.#outbound.length;
  }

  /** From now on this end's reads wait, whatever arrives: a silent network. Closing still settles them. */
  blockReads(): void {
    this.#readsBlocked = true;
  }

  /** Lets reads go on. */
  unblockReads(): void {
    this.#readsBlocked = false;
    this.#wire.notify();
  }

  /** From now on this end's writes wait, whatever room there is. Closing still settles them. */
  blockWrites(): void {
    this.#writesBlocked = true;
  }

  /** Lets writes go on. */
  unblockWrites(): void {
    this.#writesBlocked = false;
    this.#wire.notify();
  }

  /** From now on this end's reads reject with `error`, the waiting one too. */
  failReads(error: Error): void {
    this.#readError = error;
    this.#wire.notify();
  }

  /** From now on this end's writes reject with `error`, the waiting one too. */
  failWrites(error: Error): void {
    this.#writeError = error;
    this.#wire.notify();
  }

  async read(p: Uint8Array<ArrayBuffer>): Promise<number | null> {
    if (this.#reading) throw new Error("Cannot read from pipe: another read is waiting");
    if (this.#closed) throw new Deno.errors.BadResource("Cannot read from pipe: it is closed");
    this.#reading = true;
    try {
      for (;;) {
        if (this.#closed) throw new Deno.errors.Interrupted("Cannot read from pipe: it was closed");
        if (this.#readError) throw this.#readError;
        if (!this.#readsBlocked) {
          if (this.#inbound.broken) throw this.#inbound.broken;
          const n = this.#inbound.shift(p.subarray(0, this.#chunkSize));
          if (n > 0) {
            this.reads.push(n);
            this.#wire.notify();
            return n;
          }
          if (p.length === 0) return 0;
          if (this.#inbound.ended) return null;
        }
        await this.#wire.changed();
      }
    } finally {
      this.#reading = false;
    }
  }

  async write(p: Uint8Array<ArrayBuffer>): Promise<number> {
    if (this.#writing) throw new Error("Cannot write to pipe: another write is waiting");
    if (this.#closed) throw new Deno.errors.BadResource("Cannot write to pipe: it is closed");
    this.#writing = true;
    try {
      for (;;) {
        if (this.#closed) throw new Deno.errors.Interrupted("Cannot write to pipe: it was closed");
        if (this.#writeError) throw this.#writeError;
        if (this.#outbound.broken) throw this.#outbound.broken;
        if (this.#outbound.ended) {
          throw new Deno.errors.BrokenPipe("Cannot write to pipe: closeWrite() was called");
        }
        if (p.length === 0) return 0;
        const n = Math.min(p.length, this.#chunkSize, this.#outbound.room);
        if (!this.#writesBlocked && n > 0) {
          this.writes.push(n);
          this.#outbound.push(this.alter(p.slice(0, n)));
          this.#wire.notify();
          return n;
        }
        await this.#wire.changed();
      }
    } finally {
      this.#writing = false;
    }
  }

  setNoDelay(noDelay = true): void {
    this.noDelay = noDelay;
  }

  /** Sends a FIN: the peer reads what is left, then the end of the stream. */
  // deno-lint-ignore require-await -- rejects, as Deno.Conn's does
  async closeWrite(): Promise<void> {
    if (this.#closed) throw new Deno.errors.BadResource("Cannot closeWrite() on pipe: it is closed");
    this.#outbound.ended = true;
    this.#wire.notify();
  }

  /**
   * Closes both directions: this end's waiting calls reject, the peer reads what is left and then the end, and the
   * peer's writes fail. A second call throws, as `Deno.Conn`'s does: who closes twice has lost count.
   */
  close(): void {
    if (this.#closed) throw new Deno.errors.BadResource("Cannot close pipe: it is closed");
    this.#closed = true;
    this.#outbound.ended = true;
    this.#inbound.break(new Deno.errors.BrokenPipe("Cannot write to pipe: its peer closed"));
    this.#wire.notify();
    if (this.closeError) throw this.closeError;
  }

  /** Closes like a reset: what is on its way to the peer is lost, and all of the peer's calls reject. May follow {@linkcode close}. */
  abort(): void {
    this.#closed = this.#aborted = true;
    for (const direction of [this.#inbound, this.#outbound]) {
      direction.break(new Deno.errors.ConnectionReset("Cannot use pipe: its peer reset the connection"));
    }
    this.#wire.notify();
  }
}
