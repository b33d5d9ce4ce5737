// @ts-self-types="./core_module.d.ts"
// A source-phase import loads the module from file: and http: URLs without any permission. `deno check` does
// not take the syntax in a .ts file, hence this one.
import source core from "../wasm/dist/core.wasm";

export { core as coreModule };
