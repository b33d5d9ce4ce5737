/**
 * The core "fuzz": the shipped one, which counts its edges, with a hostile peer inside (wasm/fuzz/).
 *
 * @module
 */

import type { Bytes } from "../../lib/bytes.ts";
import { Core } from "../../lib/core.ts";
import { ensureBuilt, folderOf } from "../../wasm/build.ts";
import { FixedClock, randomFrom } from "../pair.ts";

interface FuzzExports {
  readonly memory: WebAssembly.Memory;
  fuzz_begin(script: number, length: number, datagrams: number): number;
  fuzz_edit(edit: number, editLength: number, at: number, length: number, size: number): number;
  fuzz_carry(end: number, packet: number, length: number, out: number, size: number, cut: number): number;
  fuzz_counters(): number;
  fuzz_counter_count(): number;
}

/** Room for a script, for what comes and for what goes. */
const SCRIPT_MAX = 1 << 16;
const PACKET_MAX = 1 << 18;

let module: Promise<WebAssembly.Module> | undefined;

/** Builds the core where it is missing, and compiles it, once. */
export function fuzzModule(): Promise<WebAssembly.Module> {
  return module ??= (async () => {
    await ensureBuilt(["fuzz"]);
    return await WebAssembly.compile(await Deno.readFile(new URL("fuzz.wasm", folderOf("fuzz"))));
  })();
}

/** One instance, whose clock stands still and whose randomness is a seed's. */
export class FuzzCore {
  /** The core, for configs. */
  readonly core: Core;
  /** Its clock. */
  readonly clock = new FixedClock();
  readonly #exports: FuzzExports;
  readonly #script: number;
  readonly #packet: number;
  readonly #out: number;
  readonly #counters: number;
  readonly #count: number;
  #random = randomFrom(0);

  constructor(module: WebAssembly.Module) {
    // A Core keeps its instance to itself.
    const { Instance } = WebAssembly;
    let exports: WebAssembly.Exports | undefined;
    WebAssembly.Instance = class extends Instance {
      constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
        super(module, imports);
        exports = this.exports;
      }
    };
    try {
      this.core = new Core({ module, now: this.clock.now, random: (bytes) => this.#random(bytes) });
    } finally {
      WebAssembly.Instance = Instance;
    }
    this.#exports = exports as unknown as FuzzExports;
    this.#script = this.core.alloc(SCRIPT_MAX);
    this.#packet = this.core.alloc(PACKET_MAX);
    this.#out = this.core.alloc(PACKET_MAX + 4);
    this.#counters = this.#exports.fuzz_counters();
    this.#count = this.#exports.fuzz_counter_count();
  }

  /** Starts the randomness and the clock anew. */
  rewind(seed: number): void {
    this.#random = randomFrom(seed);
    this.clock.time = new FixedClock().time;
  }

  /** Begins a connection that a script goes with. */
  begin(script: Bytes, datagrams = false): void {
    const bytes = script.subarray(0, SCRIPT_MAX);
    this.core.memory.set(bytes, this.#script);
    this.#exports.fuzz_begin(this.#script, bytes.length, datagrams ? 1 : 0);
  }

  /** What arrives of a packet of whole records, and whether that was the last. */
  carry(end: "client" | "server", packet: Bytes): { bytes: Bytes; cut: boolean } {
    if (packet.length > PACKET_MAX) throw new Error(`Cannot carry ${packet.length} bytes at once`);
    this.core.memory.set(packet, this.#packet);
    const cutAt = this.#out + PACKET_MAX;
    const length = this.#exports.fuzz_carry(
      end === "server" ? 1 : 0,
      this.#packet,
      packet.length,
      this.#out,
      PACKET_MAX,
      cutAt,
    );
    const bytes = this.core.memory.slice(this.#out, this.#out + length);
    return { bytes, cut: this.core.int32s(cutAt, 1)[0] !== 0 };
  }

  /** Applies an edit, as a script holds it. */
  edit(edit: Bytes, bytes: Bytes): Bytes {
    this.core.memory.set(edit, this.#script);
    this.core.memory.set(bytes, this.#packet);
    const length = this.#exports.fuzz_edit(
      this.#script,
      edit.length,
      this.#packet,
      bytes.length,
      SCRIPT_MAX,
    );
    return this.core.memory.slice(this.#packet, this.#packet + length);
  }

  /** How often each edge has run since {@linkcode FuzzCore.clearEdges}, modulo 256. A view: the next call may change it. */
  edges(): Bytes {
    return this.core.memory.subarray(this.#counters, this.#counters + this.#count);
  }

  /** Sets the counts to 0. */
  clearEdges(): void {
    this.edges().fill(0);
  }
}
