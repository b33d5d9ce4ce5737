/**
 * RedisStore: a {@linkcode SharedStore} in Redis, Valkey, or what else speaks their protocol and has EVAL.
 *
 * @module
 */

import { type Bytes, copyOf, typeName } from "../bytes.ts";
import { inTime } from "../deadline.ts";
import { type SharedEntry, type SharedStore, VALUE_MAX } from "./store.ts";

/** Sets a value where it is still the one that was seen: its own bytes are its version, as no two sealings are alike. */
const REPLACE = `
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`;

const CONNECT_TIMEOUT = 2; // seconds
const RECONNECT_MAX = 1; // seconds between two tries to reach it again
const QUEUE_MAX = 1000; // commands that wait for an answer; more: it is stuck
const PING_EVERY = 10; // seconds; a connection that is dead without a word is found so
const SILENCE = 30; // seconds without an answer after which the connection is given up

/** What is used of the client. */
interface Client {
  readonly isReady: boolean;
  sendCommand(args: readonly (string | Uint8Array)[]): Promise<unknown>;
  on(event: "ready" | "error", listener: (error: unknown) => void): unknown;
  connect(): Promise<unknown>;
  destroy(): void;
}

/** Node's Buffer, the class that the client takes bytes as. */
interface BufferClass {
  from(bytes: ArrayBuffer, offset: number, length: number): Uint8Array;
}

/** Options of {@linkcode RedisStore.open}. */
export interface RedisStoreOptions {
  /** In front of every key. @default {"tlsio:"} */
  prefix?: string;
  /** For `rediss://`: whom to trust, PEM, in place of the authorities that Deno trusts. */
  caCerts?: string;
}

/**
 * A {@linkcode SharedStore} in Redis. It reconnects by itself, after growing waits; until it has, every call rejects.
 *
 * Its client is an npm package, which is loaded with the first store. Needs `--allow-net` for the host and port.
 */
export class RedisStore implements SharedStore {
  readonly #client: Client;
  readonly #prefix: string;
  readonly #buffer: BufferClass;
  readonly #password: string;
  readonly #connecting: Promise<void>;
  readonly #closing = new AbortController();
  #connected = Promise.withResolvers<void>();
  #error: unknown; // the last one, while it is not connected

  private constructor(client: Client, prefix: string, buffer: BufferClass, password: string) {
    this.#client = client;
    this.#prefix = prefix;
    this.#buffer = buffer;
    this.#password = password;
    client.on("ready", () => {
      this.#error = undefined;
      this.#connected.resolve();
    });
    client.on("error", (error) => {
      this.#error = error;
      this.#connected.resolve();
      this.#connected = Promise.withResolvers();
    });
    this.#connecting = client.connect().then(() => {}, () => {}); // each call says so itself
  }

  /**
   * Makes a store, and begins to connect. It need not be reachable yet.
   *
   * @param url `redis://`, or `rediss://` for TLS: `rediss://user:password@host:6379/0`.
   * @param options What is in front of every key, and whom to trust.
   * @returns The store.
   * @throws {TypeError} If the URL is none of Redis, or `caCerts` are not for it.
   */
  static async open(url: string, options: RedisStoreOptions = {}): Promise<RedisStore> {
    const { prefix = "tlsio:", caCerts } = options;
    if (typeof url !== "string" || !/^rediss?:\/\/./.test(url) || !URL.canParse(url)) {
      throw new TypeError("Cannot use url: expected one of redis:// or rediss://"); // it may have a password
    }
    if (typeof prefix !== "string") {
      throw new TypeError(`Cannot use prefix: expected some text, got ${typeName(prefix)}`);
    }
    if (caCerts !== undefined && (typeof caCerts !== "string" || !url.startsWith("rediss:"))) {
      throw new TypeError("Cannot use caCerts: expected PEM, and a URL of rediss://");
    }
    const { Buffer, createClient, RESP_TYPES } = await import("./_redis.ts");
    const password = decoded(new URL(url).password);
    const make = (url: string) =>
      createClient({
        url,
        disableOfflineQueue: true, // who asks has a deadline, and asks again
        commandsQueueMaxLength: QUEUE_MAX,
        pingInterval: PING_EVERY * 1000,
        maintNotifications: "disabled", // of a paid service alone; it would need --allow-env
        socket: {
          ...(caCerts !== undefined && { ca: caCerts }),
          connectTimeout: CONNECT_TIMEOUT * 1000,
          socketTimeout: SILENCE * 1000,
          reconnectStrategy: (tries: number) =>
            Math.min(50 * 2 ** tries, RECONNECT_MAX * 1000) * (0.5 + Math.random() / 2),
        },
      }).withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    try {
      return new RedisStore(make(url) as unknown as Client, prefix, Buffer, password);
    } catch {
      throw new TypeError("Cannot use url: its path is not the number of a database");
    }
  }

  /** Reads a value. */
  async get(key: string): Promise<SharedEntry | undefined> {
    // No more than a value can be, whatever somebody has put there.
    const value = await this.#send("GETRANGE", this.#prefix + key, "0", String(VALUE_MAX));
    if (!(value instanceof Uint8Array)) throw new TypeError("Cannot read from Redis: its answer is no bytes");
    if (value.length > VALUE_MAX) {
      throw new RangeError(`Cannot read "${key}" from Redis: it has more than ${VALUE_MAX} bytes`);
    }
    if (value.length === 0) return undefined;
    const bytes = copyOf(value);
    return { value: bytes, version: bytes };
  }

  /** Writes a value, unless somebody else has since it was read. */
  async replace(
    key: string,
    seen: SharedEntry | undefined,
    value: Bytes,
    lifetime: number,
  ): Promise<boolean> {
    const buffer = (bytes: Bytes) => this.#buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const version = seen === undefined ? "" : buffer(seen.version as Bytes);
    const ms = String(Math.ceil(lifetime * 1000));
    const written = await this.#send("EVAL", REPLACE, "1", this.#prefix + key, version, buffer(value), ms);
    return Number(written) === 1;
  }

  /** Forgets a value. */
  async delete(key: string): Promise<void> {
    await this.#send("DEL", this.#prefix + key);
  }

  async #send(...args: (string | Uint8Array)[]): Promise<unknown> {
    this.#closing.signal.throwIfAborted();
    if (!this.#client.isReady) await this.#ready();
    try {
      return await this.#client.sendCommand(args);
    } catch (error) {
      throw new Error(`Cannot use Redis: ${this.#told(error)}`);
    }
  }

  /** Waits for the connection, no longer than it takes to make one. */
  async #ready(): Promise<void> {
    const late = () => new Error("Cannot reach Redis: no connection in time");
    if (this.#error === undefined) {
      await inTime(this.#connected.promise, CONNECT_TIMEOUT, late, this.#closing.signal);
    }
    if (!this.#client.isReady) throw new Error(`Cannot reach Redis: ${this.#told(this.#error)}`);
  }

  /** What an error says, without the password: an old server repeats the command that it does not know. */
  #told(error: unknown): string {
    const text = error instanceof AggregateError ? String(error.errors[0]) : String(error);
    return this.#password === "" ? text : text.replaceAll(this.#password, "***");
  }

  /** Closes the connection; calls that wait for it reject. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort(new TypeError("Cannot use Redis: the store is closed"));
    this.#client.destroy();
    await this.#connecting; // no longer than CONNECT_TIMEOUT
  }
}

/** A part of a URL. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TypeError("Cannot use url: its password is not percent-encoded");
  }
}
