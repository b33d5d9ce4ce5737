/** The board that `tlsio serve --profile esp32` is: the process's device, with its clock, and what its program does. */

import type { Behaviour } from "../behaviour.ts";
import { TLSConfig } from "../config.ts";
import { type ContextOptions, readOptions } from "../context_options.ts";
import type { Core } from "../core.ts";
import { type Device as DeviceTable, resolveDevice } from "../cost/device.ts";
import type { Device } from "../device.ts";
import type { DeviceHeap } from "../device_heap.ts";
import type { Duplex } from "../duplex.ts";
import { deviceOf, setDeviceClock } from "../esp32.ts";
import type { TLSConfigOptions } from "../policy.ts";
import { resolveProfile } from "../profile.ts";
import { SSLSocket } from "../socket.ts";
import type { TraceEvent } from "../trace.ts";

const HANDSHAKE_TIMEOUT = 60; // seconds; MicroPython has none, and a client that says nothing would hold the board for ever
const SHUTDOWN_TIMEOUT = 5; // seconds; the recv_wait_timeout of esp_https_server

/** What the command line knows of a device besides its profile. */
interface Program {
  /** What it is, where no table of lib/cost says so. */
  readonly description: string;
  /** The table of lib/cost; `undefined`: nobody has published figures. */
  readonly table?: string;
  /** Requests on a connection: the programs for MicroPython answer one and close. */
  readonly requests: number;
  /** Whether its mbedTLS looks at the dates of certificates. */
  readonly dates: boolean;
  /** How its failures are named. */
  readonly errors: "MicroPython" | "mbedTLS";
}

const MICROPYTHON = { requests: 1, dates: true, errors: "MicroPython" } as const;

const PROGRAMS: Readonly<Record<string, Program>> = {
  "esp32": { ...MICROPYTHON, description: "ESP32, MicroPython", table: "esp32" },
  "esp32-idf": {
    description: "ESP32, 240 MHz, ESP-IDF 5.5.1 (mbedTLS 3.6.4), esp_https_server",
    table: "esp32",
    requests: Infinity,
    dates: false, // MBEDTLS_HAVE_TIME_DATE is off by default
    errors: "mbedTLS",
  },
  "rp2": { ...MICROPYTHON, description: "Raspberry Pi Pico W, MicroPython", table: "rp2040" },
  "pycom": {
    ...MICROPYTHON,
    description: "a Pycom board with its ussl (mbedTLS 2.x, here 3.6)",
    dates: false,
  },
};

/** What is known of a profile's device. */
export interface BoardFacts extends Program {
  /** What its sockets do. */
  readonly behaviour: Behaviour;
  /** What its operations take. */
  readonly device: DeviceTable | undefined;
}

/** What is known of a profile's device; `undefined`: it is the profile of none. */
export function boardFacts(profile: string | undefined): BoardFacts | undefined {
  const behaviour = resolveProfile(profile)?.behaviour;
  if (behaviour === undefined) return undefined;
  const program = PROGRAMS[behaviour.profile] ?? { ...MICROPYTHON, description: behaviour.profile };
  return {
    ...program,
    behaviour,
    device: program.table === undefined ? undefined : resolveDevice(program.table),
  };
}

/** Whether enough is published of the device to simulate how long it takes. */
export function hasFigures({ device }: BoardFacts): boolean {
  return device?.transfer !== undefined && device.operations["P-256 multiply"] !== undefined;
}

/** Options of {@linkcode Board.open}. */
export interface BoardOptions {
  /** Bytes of its heap. @default {the profile's} */
  readonly heap?: number | undefined;
  /** What its clock says when it starts: milliseconds since the Unix epoch. @default {this machine's} */
  readonly clock?: number | undefined;
  /** `ssl.wrap_socket()` for each connection: certificate and key are parsed again, and the key is cold. */
  readonly contextForEach: boolean;
}

/** A board. */
export class Board implements Disposable {
  /** What it is. */
  readonly facts: BoardFacts;
  /** What its clock says. */
  readonly now: () => number;
  readonly #device: Device;
  readonly #core: () => Core;
  readonly #policy: TLSConfigOptions;
  readonly #shared: TLSConfig | undefined;

  private constructor(
    facts: BoardFacts,
    device: Device,
    now: () => number,
    { policy, core }: { policy: TLSConfigOptions; core: () => Core },
    contextForEach: boolean,
  ) {
    [this.facts, this.now, this.#device, this.#core, this.#policy] = [facts, now, device, core, policy];
    const config = new TLSConfig(policy, core); // what is wrong with the options is said now
    if (contextForEach) config[Symbol.dispose]();
    else this.#shared = config;
  }

  /** Starts the board of this process, whose server has these options. */
  static async open(facts: BoardFacts, ssl: ContextOptions, options: BoardOptions): Promise<Board> {
    const { heap: budget, clock, contextForEach } = options;
    const { profile } = facts.behaviour;
    const started = performance.now();
    const now = clock === undefined ? Date.now : () => clock + (performance.now() - started);
    const { policy, core } = await readOptions({
      ...ssl,
      ...(budget !== undefined && { heap: { budget } }),
      profile,
      serverSide: true,
    });
    const device = await deviceOf(profile, resolveProfile(profile)!.build);
    setDeviceClock(now);
    return new Board(facts, device, now, { policy, core: core! }, contextForEach);
  }

  /** mbedTLS's version and a hash of what was compiled. */
  get version(): string {
    return this.#core().version;
  }

  /** Its memory; `undefined`: it has crashed, and starts again with the next connection. */
  get heap(): DeviceHeap | undefined {
    return this.#device.heap;
  }

  /** Puts TLS on a connection; the handshake is yet to come. Throws when there is no memory for it. */
  wrap(link: Duplex, trace?: (event: TraceEvent) => void): SSLSocket {
    const config = this.#shared ?? new TLSConfig(this.#policy, this.#core);
    try {
      return new SSLSocket(link, config, {
        timeout: this.facts.behaviour.handshakeTimeout ?? HANDSHAKE_TIMEOUT,
        shutdownTimeout: SHUTDOWN_TIMEOUT,
        ...(trace && { trace }),
      });
    } finally {
      if (config !== this.#shared) config[Symbol.dispose](); // when the connection is closed
    }
  }

  /** Frees what its connections share, and gives this process's devices this machine's clock. */
  [Symbol.dispose](): void {
    this.#shared?.[Symbol.dispose]();
    setDeviceClock(undefined);
  }
}
