/**
 * Where a function's branches, addresses and divisions come from. It follows every value through a function and keeps only
 * its source:
 *
 * - `constant`: constants, and counters made of them;
 * - `parameter`: what the caller gave, and the stack pointer;
 * - `pointer`: an i32 as it was loaded, or with a constant added: `key->limbs` is one, so may be a secret word;
 * - `data`: everything else that came out of memory or a call.
 *
 * Loops on a counter, and addresses that are parameters or pointers, say nothing about secrets. What else there is, a person
 * must have looked at: an index into a table by a loaded byte is `data`, and so is a branch on a loaded word. It is a lint,
 * not a proof; it takes what a compiler did as it is, which the C source does not show.
 *
 * @module
 */

import { type Instruction, readInstruction } from "./instructions.ts";
import { type ObjectFile, type ObjectFunction, Reader, type Signature } from "./wasm_object.ts";

const CONSTANT = 0;
const PARAMETER = 1;
const POINTER = 2;
const DATA = 3;

/** What there is to look at in a function. */
export interface Findings {
  /**
   * Branches (`if`, `br_if`, `br_table`) on what the caller gave, as loops over a length are; and `select`, of which an
   * engine may make a branch.
   */
  parameterBranches: number;
  /** Branches on what came out of memory or a call. */
  dataBranches: number;
  /** Loads, stores and copies whose address or length was computed from data. */
  dataAddresses: number;
  /** Divisions and square roots of anything but constants. */
  divisions: number;
  /** Calls of a function that memory chose. */
  indirectCalls: number;
}

/** Looks at every function of an object. */
export function analyze(object: ObjectFile): Map<string, Findings> {
  return new Map(object.functions.map((f) => [f.name, new Analysis(object, f).run()]));
}

/** A block that is open: what its label stands for. */
interface Block {
  kind: "block" | "loop" | "if";
  signature: Signature;
  /** How many values lie below it. */
  height: number;
  /** Locals wherever a branch to its end has left them. */
  exit: number[] | undefined;
  /** The `if`'s locals at its beginning, for its `else`. */
  entry: number[];
  results: number[];
  /** The loop's number in the function. */
  loop: number;
  /** Whether it was dead code before it began. */
  wasDead: boolean;
}

class Analysis {
  readonly #object: ObjectFile;
  readonly #function: ObjectFunction;
  /** Locals at the beginning of each loop, from all ways that lead there. */
  readonly #loops: number[][] = [];
  #changed = false;
  #findings!: Findings;
  #locals: number[] = [];
  #stack: number[] = [];
  #blocks: Block[] = [];
  #dead = false;

  constructor(object: ObjectFile, f: ObjectFunction) {
    this.#object = object;
    this.#function = f;
  }

  /** Goes over the function until what reaches its loops no longer changes. */
  run(): Findings {
    do {
      this.#changed = false;
      this.#pass();
    } while (this.#changed);
    return this.#findings;
  }

  #pass(): void {
    const { parameters, results, locals, start, end } = this.#function;
    this.#findings = {
      parameterBranches: 0,
      dataBranches: 0,
      dataAddresses: 0,
      divisions: 0,
      indirectCalls: 0,
    };
    this.#locals = Array.from({ length: locals }, (_, i) => i < parameters ? PARAMETER : CONSTANT);
    this.#stack = [];
    this.#blocks = [];
    this.#dead = false;
    this.#open("block", { parameters: 0, results }, -1);
    let loop = 0;
    const reader = new Reader(this.#object.bytes, start);
    while (reader.at < end) {
      const instruction = readInstruction(reader);
      if (instruction.kind === "loop") this.#open("loop", this.#signature(instruction.index), loop++);
      else this.#step(instruction);
    }
  }

  #step(instruction: Instruction): void {
    const { kind, index } = instruction;
    if (kind === "block") return this.#open("block", this.#signature(index), -1);
    if (kind === "if") {
      this.#branch(this.#pop());
      return this.#open("if", this.#signature(index), -1);
    }
    if (kind === "else") return this.#else();
    if (kind === "end") return this.#close();
    if (this.#dead) return;
    switch (kind) {
      case "br_if":
        this.#branch(this.#pop());
        return this.#leave(index);
      case "br_table":
        this.#branch(this.#pop());
        for (const label of instruction.labels!) this.#leave(label);
        this.#dead = true;
        return;
      case "br":
        this.#leave(index);
        this.#dead = true;
        return;
      case "return":
      case "unreachable":
        this.#dead = true;
        return;
      case "call":
        return this.#call(this.#object.types[this.#object.functionTypes[index]!]!);
      case "call_indirect":
        if (this.#pop() >= POINTER) this.#findings.indirectCalls++;
        return this.#call(this.#object.types[index]!);
      case "local.get":
        return void this.#stack.push(this.#locals[index]!);
      case "local.set":
        this.#locals[index] = this.#pop();
        return;
      case "local.tee":
        this.#locals[index] = this.#stack.at(-1)!;
        return;
      default:
        return this.#compute(instruction);
    }
  }

  #compute({ kind, pops, pushes, offsetAt }: Instruction): void {
    const operands = Array.from({ length: pops }, () => this.#pop()).reverse();
    const most = Math.max(CONSTANT, ...operands);
    let result = most === POINTER ? DATA : most;
    switch (kind) {
      case "const":
        result = CONSTANT;
        break;
      case "global.get":
        result = PARAMETER; // the stack pointer
        break;
      case "add":
        // A pointer and a constant make a pointer; a pointer and anything else may be an array and an index.
        result = most === POINTER && Math.min(...operands) > CONSTANT ? DATA : most;
        break;
      case "load":
      case "load32":
      case "store": {
        const address = operands[0]!;
        // Where the offset is that of a static table, a loaded word is an index into it.
        const table = this.#object.addresses.has(offsetAt!);
        if (address === DATA || table && address === POINTER) this.#findings.dataAddresses++;
        result = kind === "load32" ? POINTER : DATA;
        break;
      }
      case "memory":
        if (most === DATA) this.#findings.dataAddresses++;
        break;
      case "select":
        this.#branch(operands[2]!);
        break;
      case "divide":
        if (most > CONSTANT) this.#findings.divisions++;
        break;
    }
    for (let i = 0; i < pushes; i++) this.#stack.push(result);
  }

  #call({ parameters, results }: Signature): void {
    this.#stack.length = Math.max(0, this.#stack.length - parameters);
    for (let i = 0; i < results; i++) this.#stack.push(POINTER); // what malloc() returns is one
  }

  #branch(condition: number): void {
    if (this.#dead) return;
    if (condition >= POINTER) this.#findings.dataBranches++;
    else if (condition === PARAMETER) this.#findings.parameterBranches++;
  }

  #pop(): number {
    return this.#stack.pop() ?? CONSTANT; // dead code pops what is not there
  }

  #signature(type: number): Signature {
    return type >= 0 ? this.#object.types[type]! : { parameters: 0, results: type === -2 ? 1 : 0 };
  }

  #open(kind: Block["kind"], signature: Signature, loop: number): void {
    const block: Block = {
      kind,
      signature,
      height: this.#stack.length - signature.parameters,
      exit: undefined,
      entry: this.#locals.slice(),
      results: [],
      loop,
      wasDead: this.#dead,
    };
    this.#blocks.push(block);
    if (kind === "loop" && !this.#dead) {
      this.#joinLoop(loop);
      this.#locals = this.#loops[loop]!.slice();
    }
  }

  /** Adds the present state to what is known to reach a loop. */
  #joinLoop(loop: number): void {
    const known = this.#loops[loop];
    const joined = join(known, this.#locals);
    if (known === undefined || joined.some((source, i) => source !== known[i])) this.#changed = true;
    this.#loops[loop] = joined;
  }

  /** A branch to a label. */
  #leave(label: number): void {
    const block = this.#blocks.at(-1 - label)!;
    if (block.kind === "loop") return this.#joinLoop(block.loop);
    block.exit = join(block.exit, this.#locals);
    block.results = join(block.results, this.#stack.slice(this.#stack.length - block.signature.results));
  }

  #else(): void {
    const block = this.#blocks.at(-1)!;
    if (!this.#dead) this.#leave(0);
    block.kind = "block"; // its other end is not that of an `if` alone
    this.#locals = block.entry.slice();
    this.#stack.length = block.height;
    this.#dead = block.wasDead;
  }

  #close(): void {
    const block = this.#blocks.pop()!;
    const { results } = block.signature;
    if (!this.#dead) {
      block.exit = join(block.exit, this.#locals);
      block.results = join(block.results, this.#stack.slice(this.#stack.length - results));
    }
    if (block.kind === "if") block.exit = join(block.exit, block.entry); // without an `else`
    this.#dead = block.wasDead || block.exit === undefined;
    this.#locals = block.exit ?? block.entry;
    this.#stack.length = Math.max(0, block.height);
    for (let i = 0; i < results; i++) this.#stack.push(block.results[i] ?? CONSTANT);
  }
}

/** For each value the source that says more. */
function join(a: readonly number[] | undefined, b: readonly number[]): number[] {
  return b.map((source, i) => Math.max(source, a?.[i] ?? CONSTANT));
}
