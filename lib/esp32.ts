/** The profile "esp32": an ESP32 that runs MicroPython 1.28, with its build of mbedTLS and its heap. */

import { Core, type CoreOptions } from "./core.ts";
import { DeviceHeap } from "./device_heap.ts";
import { CERT_NONE, type PolicyOptions } from "./policy.ts";
import { TLSVersion } from "./suites.ts";

/** What MicroPython leaves to mbedTLS's defaults, where ours are others. */
export const ESP32_POLICY: { policy: PolicyOptions; server: PolicyOptions; allSuites: true } = {
  policy: {
    certReqs: CERT_NONE, // as `ssl.wrap_socket()`
    sslVersion: TLSVersion.TLSv1_2,
    groups: ["secp256r1", "secp384r1", "secp521r1"],
    sigalgs: ["sha512", "sha384", "sha256"].flatMap((hash) => [
      `ecdsa_${{ sha256: "secp256r1", sha384: "secp384r1", sha512: "secp521r1" }[hash]}_${hash}`,
      `rsa_pss_rsae_${hash}`,
      `rsa_pkcs1_${hash}`,
    ]),
  },
  server: { preferClientOrder: false, tickets: false, sessionCacheSize: 0 },
  allSuites: true,
};

/** A new core of the device's, whose heap has no limits yet: {@linkcode DeviceHeap} sets them. */
export async function newEsp32Core(options: CoreOptions = {}): Promise<Core> {
  const { coreModule }: typeof import("./esp32_module.js") = await import(MODULE);
  return new Core({ ...options, module: coreModule });
}

/**
 * No literal, which would put the device's core into the module graph of everybody: 300 KB to download, and 3 ms at each
 * start. So it takes --allow-import for that host, or from a file --allow-read, where the profile is used.
 */
const MODULE = new URL("./esp32_module.js", import.meta.url).href;

let shared: Promise<Core> | undefined;

/** The one device of the process, with the usual heap. */
export async function esp32Core(): Promise<Core> {
  const core = await (shared ??= startDevice());
  if (!core.retired) return core;
  return await (shared = startDevice());
}

async function startDevice(): Promise<Core> {
  const core = await newEsp32Core();
  new DeviceHeap(core);
  return core;
}
