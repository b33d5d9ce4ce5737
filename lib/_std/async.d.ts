/** Rejects with a `TimeoutError` (`DOMException`) when `p` has not settled within `ms` milliseconds. */
export function deadline<T>(p: Promise<T>, ms: number, options?: { signal?: AbortSignal }): Promise<T>;
/** Resolves after `ms` milliseconds. */
export function delay(ms: number, options?: { signal?: AbortSignal; persistent?: boolean }): Promise<void>;
