/** The certificates of a run: made when a scenario first needs them, kept for the others, written nowhere. */

import { LOCAL_HOSTS } from "../cert.ts";
import type { Key } from "./result.ts";

/** Who an end is, and whom the other must trust for it; PEM. It does for a server and for a client. */
export interface Identity {
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
}

/** The name that clients check. */
export const HOST = LOCAL_HOSTS[0];

/** Makes identities, each once. */
export class Identities {
  readonly #made = new Map<Key, Promise<Identity>>();

  /** Whether a certificate for a key has been asked for. */
  has(key: Key): boolean {
    return this.#made.has(key);
  }

  /**
   * A certificate for a key, signed by a CA whose key is on the same curve, or of RSA-2048.
   *
   * @param signal Ends the making, which takes seconds for RSA-4096.
   */
  of(key: Key, signal?: AbortSignal): Promise<Identity> {
    const known = this.#made.get(key) ?? make(key, signal);
    this.#made.set(key, known);
    return known;
  }
}

/** In a worker: a key of RSA takes seconds in which nothing else would run, not even Ctrl-C. */
async function make(key: Key, signal?: AbortSignal): Promise<Identity> {
  signal?.throwIfAborted();
  const worker = new Worker(new URL("./identity_worker.ts", import.meta.url), { type: "module" });
  const { promise, resolve, reject } = Promise.withResolvers<Identity>();
  const stop = () => reject(signal!.reason);
  signal?.addEventListener("abort", stop);
  worker.onmessage = ({ data }: MessageEvent<Identity>) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    reject(new Error(`Cannot make a key of ${key}: ${event.message}`));
  };
  worker.postMessage(key);
  try {
    return await promise;
  } finally {
    signal?.removeEventListener("abort", stop);
    worker.terminate();
  }
}
