/** What the core counts for a connection, under the names of `HandshakeCost`. */

import type { Core } from "./core.ts";
import type { Bulk, HeapCost, Operation, WorkCost } from "./cost/cost.ts";

/** What was counted for a connection. */
export interface Counts extends Required<Pick<WorkCost, "operations" | "bulk">> {
  /** Blocks that were asked for. */
  readonly allocations: number;
  /** Their bytes. */
  readonly allocatedBytes: number;
  /** Multiplications of two big numbers, of which an operation on a curve consists: only a device's core counts them. */
  readonly bigNumberMultiplications: number;
}

/** `enum bulk` of wasm/glue/counts.h. */
const BULK: readonly Bulk[] = [
  ...["AES-CBC", "AES-CCM", "AES-GCM", "ARIA", "ChaCha20-Poly1305"] as const,
  ...["SHA-1", "SHA-256", "SHA-512"] as const,
];
const RSA_SIZES = [1024, 2048, 3072, 4096, 5120, 6144, 7168, 8192];
/** mbedtls_ecp_group_id. */
const CURVES = [
  ...["unknown", "secp192r1", "secp224r1", "P-256", "P-384", "P-521"],
  ...["brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "X25519"],
  ...["secp192k1", "secp224k1", "secp256k1", "x448"],
];
/** The order of the operations there. */
const OPERATIONS = [
  ...["public", "private cold", "private warm"].map((what) => RSA_SIZES.map((size) => `RSA-${size} ${what}`)),
  ...["multiply", "sign", "verify"].map((what) => CURVES.map((curve) => `${curve} ${what}`)),
].flat() as Operation[];

const WORDS = 3 + BULK.length + OPERATIONS.length;

/** The counts of a connection; `undefined`: it is not measured. As `counts` of wasm/glue/counts.h. */
export function readCounts(core: Core, handle: number): Counts | undefined {
  const words = copyCounts(core, handle);
  return words && toCounts(words);
}

function copyCounts(core: Core, handle: number): Float64Array | undefined {
  const at = core.call.connection_counts(handle);
  return at === 0 ? undefined : new Float64Array(core.memory.slice(at, at + 8 * WORDS).buffer);
}

function toCounts(counts: Float64Array): Counts {
  const words = [...counts];
  const [allocations, allocatedBytes, bigNumberMultiplications] = words.splice(0, 3);
  const named = <T extends string>(names: readonly T[]): Partial<Record<T, number>> => {
    const counts = words.splice(0, names.length).map((count, i) => [names[i]!, count] as const);
    return Object.fromEntries(counts.filter(([, count]) => count > 0)) as Partial<Record<T, number>>;
  };
  return {
    allocations: allocations!,
    allocatedBytes: allocatedBytes!,
    bigNumberMultiplications: bigNumberMultiplications!,
    bulk: named(BULK),
    operations: named(OPERATIONS),
  };
}

const STATES = 32; // of wasm/glue/measure.c
/** mbedTLS's `mbedtls_ssl_states`. */
const PHASES: readonly (string | undefined)[] = [
  ...["setup", "ClientHello", "ServerHello", "Certificate", "ServerKeyExchange", "CertificateRequest"],
  ...["ServerHelloDone", "client's Certificate", "ClientKeyExchange", "CertificateVerify"],
  ...["client's ChangeCipherSpec", "client's Finished", "server's ChangeCipherSpec", "server's Finished"],
  ...["flush", "wrap-up", "NewSessionTicket", "HelloVerifyRequest", "HelloRetryRequest"],
  ...["EncryptedExtensions", "EndOfEarlyData", "client's CertificateVerify"],
  // TLS 1.3's ChangeCipherSpec means nothing; its name here says when it is sent.
  ...["ChangeCipherSpec after server's Finished", "ChangeCipherSpec before the second ClientHello"],
  ...["ChangeCipherSpec after ServerHello", "ChangeCipherSpec after ClientHello"],
  ...["ChangeCipherSpec after HelloRetryRequest", "data", "NewSessionTicket", "NewSessionTicket"],
];

type Heap = Required<Pick<HeapCost, "live" | "peak" | "phases">>;

/** What a connection has of the heap, in bytes: live, peak, and by step. `undefined`: it is not measured. */
export function readHeap(core: Core, handle: number): Heap | undefined {
  const words = copyHeap(core, handle);
  return words && toHeap(words);
}

function copyHeap(core: Core, handle: number): Int32Array | undefined {
  const at = core.call.connection_heap(handle);
  return at === 0 ? undefined : core.int32s(at, 2 + STATES);
}

function toHeap([live, peak, ...states]: Int32Array): Heap {
  const phases: Record<string, number> = {};
  states.forEach((bytes, state) => {
    const name = PHASES[state] ?? `state ${state}`;
    if (bytes > 0) phases[name] = Math.max(bytes, phases[name] ?? 0);
  });
  return { live: live!, peak: peak!, phases };
}

/** All of it, as it is now, to be put into words when it is asked for; `undefined`: the connection is not measured. */
export function readWork(core: Core, handle: number): (() => WorkCost) | undefined {
  const [counts, heap] = [copyCounts(core, handle), copyHeap(core, handle)];
  if (counts === undefined || heap === undefined) return undefined;
  return () => {
    const { operations, bulk, allocations, allocatedBytes } = toCounts(counts);
    return { operations, bulk, heap: { ...toHeap(heap), allocations, allocatedBytes } };
  };
}
