/**
 * What a handshake costs: operations, bytes, round trips, memory. Counted, not timed, so that it says the same everywhere,
 * and {@linkcode estimate} can say what it means on another device.
 *
 * @module
 */

import type { NetworkCost, Traffic } from "./network_cost.ts";

/** Elliptic curves. */
export type Curve = "P-256" | "P-384" | "P-521" | "X25519";

/**
 * An operation with a public or a private key:
 *
 * - `"P-256 multiply"`: a multiplication of a point, as a new key and an agreement take one each. Those within a signature
 *   or its verification are counted there.
 * - `"P-256 sign"`, `"P-256 verify"`: ECDSA.
 * - `"RSA-2048 public"`: to verify or to encrypt. Sizes are in bits, rounded up to a multiple of 1024.
 * - `"RSA-2048 private cold"`, `"… warm"`: to sign or to decrypt; cold is the first of a key's context, which computes the
 *   values that blind it, warm each that follows.
 */
export type Operation =
  | `${Curve} ${"multiply" | "sign" | "verify"}`
  | `RSA-${number} ${"public" | "private cold" | "private warm"}`;

/**
 * What bytes go through. `"SHA-256"` is SHA-224, too, and `"SHA-512"` SHA-384; HMAC is counted as its hash, with the blocks of
 * its key. Of a cipher that authenticates, the bytes are those that it encrypts; `"ARIA"` is that in each mode.
 */
export type Bulk =
  | "AES-CBC"
  | "AES-CCM"
  | "AES-GCM"
  | "ARIA"
  | "ChaCha20-Poly1305"
  | "SHA-1"
  | "SHA-256"
  | "SHA-512";

/** What a connection has of the core's heap, in bytes of a 32-bit machine. */
export interface HeapCost {
  /** The most at once. */
  readonly peak: number;
  /** What it still has when the handshake is over. */
  readonly live: number;
  /** The most in each step of the handshake, by the step's name. */
  readonly phases?: Readonly<Record<string, number>> | undefined;
  /** How many blocks were asked for. */
  readonly allocations?: number | undefined;
  /** Their bytes, as they were asked for. */
  readonly allocatedBytes?: number | undefined;
}

/** What an end has done and taken; what is `undefined` was not counted. */
export interface WorkCost {
  /** How often each operation was done. */
  readonly operations?: Readonly<Partial<Record<Operation, number>>> | undefined;
  /** Bytes that went through each cipher and hash. */
  readonly bulk?: Readonly<Partial<Record<Bulk, number>>> | undefined;
  /** The heap. */
  readonly heap?: HeapCost | undefined;
}

/** What a handshake costs one end. */
export interface HandshakeCost extends WorkCost {
  /** Whether it resumed an earlier session. */
  readonly resumed: boolean;
  /** Bytes, records, flights and round trips, counted. */
  readonly network: NetworkCost;
}

/** What a connection has cost one end, from its beginning on: data, tickets, a renegotiation and a goodbye, too. */
export interface TotalCost extends WorkCost {
  /** All records from the client to the server. */
  readonly up: Traffic;
  /** All records from the server to the client. */
  readonly down: Traffic;
}

/** What a connection has cost one end. */
export interface ConnectionCost {
  /** The handshake: fixed when it is over. One that goes on or has failed is as far as it got: its network is not `complete`. */
  readonly handshake: HandshakeCost;
  /** All so far. */
  readonly total: TotalCost;
}
