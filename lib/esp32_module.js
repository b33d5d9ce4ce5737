// @ts-self-types="./core_module.d.ts"
// Imported when somebody uses the profile, and not before: see lib/esp32.ts.
import source core from "../wasm/dist/core.esp32.wasm";

export { core as coreModule };
