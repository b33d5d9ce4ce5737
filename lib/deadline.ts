/** Waits that end in time, in seconds. */

/** In milliseconds, 24 days; a longer timer would fire at once. */
export const LONGEST = 2 ** 31 - 1;

/**
 * Waits for `work`, no longer than `seconds`. What is waited for goes on; only the wait ends.
 *
 * One timer and one promise: an `AbortSignal.timeout()` for each read and each handshake costs four times as much.
 *
 * @param work What to wait for.
 * @param seconds How long at most.
 * @param late Makes the error of a wait that took longer.
 * @param signal Ends the wait early, with its reason.
 * @returns What `work` gives.
 */
export function inTime<T>(
  work: Promise<T>,
  seconds: number,
  late: () => Error = () => new Error("Timed out"),
  signal?: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const ms = Math.max(0, Math.ceil(seconds * 1000));
    const timer = ms > LONGEST ? undefined : setTimeout(() => end(late()), ms);
    const aborted = () => end(signal!.reason);
    const settle = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", aborted);
    };
    const end = (reason: unknown) => {
      settle();
      reject(reason);
    };
    work.then((value) => {
      settle();
      resolve(value);
    }, end);
    if (signal?.aborted) aborted();
    else signal?.addEventListener("abort", aborted);
  });
}
