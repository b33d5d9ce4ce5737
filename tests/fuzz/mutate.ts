/**
 * Other inputs of inputs: by what they are made of, or of any bytes.
 *
 * @module
 */

import { type Bytes, concat, encodeText } from "../../lib/bytes.ts";
import type { FuzzCore } from "./core.ts";
import { SCENARIOS } from "./scenarios.ts";
import {
  BYTE_OPS,
  decode,
  type Edit,
  EDITS_MAX,
  encode,
  encodeEdit,
  MESSAGE_OPS,
  OPS,
  type Script,
} from "./script.ts";

/** A whole number from 0 to below a bound. */
export type Choose = (below: number) => number;

/** No input grows beyond it: longer ones find little more, and slowly. */
const LENGTH_MAX = 20_000;
const NUMBERS = [
  0,
  1,
  2,
  3,
  4,
  0x7f,
  0x80,
  0xff,
  0x100,
  0x3fff,
  0x4000,
  0x4001,
  0x4100,
  0x7fff,
  0x8000,
  0xfffe,
  0xffff,
];
/** Bytes that mean something to a parser of ours. */
const WORDS: readonly Bytes[] = [
  "00",
  "0000",
  "000000",
  "ffffff",
  "ffffffff",
  "01",
  "0100",
  "0228",
  "020a",
  "0303",
  "0304",
  "0301",
  "fefd",
  "feff",
  "00000000",
  "0e000000",
  "14000000",
  "180000010a",
  "1800000100",
  "1800000101",
  "1400000c000000000000000000000000",
  "0b000003000000",
  "0b00000400000000",
  "10000000",
  "0f000000",
  "160303000400000000",
  "1403030001" + "01",
  "150303000201" + "00",
  "3006020100020100",
  "3006020101020101",
  "30080202000002020000",
  "000b",
  "0010",
  "001d",
  "0017",
  "0018",
  "0029",
  "002a",
  "002b",
  "002c",
  "002d",
  "0033",
  "ff01",
  "ff0100",
  "0a0a",
  "56001300",
  "5600",
  "00ff",
  "444f574e47524400",
  "444f574e47524401", // the sentinel of a downgrade
  "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c", // a HelloRetryRequest
  "2a8648ce3d030107",
  "2b81040022",
  "2a864886f70d01010b",
  "2a8648ce3d040302",
  "550403",
  "551d11",
  "551d13",
  "551d0f",
  "551d25",
  "0101ff",
  "020100",
  "0500",
  "3000",
  "3080",
  "30840fffffff",
  "a003020102",
  "a0030201ff",
  "170d3234303130313030303030305a",
].map((hex) => Uint8Array.fromHex(hex));
const TEXTS: readonly Bytes[] = [
  "\r\n",
  "\n",
  "\r\n\r\n",
  "0\r\n\r\n",
  "Content-Length: 3\r\n",
  "Content-Length: -1\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: gzip, chunked\r\n",
  "Host: a\r\n",
  "Host:\r\n",
  "Connection: close\r\n",
  " ",
  "\t",
  ":",
  "HTTP/1.1",
  "HTTP/1.0",
  "HTTP/2.0",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "*",
  "http://a/",
  "//",
  "%00",
  "ffffffffffffffff\r\n",
  "-----BEGIN ",
  "-----END ",
  "-----\n",
  "CERTIFICATE-----\n",
  "Proc-Type: 4,ENCRYPTED\n",
  "DEK-Info: AES-256-CBC,",
  "=",
  "localhost",
  "*.localhost",
  "\0",
].map(encodeText);

function pick<T>(list: readonly T[], choose: Choose): T {
  return list[choose(list.length)]!;
}

function number(choose: Choose): number {
  return choose(2) ? pick(NUMBERS, choose) : choose(choose(2) ? 64 : 65536);
}

function randomBytes(length: number, choose: Choose): Bytes {
  return Uint8Array.from({ length }, () => choose(256));
}

// ---- Any bytes ------------------------------------------------------------------------------------------

/** Changes bytes of which nothing is known but that they may be DER or hold lengths. `other` is another input. */
export function mutateBytes(bytes: Bytes, other: Bytes, fuzz: FuzzCore, choose: Choose): Bytes {
  let mutant = bytes;
  for (let i = 1 + choose(choose(4) ? 3 : 10); i > 0; i--) mutant = mutateOnce(mutant, other, fuzz, choose);
  return mutant.slice(0, LENGTH_MAX);
}

function mutateOnce(bytes: Bytes, other: Bytes, fuzz: FuzzCore, choose: Choose): Bytes {
  const at = choose(bytes.length + 1);
  const to = Math.min(bytes.length, at + 1 + choose(choose(2) ? 8 : 256));
  const [before, middle, after] = [bytes.slice(0, at), bytes.slice(at, to), bytes.slice(to)];
  switch (choose(9)) {
    case 0: { // one bit
      const copy = bytes.slice();
      if (at < copy.length) copy[at]! ^= 1 << choose(8);
      return copy;
    }
    case 1: { // a number
      const copy = bytes.slice();
      const value = number(choose);
      if (at < copy.length) copy[at] = value;
      if (choose(2) && at + 1 < copy.length) copy.set([value >> 8, value & 255], at);
      return copy;
    }
    case 2: // less
      return concat([before, after]);
    case 3: // twice
      return concat([before, middle, middle, after]);
    case 4:
      return concat([
        before,
        pick(choose(2) ? WORDS : TEXTS, choose),
        choose(2) ? middle : new Uint8Array(0),
        after,
      ]);
    case 5: { // a part of another input
      const from = choose(other.length + 1);
      return concat([before, other.slice(from, from + 1 + choose(256)), choose(2) ? after : bytes.slice(at)]);
    }
    case 6:
      return concat([before, randomBytes(1 + choose(16), choose), after]);
    default: // DER
      return fuzz.edit(
        encodeEdit({ ...randomEdit(choose), op: OPS[OPS.indexOf("DER_TAG") + choose(6)]! }),
        bytes.slice(0, LENGTH_MAX),
      );
  }
}

// ---- Scripts --------------------------------------------------------------------------------------------

/** Records and messages that an end sends in a handshake; what comes behind is data. */
const INDEX_MAX = 12;

function payload(choose: Choose): Bytes {
  const kind = choose(6);
  if (kind === 0) return new Uint8Array(0);
  if (kind === 1) return randomBytes(1 + choose(40), choose);
  if (kind === 2) return new Uint8Array(choose(256)).fill(choose(256));
  return concat(Array.from({ length: 1 + choose(3) }, () => pick(WORDS, choose))).slice(0, 255);
}

function randomEdit(choose: Choose): Edit {
  const layer = choose(5) < 3 ? "message" : "wire";
  return {
    end: choose(2) ? "server" : "client",
    layer,
    index: choose(INDEX_MAX),
    op: OPS[choose(layer === "message" ? MESSAGE_OPS : OPS.length)]!,
    a: number(choose),
    b: number(choose),
    payload: payload(choose),
  };
}

/** Changes a script; `other` is another one. */
export function mutateScript(bytes: Bytes, other: Bytes, choose: Choose): Bytes {
  const script = decode(bytes);
  for (let i = 1 + choose(3); i > 0; i--) mutateScriptOnce(script, decode(other), choose);
  return encode(script);
}

function mutateScriptOnce(script: Script, other: Script, choose: Choose): void {
  const { edits } = script;
  const at = choose(edits.length + 1);
  const edit = edits[at];
  const kind = choose(10);
  if (kind === 0) script.scenario = choose(SCENARIOS.length);
  else if (kind === 1 && edits.length > 0) edits.splice(choose(edits.length), 1);
  else if (kind === 2) edits.splice(at, 0, ...other.edits.slice(0, 1 + choose(3)));
  else if (kind === 3) script.seed = choose(8); // few: certificates and keys are the same whatever it is
  else if (edit === undefined || kind < 6) edits.splice(at, 0, randomEdit(choose));
  else tweak(edit, choose);
  edits.splice(EDITS_MAX);
}

function tweak(edit: Edit, choose: Choose): void {
  switch (choose(7)) {
    case 0:
      edit.index = choose(INDEX_MAX);
      break;
    case 1:
      edit.a = choose(2) ? number(choose) : (edit.a + choose(9) + 65532) & 65535;
      break;
    case 2:
      edit.b = choose(2) ? number(choose) : (edit.b + choose(9) + 65532) & 65535;
      break;
    case 3:
      edit.op = OPS[choose(edit.layer === "message" ? MESSAGE_OPS : OPS.length)]!;
      break;
    case 4:
      edit.payload = payload(choose);
      break;
    case 5:
      edit.end = edit.end === "client" ? "server" : "client";
      break;
    default:
      edit.op = OPS[choose(BYTE_OPS)]!;
  }
}

// ---- Less -----------------------------------------------------------------------------------------------

/** Scripts with fewer edits, or smaller ones. */
export function* shorterScripts(bytes: Bytes): Generator<Bytes> {
  const script = decode(bytes);
  const { edits } = script;
  for (let i = 0; i < edits.length; i++) yield encode({ ...script, edits: edits.toSpliced(i, 1) });
  for (const [i, edit] of edits.entries()) {
    const { payload } = edit;
    for (const length of [0, payload.length >> 1, payload.length - 1]) {
      if (length < payload.length && length >= 0) {
        yield encode({ ...script, edits: edits.with(i, { ...edit, payload: payload.slice(0, length) }) });
      }
    }
    if (edit.a !== 0) yield encode({ ...script, edits: edits.with(i, { ...edit, a: 0 }) });
    if (edit.b !== 0) yield encode({ ...script, edits: edits.with(i, { ...edit, b: 0 }) });
  }
}

/** Bytes with a part cut out, long parts first. */
export function* shorterBytes(bytes: Bytes): Generator<Bytes> {
  for (let size = bytes.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < bytes.length; at += size) {
      yield concat([bytes.slice(0, at), bytes.slice(at + size)]);
    }
  }
}
