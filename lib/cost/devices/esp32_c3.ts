/** The ESP32-C3. */

import type { Device } from "../device.ts";
import { around, atMost } from "../figure.ts";
import { ESP32 } from "./esp32.ts";
import { likeESP32 } from "./like_esp32.ts";

const HALF = "half a verification, by the count of multiplications on the esp32";
const BY_CURVE = "P-384 verification, by what the curves and operations take on the esp32 (300 to 590 ms)";

/** ESP32-C3. */
export const ESP32_C3: Device = {
  name: "esp32-c3",
  description: "ESP32-C3, 160 MHz, ESP-IDF, AES, SHA and RSA accelerators on",
  operations: {
    "P-256 multiply": around(223, [-30, 40], "derived", BY_CURVE),
    "P-256 sign": around(223, [-30, 40], "derived", BY_CURVE),
    "P-256 verify": around(445, [-30, 40], "derived", BY_CURVE),
    "P-384 multiply": around(438, [-15, 35], "derived", HALF),
    "P-384 sign": around(438, [-15, 35], "derived", HALF),
    "P-384 verify": around(876, [-10, 10], "reported", "871 to 881 ms: jpirnay/witchhunt-reader#204"),
    "RSA-2048 private cold": atMost(210, 105, "CI limit of ESP-IDF 5.5; half of that at least"),
  },
  bulk: {
    ...likeESP32(ESP32.bulk),
    "AES-CBC": atMost(0.024, 0.012, "CI limit of ESP-IDF 5.5: 43 MB/s at least; twice that at most"),
    "SHA-256": atMost(0.012, 0.006, "CI limit of ESP-IDF 5.5: 90 MB/s at least; twice that at most"),
  },
  transfer: likeESP32({ transfer: ESP32.transfer! }).transfer,
  fixed: likeESP32(ESP32.fixed),
};
