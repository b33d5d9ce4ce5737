/** What is published for the ESP32 alone, for its sisters. */

import type { Figure } from "../figure.ts";

/** The ESP32's figures as a guess, between half of the low and twice the high. */
export function likeESP32<T extends Readonly<Record<string, Figure>>>(figures: T): T {
  const guesses = Object.entries(figures).map(([name, { low, likely, high }]) => [name, {
    ...{ low: low / 2, likely, high: high * 2, reliability: "guess" },
    source: "the esp32's, halved and doubled: none is published for this chip",
  }]);
  return Object.fromEntries(guesses);
}
