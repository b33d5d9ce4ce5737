/**
 * Networks for DTLS that lose, double and reorder datagrams by a seed: one in memory with a clock that is told, and a UDP
 * proxy for programs.
 *
 * ```ts ignore
 * using pair = new DatagramPair({ weather: STORM, seed: 1 });
 * pair.connect();
 * assertEquals(pair.send("client", encodeText("hello")), [encodeText("hello")]);
 * ```
 *
 * @module
 */
import { type Bytes, encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import type { Core } from "../lib/core.ts";
import { DTLSEngine, type DTLSEngineOptions } from "../lib/dtls_engine.ts";
import { greet } from "../lib/dtls_greeting.ts";
import { SSLError } from "../lib/errors.ts";
import type { DatagramPolicy, TLSConfigOptions } from "../lib/policy.ts";
import {
  chooser,
  clientOptions,
  type End,
  ENDS,
  FixedClock,
  fixedCore,
  peerOf,
  serverOptions,
} from "./pair.ts";

/** What a network does to datagrams: the share of each, 0 to 1. */
export interface Weather {
  readonly lost: number;
  readonly doubled: number;
  readonly late: number;
}

/** Each datagram arrives once, in order. */
export const FAIR: Weather = { lost: 0, doubled: 0, late: 0 };
/** 30 % of the datagrams are lost, 30 % doubled, 30 % overtaken. */
export const STORM: Weather = { lost: 0.3, doubled: 0.3, late: 0.3 };

const TRAVEL = 1; // millisecond
const LATE = 40; // milliseconds at most; a flight takes less

/** When copies of one datagram arrive, in milliseconds; none: it is lost. */
export function arrivals(choose: (below: number) => number, { lost, doubled, late }: Weather): number[] {
  const happens = (share: number) => choose(1000) < share * 1000;
  if (happens(lost)) return [];
  const once = () => TRAVEL + (happens(late) ? choose(LATE) : 0);
  return happens(doubled) ? [once(), once()] : [once()];
}

/** A client's and a server's config of DTLS. */
export function datagramConfigs(
  core: Core,
  both: TLSConfigOptions = {},
  client: TLSConfigOptions = {},
  server: TLSConfigOptions = {},
): Record<End, TLSConfig> & Disposable {
  const datagrams: DatagramPolicy = {};
  const made = {
    client: new TLSConfig(clientOptions({ datagrams, ...both, ...client }), core),
    server: new TLSConfig(serverOptions({ datagrams, ...both, ...server }), core),
  };
  return {
    ...made,
    [Symbol.dispose]() {
      for (const end of ENDS) made[end][Symbol.dispose]();
    },
  };
}

/** Options of a {@linkcode DatagramPair}. */
export interface DatagramPairOptions extends Pick<DTLSEngineOptions, "savedSession" | "mtu"> {
  weather?: Weather;
  seed?: number;
  /** Configs that live on. @default {one of each, disposed of with the pair} */
  configs?: Record<End, TLSConfig>;
  /** The clock of their core. */
  clock?: FixedClock;
  /** Changes a datagram on its way, or drops it (`undefined`). */
  tamper?: (from: End, datagram: Bytes) => Bytes | undefined;
}

/** What the server knows the client by. */
export const CLIENT_ID: Bytes = encodeText("192.0.2.1 5684");

/** A client, a server that greets as `DTLSServer` does, and the network between them. Time passes when nothing else can. */
export class DatagramPair implements Disposable {
  readonly clock: FixedClock;
  readonly client: DTLSEngine;
  /** Datagrams that each end has sent, in order. */
  readonly sent: Record<End, Bytes[]> = { client: [], server: [] };
  /** The first failure of each end. */
  readonly errors: { client?: SSLError; server?: SSLError } = {};
  /** Whether each end has read the peer's close_notify. */
  readonly ended: Record<End, boolean> = { client: false, server: false };
  weather: Weather;
  tamper: (from: End, datagram: Bytes) => Bytes | undefined;
  #server: DTLSEngine | undefined;
  readonly #configs: Record<End, TLSConfig>;
  readonly #own: Disposable | undefined;
  readonly #mtu: number | undefined;
  readonly #choose: (below: number) => number;
  readonly #travelling: { readonly due: number; readonly to: End; readonly datagram: Bytes }[] = [];
  readonly #read: Record<End, Bytes[]> = { client: [], server: [] };
  readonly #buffer: Bytes = new Uint8Array(16384);

  constructor(options: DatagramPairOptions = {}) {
    const { weather = FAIR, seed = 1, tamper = (_, datagram) => datagram, savedSession, mtu } = options;
    this.clock = options.clock ?? new FixedClock();
    const own = options.configs === undefined ? datagramConfigs(fixedCore(seed, this.clock)) : undefined;
    this.#own = own;
    this.#configs = options.configs ?? own!;
    this.weather = weather;
    this.tamper = tamper;
    this.#mtu = mtu;
    this.#choose = chooser(seed);
    this.client = new DTLSEngine(this.#configs.client, { serverHostname: "localhost", savedSession, mtu });
  }

  /** The server's engine; there is none before a cookie has come back. */
  get server(): DTLSEngine {
    return this.#server!;
  }

  /** Lets time pass until `done`, or until nothing will ever happen again, for `seconds` at most. */
  run(done: () => boolean = () => false, seconds = 86400): this {
    const ends = this.clock.time + seconds * 1000;
    for (const end of ENDS) this.#step(end);
    while (!done()) {
      const due = Math.min(...this.#travelling.map(({ due }) => due), ...ENDS.map((end) => this.#timer(end)));
      if (due > ends) break;
      this.clock.time = Math.max(this.clock.time, due);
      const next = this.#travelling.findIndex((one) => one.due <= this.clock.time);
      if (next < 0) { for (const end of ENDS) this.#step(end); }
      else this.#arrive(this.#travelling.splice(next, 1)[0]!);
    }
    return this;
  }

  /** Completes the handshake; throws the first end's failure. */
  connect(seconds = 86400): this {
    const isDone = () => ENDS.every((end) => this.#engine(end)?.handshakeDone);
    const hasFailed = () => this.errors.client !== undefined || this.errors.server !== undefined;
    this.run(() => isDone() || hasFailed(), seconds);
    const error = this.errors.client ?? this.errors.server;
    if (error !== undefined) throw error;
    if (!isDone()) throw new Error("The handshake is stuck");
    return this;
  }

  /** Writes datagrams at one end. Returns what the other end reads. */
  send(from: End, ...plaintexts: Bytes[]): Bytes[] {
    for (const plaintext of plaintexts) {
      this.#engine(from)!.write(plaintext);
      this.#step(from);
    }
    this.run();
    return this.received(peerOf(from));
  }

  /** What `end` has read since the last call. */
  received(end: End): Bytes[] {
    return this.#read[end].splice(0);
  }

  /** Brings `datagram` to `end`, whoever sent it. */
  inject(end: End, datagram: Bytes): void {
    this.#arrive({ to: end, datagram });
  }

  #engine(end: End): DTLSEngine | undefined {
    return end === "client" ? this.client : this.#server;
  }

  #timer(end: End): number {
    const left = this.errors[end] === undefined ? this.#engine(end)?.nextTimeout() : undefined;
    return left === undefined ? Infinity : this.clock.time + left;
  }

  #arrive({ to, datagram }: { to: End; datagram: Bytes }): void {
    const engine = this.#engine(to);
    if (engine !== undefined) {
      if (this.errors[to] === undefined) engine.receive(datagram);
    } else {
      const { reply, engine } = greet(this.#configs.server, datagram, {
        clientId: CLIENT_ID,
        mtu: this.#mtu,
      });
      if (reply !== undefined) this.#send("server", reply);
      this.#server = engine;
    }
    this.#step(to);
  }

  #send(from: End, datagram: Bytes): void {
    this.sent[from].push(datagram);
    const passed = this.tamper(from, datagram);
    if (passed === undefined) return;
    for (const wait of arrivals(this.#choose, this.weather)) {
      this.#travelling.push({ due: this.clock.time + wait, to: peerOf(from), datagram: passed });
    }
  }

  /** Lets `end` use what it has received. */
  #step(end: End): void {
    const engine = this.#engine(end);
    if (engine === undefined || engine.state === "freed") return;
    try {
      if (this.errors[end] === undefined && engine.handshake().state === "done") this.#readAll(end, engine);
    } catch (error) {
      if (!(error instanceof SSLError)) throw error;
      if (error.kind !== "closed") this.errors[end] = error;
    }
    for (const datagram of engine.takeDatagrams()) this.#send(end, datagram);
  }

  #readAll(end: End, engine: DTLSEngine): void {
    for (;;) {
      const outcome = engine.read(this.#buffer);
      if (outcome.state === "eof") this.ended[end] = true;
      if (outcome.state !== "data") return;
      this.#read[end].push(this.#buffer.slice(0, outcome.bytes));
    }
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]();
    this.#server?.[Symbol.dispose]();
    this.#own?.[Symbol.dispose]();
  }
}

/** A UDP proxy on 127.0.0.1 for one client at a time. */
export interface DatagramProxy extends AsyncDisposable {
  readonly port: number;
  /** Datagrams that arrived at the proxy from each end. */
  readonly seen: Record<End, number>;
}

/** Starts a proxy before the server at `port`, with the weather of a network. */
export function datagramProxy(port: number, weather: Weather, seed: number): DatagramProxy {
  const choose = chooser(seed);
  const outside = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const inside = Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 0 });
  const server: Deno.NetAddr = { transport: "udp", hostname: "127.0.0.1", port };
  const timers = new Set<ReturnType<typeof setTimeout>>();
  const sends = new Set<Promise<unknown>>();
  const seen = { client: 0, server: 0 };
  let client: Deno.Addr | undefined;
  let closed = false;

  const pass = (datagram: Uint8Array, by: Deno.DatagramConn, to: Deno.Addr) => {
    for (const wait of arrivals(choose, weather)) {
      const timer = setTimeout(() => {
        timers.delete(timer);
        const sent = by.send(datagram, to).catch(() => {}).finally(() => sends.delete(sent));
        sends.add(sent);
      }, wait);
      timers.add(timer);
    }
  };
  const receive = async (conn: Deno.DatagramConn, take: (datagram: Uint8Array, from: Deno.Addr) => void) => {
    while (!closed) {
      try {
        const [datagram, from] = await conn.receive();
        take(datagram, from);
      } catch (error) {
        if (!closed) throw error;
      }
    }
  };
  const running = Promise.all([
    receive(outside, (datagram, from) => {
      client = from;
      seen.client++;
      pass(datagram, inside, server);
    }),
    receive(inside, (datagram) => {
      seen.server++;
      if (client !== undefined) pass(datagram, outside, client);
    }),
  ]);
  return {
    port: (outside.addr as Deno.NetAddr).port,
    seen,
    async [Symbol.asyncDispose]() {
      closed = true;
      for (const timer of timers) clearTimeout(timer);
      await Promise.all(sends);
      outside.close();
      inside.close();
      await running;
    },
  };
}
