/** The original ESP32 as MicroPython runs it. */

import type { Device } from "../device.ts";
import { around, atMost, between } from "../figure.ts";

const MULTIPLICATIONS =
  "count of big-number multiplications in mbedTLS 3.6.4 (no fixed-point table) times their measured " +
  "cost (TF-PSA-Crypto PR #873, ESP-IDF PRs #19026, #19027), accelerator on";
const IDF_RSA =
  "ESP-IDF commits 5ed8388f6b5, e8d3b80e4ba (2019) and its CI limits (idf_performance_target.h)";
const FIRMWARE = [-15, 35] as const; // slower than a benchmark, whose caches are warm; -O2 is faster than its -Os
const P521 = "2.2 times P-384";

/** ESP32. */
export const ESP32: Device = {
  name: "esp32",
  description:
    "ESP32, 240 MHz, MicroPython v1.28 (mbedTLS 3.6.4, ESP-IDF 5.5.1), AES, SHA and RSA accelerators on",
  operations: {
    "P-256 multiply": around(150, FIRMWARE, "derived", MULTIPLICATIONS),
    "P-256 sign": around(155, FIRMWARE, "derived", MULTIPLICATIONS),
    "P-256 verify": around(300, FIRMWARE, "derived", MULTIPLICATIONS),
    "P-384 multiply": around(300, FIRMWARE, "derived", MULTIPLICATIONS),
    "P-384 sign": around(300, FIRMWARE, "derived", MULTIPLICATIONS),
    "P-384 verify": around(590, FIRMWARE, "derived", MULTIPLICATIONS),
    "P-521 multiply": around(660, [-40, 40], "guess", P521),
    "P-521 sign": around(660, [-40, 40], "guess", P521),
    "P-521 verify": around(1300, [-40, 40], "guess", P521),
    "X25519 multiply": {
      ...{ low: 70, likely: 100, high: 425, reliability: "reported" },
      source: "mbedTLS about 100 ms (esp32.io forum); wolfSSL 5.5.3 425 ms; MicroPython leaves it out",
    },
    "RSA-2048 public": around(18, [-20, 20], "measured", IDF_RSA),
    "RSA-2048 private warm": around(200, [-25, 25], "measured", IDF_RSA),
    "RSA-2048 private cold": around(
      420,
      [-25, 25],
      "derived",
      "CI limit of ESP-IDF 5.5.1 (450) less its slack; mbedTLS 3.6.5 alone: 750",
    ),
    "RSA-3072 public": around(38, [-25, 25], "measured", IDF_RSA),
    "RSA-3072 private warm": around(420, [-25, 25], "measured", IDF_RSA),
    "RSA-3072 private cold": atMost(950, 420, "CI limit of ESP-IDF 5.5.1; no less than warm"),
    "RSA-4096 public": around(65, [-25, 25], "measured", IDF_RSA),
    "RSA-4096 private warm": around(850, [-25, 25], "measured", IDF_RSA),
    "RSA-4096 private cold": atMost(1900, 850, "CI limit of ESP-IDF 5.5.1; no less than warm"),
  },
  bulk: {
    "AES-CBC": around(
      0.09,
      [-30, 30],
      "measured",
      "11 MB/s: ESP-IDF commits c9edb7c8a90, af98ca6b462 (2019)",
    ),
    "AES-GCM": atMost(2, 0.09, "0.5 MB/s at least: ESP-IDF commit 3351376a11c; no faster than AES-CBC"),
    "AES-CCM": {
      low: 0.18,
      likely: 2,
      high: 2,
      reliability: "guess",
      source: "as AES-GCM; no faster than AES-CBC twice",
    },
    "SHA-1": atMost(0.16, 0.08, "CI limit of ESP-IDF 5.5.1: 5.0 ms for 32 KiB; half of that at least"),
    "SHA-256": around(0.09, [-20, 20], "measured", "10.96 MB/s: ESP-IDF commit 20d435c5613 (2019)"),
    "SHA-512": atMost(0.14, 0.07, "CI limit of ESP-IDF 5.5.1: 4.5 ms for 32 KiB; half of that at least"),
  },
  transfer: around(14, [-50, 50], "reported", "1550 KB in 21 s by MicroPython: micropython#5543"),
  fixed: {
    "setup of key and certificate": between(
      10,
      30,
      "guess",
      "ssl.wrap_socket parses both and seeds its generator each time",
    ),
    "connection and Python": between(
      50,
      100,
      "guess",
      "accept, sockets, interpreter: what the rest leaves of reported handshakes",
    ),
  },
};
