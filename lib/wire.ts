/** Wire: the records' side of an engine, as mbedTLS's BIO callbacks see it. */

import { giveBytes, takeBytes } from "./byte_pool.ts";
import { ByteQueue } from "./byte_queue.ts";
import { type Bytes, concat, EMPTY } from "./bytes.ts";
import type { ConnectionIO } from "./core.ts";
import { Callbacks } from "./callbacks.ts";
import type { TLSConfigOptions } from "./policy.ts";
import { CODE } from "./errors.ts";
import type { Tracer } from "./trace.ts";
import { tell } from "./tell.ts";

/** NSS key log labels, by mbedtls_ssl_key_export_type. */
const KEY_LOG_LABELS = [
  "CLIENT_RANDOM",
  "CLIENT_EARLY_TRAFFIC_SECRET",
  "EARLY_EXPORTER_SECRET",
  "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
  "SERVER_HANDSHAKE_TRAFFIC_SECRET",
  "CLIENT_TRAFFIC_SECRET_0",
  "SERVER_TRAFFIC_SECRET_0",
];

/** Records that have come and records that are to go. Each byte is copied once, into or out of the core's memory. */
export class Wire implements ConnectionIO {
  /** Received bytes that are not used yet. */
  input: Bytes = EMPTY;
  /** Whether the network has ended. */
  eof = false;
  /** Whether the last call of the core wanted more than there was. */
  starved = false;
  /** Bytes to send. */
  outputLength = 0;
  /** Early data that waits to be read; `undefined`: none. */
  early: ByteQueue | undefined;
  #output: Bytes = EMPTY;
  /** The program's functions that the core calls. */
  readonly callbacks: Callbacks | undefined;
  readonly #keyLog: ((line: string) => void) | undefined;

  constructor(options: TLSConfigOptions = {}, readonly trace?: Tracer) {
    this.#keyLog = options.keyLog;
    this.callbacks = Callbacks.of(options);
  }

  /** Adds received bytes. They are kept by reference while nothing else waits. */
  receive(records: Bytes): void {
    this.input = this.input.length === 0 ? records : concat([this.input, records]);
  }

  /** Gives up the bytes to send. Who has sent them may call {@linkcode giveBytes}. */
  take(): Bytes {
    const records = this.#output.subarray(0, this.outputLength);
    this.#output = EMPTY;
    this.outputLength = 0;
    return records;
  }

  send(memory: Bytes, at: number, length: number): void {
    const needed = this.outputLength + length;
    if (needed > this.#output.length) this.#grow(needed);
    this.#output.set(memory.subarray(at, at + length), this.outputLength);
    this.outputLength = needed;
  }

  #grow(needed: number): void {
    const smaller = this.#output;
    this.#output = takeBytes(needed);
    this.#output.set(smaller.subarray(0, this.outputLength));
    giveBytes(smaller);
  }

  pull(memory: Bytes, at: number, length: number): number {
    const n = Math.min(length, this.input.length);
    if (n === 0) {
      if (this.eof) return 0;
      this.starved = true;
      return CODE.WANT_READ;
    }
    const isAll = n === this.input.length;
    memory.set(isAll ? this.input : this.input.subarray(0, n), at);
    this.input = isAll ? EMPTY : this.input.subarray(n); // an empty view would hold on to a large array
    return n;
  }

  earlyData(bytes: Bytes): void {
    this.early ??= new ByteQueue();
    this.early.space(bytes.length).set(bytes);
    this.early.commit(bytes.length);
  }

  /** Takes early data that waits into `buffer`. Returns how many bytes. */
  readEarly(buffer: Bytes): number {
    if (this.early === undefined) return 0;
    const n = Math.min(buffer.length, this.early.length);
    const taken = this.early.peek().subarray(0, n);
    buffer.set(taken);
    taken.fill(0);
    this.early.drop(n);
    if (this.early.length === 0) this.early = undefined;
    return n;
  }

  /** Drops early data that nobody read. */
  dropEarly(): void {
    this.early?.peek().fill(0);
    this.early = undefined;
  }

  keyLog(type: number, secret: Bytes, clientRandom: Bytes): void {
    const label = KEY_LOG_LABELS[type];
    if (label !== undefined) tell(this.#keyLog, `${label} ${clientRandom.toHex()} ${secret.toHex()}`);
    secret.fill(0);
  }
}
