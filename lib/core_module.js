// @ts-self-types="./core_module.d.ts"
// A source-phase import loads the module from file: and http: URLs without any permission. `deno check` does
// not take the syntax in a .ts file, hence this one. Both names are literals, which puts both modules into the
// module graph: a computed name would need --allow-read. Only the chosen one is compiled.

/** A module with one function: (func (drop (i8x16.relaxed_swizzle (v128.const 0) (v128.const 0)))). */
const RELAXED_SIMD = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00], // \0asm, version 1
  ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00], // one type: () -> ()
  ...[0x03, 0x02, 0x01, 0x00], // one function of it
  ...[0x0a, 0x2c, 0x01, 0x2a, 0x00], // its code: 42 bytes, no locals
  ...[0xfd, 0x0c, ...new Uint8Array(16)],
  ...[0xfd, 0x0c, ...new Uint8Array(16)],
  ...[0xfd, 0x80, 0x02, 0x1a, 0x0b],
);

const core = WebAssembly.validate(RELAXED_SIMD)
  ? await import.source("../wasm/dist/core.wasm")
  : await import.source("../wasm/dist/core.simd.wasm");

export { core as coreModule };
