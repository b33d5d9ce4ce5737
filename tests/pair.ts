/**
 * Two engines and a list for a wire: TLS without a network, a clock or chance.
 *
 * ```ts ignore
 * using pair = new EnginePair(new TLSConfig(clientOptions()), new TLSConfig(serverOptions()));
 * pair.connect();
 * assertEquals(pair.send("client", encodeText("hello")), encodeText("hello"));
 * ```
 *
 * What travels is kept in {@linkcode EnginePair.wire}; a {@linkcode Delivery} says in which pieces it arrives, and what
 * the network does to it. An engine's failure does not end the run: it is kept, and the alert still travels.
 *
 * @module
 */
import { type Bytes, concat, EMPTY } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import type { TLSConfigOptions } from "../lib/policy.ts";
import { Core } from "../lib/core.ts";
import type { Source } from "../lib/credentials.ts";
import { TLSEngine, type TLSEngineOptions } from "../lib/engine.ts";
import { SSLError } from "../lib/errors.ts";
import { TLSVersion } from "../lib/suites.ts";
import { TicketKeyRing } from "../lib/tickets.ts";

/** One end of the pair. */
export type End = "client" | "server";

/** Both ends, the client first: it speaks first. */
export const ENDS: readonly End[] = ["client", "server"];

/** The end that `end` speaks to. */
export function peerOf(end: End): End {
  return end === "client" ? "server" : "client";
}

/** What one end sent at once. */
export interface Packet {
  readonly from: End;
  readonly bytes: Bytes;
}

/** Says in which pieces the bytes of a packet arrive; `at` is how many bytes the end had sent before them. */
export type Delivery = (packet: Packet, at: number) => Bytes[];

/** As they were sent. */
export const whole: Delivery = ({ bytes }) => [bytes];

/** One byte after the other. */
export const byteAtATime: Delivery = ({ bytes }) => Array.from(bytes, (byte) => Uint8Array.of(byte));

/** What `end` sends beyond `offset` does not arrive. */
export function cutAt(end: End, offset: number): Delivery {
  return ({ from, bytes }, at) => [from === end ? bytes.subarray(0, Math.max(0, offset - at)) : bytes];
}

/** The byte at `offset` of what `end` sends is changed by `mask` (XOR). */
export function flipAt(end: End, offset: number, mask = 1): Delivery {
  return ({ from, bytes }, at) => {
    const i = offset - at;
    if (from !== end || i < 0 || i >= bytes.length) return [bytes];
    const flipped = bytes.slice();
    flipped[i]! ^= mask;
    return [flipped];
  };
}

/** The deliveries that change nothing, by name. */
export const FAITHFUL: Readonly<Record<string, Delivery>> = { whole, "byte at a time": byteAtATime };

/** Both versions, by name. */
export const VERSIONS = [
  ["TLSv1.2", TLSVersion.TLSv1_2],
  ["TLSv1.3", TLSVersion.TLSv1_3],
] as const;

/** Noon of the first day of 2030: most certificates of tests/certs are valid then. */
export const NOW = Date.UTC(2030, 0, 1, 12);

/** A generator that looks random and is not (mulberry32): bytes from a seed. */
export function randomFrom(seed: number): (bytes: Uint8Array) => void {
  return (bytes) => {
    for (let i = 0; i < bytes.length; i++) {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      bytes[i] = (t ^ (t >>> 14)) >>> 16;
    }
  };
}

/** Whole numbers below a bound, from a seed. */
export function chooser(seed: number): (below: number) => number {
  const random = randomFrom(seed);
  const bytes = new Uint8Array(4);
  return (below) => {
    random(bytes);
    return new DataView(bytes.buffer).getUint32(0) % below;
  };
}

/** `length` bytes from a seed. */
export function bytesFrom(seed: number, length: number): Bytes {
  const bytes = new Uint8Array(length);
  randomFrom(seed)(bytes);
  return bytes;
}

/** A clock that stands still until it is told. */
export class FixedClock {
  time: number;

  constructor(time: number = NOW) {
    this.time = time;
  }

  /** For a Core or a TicketKeyRing. */
  readonly now = (): number => this.time;

  /** Goes on by `seconds`. */
  advance(seconds: number): void {
    this.time += seconds * 1000;
  }
}

/** A core without a clock and without chance: the same seed gives the same bytes. */
export function fixedCore(seed = 1, clock: FixedClock = new FixedClock()): Core {
  return new Core({ now: clock.now, random: randomFrom(seed) });
}

/** A ticket key ring with keys from a seed, which rotates only by hand. */
export function fixedRing(seed = 1, clock: FixedClock = new FixedClock(), lifetime = 43200): TicketKeyRing {
  using ring = new TicketKeyRing({ lifetime, rotateEvery: Infinity, now: clock.now });
  const bytes = ring.toBytes();
  bytes.set(bytesFrom(seed, 48), bytes.length - 48); // name and secret
  return TicketKeyRing.from(bytes, { now: clock.now });
}

/** A file of tests/certs. */
export function source(name: string): Source {
  return { name, bytes: Deno.readFileSync(new URL(`certs/${name}`, import.meta.url)) };
}

/** The certificate `name`.pem with its key. */
export function credential(name: string, key = name): NonNullable<TLSConfigOptions["credential"]> {
  return { chain: source(`${name}.pem`), key: source(`${key}.key`) };
}

/** A server's options. */
export function serverOptions(options: TLSConfigOptions = {}): TLSConfigOptions {
  return { serverSide: true, credential: credential("ec"), ...options };
}

/** A client's options: it trusts both authorities of tests/certs. */
export function clientOptions(options: TLSConfigOptions = {}): TLSConfigOptions {
  return { trust: [source("roots.pem")], ...options };
}

/** A client's and a server's config with options that both share. */
export function configs(
  core: Core,
  both: TLSConfigOptions = {},
  client: TLSConfigOptions = {},
  server: TLSConfigOptions = {},
): { client: TLSConfig; server: TLSConfig } & Disposable {
  const made = {
    client: new TLSConfig(clientOptions({ ...both, ...client }), core),
    server: new TLSConfig(serverOptions({ ...both, ...server }), core),
  };
  return {
    ...made,
    [Symbol.dispose]() {
      made.client[Symbol.dispose]();
      made.server[Symbol.dispose]();
    },
  };
}

/** Options of an {@linkcode EnginePair}. */
export interface PairOptions extends TLSEngineOptions {
  /** How bytes arrive. @default {whole} */
  deliver?: Delivery;
  /** Bytes of plaintext that one read takes at most. @default {20000} */
  readSize?: number;
  /** As `trace`, which is the client's. */
  serverTrace?: TLSEngineOptions["trace"];
}

/** A client and a server, and what lies between them. */
export class EnginePair implements Disposable {
  readonly client: TLSEngine;
  readonly server: TLSEngine;
  /** All that was sent, in order. */
  readonly wire: Packet[] = [];
  /** The first failure of each end. */
  readonly errors: { client?: SSLError; server?: SSLError } = {};
  /** Whether each end has read the end of the stream. */
  readonly ended: Record<End, boolean> = { client: false, server: false };
  deliver: Delivery;
  readonly #sent: Record<End, number> = { client: 0, server: 0 };
  readonly #read: Record<End, Bytes[]> = { client: [], server: [] };
  readonly #buffer: Bytes;

  /** The engines' options are the client's, but for `suppressRaggedEofs`: both have that. */
  constructor(client: TLSConfig, server: TLSConfig, options: PairOptions = {}) {
    const { deliver = whole, readSize = 20000, suppressRaggedEofs = false, serverTrace, ...rest } = options;
    this.deliver = deliver;
    this.#buffer = new Uint8Array(readSize);
    this.client = new TLSEngine(client, { serverHostname: "localhost", suppressRaggedEofs, ...rest });
    this.server = new TLSEngine(server, { suppressRaggedEofs, trace: serverTrace });
  }

  /** Moves bytes until there are none to move. The handshake may then be done, or stuck, or have failed. */
  run(): this {
    for (const end of ENDS) this.#step(end);
    while (this.#pass());
    return this;
  }

  /** Completes the handshake; throws the first end's failure. */
  connect(): this {
    this.run();
    const error = this.errors.client ?? this.errors.server;
    if (error !== undefined) throw error;
    if (!this.client.handshakeDone || !this.server.handshakeDone) throw new Error("The handshake is stuck");
    return this;
  }

  /** Writes all of `plaintext` at one end. Returns what the other end reads. */
  send(from: End, plaintext: Bytes): Bytes {
    this.received(peerOf(from));
    for (let total = 0; total < plaintext.length;) {
      const n = this[from].write(plaintext.subarray(total));
      total += n;
      if (!this.#pass() && n === 0) throw new Error(`The ${from} can write no more`);
    }
    this.run();
    return this.received(peerOf(from));
  }

  /** What `end` has read since the last call. */
  received(end: End): Bytes {
    return concat([EMPTY, ...this.#read[end].splice(0)]);
  }

  /** All that `end` has sent. */
  flight(end: End): Bytes {
    return concat([EMPTY, ...this.wire.filter(({ from }) => from === end).map(({ bytes }) => bytes)]);
  }

  /** Both ends of the stream arrive: nothing more will. */
  eof(): this {
    for (const end of ENDS) {
      if (this[end].state === "freed") continue;
      this[end].receiveEof();
      this.#step(end);
    }
    return this;
  }

  /** Both ends say goodbye. */
  close(): this {
    for (const end of ENDS) this[end].closeNotify();
    return this.run();
  }

  #pass(): boolean {
    let moved = false;
    for (const from of ENDS) {
      const bytes = this[from].takeRecords();
      if (bytes.length === 0) continue;
      moved = true;
      const packet = { from, bytes };
      this.wire.push(packet);
      const to = peerOf(from);
      for (const piece of this.deliver(packet, this.#sent[from])) {
        if (piece.length === 0 || this.errors[to] !== undefined || this[to].state === "freed") continue;
        this[to].receive(piece);
        this.#step(to);
      }
      this.#sent[from] += bytes.length;
    }
    return moved;
  }

  /** Lets `end` use what it has received. */
  #step(end: End): void {
    const engine = this[end];
    if (this.errors[end] !== undefined || engine.state === "freed") return;
    try {
      if (!engine.handshakeDone && engine.handshake().state !== "done") return;
      for (;;) {
        const outcome = engine.read(this.#buffer);
        if (outcome.state === "eof") this.ended[end] = true;
        if (outcome.state !== "data") return;
        this.#read[end].push(this.#buffer.slice(0, outcome.bytes));
      }
    } catch (error) {
      if (!(error instanceof SSLError)) throw error;
      this.errors[end] = error;
    }
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]();
    this.server[Symbol.dispose]();
  }
}
