/**
 * mbedTLS for this machine, as a shared library that the bench builds: the same harness as in our test cores, and pairs of
 * connections in one thread (programs/native.c). A call costs some 10 ns.
 *
 * @module
 */

import { HARNESS_EXPORTS } from "../tests/crypto/exports.ts";
import { buildNative } from "./build.ts";
import type { PrimitiveCore } from "./primitive.ts";
import type { Identity, Version } from "./peer.ts";

const VERSIONS: Readonly<Record<Version, number>> = { "1.2": 0x0303, "1.3": 0x0304 };
const SUITES: Readonly<Record<string, number>> = {
  TLS_AES_128_GCM_SHA256: 0x1301,
  TLS_CHACHA20_POLY1305_SHA256: 0x1303,
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 0xc02b,
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 0xcca9,
};

const PAIRS = {
  native_ends: { parameters: ["i32", "buffer", "buffer", "buffer", "i32"], result: "usize" },
  native_handshakes: { parameters: ["usize", "i32", "f64", "buffer"], result: "i32" },
  native_records: { parameters: ["usize", "u32", "f64", "buffer"], result: "i32" },
  core_init: { parameters: [], result: "i32" },
} as const;

/** The harness's own, and what it needs of memory. Pointers are numbers there and here; what C takes as an int is the lower half of its register. */
const HARNESS = Object.fromEntries(
  Object.entries({ ...HARNESS_EXPORTS, core_alloc: 1 }).map(([name, count]) => [name, {
    parameters: Array.from({ length: count }, () => "usize" as const),
    result: /_(new|alloc)$/.test(name) ? "usize" as const : "i32" as const,
  }]),
);

type Functions = Record<string, (...args: never[]) => unknown>;

/** Functions whose pointers are numbers, as a wasm module's; the others as they are. */
function numbered(functions: Functions): Functions {
  return Object.fromEntries(
    Object.entries(functions).map(([name, call]) => [
      name,
      HARNESS[name]!.result === "usize" ? (...args: never[]) => Number(call(...args)) : call,
    ]),
  );
}

/** Handshakes done, certificates checked; CPU seconds of all, of the client's and of the server's steps; bytes. */
export interface NativeHandshakes {
  count: number;
  checked: number;
  all: number;
  client: number;
  server: number;
  up: number;
  down: number;
}

/** The library. */
export class Native {
  readonly #pairs: Deno.DynamicLibrary<typeof PAIRS>["symbols"];
  readonly #ends = new Map<string, bigint>();
  /** Its primitives, as those of a test core. */
  readonly primitives: PrimitiveCore;

  private constructor(path: string) {
    this.#pairs = Deno.dlopen(path, PAIRS).symbols;
    this.primitives = {
      call: numbered(Deno.dlopen(path, HARNESS).symbols) as unknown as PrimitiveCore["call"],
      memory: {
        set(bytes, at) {
          const pointer = Deno.UnsafePointer.create(BigInt(at))!;
          new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, bytes.length)).set(bytes);
        },
      },
    };
    if (this.#pairs.core_init() !== 0) throw new Error("Cannot start native mbedTLS");
  }

  static #loading: Promise<Native> | undefined;

  /**
   * Builds and loads it, once.
   *
   * @throws {NotRun} If it cannot be built here.
   */
  static load(): Promise<Native> {
    return this.#loading ??= buildNative().then((path) => new Native(path));
  }

  /** Handshakes of a pair for some milliseconds. */
  handshakes(version: Version, identity: Identity, resume: boolean, ms: number): NativeHandshakes {
    const out = new Float64Array(7);
    this.#check(this.#pairs.native_handshakes(this.#endsOf(version, identity), Number(resume), ms, out));
    const [count = 0, checked = 0, all = 0, client = 0, server = 0, up = 0, down = 0] = out;
    return { count, checked, all, client, server, up, down };
  }

  /** Data one way in writes of `size` bytes for some milliseconds: bytes, CPU seconds of writing and of reading. */
  records(version: Version, identity: Identity, suite: string, size: number, ms: number): number[] {
    const out = new Float64Array(3);
    this.#check(this.#pairs.native_records(this.#endsOf(version, identity, suite), size, ms, out));
    return [...out];
  }

  #endsOf(version: Version, identity: Identity, suite?: string): bigint {
    const key = JSON.stringify([version, identity, suite]);
    const known = this.#ends.get(key);
    if (known !== undefined) return known;
    const text = (pem: string) => new TextEncoder().encode(`${pem}\0`);
    const { certificate, key: privateKey, ca } = identity;
    const number = suite === undefined ? 0 : SUITES[suite]!;
    const ends = this.#pairs.native_ends(
      VERSIONS[version],
      text(certificate),
      text(privateKey),
      text(ca),
      number,
    );
    if (ends === 0n) throw new Error("Cannot prepare native mbedTLS");
    this.#ends.set(key, ends);
    return ends;
  }

  #check(code: number): void {
    if (code !== 0) throw new Error(`Cannot run native mbedTLS: it returns -0x${(-code).toString(16)}`);
  }
}
