/** The board that `tlsio serve --profile esp32` is: a core with its heap and its clock, and what the device's software does. */

import { TLSConfig } from "../config.ts";
import type { ContextOptions } from "../context_options.ts";
import { readOptions } from "../context_options.ts";
import type { Core } from "../core.ts";
import { type Device, resolveDevice } from "../cost/device.ts";
import { DeviceHeap } from "../device_heap.ts";
import { newEsp32Core } from "../esp32.ts";
import type { Duplex } from "../duplex.ts";
import { SSLSocket } from "../socket.ts";
import type { TraceEvent } from "../trace.ts";

const HANDSHAKE_TIMEOUT = 60; // seconds; MicroPython has none, and a client that says nothing would hold the board for ever
const SHUTDOWN_TIMEOUT = 5; // seconds; esp_https_server's recv_wait_timeout

/** What a device's software does with connections. */
export interface BoardFacts {
  /** The profile. */
  readonly profile: string;
  /** The table of lib/cost; `undefined`: nobody has published any figure. */
  readonly device: string | undefined;
  /** Connections at once. */
  readonly sockets: number;
  /** At that limit: close the one that was used least recently. Otherwise the new one. */
  readonly purge: boolean;
  /** Connections that wait to be accepted. */
  readonly backlog: number;
  /** Requests on a connection: the programs of MicroPython's books answer one and close. */
  readonly requests: number;
  /** How it names its failures. */
  readonly errors: "OSError" | "mbedtls";
}

const BOARDS: ReadonlyMap<string, BoardFacts> = new Map(
  ([
    {
      ...{ profile: "esp32", device: "esp32", sockets: 12, purge: false, backlog: 5, requests: 1 },
      errors: "OSError",
    },
  ] as const satisfies BoardFacts[]).map((facts) => [facts.profile, facts]),
);

/** What is known of a profile's device; `undefined`: it is the profile of none. */
export function boardFacts(profile: string | undefined): BoardFacts | undefined {
  return BOARDS.get(profile ?? "");
}

/** Options of {@linkcode Board.open}. */
export interface BoardOptions {
  /** Bytes of its heap. @default {the profile's} */
  readonly heap?: number | undefined;
  /** What its clock says when it starts: milliseconds since the Unix epoch. @default {this machine's} */
  readonly clock?: number | undefined;
  /** `ssl.wrap_socket()` for each connection: certificate and key are read again, and the key is cold. */
  readonly contextForEach: boolean;
}

/** A board. */
export class Board implements Disposable {
  /** What its software does. */
  readonly facts: BoardFacts;
  /** What its operations take; `undefined`: unknown. */
  readonly device: Device | undefined;
  /** Its memory. */
  readonly heap: DeviceHeap;
  readonly #core: Core;
  readonly #makeConfig: () => TLSConfig;
  readonly #shared: TLSConfig | undefined;

  private constructor(facts: BoardFacts, core: Core, heap: DeviceHeap, make: () => TLSConfig, each: boolean) {
    this.facts = facts;
    this.device = facts.device === undefined ? undefined : resolveDevice(facts.device);
    this.#core = core;
    this.heap = heap;
    this.#makeConfig = make;
    if (each) make()[Symbol.dispose](); // what is wrong with the options is said now
    else this.#shared = make();
  }

  /** Starts a board whose server has these options. */
  static async open(facts: BoardFacts, ssl: ContextOptions, options: BoardOptions): Promise<Board> {
    const { heap: budget, clock, contextForEach } = options;
    const started = performance.now();
    const now = clock === undefined ? undefined : () => clock + (performance.now() - started);
    const core = await newEsp32Core(now && { now });
    const heap = new DeviceHeap(core, budget === undefined ? {} : { budget });
    const { policy } = await readOptions({ ...ssl, profile: facts.profile, serverSide: true });
    return new Board(facts, core, heap, () => new TLSConfig(policy, core), contextForEach);
  }

  /** mbedTLS's version and a hash of what was compiled. */
  get version(): string {
    return this.#core.version;
  }

  /** What its clock says: milliseconds since the Unix epoch. */
  get now(): number {
    return this.#core.now();
  }

  /** Puts TLS on a connection; the handshake is yet to come. Throws when there is no memory for it. */
  wrap(link: Duplex, trace?: (event: TraceEvent) => void): SSLSocket {
    const config = this.#shared ?? this.#makeConfig();
    try {
      return new SSLSocket(link, config, {
        timeout: HANDSHAKE_TIMEOUT,
        shutdownTimeout: SHUTDOWN_TIMEOUT,
        ...(trace && { trace }),
      });
    } finally {
      if (config !== this.#shared) config[Symbol.dispose](); // when the connection is closed
    }
  }

  /** Frees what its connections share. */
  [Symbol.dispose](): void {
    this.#shared?.[Symbol.dispose]();
  }
}
