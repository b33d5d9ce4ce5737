/**
 * RedisStore: a {@linkcode SharedStore} in Redis, Valkey, or what else speaks their protocol and has EVAL.
 *
 * @module
 */

import { type Bytes, copyOf } from "../bytes.ts";
import { inTime } from "../deadline.ts";
import type { SharedEntry, SharedStore } from "./store.ts";

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
  once(event: "ready", listener: () => void): unknown;
  off(event: "ready", listener: () => void): unknown;
  destroy(): void;
}

/** Node's Buffer, the class that the client takes bytes as. */
interface BufferClass {
  from(bytes: ArrayBuffer, offset: number, length: number): Uint8Array;
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
  #lastError: unknown; // of the client: why it is not connected

  private constructor(client: Client, prefix: string, buffer: BufferClass) {
    this.#client = client;
    this.#prefix = prefix;
    this.#buffer = buffer;
  }

  /**
   * Makes a store, and begins to connect. It need not be reachable yet.
   *
   * @param url `redis://`, or `rediss://` for TLS: `rediss://user:password@host:6379/0`.
   * @param options `prefix`: in front of every key. @default {"tlsio:"}
   * @returns The store.
   * @throws {TypeError} If the URL is none of Redis.
   */
  static async open(
    url: string,
    { prefix = "tlsio:" }: { prefix?: string } = {},
  ): Promise<RedisStore> {
    if (typeof url !== "string" || !/^rediss?:\/\/./.test(url) || !URL.canParse(url)) {
      throw new TypeError("Cannot use url: expected one of redis:// or rediss://"); // it may have a password
    }
    const { Buffer, createClient, RESP_TYPES } = await import("./_redis.ts");
    const client = createClient({
      url,
      disableOfflineQueue: true, // who asks has a deadline, and asks again
      commandsQueueMaxLength: QUEUE_MAX,
      pingInterval: PING_EVERY * 1000,
      maintNotifications: "disabled", // of a paid service alone; it would need --allow-env
      socket: {
        connectTimeout: CONNECT_TIMEOUT * 1000,
        socketTimeout: SILENCE * 1000,
        reconnectStrategy: (tries: number) =>
          Math.min(50 * 2 ** tries, RECONNECT_MAX * 1000) * (0.5 + Math.random() / 2),
      },
    }).withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    const store = new RedisStore(client as unknown as Client, prefix, Buffer);
    client.on("error", (error: unknown) => store.#lastError = error); // each call says so itself
    client.connect().catch((error: unknown) => store.#lastError = error); // likewise
    return store;
  }

  /** Reads a value. */
  async get(key: string): Promise<SharedEntry | undefined> {
    const value = await this.#send("GET", this.#prefix + key);
    if (!(value instanceof Uint8Array)) return undefined;
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
    if (!this.#client.isReady) await this.#ready();
    return await this.#client.sendCommand(args);
  }

  /** Waits for the connection, no longer than it takes to make one. */
  async #ready(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#client.once("ready", resolve);
    const late = () => new Error("Cannot reach Redis: not connected", { cause: this.#lastError });
    try {
      await inTime(promise, CONNECT_TIMEOUT, late);
    } finally {
      this.#client.off("ready", resolve);
    }
  }

  /** Closes the connection. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#client.destroy();
    return Promise.resolve();
  }
}
