/**
 * DTLSServer: many DTLS clients at one port. A datagram goes to the connection of its sender's address; a sender without
 * one is sent a cookie, and gets a connection when the cookie has come back.
 *
 * @module
 */

import { type Bytes, encodeText } from "./bytes.ts";
import type { TLSConfig } from "./config.ts";
import { addressText, DATAGRAM_MAX, type DatagramHost, isLastError } from "./datagram.ts";
import { checkDatagramOptions } from "./dtls_engine.ts";
import { greet, readHelloStart } from "./dtls_greeting.ts";
import { checkSocketOptions, type DatagramSocketOptions, DTLSSocket } from "./dtls_socket.ts";
import { SSLError } from "./errors.ts";
import { datagramPolicy } from "./policy.ts";
import { tell } from "./tell.ts";

/** Options of a {@linkcode DTLSServer}. */
export interface DTLSServerOptions extends Omit<DatagramSocketOptions, "signal"> {
  /** Bytes of a datagram that we send, 256 to 16384. @default {1200} */
  mtu?: number;
  /** Clients at once; the hellos of others are dropped. @default {1024} */
  maxPeers?: number;
  /** Clients that shake hands or wait for {@linkcode DTLSServer.accept}; the hellos of others are dropped. @default {128} */
  backlog?: number;
  /** Told why a handshake failed, or could not begin. */
  onError?: (error: unknown, remoteAddr: Deno.Addr) => void;
}

const MAX_PEERS = 1024; // some 5 KB each, up to 70 KB while it shakes hands
const BACKLOG = 128; // connections
const IDLE_TIMEOUT = 300; // seconds; a client that is gone does not say so
const BEGUN_MAX = 4096; // hellos that are remembered, some 200 bytes each
const REPLIES_MAX = 256; // cookies on their way to the network; more are dropped

interface Peer {
  readonly socket: DTLSSocket;
  /** Of the hello that began it. */
  readonly random: string;
}

/** Counts of a {@linkcode DTLSServer}. */
export interface DTLSServerStats {
  /** Clients with a connection, those that shake hands among them. */
  readonly peers: number;
  /** Clients that wait for {@linkcode DTLSServer.accept}. */
  readonly waiting: number;
  /** Hellos that were dropped for want of room. */
  readonly dropped: number;
}

/** A DTLS server. Its clients are to be accepted, one after the other, or by `for await`. */
export class DTLSServer implements AsyncIterable<DTLSSocket>, AsyncDisposable {
  readonly #host: DatagramHost;
  readonly #config: TLSConfig;
  readonly #options: DTLSServerOptions;
  readonly #end: () => void;
  readonly #peers = new Map<string, Peer>();
  readonly #begun = new Map<string, number>(); // by address and random, in order: until when the cookie is good
  readonly #waiting: DTLSSocket[] = [];
  readonly #accepts: PromiseWithResolvers<DTLSSocket>[] = [];
  #handshakes = 0;
  #replies = 0;
  #dropped = 0;
  #failure: Error | undefined; // why it has ended
  readonly #listening: Promise<void>;
  #closing: Promise<void> | undefined;

  /** For `DTLSContext`: begins to listen; `end` is called once it has closed. */
  constructor(host: DatagramHost, config: TLSConfig, options: DTLSServerOptions, end: () => void) {
    this.#host = host;
    this.#config = config;
    this.#options = { idleTimeout: IDLE_TIMEOUT, ...options };
    this.#end = end;
    this.#listening = this.#listen();
  }

  /** Throws for options that are wrong, before anything is made of them. */
  static check(options: DTLSServerOptions): void {
    checkSocketOptions(options);
    checkDatagramOptions(false, undefined, options.mtu);
    for (const name of ["maxPeers", "backlog"] as const) {
      const value = options[name] ?? 1;
      if (!Number.isSafeInteger(value) || value < 1) {
        throw new RangeError(`Cannot use ${name}: expected a whole number above 0, got ${value}`);
      }
    }
  }

  /** Where it listens. */
  get addr(): Deno.Addr {
    return this.#host.addr;
  }

  /** What it has to do. */
  get stats(): DTLSServerStats {
    return { peers: this.#peers.size, waiting: this.#waiting.length, dropped: this.#dropped };
  }

  // ---- The network's side -----------------------------------------------------------------------------

  async #listen(): Promise<void> {
    const buffer = new Uint8Array(DATAGRAM_MAX);
    for (let errors = 0; this.#failure === undefined;) {
      try {
        const [datagram, from] = await this.#host.receive(buffer);
        errors = 0;
        if (this.#failure === undefined) this.#greetOrDeliver(datagram as Bytes, from);
      } catch (error) {
        if (isLastError(error, ++errors)) this.#stop(error as Error);
      }
    }
  }

  #greetOrDeliver(datagram: Bytes, from: Deno.Addr): void {
    try {
      this.#take(datagram, from);
    } catch (error) { // such as: the context was disposed of, or there is no memory
      this.#tell(error, from);
    }
  }

  #take(datagram: Bytes, from: Deno.Addr): void {
    const name = addressText(from);
    const peer = this.#peers.get(name);
    const random = readHelloStart(datagram)?.random;
    if (peer !== undefined && (random === undefined || random === peer.random)) {
      return DTLSSocket.deliver(peer.socket, datagram);
    }
    if (random === undefined) return; // what is left of a connection, or nothing of ours
    const hello = `${name} ${random}`;
    if (this.#begun.has(hello)) return; // late, or sent again by who saw it: a cookie lets in once
    const { maxPeers = MAX_PEERS, backlog = BACKLOG } = this.#options;
    const isFull = peer === undefined && this.#peers.size >= maxPeers;
    if (isFull || this.#handshakes + this.#waiting.length >= backlog || this.#replies >= REPLIES_MAX) {
      this.#dropped++;
      return;
    }
    const greeted = greet(this.#config, datagram, { clientId: encodeText(name), mtu: this.#options.mtu });
    const { reply, engine } = greeted;
    if (reply !== undefined) void this.#reply(reply, from);
    if (engine === undefined) return;
    this.#remember(hello);
    // The client is where it says: it may begin anew (RFC 6347 section 4.2.8).
    if (peer !== undefined) DTLSSocket.lose(peer.socket, new Error("the client has begun anew"));
    const socket = new DTLSSocket(
      {
        send: (one) => this.#host.send(one, from),
        close: () => {
          if (this.#peers.get(name)?.socket === socket) this.#peers.delete(name);
          const at = this.#waiting.indexOf(socket);
          if (at >= 0) this.#waiting.splice(at, 1);
        },
        localAddr: this.addr,
        remoteAddr: from,
      },
      engine,
      this.#options,
    );
    this.#peers.set(name, { socket, random });
    void this.#open(socket, from);
  }

  #remember(hello: string): void {
    const now = performance.now();
    for (const [old, ends] of this.#begun) {
      if (ends > now && this.#begun.size < BEGUN_MAX) break;
      this.#begun.delete(old);
    }
    const { cookieLifetime } = datagramPolicy(this.#config.options.datagrams!);
    this.#begun.set(hello, now + (cookieLifetime + 1) * 1000); // mbedTLS counts whole seconds
  }

  async #reply(datagram: Bytes, to: Deno.Addr): Promise<void> {
    this.#replies++;
    try {
      await this.#host.send(datagram, to);
    } catch {
      // it counts as lost: the client asks again
    } finally {
      this.#replies--;
    }
  }

  async #open(socket: DTLSSocket, from: Deno.Addr): Promise<void> {
    this.#handshakes++;
    try {
      await socket.handshake();
    } catch (error) {
      if (this.#failure === undefined) this.#tell(error, from);
      return;
    } finally {
      this.#handshakes--;
    }
    const accept = this.#accepts.shift();
    if (accept !== undefined) accept.resolve(socket);
    else this.#waiting.push(socket);
  }

  #tell(error: unknown, from: Deno.Addr): void {
    tell(this.#options.onError, error, from);
  }

  // ---- The application's side -------------------------------------------------------------------------

  /**
   * Waits for the next client whose handshake is done.
   *
   * @returns Its connection.
   * @throws {SSLError} `kind: "closed"`: the server is closed.
   */
  accept(): Promise<DTLSSocket> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const socket = this.#waiting.shift();
    if (socket !== undefined) return Promise.resolve(socket);
    const accept = Promise.withResolvers<DTLSSocket>();
    this.#accepts.push(accept);
    return accept.promise;
  }

  /** The clients, until the server is closed. */
  async *[Symbol.asyncIterator](): AsyncIterableIterator<DTLSSocket> {
    for (;;) {
      let socket: DTLSSocket;
      try {
        socket = await this.accept();
      } catch (error) {
        if (error instanceof SSLError && error.kind === "closed") return;
        throw error;
      }
      yield socket;
    }
  }

  #stop(reason: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = reason;
    for (const accept of this.#accepts.splice(0)) accept.reject(reason);
    this.#waiting.length = 0;
  }

  /** Closes all connections, then the port. Calling it again waits for the same. */
  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#stop(new SSLError("Cannot accept: the server is closed", { kind: "closed" }));
    await Promise.all([...this.#peers.values()].map(({ socket }) => socket.close()));
    try {
      this.#host.close();
    } catch (error) {
      if (!isLastError(error, 0)) throw error; // it was closed by others
    } finally {
      this.#end();
    }
    await this.#listening;
  }

  /** Closes the server. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
