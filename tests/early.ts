/** Two engines with early data between them: what a server reads before and after the handshake is over, apart. */

import { type Bytes, concat, EMPTY } from "../lib/bytes.ts";
import { readClientHello } from "../lib/client_hello.ts";
import type { TLSConfig } from "../lib/config.ts";
import type { Core } from "../lib/core.ts";
import { TLSEngine, type TLSEngineOptions } from "../lib/engine.ts";
import type { TLSConfigOptions } from "../lib/policy.ts";
import type { SSLSession } from "../lib/session.ts";
import { TicketKeyRing } from "../lib/tickets.ts";
import { type byteAtATime, configs, EnginePair, whole } from "./pair.ts";

/** Early data that most tests allow, in bytes. */
export const MAX = 1000;

/** A client's and a server's config; the server takes early data. */
export function earlyConfigs(
  core: Core,
  server: TLSConfigOptions = {},
  client: TLSConfigOptions = {},
): ReturnType<typeof configs> {
  return configs(core, {}, client, {
    maxEarlyData: MAX,
    tickets: new TicketKeyRing({ now: core.now }),
    ...server,
  });
}

/** A session of a full handshake. */
export function sessionFor(client: TLSConfig, server: TLSConfig, serverHostname = "localhost"): SSLSession {
  using pair = new EnginePair(client, server, { serverHostname });
  pair.connect();
  return pair.client.session()!;
}

/** A client and a server that can be told to stop half-way. */
export class EarlyPair implements Disposable {
  readonly client: TLSEngine;
  readonly server: TLSEngine;
  /** The client's first flight. */
  readonly first: Bytes;
  /** What the server's readEarlyData() gave. */
  early: Bytes = EMPTY;
  /** What it gave before the server's handshake was over. */
  inTime: Bytes = EMPTY;
  /** What each end's read() gave. */
  readonly read = { client: EMPTY as Bytes, server: EMPTY as Bytes };
  readonly #pieces: (bytes: Bytes) => Bytes[];

  constructor(
    client: TLSConfig,
    server: TLSConfig,
    options: TLSEngineOptions = {},
    deliver: typeof whole | typeof byteAtATime = whole,
  ) {
    this.#pieces = (bytes) => deliver({ from: "client", bytes }, 0);
    this.client = new TLSEngine(client, { serverHostname: "localhost", ...options });
    this.server = new TLSEngine(server);
    this.client.handshake();
    this.first = this.client.takeRecords();
  }

  /** Gives the server `records` and lets it read; returns what it sends. */
  serve(records: Bytes): Bytes {
    for (const piece of this.#pieces(records)) {
      this.server.receive(piece);
      const isOver = this.server.handshake().state === "done";
      const data = drain((buffer) => this.server.readEarlyData(buffer));
      this.early = concat([this.early, data]);
      if (!isOver) this.inTime = concat([this.inTime, data]);
      if (isOver) {
        this.read.server = concat([this.read.server, drain((buffer) => this.server.read(buffer))]);
      }
    }
    return this.server.takeRecords();
  }

  /** Gives the client `records` and lets it read; returns what it sends. */
  answer(records: Bytes): Bytes {
    this.client.receive(records);
    this.client.handshake();
    this.read.client = concat([this.read.client, drain((buffer) => this.client.read(buffer))]);
    return this.client.takeRecords();
  }

  /** Completes the handshake, and what was written with it. */
  connect(first = this.first): this {
    let toServer = first;
    for (let turn = 0; turn < 8; turn++) {
      const toClient = toServer.length === 0 ? this.server.takeRecords() : this.serve(toServer);
      toServer = toClient.length === 0 ? this.client.takeRecords() : this.answer(toClient);
    }
    return this;
  }

  [Symbol.dispose](): void {
    this.client[Symbol.dispose]();
    this.server[Symbol.dispose]();
  }
}

/** All that `read` has. */
function drain(read: (buffer: Bytes) => ReturnType<TLSEngine["read"]>): Bytes {
  const parts: Bytes[] = [];
  const buffer = new Uint8Array(700);
  for (;;) {
    const outcome = read(buffer);
    if (outcome.state !== "data") return concat([EMPTY, ...parts]);
    parts.push(buffer.slice(0, outcome.bytes));
  }
}

/** The numbers of a ClientHello's extensions. */
export function extensionsOf(flight: Uint8Array<ArrayBuffer>): readonly number[] {
  const outcome = readClientHello(flight);
  if (outcome.state !== "done") throw new Error("This is no ClientHello");
  return outcome.hello.extensions.map(({ id }) => id);
}

/** The extension that announces early data (RFC 8446 section 4.2.10). */
export const EARLY_DATA_EXTENSION = 42;
