/** Callbacks: the program's functions that the core calls during a handshake. Nothing that they throw unwinds through C. */

import { assertBytes, type Bytes, typeName } from "./bytes.ts";
import type { CoreCallbacks } from "./core.ts";
import { SSLCertVerificationError, SSLError } from "./errors.ts";
import { PSK_MAX, signersOf, type TLSConfigOptions } from "./policy.ts";
import { schemeName } from "./suites.ts";

/** What one of them came to, when it ended the handshake. */
interface CallbackFailure {
  readonly name: "verifyCallback" | "pskCallback" | "sign";
  /** What it said, for people. */
  readonly state: string;
  /** mbedTLS's code that it returned; 0: none. */
  readonly code: number;
  /** What it threw. */
  readonly cause?: unknown;
}

const BADCERT_OTHER = 0x100; // MBEDTLS_X509_BADCERT_OTHER: "can be used by verify callback"
const FATAL_ERROR = -0x3000; // MBEDTLS_ERR_X509_FATAL_ERROR

/** The callbacks of one connection. */
export class Callbacks implements CoreCallbacks {
  readonly #options: TLSConfigOptions;
  #failure: CallbackFailure | undefined;

  constructor(options: TLSConfigOptions) {
    this.#options = options;
  }

  /** Those of a connection with `options`; `undefined` where there are none. */
  static of(options: TLSConfigOptions): Callbacks | undefined {
    const { verifyCallback, pskCallback } = options;
    return verifyCallback || pskCallback || signersOf(options).some((sign) => sign)
      ? new Callbacks(options)
      : undefined;
  }

  verify(certificate: Bytes, depth: number): number {
    try {
      const code = atOnce(this.#options.verifyCallback!(certificate, depth));
      if (code === 0) return 0;
      if (typeof code !== "number") throw new TypeError(`expected a number, got ${typeName(code)}`);
      this.#fail(
        "verifyCallback",
        `it returned ${code} for the certificate at depth ${depth}`,
        undefined,
        code,
      );
    } catch (cause) {
      this.#fail(
        "verifyCallback",
        `it failed for the certificate at depth ${depth}: ${textOf(cause)}`,
        cause,
      );
    }
    return FATAL_ERROR;
  }

  psk(identity: Bytes): Bytes | undefined {
    try {
      const key = atOnce(this.#options.pskCallback!(identity));
      if (key === undefined) return undefined;
      assertBytes("its key", key);
      if (key.length >= 1 && key.length <= PSK_MAX) return key;
      throw new RangeError(`a key has 1 to ${PSK_MAX} bytes, got ${key.length}`);
    } catch (cause) {
      this.#fail("pskCallback", `it failed: ${textOf(cause)}`, cause);
      return undefined;
    }
  }

  sign(signer: number, scheme: number, hash: Bytes, max: number): Bytes | undefined {
    if (this.#failure !== undefined) return undefined; // mbedTLS tries one scheme after the other
    try {
      const signature = atOnce(signersOf(this.#options)[signer]!(hash, schemeName(scheme)));
      assertBytes("its signature", signature);
      if (signature.length >= 1 && signature.length <= max) return signature;
      throw new RangeError(`a signature has 1 to ${max} bytes, got ${signature.length}`);
    } catch (cause) {
      this.#fail("sign", `it failed: ${textOf(cause)}`, cause);
      return undefined;
    }
  }

  #fail(name: CallbackFailure["name"], state: string, cause: unknown, code = 0): void {
    this.#failure ??= { name, state, cause, code };
  }

  /** The error of the handshake `action`, which ended with mbedTLS's `code`, if a callback is the reason. */
  error(action: string, code: number): SSLError | undefined {
    if (this.#failure === undefined) return undefined;
    const { name, state, cause, code: own } = this.#failure;
    const text = `Cannot ${action}: ${name} ended it: ${state}`;
    if (name === "verifyCallback") {
      return new SSLCertVerificationError(text, {
        kind: "verify",
        code: own < 0 ? own : FATAL_ERROR,
        cause,
        verifyFlags: BADCERT_OTHER,
        verifyMessage: state,
      });
    }
    return new SSLError(text, { kind: "config", code, cause });
  }
}

/** What a callback gave. A promise is a wrong answer; that it rejects besides must not end the process. */
function atOnce(given: unknown): unknown {
  if (given instanceof Promise) given.catch(() => {});
  return given;
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
