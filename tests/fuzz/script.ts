/**
 * Scripts: what happens to a connection, as wasm/fuzz/ reads it. Here they are made, changed and shown.
 *
 * @module
 */

import { type Bytes, concat } from "../../lib/bytes.ts";

/** The operations, by their numbers: `enum fuzz_op` of wasm/fuzz/fuzz.h; a test compares them. */
export const OPS = [
  "XOR",
  "SET16",
  "INSERT",
  "DELETE",
  "REPLACE",
  "FILL",
  "EXT_REMOVE",
  "EXT_DOUBLE",
  "EXT_SWAP",
  "EXT_TYPE",
  "EXT_DATA",
  "EXT_GROW",
  "EXT_ADD",
  "DER_TAG",
  "DER_LENGTH",
  "DER_REMOVE",
  "DER_DOUBLE",
  "DER_VALUE",
  "DER_GROW",
  "DROP",
  "TYPE",
  "DOUBLE",
  "HOLD",
  "SPLIT",
  "MERGE",
  "LENGTH",
  "VERSION",
  "INJECT",
  "REFLECT",
  "CUT",
] as const;

/** The name of an operation. */
export type Op = typeof OPS[number];

/** How many of them work on any bytes. */
export const BYTE_OPS: number = OPS.indexOf("DROP");
/** How many work on handshake messages. */
export const MESSAGE_OPS: number = OPS.indexOf("DOUBLE");

/** Bytes of a script before its edits, and of an edit before its payload. */
export const HEADER = 2;
const EDIT = 8;
/** The core reads no more of them. */
export const EDITS_MAX = 16;

/** One change of what an end sends. */
export interface Edit {
  end: "client" | "server";
  /** Of a record on its way, or of a handshake message before it is protected. */
  layer: "wire" | "message";
  /** Which of that end's records or messages, from 0. */
  index: number;
  op: Op;
  a: number;
  b: number;
  payload: Bytes;
}

/** What happens to one connection. */
export interface Script {
  /** Which scenario, modulo their number. */
  scenario: number;
  /** Of the randomness of both ends. */
  seed: number;
  edits: Edit[];
}

/** The bytes of an edit. */
export function encodeEdit({ end, layer, index, op, a, b, payload }: Edit): Bytes {
  const bytes = new Uint8Array(EDIT + payload.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = (end === "server" ? 1 : 0) | (layer === "message" ? 2 : 0);
  bytes[1] = index;
  bytes[2] = OPS.indexOf(op);
  view.setUint16(3, a);
  view.setUint16(5, b);
  bytes[7] = payload.length;
  bytes.set(payload, EDIT);
  return bytes;
}

/** The bytes of a script. */
export function encode({ scenario, seed, edits }: Script): Bytes {
  return concat([Uint8Array.of(scenario, seed), ...edits.map(encodeEdit)]);
}

/** Reads any bytes as a script, as the core does. */
export function decode(bytes: Bytes): Script {
  const edits: Edit[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = HEADER; at + EDIT <= bytes.length && edits.length < EDITS_MAX;) {
    const [where, index, op, , , , , length] = bytes.subarray(at, at + EDIT);
    if (at + EDIT + length! > bytes.length) break;
    edits.push({
      end: where! & 1 ? "server" : "client",
      layer: where! & 2 ? "message" : "wire",
      index: index!,
      op: OPS[op! % OPS.length]!,
      a: view.getUint16(at + 3),
      b: view.getUint16(at + 5),
      payload: bytes.slice(at + EDIT, at + EDIT + length!),
    });
    at += EDIT + length!;
  }
  return { scenario: bytes[0] ?? 0, seed: bytes[1] ?? 0, edits };
}

/** A script for people, one line. */
export function show({ scenario, seed, edits }: Script, names: readonly string[]): string {
  const lines = edits.map(({ end, layer, index, op, a, b, payload }) =>
    `${end} ${layer === "wire" ? "record" : "message"} ${index}: ${op} ${a} ${b} ${payload.toHex()}`.trim()
  );
  return `${names[scenario % names.length]} seed ${seed}; ${lines.join("; ")}`;
}
