/** Watches one connection from below and from inside: what passed, and when we waited for it. */

import { NetworkCounter, type Traffic } from "../cost/network_cost.ts";
import type { Duplex } from "../duplex.ts";
import type { SSLSocket } from "../socket.ts";
import type { TraceEvent } from "../trace.ts";
import { oneLine } from "./terminal.ts";
import type { TracedAlert, TracedConnection } from "./trace_result.ts";
import { timelineOf, type Wait } from "./trace_timeline.ts";

const EVENTS_MAX = 10_000; // a handshake has some 30; a peer that sends records without end must not fill the memory

const RECORD_HEADER = 5; // bytes

const NOTHING: Traffic = { bytes: 0, records: 0, certificateBytes: 0, ticketBytes: 0, dataBytes: 0 };

/** What is known of a connection beside what passes on it. */
export type ConnectionFacts = Pick<TracedConnection, "address" | "port" | "lookupMs" | "connectMs">;

/** What is negotiated. */
type Agreed = Pick<TracedConnection, "version" | "cipher" | "group" | "alpn" | "resumed">;

/** A recorder for one connection. */
export class TraceRecorder {
  /** All that the trace was told. */
  readonly events: TraceEvent[] = [];
  readonly #role: "client" | "server";
  readonly #waits: Wait[] = [];
  #network: NetworkCounter;
  #start = performance.now();
  #started = new Date();
  #transfers = 0; // reads and writes under way
  #waiting = 0; // since when, if there are any
  #stopped = false;
  #error: string | null = null;
  #failed: number | undefined;
  #agreed: Agreed = { version: null, cipher: null, group: null, alpn: null, resumed: false };

  constructor(role: "client" | "server") {
    this.#role = role;
    this.#network = new NetworkCounter({ role });
  }

  /** For the option of that name. */
  readonly trace = (event: TraceEvent): void => {
    if (this.#stopped || this.events.length >= EVENTS_MAX) return;
    const isForeign = event.layer === "record" && event.contentType === "unknown"; // its length is no length
    const seen = isForeign ? { ...event, length: RECORD_HEADER } : event;
    this.events.push(seen);
    this.#network.add(seen);
  };

  /** Puts the recorder between a connection and TLS; the handshake begins now. */
  tap(conn: Duplex): Duplex {
    this.#start = performance.now();
    this.#started = new Date();
    const watched = {
      read: (p: Uint8Array<ArrayBuffer>) => this.#wait(() => conn.read(p)),
      write: (p: Uint8Array<ArrayBuffer>) => this.#wait(() => conn.write(p)),
    };
    return new Proxy(conn, {
      get(target, name) {
        if (Object.hasOwn(watched, name)) return watched[name as keyof typeof watched];
        const value = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  /** While one of these is under way, we wait. */
  async #wait<T>(transfer: () => Promise<T>): Promise<T> {
    if (this.#stopped) return await transfer();
    if (this.#transfers++ === 0) this.#waiting = performance.now();
    try {
      return await transfer();
    } finally {
      if (--this.#transfers === 0) this.#waits.push([this.#waiting, performance.now()]);
    }
  }

  /** When the handshake began, on the clock of `performance.now()`. */
  get start(): number {
    return this.#start;
  }

  /** The handshake is done. */
  agreed(tls: SSLSocket): void {
    this.#agreed = {
      version: tls.version() ?? null,
      cipher: tls.cipher()?.name ?? null,
      group: tls.group() ?? null,
      alpn: tls.selectedAlpnProtocol() ?? null,
      resumed: tls.sessionReused,
    };
  }

  /** The connection failed, in its handshake or later. */
  fail(error: unknown): void {
    this.#error ??= oneLine(error);
    this.#failed ??= performance.now();
  }

  /** Ignores what follows, of a connection that goes on. */
  stop(): void {
    this.#stopped = true;
  }

  /** What there is to show, so far. */
  result({ address, port, lookupMs, connectMs }: ConnectionFacts): TracedConnection {
    const waits = [...this.#waits];
    if (this.#transfers > 0) waits.push([this.#waiting, performance.now()]);
    const { messages, flights, handshakeMs, waitMs, longest } = timelineOf({
      ...{ role: this.#role, events: this.events, waits, start: this.#start, failed: this.#failed },
    });
    const { complete, roundTrips, up, down } = this.events.length === 0
      ? { complete: false, roundTrips: 0, up: NOTHING, down: NOTHING }
      : this.#network.cost();
    const connection = {
      ...{ role: this.#role, address, port, started: this.#started.toISOString(), lookupMs, connectMs },
      ...{ complete: complete && this.#agreed.version !== null, error: this.#error, alert: null },
      ...this.#agreed,
      ...{ handshakeMs, waitMs, longest, roundTrips, up, down, flights, messages },
    };
    return { ...connection, alert: this.#error === null ? null : endingAlert(connection) };
  }
}

/** The alert that ended a connection: a fatal one, or a goodbye in the midst of a handshake; TLS 1.3 ends with any. */
function endingAlert({ messages }: TracedConnection): TracedAlert | null {
  const alert = messages.findLast(({ level, name }) => level === "fatal" || name === "close_notify") ??
    messages.findLast(({ level }, i) => level !== null && i === messages.length - 1);
  if (alert === undefined) return null;
  return { from: alert.way === "up" ? "client" : "server", name: alert.name, code: alert.code! };
}
