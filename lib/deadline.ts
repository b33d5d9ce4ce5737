/** Waits that end in time, in seconds. */

import { deadline } from "./_std/async.js";

const LONGEST = 2 ** 31 - 1; // milliseconds, 24 days; a longer timer would fire at once

/**
 * Waits for `work`, no longer than `seconds`. What is waited for goes on; only the wait ends.
 *
 * @param work What to wait for.
 * @param seconds How long at most.
 * @param late Makes the error of a wait that took longer.
 * @param signal Ends the wait early, with its reason.
 * @returns What `work` gives.
 */
export async function inTime<T>(
  work: Promise<T>,
  seconds: number,
  late: () => Error = () => new Error("Timed out"),
  signal?: AbortSignal,
): Promise<T> {
  const ms = Math.max(0, seconds) * 1000;
  try {
    return await deadline(work, ms > LONGEST ? Infinity : ms, signal === undefined ? {} : { signal });
  } catch (error) {
    const timedOut = error instanceof DOMException && error.name === "TimeoutError";
    throw timedOut && !signal?.aborted ? late() : error;
  }
}
