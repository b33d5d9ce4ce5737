/** What the tests of stores and of what a fleet shares in them have in common. */
import { type SharedStore, SharedTicketKeys, type SharedTicketKeysOptions, StoreKey } from "../stores.ts";
import { bytesFrom } from "./pair.ts";
import { within } from "./peers.ts";

/** Of which the tests make their key. */
export const SECRET = bytesFrom(7, 32);
/** Between rotations. */
export const PERIOD = 3600; // seconds
const TIMES = { lifetime: 2 * PERIOD, rotateEvery: PERIOD, refreshEvery: PERIOD / 4 };

/** The key that the tests seal with. */
export const storeKey = () => StoreKey.from(SECRET);

/** Keys of the ring, the sealing one first. */
export const keysOf = ({ ring }: SharedTicketKeys) => ring.keys().map((key) => key.toHex());

/** Keys in a store, with a clock's times. */
export async function open(store: SharedStore, options: Partial<SharedTicketKeysOptions> = {}) {
  return await SharedTicketKeys.open({ store, storeKey: await storeKey(), ...TIMES, ...options });
}

/** Waits for what comes by a timer of the library. */
export async function until(what: string, isTrue: () => boolean): Promise<void> {
  const wait = async () => {
    while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 10));
  };
  await within(wait(), 10_000, what);
}
