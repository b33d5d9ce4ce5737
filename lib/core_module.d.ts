/** The compiled core: mbedTLS with tlsio's glue. */
export const coreModule: WebAssembly.Module;
