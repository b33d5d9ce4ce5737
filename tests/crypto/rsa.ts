/**
 * The harness's RSA and modular exponentiation.
 *
 * @module
 */

import type { Bytes } from "../../lib/bytes.ts";
import { apply, type Frame, type Harness } from "./harness.ts";
import type { Answer, Bits } from "./symmetric.ts";

/** A key's numbers, big-endian. Those left out are computed. */
export interface RsaNumbers {
  n?: Uint8Array;
  p?: Uint8Array;
  q?: Uint8Array;
  d?: Uint8Array;
  e?: Uint8Array;
}

const EXPORTS = ["n", "e", "d", "p", "q", "dp", "dq", "qp"] as const;

/** A signature scheme. */
export interface Scheme {
  /** Whether it is PSS rather than PKCS #1 v1.5. */
  pss: boolean;
  /** The hash's bits; 160 is SHA-1. */
  bits: Bits | 160;
  /** PSS: those of the mask's hash. @default {bits} */
  mgfBits?: Bits | 160;
  /** PSS: bytes of salt. @default {bits / 8} */
  salt?: number;
}

/** A key in the core. Dispose of it. */
export class RsaKey {
  readonly #harness: Harness;
  readonly #key: number;
  #size = 0;

  private constructor(harness: Harness) {
    this.#harness = harness;
    this.#key = harness.call.rsa_new();
  }

  /**
   * Reads a private key (PKCS #1 or #8) or a SubjectPublicKeyInfo, in DER.
   *
   * @returns The key, or mbedTLS's code.
   */
  static parse(harness: Harness, kind: "private" | "public", der: Uint8Array): RsaKey | number {
    return new RsaKey(harness).#fill((frame) => [Number(kind === "private"), frame.input(der), der.length]);
  }

  /** Makes a key of its numbers. */
  static import(harness: Harness, numbers: RsaNumbers): RsaKey | number {
    const parts = (["n", "p", "q", "d", "e"] as const).map((name) => numbers[name] ?? new Uint8Array(0));
    return new RsaKey(harness).#fill((frame) => parts.flatMap((part) => [frame.input(part), part.length]));
  }

  /** Takes the arguments that `place` makes by the export that has as many. */
  #fill(place: (frame: Frame) => number[]): RsaKey | number {
    const { call } = this.#harness;
    const code = this.#harness.frame({}, (frame) => {
      const args = place(frame);
      return apply(args.length === 3 ? call.rsa_parse : call.rsa_import, [this.#key, ...args]);
    });
    if (code !== 0) {
      this[Symbol.dispose]();
      return code;
    }
    this.#size = call.rsa_size(this.#key);
    return this;
  }

  /** Bytes of the modulus. */
  get size(): number {
    return this.#size;
  }

  /** One of the key's numbers. */
  number(name: (typeof EXPORTS)[number]): Answer {
    return this.#harness.frame({}, (frame) => {
      const out = frame.output(this.#size);
      const code = this.#harness.call.rsa_export(this.#key, EXPORTS.indexOf(name), out, this.#size);
      return { code, output: frame.read(out, code) };
    });
  }

  /** The bare operation, on as many bytes as the modulus has. */
  raw(kind: "private" | "public", input: Uint8Array): Answer {
    return this.#run(input, (at, out) => this.#harness.call[`rsa_${kind}`](this.#key, at, out));
  }

  /**
   * The bare private operation in steps, given up after `most`.
   *
   * @returns As the code how many there were, 0 if it was given up; mbedTLS's for what is not there, if it takes none.
   */
  inSteps(input: Uint8Array, most = Infinity): Answer {
    const steps = Math.min(most, 1e6);
    return this.#harness.frame({}, (frame) => {
      const out = frame.output(this.#size);
      const code = this.#harness.call.rsa_private_steps(this.#key, frame.input(input), out, steps);
      return { code, output: frame.read(out, code > 0 ? this.#size : 0) };
    });
  }

  /** Signs a digest. */
  sign({ pss, bits, salt = bits / 8 }: Scheme, digest: Uint8Array): Answer {
    const { call } = this.#harness;
    return this.#run(
      digest,
      (at, out) => call.rsa_sign(this.#key, Number(pss), bits, at, digest.length, salt, out),
    );
  }

  /** Verifies a signature: 0 if it is right. */
  verify(
    { pss, bits, mgfBits = bits, salt = bits / 8 }: Scheme,
    digest: Uint8Array,
    signature: Uint8Array,
  ): number {
    return this.#harness.frame({}, (frame) =>
      this.#harness.call.rsa_verify(
        this.#key,
        Number(pss),
        bits,
        mgfBits,
        frame.input(digest),
        digest.length,
        salt,
        frame.input(signature),
        signature.length,
      ));
  }

  /** Encrypts with PKCS #1 v1.5 padding from `harness.random`. */
  encrypt(input: Uint8Array): Answer {
    return this.#run(input, (at, out) => this.#harness.call.rsa_encrypt(this.#key, at, input.length, out));
  }

  /** Decrypts with PKCS #1 v1.5 padding. */
  decrypt(input: Uint8Array): Answer {
    return this.#harness.frame({}, (frame) => {
      const out = frame.output(this.#size);
      const at = frame.input(input);
      const code = this.#harness.call.rsa_decrypt(this.#key, at, input.length, out, this.#size);
      return { code, output: frame.read(out, code) };
    });
  }

  #run(input: Uint8Array, call: (at: number, out: number) => number): Answer {
    return this.#harness.frame({}, (frame) => {
      const out = frame.output(this.#size);
      const code = call(frame.input(input), out);
      return { code, output: frame.read(out, code === 0 ? this.#size : 0) };
    });
  }

  [Symbol.dispose](): void {
    this.#harness.call.rsa_free(this.#key);
  }
}

/** base^exponent mod modulus, twice: the second time with the helper value that the first leaves. */
export function modExp(
  harness: Harness,
  { base, negative = false, exponent, modulus }: {
    base: Uint8Array;
    negative?: boolean;
    exponent: Uint8Array;
    modulus: Uint8Array;
  },
): { codes: number[]; outputs: Bytes[] } {
  return harness.frame({}, (frame) => {
    const { call } = harness;
    const [b, e, m] = [base, exponent, modulus].map((part): [number, number] => [
      frame.input(part),
      part.length,
    ]);
    const out = frame.output(modulus.length);
    const codes = [apply(call.mod_exp_load, [...b!, Number(negative), ...e!, ...m!])];
    const outputs: Bytes[] = [];
    for (let run = 0; run < 2 && codes[0] === 0; run++) {
      const code = call.mod_exp_run();
      codes.push(code);
      if (code !== 0) break;
      codes.push(call.mod_exp_result(out, modulus.length));
      outputs.push(frame.read(out, modulus.length));
    }
    call.mod_exp_load(b![0], 0, 0, b![0], 0, b![0], 0); // frees them all
    return { codes, outputs };
  });
}

/** 0 if `n` is prime, as far as so many rounds of Miller-Rabin tell. */
export function isPrime(harness: Harness, n: Uint8Array, rounds: number): number {
  return harness.frame({}, (frame) => harness.call.is_prime(frame.input(n), n.length, rounds));
}
