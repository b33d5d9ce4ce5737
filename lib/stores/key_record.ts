/**
 * The record of ticket keys that a fleet has in its store, and what becomes of it by the clock.
 *
 * ```text
 *   record = sequence (8) | published (8) | the keys, as of TicketKeyRing.toBytes()
 * ```
 *
 * @module
 */

import { type Bytes, concat, equalBytes } from "../bytes.ts";
import { KEYS_MAX, newTicketKey, parseTicketKeys, type TicketKey, ticketKeyBytes } from "../tickets.ts";

const HEAD = 16; // bytes
const RECONNECT = 10; // seconds after which each server of a fleet has reached a store that is back

/** What is in the store. */
export interface KeyRecord {
  /** How often it has been written. */
  readonly sequence: number;
  /** When the newest key was put in, milliseconds since the Unix epoch. */
  readonly published: number;
  /** The newest first. */
  readonly keys: readonly TicketKey[];
}

/** Options of `SharedTicketKeys` that decide when a key takes over. */
export interface Times {
  readonly rotateEvery: number;
  readonly refreshEvery: number;
  readonly lifetime: number;
}

/** Milliseconds after which every server has had two looks at a key. */
function spread({ rotateEvery, refreshEvery }: Times): number {
  return Math.min(rotateEvery, Math.max(2 * refreshEvery, RECONNECT)) * 1000;
}

/** A record of one key, which seals now. */
export function firstRecord(now: number): KeyRecord {
  return { sequence: 0, published: now, keys: [newTicketKey(now)] };
}

/** The record with the next key in it; `undefined`: it has one already. */
export function advanced({ sequence, keys }: KeyRecord, now: number, times: Times): KeyRecord | undefined {
  const newest = keys[0]!;
  if (newest.created > now) return undefined;
  // After an outage the takeover may be overdue: not before everybody knows the key.
  const takeover = Math.max(newest.created + times.rotateEvery * 1000, now + spread(times));
  return {
    sequence: sequence + 1,
    published: now,
    keys: [newTicketKey(takeover), ...stillUsed(keys, now, times)],
  };
}

/** The record whose next key takes over now, or as soon as everybody knows it; `undefined`: that is to come already. */
export function rotated(record: KeyRecord, now: number, times: Times): KeyRecord | undefined {
  const { keys, published } = advanced(record, now, times) ?? record;
  const [next, ...others] = keys;
  if (others[0] !== undefined && others[0].created > now && !isAstray(record, now, times)) return undefined;
  const known = Math.min(published, now) + spread(times); // by everybody; no clock is trusted that is ahead of ours
  const takeover = Math.min(next!.created, Math.max(now, known));
  const after = newTicketKey(Math.max(takeover, now) + times.rotateEvery * 1000);
  const earlier = [{ ...next!, created: takeover }, ...stillUsed(others, now, times)];
  return { sequence: record.sequence + 1, published: now, keys: [after, ...earlier].slice(0, KEYS_MAX) };
}

/** Whether the newest key is to take over at a time that no clock near `now` has set. */
export function isAstray({ keys }: KeyRecord, now: number, times: Times): boolean {
  return keys[0]!.created > now + 2 * times.rotateEvery * 1000 + spread(times);
}

/** Without the keys whose last ticket has expired, and with room for one more. */
export function stillUsed(
  keys: readonly TicketKey[],
  now: number,
  { lifetime }: Times,
): readonly TicketKey[] {
  const live = keys.filter((_, i) => i === 0 || now - keys[i - 1]!.created <= lifetime * 1000);
  return live.slice(0, KEYS_MAX - 1);
}

/** The bytes of a record: secret. */
export function recordBytes({ sequence, published, keys }: KeyRecord, lifetime: number): Bytes {
  const head = new Uint8Array(HEAD);
  const view = new DataView(head.buffer);
  view.setFloat64(0, sequence);
  view.setFloat64(8, published);
  const ring = ticketKeyBytes(lifetime, Infinity, keys);
  const bytes = concat([head, ring]);
  ring.fill(0);
  return bytes;
}

/** Reads what {@linkcode recordBytes} wrote, and wipes it. */
export function readRecord(bytes: Bytes): KeyRecord {
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const sequence = bytes.length > HEAD ? view.getFloat64(0) : 0;
    if (!Number.isSafeInteger(sequence) || sequence < 1) {
      throw new SyntaxError("Cannot read ticket keys: these are not the keys of a fleet");
    }
    return { sequence, published: view.getFloat64(8), keys: parseTicketKeys(bytes.subarray(HEAD)) };
  } finally {
    bytes.fill(0);
  }
}

/** Whether two records have the same keys, for the same times. */
export function sameKeys(one: KeyRecord, other: KeyRecord): boolean {
  return one.keys.length === other.keys.length &&
    one.keys.every(({ created, bytes }, i) => {
      const { created: at, bytes: secret } = other.keys[i]!;
      return created === at && equalBytes(bytes, secret);
    });
}

/** Wipes the keys of a record, but those that another one uses. */
export function wipe({ keys }: KeyRecord, but?: KeyRecord): void {
  for (const { bytes } of keys) {
    if (!but?.keys.some((key) => key.bytes === bytes)) bytes.fill(0);
  }
}
