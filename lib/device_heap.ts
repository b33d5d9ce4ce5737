/**
 * DeviceHeap: the heap of a device's core, which is as small as the device's.
 *
 * mbedTLS in wasm32 has the device's pointers and structures and asks for the same blocks; the core adds to each what
 * ESP-IDF's heap adds. What it cannot reproduce is fragmentation: the largest free block is a parameter.
 */

import { typeName } from "./bytes.ts";
import type { Core } from "./core.ts";

/** The heap of a device, in bytes. */
export interface HeapLimits {
  /** What all connections, certificates and keys may have at once, 40 to 110 KiB: what WiFi and Python leave. @default {61440} */
  budget?: number;
  /**
   * The largest block that can be had, 1 to 110 KiB: below 16717, the record buffer that each connection needs, there are
   * no connections. It stands for fragmentation, which a model cannot reproduce. @default {34816}
   */
  largestBlock?: number;
  /**
   * What TCP takes of the same heap for each connection, 0 to 16 KiB: on an ESP32 4 to 7 KiB, by what a maintainer of
   * MicroPython says. @default {0}
   */
  perSocket?: number;
}

const KIB = 1024;
/** What MicroPython leaves ESP-IDF's heap on an ESP32 without PSRAM, once WiFi is up: reports say 40 to 110 KiB. */
const BUDGET = { least: 40 * KIB, usual: 60 * KIB, most: 110 * KIB };
const LARGEST_BLOCK = 34 * KIB;
const PER_SOCKET_MAX = 16 * KIB;

/** The heap of a device's core. */
export class DeviceHeap {
  readonly #core: Core;
  readonly #call: NonNullable<Core["device"]>;
  /** Bytes that may be live at once. */
  readonly budget: number;
  /** Bytes of the largest block that can be had. */
  readonly largestBlock: number;
  /** Bytes that TCP takes for each connection. */
  readonly perSocket: number;

  /**
   * Sets the limits of a core's heap; what is live stays.
   *
   * @throws {RangeError} A limit out of range.
   * @throws {TypeError} The core is no device's, or there is no such limit.
   */
  constructor(core: Core, limits: HeapLimits = {}) {
    if (core.device === undefined) throw new TypeError("Cannot limit the heap: the core is no device's");
    this.#core = core;
    this.#call = core.device;
    ({ budget: this.budget, largestBlock: this.largestBlock, perSocket: this.perSocket } = heapLimits(
      limits,
    ));
    this.#call.heap_limit(this.budget, this.largestBlock, this.perSocket);
  }

  /** Whether its limits are those that are given, with the usual ones for the rest. */
  hasLimits(limits: HeapLimits): boolean {
    const { budget, largestBlock, perSocket } = heapLimits(limits);
    return this.budget === budget && this.largestBlock === largestBlock && this.perSocket === perSocket;
  }

  /** Bytes of all live blocks. */
  get used(): number {
    return this.#call.heap_used();
  }

  /** The most that {@linkcode DeviceHeap.used} has been. */
  get peak(): number {
    return this.#call.heap_peak();
  }

  /** How many allocations did not fit. */
  get refused(): number {
    return this.#call.heap_refused();
  }

  /** For `console.log()`. */
  [Symbol.for("Deno.customInspect")](): string {
    return this.#core.retired
      ? "DeviceHeap { retired }"
      : `DeviceHeap { ${this.used} of ${this.budget} bytes }`;
  }
}

/**
 * The limits, each with its default.
 *
 * @throws {TypeError} What is given is no object, or names a limit that there is not.
 * @throws {RangeError} A limit out of range.
 */
export function heapLimits(given: HeapLimits): Required<HeapLimits> {
  if (typeof given !== "object" || given === null) {
    throw new TypeError(
      `Cannot use heap: expected { budget, largestBlock, perSocket }, got ${typeName(given)}`,
    );
  }
  const { budget = BUDGET.usual, largestBlock = LARGEST_BLOCK, perSocket = 0, ...others } = given;
  const [other] = Object.keys(others);
  if (other !== undefined) {
    throw new TypeError(`Cannot use heap.${other}: known are budget, largestBlock and perSocket`);
  }
  check("budget", budget, BUDGET.least, BUDGET.most);
  check("largestBlock", largestBlock, KIB, BUDGET.most);
  check("perSocket", perSocket, 0, PER_SOCKET_MAX);
  return { budget, largestBlock, perSocket };
}

function check(name: string, value: unknown, least: number, most: number): void {
  if (Number.isInteger(value) && value as number >= least && value as number <= most) return;
  throw new RangeError(`Cannot use heap.${name}: expected ${least} to ${most} bytes, got ${String(value)}`);
}
