/** The ESP32-S3. */

import type { Device } from "../device.ts";
import { around, atMost } from "../figure.ts";
import { ESP32 } from "./esp32.ts";
import { likeESP32 } from "./like_esp32.ts";

const MEASURED =
  "ESP-IDF 6.0.2, -Os: ESP-IDF PRs #19026, #19027; low without the accelerator for big numbers";
const DERIVED = "verification, by the count of multiplications on the esp32 (half as many)";

/** ESP32-S3. */
export const ESP32_S3: Device = {
  name: "esp32-s3",
  description: "ESP32-S3, 240 MHz, ESP-IDF, AES, SHA and RSA accelerators on",
  operations: {
    "P-256 multiply": around(151, [-15, 35], "derived", DERIVED),
    "P-256 sign": around(151, [-15, 35], "derived", DERIVED),
    "P-256 verify": { low: 267, likely: 302, high: 408, reliability: "measured", source: MEASURED },
    "P-384 multiply": around(288, [-15, 35], "derived", DERIVED),
    "P-384 sign": around(288, [-15, 35], "derived", DERIVED),
    "P-384 verify": around(575, [-15, 35], "measured", MEASURED),
    "RSA-2048 private cold": atMost(490, 245, "CI limit of ESP-IDF 5.5; half of that at least"),
  },
  bulk: {
    ...likeESP32(ESP32.bulk),
    "AES-CBC": atMost(0.024, 0.012, "CI limit of ESP-IDF 5.5: 43 MB/s at least; twice that at most"),
    "SHA-256": atMost(0.012, 0.006, "CI limit of ESP-IDF 5.5: 90 MB/s at least; twice that at most"),
  },
  transfer: likeESP32({ transfer: ESP32.transfer! }).transfer,
  fixed: likeESP32(ESP32.fixed),
};
