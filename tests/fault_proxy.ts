/**
 * A TCP proxy on loopback with one fault: it carries bytes in good order until a phase of the TLS connection, and from there
 * on as the fault has it.
 *
 * @module
 */

import { type AddressInfo, connect as dial, createServer, type Server, type Socket } from "node:net";

/** What becomes of the bytes. The first three lose none. */
export const FAULTS = [
  "delay",
  "1-byte segments",
  "merged segments",
  "loss",
  "reset",
  "end",
  "half-close",
  "stall",
] as const;
/** One of them. */
export type Fault = typeof FAULTS[number];

/** When it begins: that side sends (`up`: the client) the byte of that number. */
export const PHASES = {
  "before the hello": ["any", 0],
  "amid the hello": ["up", 50],
  "amid the server's flight": ["down", 50],
  "amid the client's last flight": ["up", "hello"],
  "amid the upload": ["up", 65_536],
  "amid the answer": ["down", 65_536],
  "amid the close": ["any", "closing"],
} as const;
/** One of them. */
export type Phase = keyof typeof PHASES;

const DELAY = 20; // milliseconds, of each segment or of those that are merged
const SINGLES = 1500; // bytes that travel alone: a flight or a little more

/** A proxy that runs. */
export class FaultProxy implements AsyncDisposable {
  /** Set by the test when the client is about to close. */
  closing = false;
  /** Whether the phase has come. */
  struck = false;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Starts a proxy in front of a port of 127.0.0.1. */
  static async start(target: number, fault: Fault, phase: Phase): Promise<FaultProxy> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const proxy = new FaultProxy(server);
    server.on("connection", (client) => {
      const upstream = dial({ port: target, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
      proxy.#join(client, upstream, new Link(fault, phase, () => proxy.closing, () => proxy.struck = true));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  #join(client: Socket, upstream: Socket, link: Link): void {
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        const other = socket === client ? upstream : client;
        if (!link.isSilent) other.destroySoon();
      });
    }
    link.start(client, upstream);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    const ends = [...this.#sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve)));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([closed, ...ends]);
  }
}

/** One connection through it. */
class Link {
  readonly #fault: Fault;
  readonly #phase: Phase;
  readonly #closing: () => boolean;
  readonly #onStrike: () => void;
  readonly #passed = { up: 0, down: 0 };
  #hello = Infinity; // bytes of the client's first record
  #singles = SINGLES;
  #struck = false;
  #ended: Socket | undefined; // of a half-close
  #client!: Socket;
  #upstream!: Socket;

  constructor(fault: Fault, phase: Phase, closing: () => boolean, onStrike: () => void) {
    this.#fault = fault;
    this.#phase = phase;
    this.#closing = closing;
    this.#onStrike = onStrike;
  }

  /** Whether the fault keeps an end from one side from the other. */
  get isSilent(): boolean {
    return this.#struck && (this.#fault === "loss" || this.#fault === "stall");
  }

  start(client: Socket, upstream: Socket): void {
    [this.#client, this.#upstream] = [client, upstream];
    if (this.#phase === "before the hello") this.#strike("up");
    this.#carry("up").catch(() => {}); // the other way tells the ends
    this.#carry("down").catch(() => {});
  }

  async #carry(way: "up" | "down"): Promise<void> {
    const [from, to] = way === "up" ? [this.#client, this.#upstream] : [this.#upstream, this.#client];
    for await (const chunk of from as AsyncIterable<Uint8Array>) {
      const intact = this.#struck ? 0 : this.#untilPhase(way, chunk);
      if (intact > 0) await write(to, chunk.subarray(0, intact));
      this.#passed[way] += intact;
      if (intact === chunk.length) continue;
      if (!this.#struck && this.#strike(way)) return;
      if (!await this.#passOn(chunk.subarray(intact), from, to)) return;
    }
    if (!this.isSilent) to.end();
  }

  /** How many bytes of a chunk come before the phase. */
  #untilPhase(way: "up" | "down", chunk: Uint8Array): number {
    if (way === "up" && this.#passed.up === 0) this.#hello = 5 + (chunk[3]! << 8 | chunk[4]!);
    const [side, at] = PHASES[this.#phase];
    if (at === "closing") return this.#closing() ? 0 : chunk.length;
    if (side !== way) return chunk.length;
    const start = at === "hello" ? this.#hello + 10 : at;
    return Math.max(0, Math.min(chunk.length, start - this.#passed[way]));
  }

  /** The phase is here. Returns whether nothing more is to be carried. */
  #strike(way: "up" | "down"): boolean {
    this.#struck = true;
    this.#onStrike();
    const both = [this.#client, this.#upstream];
    switch (this.#fault) {
      case "reset":
        for (const socket of both) socket.resetAndDestroy();
        return true;
      case "end":
        for (const socket of both) socket.destroySoon();
        return true;
      case "half-close":
        this.#ended = way === "up" ? this.#upstream : this.#client;
        this.#ended.end();
        return false;
      default:
        return false;
    }
  }

  /** Carries what comes in or after the phase. Returns whether to go on. */
  async #passOn(chunk: Uint8Array, from: Socket, to: Socket): Promise<boolean> {
    switch (this.#fault) {
      case "loss":
        return true;
      case "half-close":
        if (to !== this.#ended) await write(to, chunk);
        return true;
      case "stall":
        await new Promise(() => {}); // reads no more
        return true;
      case "delay":
        await wait();
        await write(to, chunk);
        return true;
      case "merged segments": {
        await wait();
        const rest = from.read() as Uint8Array | null; // all that has come meanwhile
        await write(to, rest === null ? chunk : new Uint8Array([...chunk, ...rest]));
        return true;
      }
      case "1-byte segments": {
        const alone = Math.min(this.#singles, chunk.length);
        this.#singles -= alone;
        for (let i = 0; i < alone; i++) await write(to, chunk.subarray(i, i + 1));
        if (alone < chunk.length) await write(to, chunk.subarray(alone));
        return true;
      }
      default: // reset, end: struck by the other way
        return false;
    }
  }
}

function wait(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, DELAY));
}

/** Writes, and waits until it is on its way. */
function write(to: Socket, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => to.write(bytes, (error) => error ? reject(error) : resolve()));
}
