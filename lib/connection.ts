/**
 * Connection: one mbedTLS connection in a core. It owns the handle, and turns the core's numbers into values; the engine
 * above decides when to call what.
 */

import { type Bytes, encodeText } from "./bytes.ts";
import type { TLSConfig } from "./config.ts";
import type { ConnectionCost, HeapCost } from "./cost/cost.ts";
import { Meter } from "./cost/meter.ts";
import { type Counts, readCounts, readHeap, readWork } from "./counts.ts";
import { type Core, IO_SIZE } from "./core.ts";
import { DatagramWire } from "./datagram_wire.ts";
import {
  alertOf,
  CODE,
  errorFromCode,
  isAboutCertificate,
  noMemory,
  type SSLError,
  verifyError,
} from "./errors.ts";
import { FACT_ORDER, type Facts, readFacts } from "./facts.ts";
import { type SessionFacts, SSLSession } from "./session.ts";
import { sigalgName, type Suite, suiteOf } from "./suites.ts";
import type { Tracer } from "./trace.ts";
import { Wire } from "./wire.ts";

/** Frees the connections of engines that nobody disposed of. */
const LOST = new FinalizationRegistry<() => void>((free) => free());

/** One connection. Its methods return the core's codes; the handle must not be used after `free()`. */
export class Connection {
  /** The core it lives in. */
  readonly core: Core;
  /** Its records. */
  readonly wire: Wire;
  #handle: number;
  readonly #release: () => void;
  readonly #meter: Meter | undefined;

  /** Makes a connection of `config`; `trace` is told of its records and messages. */
  constructor(config: TLSConfig, trace?: Tracer) {
    const { options } = config;
    this.#meter = options.measure ? new Meter(config.serverSide ? "server" : "client") : undefined;
    if (this.#meter !== undefined) trace = this.#meter.tracer(trace);
    this.wire = options.datagrams === undefined ? new Wire(options, trace) : new DatagramWire(options, trace);
    const { core, handle: configHandle } = config.acquire();
    this.core = core;
    let handle = 0;
    try {
      handle = core.call.connection_new(configHandle); // throws in a callback of the core
    } finally {
      if (handle === 0) config.release();
    }
    if (handle === 0) throw errorFromCode("create a TLS connection", CODE.ALLOC_FAILED);
    this.#handle = handle;
    core.connect(handle, this.wire);
    if (trace !== undefined) core.call.connection_trace(handle);
    this.#release = () =>
      core.whenIdle(() => {
        core.disconnect(handle);
        config.release();
      });
    LOST.register(this, this.#release, this);
  }

  /**
   * The error of a call that has just failed.
   *
   * @param action What was tried.
   * @param code What the call gave, below 0.
   * @param handshake Whether it was a step of the handshake.
   * @param hostname The host that the certificate must be for.
   * @returns The error.
   */
  error(action: string, code: number, handshake: boolean, hostname: string | undefined): SSLError {
    const { verifyFlags, alert } = this.facts();
    if (isAboutCertificate(code, verifyFlags)) {
      return verifyError(action, code, verifyFlags, this.verifyText(verifyFlags), hostname);
    }
    if (code === CODE.ALLOC_FAILED && handshake) return noMemory(action, this.#stepResult);
    return errorFromCode(action, code, code === CODE.FATAL_ALERT ? alertOf(alert) : undefined);
  }

  /** The bits of `Facts.verifyFlags` in words; `""`: none are set, or the core is gone. */
  verifyText(flags: number): string {
    return this.core.retired ? "" : this.core.verifyText(flags);
  }

  /** What mbedTLS itself said of a handshake that has just run out of memory, where the core is a device's; else 0. */
  get #stepResult(): number {
    return this.core.retired ? 0 : this.core.device?.device_step_result() ?? 0;
  }

  /** Whether the handle is gone. */
  get freed(): boolean {
    return this.#handle === 0;
  }

  /** Frees the connection. */
  free(): void {
    const handle = this.#handle;
    if (handle === 0) return;
    this.#handle = 0;
    LOST.unregister(this);
    this.core.whenIdle(() => {
      this.#measure(handle);
      this.#release();
    });
  }

  /** DTLS: datagrams have up to `mtu` bytes; a server's cookie is for the client `clientId`. Before the handshake. */
  useDatagrams(mtu: number, clientId: Bytes | undefined): void {
    const set = (at?: number) =>
      this.core.call.connection_use_datagrams(this.#handle, mtu, at!, clientId?.length ?? 0);
    this.core.check("use datagrams", this.core.with([clientId ?? null], set));
  }

  /** DTLS: milliseconds until the handshake is to be gone on with; -1: not before a datagram has come. */
  timer(): number {
    return this.core.call.connection_timer(this.#handle);
  }

  /** Names the host for SNI, and whether its certificate must be for it. */
  setHost(host: string | undefined, check: boolean): void {
    const name = host === undefined ? null : encodeText(host);
    const set = (at?: number) => this.core.call.connection_set_host(this.#handle, at!, check ? 1 : 0);
    this.core.check("set serverHostname", this.core.with([name], set));
  }

  /** Offers a session. Returns 0, or a code when this core cannot use it. */
  offer(session: SSLSession): number {
    const state = SSLSession.state(session);
    const offer = (at?: number) => this.core.call.connection_offer_session(this.#handle, at!, state.length);
    return this.core.with([state], offer);
  }

  /** What it has of a device's heap, and what was counted for it; `undefined`: the core is no device's. */
  device(): { heap: HeapCost; counts: Counts } | undefined {
    if (this.#handle === 0 || this.core.device === undefined) return undefined;
    const heap = readHeap(this.core, this.#handle);
    const counts = readCounts(this.core, this.#handle);
    return heap && counts && { heap, counts };
  }

  /**
   * What it has cost so far; once it is freed, what it had cost. A callback of the core learns what was known before the call.
   *
   * @throws {TypeError} If the config has no `measure`.
   */
  cost(): ConnectionCost {
    this.core.whenIdle(() => this.#measure());
    if (this.#meter !== undefined) return this.#meter.cost();
    throw new TypeError("Cannot tell what the connection costs: measure was not asked for");
  }

  /** The handshake is over: what follows is none of its cost. */
  endHandshake({ resumed }: Facts): void {
    this.#measure();
    this.#meter?.endHandshake(resumed);
  }

  /** Reads what the core has counted, while it can be read. */
  #measure(handle = this.#handle): void {
    if (this.#meter === undefined || handle === 0 || this.core.retired) return;
    this.#meter.update(readWork(this.core, handle));
  }

  /**
   * Goes on with the handshake, `inSteps` up to the end of a step of a signature. 0: it is over; `PAUSED`: the peer has proved
   * who it is; `WORKING`: the next step is to be done; `ASKS`: a session is to be given.
   */
  handshake(inSteps: boolean): number {
    this.#start();
    return this.core.call.connection_handshake(this.#handle, inSteps ? 1 : 0);
  }

  /** Decrypts up to a record into `buffer`. Returns how many bytes; 0 at the end of the stream. */
  read(buffer: Bytes): number {
    this.#start();
    const { io, call } = this.core;
    const n = call.connection_read(this.#handle, io, Math.min(IO_SIZE, buffer.length));
    if (n > 0) {
      const { memory } = this.core;
      buffer.set(memory.subarray(io, io + n));
      memory.fill(0, io, io + n);
    }
    return n;
  }

  /** Encrypts `plaintext`, which fits one record. Returns how many bytes it took. */
  write(plaintext: Bytes): number {
    this.#start();
    const { io, call, memory } = this.core;
    memory.set(plaintext, io);
    const n = call.connection_write(this.#handle, io, plaintext.length);
    this.core.memory.fill(0, io, io + plaintext.length);
    return n;
  }

  /** Client: sends early data behind the ClientHello. Returns how many bytes it took. */
  writeEarly(plaintext: Bytes): number {
    this.#start();
    return this.core.with(
      [plaintext],
      (at) => this.core.call.connection_write_early(this.#handle, at!, plaintext.length),
    );
  }

  /** Sends close_notify. */
  closeNotify(): number {
    this.#start();
    return this.core.call.connection_close_notify(this.#handle);
  }

  /** Moves our sending key on (RFC 8446 section 4.6.3). */
  updateKey(request: boolean): number {
    this.#start();
    return this.core.call.connection_update_key(this.#handle, request ? 1 : 0);
  }

  /** Sends a fatal alert. */
  alert(description: number): number {
    return this.core.call.connection_alert(this.#handle, description);
  }

  #start(): void {
    this.wire.starved = false;
  }

  /** What the core knows now. */
  facts(): Facts {
    return readFacts(this.core.int32s(this.core.call.connection_facts(this.#handle), FACT_ORDER.length));
  }

  /** Server: the host that the client asked for. */
  sni(): string | undefined {
    return this.core.text(this.core.call.connection_sni(this.#handle)) || undefined;
  }

  /** The ALPN protocol that was agreed. */
  alpn(): string | undefined {
    return this.core.text(this.core.call.connection_alpn(this.#handle)) || undefined;
  }

  /** The certificates that the peer sent, or the chain that verified: DER, leaf first. */
  certificates(which: "peer" | "chain"): Bytes[] {
    const { connection_peer, connection_chain } = this.core.call;
    const get = which === "peer" ? connection_peer : connection_chain;
    const found: Bytes[] = [];
    for (;;) {
      const fill = (at: number, size: number) => get(this.#handle, found.length, at, size);
      const der = this.core.collect("read a certificate", fill);
      if (der.length === 0) return found;
      found.push(der);
    }
  }

  /** The certificate that we sent, DER; `undefined`: none. */
  own(): Bytes | undefined {
    const fill = (at: number, size: number) => this.core.call.connection_own(this.#handle, at, size);
    const der = this.core.collect("read our certificate", fill);
    return der.length === 0 ? undefined : der;
  }

  /** Server: the suites that both ends have, in the client's order. */
  sharedSuites(): Suite[] {
    return this.#shared("suites").map((id) => suiteOf(this.core, id)!);
  }

  /** Server: the signature schemes that both ends have, likewise. */
  sharedSigalgs(): string[] {
    return this.#shared("schemes").map((id) => sigalgName(id)!);
  }

  #shared(what: "suites" | "schemes"): number[] {
    const { io, call } = this.core;
    const count = this.core.check(
      `list the shared ${what}`,
      call.connection_shared(this.#handle, what === "schemes" ? 1 : 0, io, IO_SIZE / 2),
    );
    const bytes = this.core.memory.slice(io, io + 2 * count);
    return [...new Uint16Array(bytes.buffer)];
  }

  /** The first Finished message of a TLS 1.2 handshake; empty in TLS 1.3. */
  finished(): Bytes {
    const fill = (at: number, size: number) => this.core.call.connection_finished(this.#handle, at, size);
    return this.core.collect("get the channel binding", fill);
  }

  /** Server, before the handshake: agrees on an ALPN protocol. */
  chooseAlpn(protocol: string): void {
    const set = (at?: number) => this.core.call.connection_choose_alpn(this.#handle, at!);
    this.core.check("choose the ALPN protocol", this.core.with([encodeText(protocol)], set));
  }

  /** What can be resumed, with what the engine knows of it; `undefined`: there is nothing. */
  session(
    known: Omit<SessionFacts, "created" | "id" | "lifetime" | "ticket" | "alpn">,
  ): SSLSession | undefined {
    const { call } = this.core;
    const collect = (get: (handle: number, at: number, size: number) => number) =>
      this.core.collect("save the session", (at, size) => get(this.#handle, at, size));
    const state = collect(call.connection_session); // mbedTLS's own form
    if (state.length === 0) return undefined;
    const facts = collect(call.connection_session_facts);
    return new SSLSession({
      ...known,
      created: this.core.now(),
      id: known.version === "TLSv1.2" ? facts.subarray(5).toHex() : "",
      lifetime: new DataView(facts.buffer).getUint32(0),
      ticket: facts[4] === 1,
      alpn: this.alpn() ?? "",
    }, state);
  }

  /** Server, TLS 1.2: the id of the session at hand; empty: there is none. */
  sessionId(whole = 0): Bytes {
    const { connection_server_session: get } = this.core.call;
    return this.core.collect("save the session", (at, size) => get(this.#handle, whole, at, size));
  }

  /** Likewise, with the session itself behind it, if it is new. */
  newSession(): Bytes {
    return this.sessionId(1);
  }

  /** Server: gives the session that `ASKS` is about. Returns 0, or a code when it is none to resume. */
  giveSession(state: Bytes): number {
    const give = (at?: number) => this.core.call.connection_give_session(this.#handle, at!, state.length);
    return this.core.with([state], give);
  }

  /** Server: takes the session at hand out of the cache. */
  forgetSession(): void {
    this.core.call.connection_forget_session(this.#handle);
  }

  /** Keying material for other protocols. */
  exportKeyingMaterial(length: number, label: Bytes, context: Bytes | undefined): Bytes {
    return this.core.with([new Uint8Array(length), label, context ?? null], (at, labelAt, contextAt) => {
      const code = this.core.call.connection_export(
        this.#handle,
        at!,
        length,
        labelAt!,
        label.length,
        contextAt!,
        context?.length ?? 0,
        context === undefined ? 0 : 1,
      );
      this.core.check("export keying material", code);
      return this.core.memory.slice(at!, at! + length);
    });
  }
}
