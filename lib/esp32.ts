/** The core of devices, and the devices of this process. */

import { Core, type CoreOptions } from "./core.ts";
import { type Build, Device, setBuild } from "./device.ts";

/** A new core of a device's, an ESP32's unless `build` says otherwise, whose heap has no limits yet: `DeviceHeap` sets them. */
export async function newEsp32Core(options: CoreOptions = {}, build: Build = {}): Promise<Core> {
  return newCore(await loadModule(), options, build);
}

/**
 * No literal, which would put the device's core into the module graph of everybody: 300 KB to download, and 3 ms at each
 * start. So it takes --allow-import for that host, or from a file --allow-read, where the profile is used.
 */
const MODULE = new URL("./esp32_module.js", import.meta.url).href;

async function loadModule(): Promise<WebAssembly.Module> {
  const { coreModule }: typeof import("./esp32_module.js") = await import(MODULE);
  return coreModule;
}

function newCore(module: WebAssembly.Module, options: CoreOptions, build: Build): Core {
  const core = new Core({ ...options, module });
  setBuild(core, build);
  return core;
}

const DEVICES = new Map<string, Promise<Device>>();
const LOADED = new Map<string, Device>();
let clock: (() => number) | undefined;

/** The device of the profile called `name`, which is this process's only one. */
export function deviceOf(name: string, build: Build): Promise<Device> {
  let device = DEVICES.get(name);
  if (device === undefined) {
    DEVICES.set(name, device = startDevice(name, build));
    device.catch(() => DEVICES.delete(name)); // the module may load the next time
  }
  return device;
}

async function startDevice(name: string, build: Build): Promise<Device> {
  const module = await loadModule();
  const device = new Device(name, () => newCore(module, { now: () => (clock ?? Date.now)() }, build));
  LOADED.set(name, device);
  return device;
}

/** The device of a profile, once it was asked for and is loaded. */
export function loadedDevice(name: string): Device | undefined {
  return LOADED.get(name);
}

/** Sets the clock of this process's devices, such as that of a board on which nobody has; `undefined`: this machine's. */
export function setDeviceClock(now: (() => number) | undefined): void {
  clock = now;
}
