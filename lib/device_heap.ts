/**
 * DeviceHeap: the heap of a device's core, which is as small as the device's.
 *
 * mbedTLS in wasm32 has the device's pointers and structures and asks for the same blocks; the core adds to each what
 * ESP-IDF's heap adds. What it cannot reproduce is fragmentation: the largest free block is a parameter.
 */

import type { Core } from "./core.ts";

/** Bytes of a {@linkcode DeviceHeap}. */
export interface HeapLimits {
  /** What all connections, certificates and keys may have at once, 40 to 110 KiB. @default {61440} */
  budget?: number;
  /** The largest block that can be had. @default {34816} */
  largestBlock?: number;
}

const KIB = 1024;
/** What MicroPython leaves ESP-IDF's heap on an ESP32 without PSRAM, once WiFi is up: reports say 40 to 110 KiB. */
const BUDGET = { least: 40 * KIB, usual: 60 * KIB, most: 110 * KIB };
const LARGEST_BLOCK = 34 * KIB;

/** The heap of a device's core. */
export class DeviceHeap {
  readonly #core: Core;
  readonly #call: NonNullable<Core["device"]>;
  /** Bytes that may be live at once. */
  readonly budget: number;
  /** Bytes of the largest block that can be had. */
  readonly largestBlock: number;

  /**
   * Sets the limits of a core's heap; what is live stays.
   *
   * @throws {RangeError} A limit out of range.
   * @throws {TypeError} The core is no device's.
   */
  constructor(core: Core, { budget = BUDGET.usual, largestBlock = LARGEST_BLOCK }: HeapLimits = {}) {
    if (core.device === undefined) throw new TypeError("Cannot limit the heap: the core is no device's");
    check("budget", budget, BUDGET.least, BUDGET.most);
    check("largestBlock", largestBlock, KIB, BUDGET.most);
    this.#core = core;
    this.#call = core.device;
    [this.budget, this.largestBlock] = [budget, largestBlock];
    this.#call.heap_limit(budget, largestBlock);
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

function check(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new RangeError(`Cannot use ${name}: expected ${least} to ${most} bytes, got ${value}`);
}
