/**
 * WebAssembly's instructions: what follows each opcode, and how many values it takes and gives (core specification,
 * version 3, chapter 5.4 and appendix "Index of Instructions").
 *
 * @module
 */

import type { Reader } from "./wasm_object.ts";

/** What the analysis tells apart. */
export type Kind =
  | "block"
  | "loop"
  | "if"
  | "else"
  | "end"
  | "br"
  | "br_if"
  | "br_table"
  | "return"
  | "unreachable"
  | "call"
  | "call_indirect"
  | "local.get"
  | "local.set"
  | "local.tee"
  | "const"
  | "global.get"
  | "load"
  | "load32"
  | "store"
  | "memory"
  | "select"
  | "divide"
  | "add"
  | "other";

/** One instruction. */
export interface Instruction {
  kind: Kind;
  /** How many values it pops; of calls and ends of blocks the analysis knows. */
  pops: number;
  pushes: number;
  /** The label, local, function or type that it names. */
  index: number;
  /** All labels of a br_table. */
  labels?: number[];
  /** Where the offset of a memory instruction is in the file. */
  offsetAt?: number;
}

/** How many values an instruction pops that pushes one: ranges of opcodes, inclusive. */
type Arity = readonly [first: number, last: number, pops: number];

/** 0x45 to 0xc4: numbers. */
const NUMERIC: readonly Arity[] = [
  [0x45, 0x45, 1],
  [0x46, 0x4f, 2],
  [0x50, 0x50, 1],
  [0x51, 0x66, 2],
  [0x67, 0x69, 1],
  [0x6a, 0x78, 2],
  [0x79, 0x7b, 1],
  [0x7c, 0x8a, 2],
  [0x8b, 0x91, 1],
  [0x92, 0x98, 2],
  [0x99, 0x9f, 1],
  [0xa0, 0xa6, 2],
  [0xa7, 0xc4, 1],
];

/** Behind 0xfd: vectors, relaxed ones from 0x100. Where nothing is said, an instruction pops two. */
const VECTOR: readonly Arity[] = [
  [15, 20, 1], // splat
  [21, 22, 1], // extract_lane; replace_lane pops two
  [24, 25, 1],
  [27, 27, 1],
  [29, 29, 1],
  [31, 31, 1],
  [33, 33, 1],
  [77, 77, 1], // not
  [82, 82, 3], // bitselect
  [83, 83, 1], // any_true
  [94, 100, 1],
  [103, 106, 1],
  [116, 117, 1],
  [122, 122, 1],
  [124, 129, 1],
  [131, 132, 1],
  [135, 138, 1],
  [148, 148, 1],
  [160, 161, 1],
  [163, 164, 1],
  [167, 170, 1],
  [192, 193, 1],
  [195, 196, 1],
  [199, 202, 1],
  [224, 225, 1],
  [227, 227, 1],
  [236, 237, 1],
  [239, 239, 1],
  [248, 255, 1],
  [0x101, 0x104, 1], // relaxed_trunc
  [0x105, 0x10c, 3], // relaxed_madd, relaxed_nmadd, relaxed_laneselect
  [0x113, 0x113, 3], // relaxed_dot_add
];

/** Divisions and square roots: hardware takes longer for some operands. */
const DIVISIONS = [0x6d, 0x6e, 0x6f, 0x70, 0x7f, 0x80, 0x81, 0x82, 0x91, 0x95, 0x9f, 0xa3];
const VECTOR_DIVISIONS = [227, 231, 239, 243];

function popsOf(table: readonly Arity[], opcode: number): number | undefined {
  return table.find(([first, last]) => opcode >= first && opcode <= last)?.[2];
}

function make(kind: Kind, pops: number, pushes: number, index = 0): Instruction {
  return { kind, pops, pushes, index };
}

/** Reads the next instruction. */
export function readInstruction(reader: Reader): Instruction {
  const opcode = reader.byte();
  const arity = popsOf(NUMERIC, opcode);
  if (arity !== undefined) {
    if (DIVISIONS.includes(opcode)) return make("divide", arity, 1);
    return make(opcode === 0x6a || opcode === 0x6b ? "add" : "other", arity, 1); // i32.add, i32.sub
  }
  if (opcode >= 0x28 && opcode <= 0x3e) return readMemory(reader, opcode);
  if (opcode === 0xfc) return readBulk(reader);
  if (opcode === 0xfd) return readVector(reader);
  return readOther(reader, opcode);
}

function readOther(reader: Reader, opcode: number): Instruction {
  switch (opcode) {
    case 0x00:
      return make("unreachable", 0, 0);
    case 0x01:
      return make("other", 0, 0);
    case 0x02:
      return make("block", 0, 0, blockType(reader));
    case 0x03:
      return make("loop", 0, 0, blockType(reader));
    case 0x04:
      return make("if", 1, 0, blockType(reader));
    case 0x05:
      return make("else", 0, 0);
    case 0x0b:
      return make("end", 0, 0);
    case 0x0c:
      return make("br", 0, 0, reader.number());
    case 0x0d:
      return make("br_if", 1, 0, reader.number());
    case 0x0e: {
      const labels = [...reader.vector(() => reader.number()), reader.number()];
      return { ...make("br_table", 1, 0), labels };
    }
    case 0x0f:
      return make("return", 0, 0);
    case 0x10:
      return make("call", 0, 0, reader.number());
    case 0x11: {
      const type = reader.number();
      reader.number(); // which table
      return make("call_indirect", 1, 0, type);
    }
    case 0x1a:
      return make("other", 1, 0); // drop
    case 0x1b:
      return make("select", 3, 1);
    case 0x1c:
      reader.vector(() => reader.byte());
      return make("select", 3, 1);
    case 0x20:
      return make("local.get", 0, 1, reader.number());
    case 0x21:
      return make("local.set", 1, 0, reader.number());
    case 0x22:
      return make("local.tee", 1, 1, reader.number());
    case 0x23:
      return make("global.get", 0, 1, reader.number());
    case 0x24:
      return make("other", 1, 0, reader.number()); // global.set
    case 0x3f:
    case 0x40:
      reader.byte();
      return make("other", opcode - 0x3f, 1); // memory.size, memory.grow
    case 0x41:
    case 0x42:
      reader.skipSigned();
      return make("const", 0, 1);
    case 0x43:
    case 0x44:
      reader.at += opcode === 0x43 ? 4 : 8;
      return make("const", 0, 1);
    default:
      throw new Error(`Cannot read instruction 0x${opcode.toString(16)}: it is not known here`);
  }
}

/** -1: no result; -2: one result; else the index of a type. */
function blockType(reader: Reader): number {
  const byte = reader.bytes[reader.at]!;
  if (byte === 0x40 || byte >= 0x6f && byte <= 0x7f) {
    reader.at++;
    return byte === 0x40 ? -1 : -2;
  }
  return reader.number();
}

function readMemory(reader: Reader, opcode: number): Instruction {
  const offsetAt = memoryArgument(reader);
  if (opcode >= 0x36) return { ...make("store", 2, 0), offsetAt };
  return { ...make(opcode === 0x28 ? "load32" : "load", 1, 1), offsetAt };
}

/** Skips alignment and offset. Returns where the offset is. */
function memoryArgument(reader: Reader): number {
  reader.number();
  const at = reader.at;
  reader.number();
  return at;
}

function readBulk(reader: Reader): Instruction {
  const opcode = reader.number();
  if (opcode <= 7) return make("other", 1, 1); // trunc_sat
  if (opcode !== 10 && opcode !== 11) throw new Error(`Cannot read instruction 0xfc ${opcode}: unknown here`);
  for (let i = opcode; i < 12; i++) reader.byte(); // memory.copy names two memories, memory.fill one
  return make("memory", 3, 0);
}

function readVector(reader: Reader): Instruction {
  const opcode = reader.number();
  if (opcode <= 11 || opcode === 92 || opcode === 93) {
    const offsetAt = memoryArgument(reader);
    return opcode === 11 ? { ...make("store", 2, 0), offsetAt } : { ...make("load", 1, 1), offsetAt };
  }
  if (opcode >= 84 && opcode <= 91) { // load_lane, store_lane
    const offsetAt = memoryArgument(reader);
    reader.byte();
    return { ...make(opcode < 88 ? "load" : "store", 2, opcode < 88 ? 1 : 0), offsetAt };
  }
  if (opcode === 12 || opcode === 13) reader.at += 16; // the constant, or the shuffle's lanes
  if (opcode === 12) return make("const", 0, 1);
  if (opcode >= 21 && opcode <= 34) reader.byte(); // the lane
  const kind = VECTOR_DIVISIONS.includes(opcode) ? "divide" : "other";
  return make(kind, popsOf(VECTOR, opcode) ?? 2, 1);
}
