/**
 * Cores without memory: what they do when a block cannot be had.
 *
 * @module
 */
import { Core, type CoreOptions } from "../lib/core.ts";
import { randomFrom } from "./pair.ts";

/** A core whose memory has grown to its maximum, so that its heap cannot grow any more. */
export function fullCore(options: CoreOptions = {}): Core {
  const { Instance } = WebAssembly;
  let memory: WebAssembly.Memory | undefined;
  WebAssembly.Instance = class extends Instance {
    constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
      super(module, imports);
      memory = this.exports.memory as WebAssembly.Memory;
    }
  };
  try {
    const core = new Core({ ...options, random: randomFrom(1) });
    const pages = (1 << 30) / 65536; // --max-memory, wasm/cores.ts
    memory!.grow(pages - memory!.buffer.byteLength / 65536);
    return core;
  } finally {
    WebAssembly.Instance = Instance;
  }
}

/** Takes blocks until `left` bytes or less can be had in one piece. */
export function exhaust(core: Core, left: number): number[] {
  const blocks: number[] = [];
  for (let size = 1 << 20; size >= Math.max(64, left / 2); size >>= 1) {
    for (;;) {
      const at = core.call.core_alloc(size);
      if (at === 0) break;
      blocks.push(at);
    }
  }
  return blocks;
}
