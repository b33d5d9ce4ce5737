/**
 * Reads what clang makes of a C file: a WebAssembly object, by the core specification (version 3, chapter 5) and the tool
 * conventions (github.com/WebAssembly/tool-conventions, Linking.md).
 *
 * @module
 */

/** A function's parameters and results, as many as there are. */
export interface Signature {
  parameters: number;
  results: number;
}

/** A function that the object defines. */
export interface ObjectFunction extends Signature {
  name: string;
  /** How many locals it has, parameters included. */
  locals: number;
  /** Where its instructions begin and end in the file. */
  start: number;
  end: number;
}

/** An object file, as far as its code goes. */
export interface ObjectFile {
  bytes: Uint8Array;
  types: Signature[];
  /** The type of each function: imported ones first. */
  functionTypes: number[];
  functions: ObjectFunction[];
  /** Names of functions by their index. */
  names: Map<number, string>;
  /** Places in the file where the linker puts the address of something static. */
  addresses: Set<number>;
}

/** Reads numbers and names off a file. */
export class Reader {
  at: number;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  byte(): number {
    const byte = this.bytes[this.at++];
    if (byte === undefined) throw new RangeError("Cannot read on: the object file ends");
    return byte;
  }

  /** An unsigned LEB128. */
  number(): number {
    let value = 0;
    for (let shift = 0;; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  /** A signed LEB128, whose value nobody needs. */
  skipSigned(): void {
    while (this.byte() >= 0x80);
  }

  name(): string {
    const length = this.number();
    return new TextDecoder().decode(this.bytes.subarray(this.at, this.at += length));
  }

  /** Reads `count` times, as a vector begins. */
  vector<T>(read: () => T): T[] {
    return Array.from({ length: this.number() }, read);
  }
}

/** Relocations whose value is the address of data: R_WASM_MEMORY_ADDR_LEB, _SLEB, _I32 and their kin. */
const ADDRESSES = [3, 4, 5, 11, 14, 15, 16, 17, 21];
/** Relocations with an addend behind the index; two more than those. */
const WITH_ADDEND = [...ADDRESSES, 8, 9, 22];

/** Reads an object file. */
export function readObject(bytes: Uint8Array): ObjectFile {
  const reader = new Reader(bytes, 8); // behind the magic number and the version
  const object: ObjectFile = {
    bytes,
    types: [],
    functionTypes: [],
    functions: [],
    names: new Map(),
    addresses: new Set(),
  };
  let imported = 0;
  let code = 0;
  while (reader.at < bytes.length) {
    const section = reader.byte();
    const end = reader.number() + reader.at;
    if (section === 1) object.types = reader.vector(() => readType(reader));
    else if (section === 2) {
      for (const type of reader.vector(() => readImport(reader))) {
        if (type !== undefined) object.functionTypes.push(type);
      }
      imported = object.functionTypes.length;
    } else if (section === 3) object.functionTypes.push(...reader.vector(() => reader.number()));
    else if (section === 10) {
      code = reader.at;
      readCode(reader, object, imported);
    } else if (section === 0) {
      const name = reader.name();
      if (name === "linking") readSymbols(reader, end, object);
      else if (name === "reloc.CODE") readRelocations(reader, code, object);
    }
    reader.at = end;
  }
  object.functions.forEach((f, i) => f.name = object.names.get(imported + i) ?? `function ${imported + i}`);
  return object;
}

function readType(reader: Reader): Signature {
  if (reader.byte() !== 0x60) throw new Error("Cannot read the object file: not a function type");
  return { parameters: skip(reader), results: skip(reader) };
}

/** Skips a vector of one-byte types. */
function skip(reader: Reader): number {
  return reader.vector(() => reader.byte()).length;
}

/** The type of an imported function; undefined for anything else. */
function readImport(reader: Reader): number | undefined {
  reader.name();
  reader.name();
  const kind = reader.byte();
  if (kind === 0) return reader.number();
  if (kind === 1 || kind === 3) reader.byte(); // the type of a table's elements, or of a global
  if (kind === 3) {
    reader.byte(); // mutable or not
    return undefined;
  }
  const limits = reader.byte();
  reader.number();
  if (limits & 1) reader.number();
  return undefined;
}

function readCode(reader: Reader, object: ObjectFile, imported: number): void {
  for (let left = reader.number(), index = imported; left > 0; left--, index++) {
    const end = reader.number() + reader.at;
    const signature = object.types[object.functionTypes[index]!]!;
    const declared = reader.vector(() => {
      const count = reader.number();
      reader.byte();
      return count;
    });
    const locals = declared.reduce((sum, count) => sum + count, signature.parameters);
    object.functions.push({ ...signature, name: "", locals, start: reader.at, end });
    reader.at = end;
  }
}

const SYMBOL_TABLE = 8;
const UNDEFINED = 0x10;
const EXPLICIT_NAME = 0x40;

function readSymbols(reader: Reader, end: number, { names }: ObjectFile): void {
  reader.number(); // version 2
  while (reader.at < end) {
    const kind = reader.byte();
    const next = reader.number() + reader.at;
    for (let left = kind === SYMBOL_TABLE ? reader.number() : 0; left > 0; left--) {
      const symbol = reader.byte();
      const flags = reader.number();
      if (symbol === 1) { // data
        reader.name();
        if ((flags & UNDEFINED) === 0) { for (let i = 0; i < 3; i++) reader.number(); }
        continue;
      }
      const index = reader.number();
      if (symbol === 3) continue; // a section
      if ((flags & UNDEFINED) !== 0 && (flags & EXPLICIT_NAME) === 0) continue;
      const name = reader.name();
      if (symbol === 0) names.set(index, name);
    }
    reader.at = next;
  }
}

function readRelocations(reader: Reader, code: number, { addresses }: ObjectFile): void {
  reader.number(); // which section
  for (let left = reader.number(); left > 0; left--) {
    const type = reader.byte();
    const offset = reader.number();
    reader.number(); // which symbol
    if (WITH_ADDEND.includes(type)) reader.skipSigned();
    if (ADDRESSES.includes(type)) addresses.add(code + offset);
  }
}
