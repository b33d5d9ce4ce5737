/** A thermometer that is not there: what a DS18B20 in a room might say at a time. It has no state. */

/** Readings are a multiple of this: the DS18B20 has 12 bits, 4 of them behind the point. */
export const RESOLUTION = 1 / 16; // degrees Celsius

const HOUR = 3_600_000; // milliseconds

/**
 * The simulated temperature at a time: a day's wave, a heater's, and a little noise.
 *
 * @param time Milliseconds since the Unix epoch.
 * @returns Degrees Celsius, a multiple of {@linkcode RESOLUTION}.
 */
export function simulatedTemperature(time: number): number {
  const wave = (period: number) => Math.sin(2 * Math.PI * (time % period) / period);
  const celsius = 21.5 + 1.8 * wave(24 * HOUR) + 0.45 * wave(HOUR / 20) + 0.12 * wave(HOUR / 97) +
    noise(time);
  return Math.round(celsius / RESOLUTION) * RESOLUTION;
}

/** -0.06 to 0.06 degrees; the same for the same second. */
function noise(time: number): number {
  const hash = Math.sin(Math.floor(time / 1000) % 86_400) * 43_758.5453;
  return (hash - Math.floor(hash) - 0.5) * 0.12;
}
