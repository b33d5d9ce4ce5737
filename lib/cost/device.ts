/**
 * Devices: tables of what each operation takes on them, as data that you can read.
 *
 * @module
 */

import type { Bulk, Operation } from "./cost.ts";
import { ESP32 } from "./devices/esp32.ts";
import { ESP32_C3 } from "./devices/esp32_c3.ts";
import { ESP32_S3 } from "./devices/esp32_s3.ts";
import { RP2040 } from "./devices/rp2040.ts";
import type { Figure } from "./figure.ts";

/** What TLS takes on one device. What is not in a table, nobody has published. */
export interface Device {
  /** Its name: `"esp32"`. */
  readonly name: string;
  /** Chip, clock, software and its options. */
  readonly description: string;
  /** Milliseconds for each operation. */
  readonly operations: Readonly<Partial<Record<Operation, Figure>>>;
  /** Milliseconds for 1024 bytes through each cipher and hash. */
  readonly bulk: Readonly<Partial<Record<Bulk, Figure>>>;
  /** Milliseconds for 1024 bytes of records through TCP and the program's stream, one way or the other. */
  readonly transfer: Figure | undefined;
  /** Milliseconds that each connection takes besides, by what for. */
  readonly fixed: Readonly<Record<string, Figure>>;
}

const DEVICES: ReadonlyMap<string, Device> = new Map(
  [ESP32, ESP32_S3, ESP32_C3, RP2040].map((device) => [device.name, device]),
);

/** The names of the known devices. */
export function deviceNames(): string[] {
  return [...DEVICES.keys()];
}

/**
 * The table of a device.
 *
 * @throws {TypeError} If the name is not known; the message has those that are.
 */
export function resolveDevice(name: string): Device {
  const device = DEVICES.get(name);
  if (device === undefined) {
    throw new TypeError(
      `Cannot estimate for device: unknown name ${JSON.stringify(name)}; known are ${
        deviceNames().join(", ")
      }`,
    );
  }
  return device;
}
