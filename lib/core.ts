/**
 * Core: one instance of the wasm module. This is the only file that sees a pointer's meaning; what it hands
 * out are numbers that its own exports take back.
 *
 * One instance serves many connections; they share its heap. A trap (a defect in the C code) retires the
 * instance: its engines fail, the next connection gets a fresh one.
 */

import { type Bytes, decodeText, EMPTY } from "./bytes.ts";
import { coreModule } from "./core_module.js";
import { CODE, codeText, errorFromCode, SSLError } from "./errors.ts";
import { StrikeRegister } from "./strikes.ts";
import type { Tracer } from "./trace.ts";

/** Every function that the module exports, with its number of parameters. A test compares it with the module. */
export const CORE_EXPORTS = {
  core_init: 0,
  core_version: 0,
  core_alloc: 1,
  core_free: 1,
  core_allocated: 0,
  core_peak: 0,
  core_sha256: 3,
  core_suite: 1,
  core_suite_name: 1,
  core_suite_bits: 1,
  core_verify_text: 3,
  trust_new: 0,
  trust_add: 3,
  trust_free: 1,
  config_new: 1,
  config_free: 1,
  config_add_credential: 8,
  config_add_signer: 5,
  config_add_crl: 3,
  config_ask_psk: 1,
  config_set_trust: 2,
  config_set_psk: 5,
  config_set_policy: 6,
  config_set_min_rsa: 2,
  config_set_suites: 3,
  config_set_groups: 3,
  config_set_sigalgs: 3,
  config_set_alpn: 4,
  config_set_tickets: 5,
  config_use_tickets: 3,
  config_set_cache: 3,
  config_share_sessions: 4,
  config_use_datagrams: 4,
  config_write_cookie: 5,
  config_check_cookie: 5,
  config_cached: 2,
  config_set_early_data: 2,
  connection_new: 1,
  connection_free: 1,
  connection_use_datagrams: 4,
  connection_timer: 1,
  connection_trace: 1,
  connection_set_host: 3,
  connection_offer_session: 3,
  connection_handshake: 2,
  connection_read: 3,
  connection_write: 3,
  connection_write_early: 3,
  connection_update_key: 2,
  connection_close_notify: 1,
  connection_alert: 2,
  connection_facts: 1,
  connection_counts: 1,
  connection_heap: 1,
  connection_alpn: 1,
  connection_sni: 1,
  connection_peer: 4,
  connection_chain: 4,
  connection_own: 3,
  connection_session: 3,
  connection_session_facts: 3,
  connection_server_session: 4,
  connection_give_session: 3,
  connection_forget_session: 1,
  connection_shared: 4,
  connection_finished: 3,
  connection_choose_alpn: 2,
  connection_export: 8,
  certificate_fields: 4,
  certificate_subject: 4,
  certificate_binding: 3,
  certificate_public_key: 4,
  issue_key: 3,
  issue_certificate: 13,
} as const;

/** What a device's core exports besides: lib/device.ts, lib/connection.ts and lib/device_heap.ts call them. */
export const DEVICE_EXPORTS = {
  device_build: 2,
  device_step_result: 0,
  heap_limit: 3,
  heap_used: 0,
  heap_peak: 0,
  heap_refused: 0,
} as const;

/** Every function that the module imports, with its number of parameters. */
export const CORE_IMPORTS = {
  bio_send: 3,
  bio_recv: 3,
  entropy: 2,
  clock_ms: 0,
  key_log: 5,
  verify_certificate: 4,
  psk_key: 5,
  sign_hash: 7,
  early_data: 3,
  early_claim: 3,
  trace: 6,
} as const;

/** A function of numbers for each name of a table. */
export type CoreTable<T> = { readonly [name in keyof T]: (...args: number[]) => number };
/** The module's functions. */
export type CoreExports = CoreTable<typeof CORE_EXPORTS>;

/** Bytes of the buffer through which plaintext and small results pass: a whole record (RFC 8446 section 5.1). */
export const IO_SIZE = 16384;
/** Bytes that tell one session ticket from all others: TICKET_ID of wasm/glue/tlsio.h; a test compares them. */
export const TICKET_ID = 16;

/** The records' side of one connection: what the core's BIO imports call. Neither may throw or call back. */
export interface ConnectionIO {
  /** Takes the records at `memory[at .. at + length]`: of DTLS, one datagram. */
  send(memory: Bytes, at: number, length: number): void;
  /**
   * Puts up to `length` received bytes at `memory[at]`: of DTLS, one datagram. Returns how many, 0 at the end, or a
   * negative code.
   */
  pull(memory: Bytes, at: number, length: number): number;
  /** Takes one secret of the handshake. */
  keyLog(type: number, secret: Bytes, clientRandom: Bytes): void;
  /** Takes early data that a client sent. */
  earlyData(bytes: Bytes): void;
  /** Is told of each record and message that passes, once `connection_trace` was called. */
  trace?: Tracer | undefined;
  /** The program's functions; none: the config has none. */
  readonly callbacks?: CoreCallbacks | undefined;
}

/** What the core asks the program of one connection. None may throw. */
export interface CoreCallbacks {
  /** Judges a certificate, DER, of the peer's chain; 0 goes on, a negative code ends the handshake. */
  verify(certificate: Bytes, depth: number): number;
  /** The pre-shared key of an identity; `undefined`: there is none. */
  psk(identity: Bytes): Bytes | undefined;
  /** Has the key of credential number `signer` sign a hash: at most `max` bytes; `undefined`: it did not. */
  sign(signer: number, scheme: number, hash: Bytes, max: number): Bytes | undefined;
}

/** What a {@linkcode Core} takes from its host. Tests and benches give their own, to be exact. */
export interface CoreOptions {
  /** Milliseconds since the Unix epoch. @default {Date.now} */
  now?: () => number;
  /** Fills the array with random bytes. @default {crypto.getRandomValues} */
  random?: (bytes: Bytes) => void;
  /** The compiled core, of which there are several. @default {the one for this engine} */
  module?: WebAssembly.Module;
}

/** One instance of the wasm core. */
export class Core {
  static #shared: Core | undefined;

  /** The instance that connections share; a fresh one when the last has been retired. */
  static shared(): Core {
    if (Core.#shared === undefined || Core.#shared.retired) Core.#shared = new Core();
    return Core.#shared;
  }

  static #second: Core | undefined;

  /** The shared instance, or, for what a callback of that one asks, another. */
  static idle(): Core {
    const shared = Core.shared();
    if (!shared.#running) return shared;
    if (Core.#second === undefined || Core.#second.retired) Core.#second = new Core();
    return Core.#second;
  }

  /** The module's functions. A trap in one retires the core and throws an `SSLError`. */
  readonly call: CoreExports;
  /** @internal The functions of its heap, where it is a device's. */
  readonly device: CoreTable<typeof DEVICE_EXPORTS> | undefined;
  /** The clock of this core: milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Where the buffer of {@linkcode IO_SIZE} bytes is. */
  readonly io: number;
  readonly #memory: WebAssembly.Memory;
  readonly #connections = new Map<number, ConnectionIO>();
  #view: Bytes = EMPTY;
  #running = false;
  readonly #later: (() => void)[] = []; // what a callback gave up
  #trap: unknown;
  #defaultTrust = 0;

  /**
   * Starts an instance.
   *
   * @param options Clock, randomness, and which module.
   */
  constructor({ now = Date.now, random = getRandomBytes, module = coreModule }: CoreOptions = {}) {
    this.now = now;
    const instance = new WebAssembly.Instance(module, { tlsio: this.#imports(random) });
    this.#memory = instance.exports.memory as WebAssembly.Memory;
    (instance.exports._initialize as () => void)();
    this.call = this.#guarded(instance.exports, CORE_EXPORTS);
    if ("heap_limit" in instance.exports) this.device = this.#guarded(instance.exports, DEVICE_EXPORTS);
    this.check("start the TLS core", this.call.core_init());
    this.io = this.alloc(IO_SIZE);
  }

  #imports(random: (bytes: Bytes) => void): CoreTable<typeof CORE_IMPORTS> {
    return {
      bio_send: (handle, at, length) => {
        this.#connections.get(handle!)!.send(this.memory, at!, length!);
        return length!;
      },
      bio_recv: (handle, at, length) => this.#connections.get(handle!)!.pull(this.memory, at!, length!),
      entropy: (at, length) => {
        try {
          random(this.memory.subarray(at!, at! + length!));
          return 0;
        } catch {
          return CODE.ENTROPY_FAILED; // an exception must not unwind through C
        }
      },
      clock_ms: () => this.now(),
      key_log: (handle, type, at, length, clientRandom) => {
        this.#connections.get(handle!)!.keyLog(
          type!,
          this.memory.slice(at!, at! + length!),
          this.memory.slice(clientRandom!, clientRandom! + 32),
        );
        return 0;
      },
      early_data: (handle, at, length) => {
        this.#connections.get(handle!)!.earlyData(this.memory.subarray(at!, at! + length!));
        return 0;
      },
      early_claim: (at, created, window) => {
        const id = this.memory.subarray(at!, at! + TICKET_ID).toHex();
        return StrikeRegister.of(this.now).claim(id, created!, window!) ? 1 : 0;
      },
      trace: (handle, received, type, code, length, encrypted) => {
        this.#connections.get(handle!)!.trace?.(received!, type!, code!, length!, encrypted!);
        return 0;
      },
      verify_certificate: (handle, at, length, depth) =>
        this.#connections.get(handle!)!.callbacks!.verify(this.memory.slice(at!, at! + length!), depth!),
      psk_key: (handle, at, length, out, size) => {
        const key = this.#connections.get(handle!)!.callbacks!.psk(this.memory.slice(at!, at! + length!));
        return this.#put(key, out!, size!);
      },
      sign_hash: (handle, signer, scheme, at, length, out, size) => {
        const hash = this.memory.slice(at!, at! + length!);
        return this.#put(
          this.#connections.get(handle!)!.callbacks!.sign(signer!, scheme!, hash, size!),
          out!,
          size!,
        );
      },
    };
  }

  /** Puts a callback's answer at `memory[at]`. Returns its length; 0: there is none, or it does not fit. */
  #put(answer: Bytes | undefined, at: number, size: number): number {
    if (answer === undefined || answer.length > size) return 0;
    this.memory.set(answer, at);
    return answer.length;
  }

  /** Wraps each export: no call after a trap, none from inside a callback. */
  #guarded<T extends Record<string, number>>(exports: WebAssembly.Exports, table: T): CoreTable<T> {
    const guarded: Record<string, (...args: number[]) => number> = {};
    for (const name of Object.keys(table)) {
      const run = exports[name] as (...args: number[]) => number;
      guarded[name] = (...args) => {
        if (this.#trap !== undefined) throw this.#trapped();
        if (this.#running) throw new Error(`Cannot call ${name}: the core is running`);
        this.#running = true;
        try {
          return run(...args);
        } catch (error) {
          this.#trap = error;
          throw this.#trapped();
        } finally {
          this.#running = false;
          while (this.#later.length > 0) this.#later.shift()!();
        }
      };
    }
    return guarded as CoreTable<T>;
  }

  #trapped(): SSLError {
    return new SSLError("Cannot use the TLS core: it has trapped and is retired", {
      kind: "internal",
      code: CODE.INTERNAL_ERROR,
      cause: this.#trap,
    });
  }

  /** Whether a trap has retired this instance. */
  get retired(): boolean {
    return this.#trap !== undefined;
  }

  /** The version of mbedTLS and a hash of all that was compiled, for a bug report. */
  get version(): string {
    return this.text(this.call.core_version());
  }

  /** Bytes in live blocks of the core's heap. */
  get allocated(): number {
    return this.call.core_allocated();
  }

  /** The core's memory. Not to be kept over a call that can allocate: growth detaches it. */
  get memory(): Bytes {
    if (this.#view.length === 0) this.#view = new Uint8Array(this.#memory.buffer as ArrayBuffer); // new, or detached
    return this.#view;
  }

  /** Gives the records of connection `handle` to `io`, until {@linkcode Core.disconnect}. */
  connect(handle: number, io: ConnectionIO): void {
    this.#connections.set(handle, io);
  }

  /** Runs `free` now, or, for a callback, when the call of the core that made it has ended: C still uses what it has. */
  whenIdle(free: () => void): void {
    if (this.#running) this.#later.push(free);
    else free();
  }

  /** Frees connection `handle`. On a retired core there is nothing left to free. */
  disconnect(handle: number): void {
    this.#connections.delete(handle);
    if (!this.retired) this.call.connection_free(handle);
  }

  /** Throws an `SSLError` for a negative `code`, by default one of what we gave the core; returns any other. */
  check(action: string, code: number): number {
    if (code < 0) throw errorFromCode(action, code, undefined, "config");
    return code;
  }

  /** A zeroed block of `size` bytes. */
  alloc(size: number): number {
    const at = this.call.core_alloc(size);
    if (at === 0) {
      throw new SSLError(`Cannot allocate ${size} bytes: ${codeText(CODE.ALLOC_FAILED)}`, {
        kind: "internal",
        code: CODE.ALLOC_FAILED,
      });
    }
    return at;
  }

  /** Wipes and frees a block; 0 is none. */
  free(at: number): void {
    if (at !== 0 && !this.retired) this.call.core_free(at);
  }

  /**
   * Runs `use` with copies of `inputs` in the core's memory, each with a NUL behind it; they are wiped and freed
   * afterwards. A typed array of wider numbers is copied as its bytes; `null` is a null pointer.
   */
  with<T>(inputs: readonly (ArrayBufferView | null)[], use: (...at: number[]) => T): T {
    const blocks: number[] = [];
    try {
      for (const input of inputs) {
        const at = input === null ? 0 : this.alloc(input.byteLength + 1);
        blocks.push(at);
        if (input !== null) {
          this.memory.set(new Uint8Array(input.buffer, input.byteOffset, input.byteLength), at);
        }
      }
      return use(...blocks);
    } finally {
      for (const at of blocks) this.free(at);
    }
  }

  /**
   * Collects a result of unknown length: `fill` writes up to `size` bytes at `at` and returns the whole length.
   * Returns a copy.
   */
  collect(action: string, fill: (at: number, size: number) => number): Bytes {
    const length = this.check(action, fill(this.io, IO_SIZE));
    const end = this.io + Math.min(length, IO_SIZE);
    const copy = this.memory.slice(this.io, end);
    this.memory.fill(0, this.io, end); // when it does not fit, there is the first part of it
    if (length <= IO_SIZE) return copy;
    const at = this.alloc(length);
    try {
      this.check(action, fill(at, length));
      return this.memory.slice(at, at + length);
    } finally {
      this.free(at);
    }
  }

  /** The SHA-256 of `bytes`. */
  sha256(bytes: Bytes): Bytes {
    return this.with([bytes], (at) => {
      this.check("hash", this.call.core_sha256(at!, bytes.length, this.io));
      return this.memory.slice(this.io, this.io + 32);
    });
  }

  /** The C string at `at`; `""` for a null pointer. */
  text(at: number): string {
    return at === 0 ? "" : decodeText(this.memory.subarray(at, this.memory.indexOf(0, at)));
  }

  /** A copy of the `count` int32 at `at`. */
  int32s(at: number, count: number): Int32Array {
    return new Int32Array(this.#memory.buffer as ArrayBuffer, at, count).slice();
  }

  /** `flags` of a certificate check in words, one clause each. */
  verifyText(flags: number): string {
    const length = this.check(
      "describe the verify flags",
      this.call.core_verify_text(this.io, IO_SIZE, flags),
    );
    const lines = decodeText(this.memory.subarray(this.io, this.io + length)).trim().split("\n");
    // Some of them end with a full stop. The "other reason" is the verify callback's, which in our core looks for CRLs.
    return lines.map((line) => line.replace(/\.$/, "").replace(/^Other reason .*/, NO_CRL)).join("; ");
  }

  /** A handle to trusted certificates, made once by `make` and shared by all that use the default roots. */
  defaultTrust(make: () => number): number {
    return this.#defaultTrust ||= make();
  }
}

const NO_CRL = "There is no CRL of the certificate's issuer";

/** `crypto.getRandomValues()` for any length: it takes at most 65536 bytes a call. */
function getRandomBytes(bytes: Bytes): void {
  for (let at = 0; at < bytes.length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
}
