/** The compiled core: mbedTLS with tlsio's glue; the build with relaxed SIMD where the engine has that. */
export const coreModule: WebAssembly.Module;
