/**
 * Early data (0-RTT, RFC 8446 sections 2.3 and 4.2.10), the client's side: what goes out behind the ClientHello, under a key
 * of an earlier connection.
 *
 * @module
 */

import { assertBytes, type Bytes, copyOf } from "./bytes.ts";
import type { TLSConfig } from "./config.ts";
import type { Connection } from "./connection.ts";
import { IO_SIZE } from "./core.ts";
import { CODE } from "./errors.ts";

/** Where a connection is with early data: EARLY_* of wasm/glue/tlsio.h; a test compares them. */
export const EARLY = { UNKNOWN: 0, NONE: 1, RUNS: 2, TAKEN: 3 } as const;

/** Throws unless `data` can be a client's early data under `config`. */
export function checkEarlyData(config: TLSConfig, data: unknown): asserts data is Bytes {
  assertBytes("earlyData", data);
  if (config.serverSide) {
    throw new TypeError("Cannot use earlyData: it is for clients; a server has maxEarlyData");
  }
  for (const hook of ["verifyConnection", "onUnknownPeer"] as const) {
    if (config.options[hook] === undefined) continue;
    throw new TypeError(`Cannot use earlyData: it would be gone before ${hook} is asked`);
  }
  if (!config.speaks("TLSv1.3")) throw new TypeError("Cannot use earlyData: it needs TLS 1.3");
  if ((config.options.alpnProtocols?.length ?? 0) > 1) {
    throw new TypeError(
      "Cannot use earlyData: alpnProtocols must name the one protocol that it is written in",
    );
  }
}

/** A client's early data on its way: each byte is sent once, with the first flight or behind the handshake. */
export class EarlyData {
  readonly #data: Bytes;
  #sent = 0; // with the first flight
  #begun = false;

  /** Copies `data`. */
  constructor(config: TLSConfig, data: Uint8Array) {
    checkEarlyData(config, data);
    this.#data = copyOf(data);
  }

  /** Sends as much as the session allows behind the ClientHello, if the session `fits`. Returns 0, or a negative code. */
  begin(connection: Connection, fits: boolean): number {
    if (this.#begun || !fits) return 0;
    this.#begun = true;
    while (this.#sent < this.#data.length) {
      const n = connection.writeEarly(this.#data.subarray(this.#sent, this.#sent + IO_SIZE));
      if (n < 0) return n === CODE.CANNOT_WRITE_EARLY_DATA ? 0 : n;
      this.#sent += n;
    }
    return 0;
  }

  /** What is still to be sent after the handshake. */
  rest(accepted: boolean): Bytes {
    return accepted ? this.#data.subarray(this.#sent) : this.#data;
  }

  /** Forgets the data. */
  wipe(): void {
    this.#data.fill(0);
  }
}
