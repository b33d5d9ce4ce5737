/** The RP2040 of the Pico W. */

import type { Device } from "../device.ts";
import { atMost } from "../figure.ts";

/** RP2040. Little is published: what is not here, {@linkcode estimate} says is missing. */
export const RP2040: Device = {
  name: "rp2040",
  description: "RP2040 of a Pico W, MicroPython, no accelerator",
  operations: {
    "RSA-4096 private cold": atMost(
      23_000,
      11_500,
      "a server's whole handshake: micropython#13332; half of it at least",
    ),
  },
  bulk: {},
  transfer: undefined,
  fixed: {},
};
