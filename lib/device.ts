/**
 * Device: the board of a profile. A process (and each Worker) has one for each profile that it uses: its connections share
 * a core and its heap. A trap in the core is the board's crash: its connections fail, and the next one finds it restarted.
 */

import type { Core } from "./core.ts";
import { DeviceHeap, type HeapLimits } from "./device_heap.ts";

/** What a profile's mbedTLS is compiled without, or with, where the core of all devices can be told at run time. */
export interface Build {
  /** Bytes of plaintext in a record that is sent. @default {4096} */
  readonly maxSent?: number;
  /** What it lacks: names in {@linkcode LACKS}. */
  readonly lacks?: readonly Lack[];
}

/** An extension that a device's mbedTLS can be without. */
export type Lack = keyof typeof LACKS;

/** Bits of `device_build` in wasm/device/build.c; a test compares them. */
export const LACKS = { encryptThenMac: 1, extendedMasterSecret: 2, maxFragmentLength: 4 } as const;

const MAX_SENT = 4096;

/** Tells a new core which device it is. */
export function setBuild(core: Core, { maxSent = MAX_SENT, lacks = [] }: Build): void {
  core.device!.device_build(maxSent, lacks.reduce((bits, lack) => bits | LACKS[lack], 0));
}

/** One board. */
export class Device {
  readonly #name: string;
  readonly #start: () => Core;
  #core: Core | undefined;
  #heap: DeviceHeap | undefined;
  #empty = 0; // bytes of the heap of a core that has just started

  /** `start` gives a new core for the profile called `name`. */
  constructor(name: string, start: () => Core) {
    this.#name = name;
    this.#start = start;
  }

  /** Its heap, as it is now; `undefined` before its first use. */
  get heap(): DeviceHeap | undefined {
    return this.#core?.retired ? undefined : this.#heap;
  }

  /**
   * The core, with a heap of these limits: they are those of who came first, until nothing is live.
   *
   * @param given The limits that were asked for; `undefined`: those that there are, or else the usual ones.
   * @throws {TypeError} The heap has other limits, and something lives in it.
   * @throws {RangeError} A limit out of range.
   */
  core(given?: HeapLimits): Core {
    if (this.#core === undefined || this.#core.retired) {
      const core = this.#start();
      this.#heap = new DeviceHeap(core, given);
      [this.#core, this.#empty] = [core, this.#heap.used];
    } else if (this.#heap!.used === this.#empty) this.#heap = new DeviceHeap(this.#core, given);
    else if (given !== undefined) this.#assertLimits(this.#heap!, given);
    return this.#core;
  }

  #assertLimits(heap: DeviceHeap, given: HeapLimits): void {
    if (heap.hasLimits(given)) return;
    const { budget, largestBlock, used } = heap;
    throw new TypeError(
      `Cannot use heap: the device of the profile "${this.#name}" has one of ${budget} bytes (blocks to ${largestBlock}), ` +
        `with ${used} in use; each process has one device, so close its connections and contexts first`,
    );
  }
}
