/**
 * Connections that a script meddles with: what must hold whatever it does.
 *
 * A script that changes records alone is somebody on the way, without keys: where both ends complete a handshake all the same,
 * it must be the one that they would have had. One that changes messages is a peer that lies, with its keys. Whatever the
 * script, an end never completes a handshake with an impostor, and never reads what the other has not written.
 *
 * @module
 */

import { type Bytes, concat, EMPTY, encodeText, equalBytes } from "../../lib/bytes.ts";
import type { TLSConfig } from "../../lib/config.ts";
import { DTLSEngine } from "../../lib/dtls_engine.ts";
import { greet } from "../../lib/dtls_greeting.ts";
import { TLSEngine } from "../../lib/engine.ts";
import { CODE, SSLError } from "../../lib/errors.ts";
import { readCertificate } from "../../lib/peer_certificate.ts";
import type { SSLSession } from "../../lib/session.ts";
import type { TraceEvent } from "../../lib/trace.ts";
import { bytesFrom, type End, ENDS, peerOf } from "../pair.ts";
import type { FuzzCore } from "./core.ts";
import { expected, Finding } from "./finding.ts";
import { configsOf, type Scenario, SCENARIOS } from "./scenarios.ts";
import { decode, encode, type Script } from "./script.ts";

/** Times that both ends are looked after: a handshake takes 4, and DTLS waits for 6 retransmissions. */
const ROUNDS_MAX = 200;
const TIMEOUTS_MAX = 6;
const CLIENT_ID = encodeText("192.0.2.1 5684");
/** What each end writes once its handshake is over. */
const TEXT: Readonly<Record<End, Bytes>> = { client: bytesFrom(7, 700), server: bytesFrom(8, 3000) };
const EARLY = bytesFrom(9, 1000);
const SAMPLE = new Uint8Array(20000);

type Engine = TLSEngine | DTLSEngine;

/** Whether what a trace says of a record or a message can be. */
function isTraced({ layer, name, code, length }: TraceEvent): boolean {
  const most = layer === "record" ? 5 + 0xffff : 4 + 0xffffff;
  return length >= 0 && length <= most && (name === undefined) === (code === undefined) && name !== "";
}

/** Both ends and what lies between them. */
class Meddled {
  readonly engines: Partial<Record<End, Engine>> = {};
  readonly errors: Partial<Record<End, Error>> = {};
  /** What each read gave. */
  readonly reads: Record<End, Bytes[]> = { client: [], server: [] };
  early: Bytes = EMPTY;
  /** What a trace has said that cannot be. */
  oddEvent: TraceEvent | undefined;
  /** Bytes of early data that the client has. */
  readonly earlySize: number;
  readonly #fuzz: FuzzCore;
  readonly #configs: Record<End, TLSConfig>;
  readonly #datagrams: boolean;
  /** The ends whose messages are changed before they are sent: they may fail in any way. */
  readonly #liars: ReadonlySet<End>;
  /** Whether the server signs in steps: what the client sends comes amid it. */
  readonly #inSteps: boolean;
  #working = false;
  readonly #written: Record<End, number> = { client: 0, server: 0 };
  readonly #closed = { client: false, server: false };
  #pieces: Record<End, Bytes[]> = { client: [], server: [] };

  constructor(
    fuzz: FuzzCore,
    configs: Record<End, TLSConfig>,
    scenario: Scenario,
    session?: SSLSession,
    { edits, seed }: Pick<Script, "edits" | "seed"> = { edits: [], seed: 0 },
  ) {
    this.#liars = new Set(edits.filter(({ layer }) => layer === "message").map(({ end }) => end));
    this.#inSteps = (seed & 2) !== 0;
    this.#fuzz = fuzz;
    this.#configs = configs;
    this.#datagrams = scenario.both?.datagrams !== undefined;
    this.earlySize = scenario.early ?? 0;
    const options = {
      serverHostname: scenario.host ?? "localhost",
      savedSession: session,
    };
    if (this.#datagrams) {
      this.engines.client = new DTLSEngine(configs.client, options);
    } else {
      const earlyData = EARLY.subarray(0, this.earlySize);
      const watch = (event: TraceEvent) => void (isTraced(event) || (this.oddEvent ??= event));
      const trace = seed & 1 ? watch : undefined;
      this.engines.client = new TLSEngine(configs.client, { ...options, earlyData, trace });
      this.engines.server = new TLSEngine(configs.server, { trace });
    }
  }

  run(): this {
    let timeouts = 0;
    for (let round = 0;; round++) {
      if (round === ROUNDS_MAX) throw new Finding("hang", `the ends still talk after ${round} rounds`);
      this.#working = false;
      for (const end of ENDS) this.#step(end);
      let moved = this.#working;
      for (const end of ENDS) moved = this.#carry(end) || moved;
      if (moved) continue;
      if (!this.#datagrams || timeouts++ === TIMEOUTS_MAX || !this.#wait()) return this;
    }
  }

  /** DTLS: lets time pass until an end sends again. */
  #wait(): boolean {
    const times = ENDS.map((end) =>
      this.errors[end] ? undefined : (this.engines[end] as DTLSEngine)?.nextTimeout()
    );
    const next = times.filter((time) => time !== undefined);
    if (next.length === 0) return false;
    this.#fuzz.clock.time += Math.min(...next);
    return true;
  }

  /** Lets one end use what it has. */
  #step(end: End): void {
    const engine = this.engines[end];
    if (engine === undefined || this.errors[end] !== undefined) return;
    try {
      for (const piece of this.#pieces[end].splice(0)) {
        engine.receive(piece);
        if (this.#datagrams) this.#use(end, engine);
      }
      this.#use(end, engine);
    } catch (error) {
      this.errors[end] = expected(error);
      if ((error as SSLError).code === CODE.INTERNAL_ERROR && !this.#liars.has(end)) {
        throw new Finding(
          "exception",
          `mbedTLS says that this should never happen: ${(error as Error).message}`,
          error,
        );
      }
    }
  }

  #use(end: End, engine: Engine): void {
    const { state } = end === "server" && this.#inSteps ? engine.handshakeStep() : engine.handshake();
    if (state === "working") this.#working = true;
    const isDone = state === "done";
    if (end === "server" && engine instanceof TLSEngine && engine.config.options.maxEarlyData) {
      this.#readEarly(engine);
    }
    if (!isDone) return;
    for (;;) {
      const outcome = engine.read(SAMPLE);
      if (outcome.state !== "data" || outcome.bytes === 0) break;
      this.reads[end].push(SAMPLE.slice(0, outcome.bytes));
    }
    this.#write(end, engine);
  }

  #readEarly(engine: TLSEngine): void {
    for (;;) {
      const outcome = engine.readEarlyData(SAMPLE);
      if (outcome.state !== "data" || outcome.bytes === 0) return;
      this.early = concat([this.early, SAMPLE.slice(0, outcome.bytes)]);
    }
  }

  /** Writes in two parts, with another key for the second; and says goodbye. */
  #write(end: End, engine: Engine): void {
    if (engine.state !== "open" && engine.state !== "read-closed") return;
    const text = TEXT[end];
    const half = text.length / 2;
    if (this.#written[end] < half) {
      this.#written[end] += this.#put(engine, text.subarray(this.#written[end], half));
    } else if (this.#written[end] < text.length) {
      if (engine.version === "TLSv1.3" && this.#written[end] === half) {
        (engine as TLSEngine).updateKey(end === "client");
      }
      this.#written[end] += this.#put(engine, text.subarray(this.#written[end]));
    } else if (!this.#closed[end] && this.read(end).length === TEXT[peerOf(end)].length) {
      this.#closed[end] = true;
      engine.closeNotify();
    }
  }

  #put(engine: Engine, text: Bytes): number {
    if (engine instanceof TLSEngine) return engine.write(text);
    const piece = text.subarray(0, Math.min(text.length, engine.maxDatagram));
    engine.write(piece);
    return piece.length;
  }

  /** Moves what an end has sent. Returns whether there was anything. */
  #carry(end: End): boolean {
    const engine = this.engines[end];
    if (engine === undefined) return false;
    const packets = engine instanceof DTLSEngine ? engine.takeDatagrams() : [engine.takeRecords()];
    let moved = false;
    for (const packet of packets) {
      if (packet.length === 0) continue;
      moved = true;
      const { bytes, cut } = this.#fuzz.carry(end, packet);
      this.#deliver(peerOf(end), bytes, cut);
    }
    return moved;
  }

  #deliver(end: End, bytes: Bytes, cut: boolean): void {
    if (end === "server" && this.engines.server === undefined) return this.#greet(bytes);
    if (bytes.length > 0) this.#pieces[end].push(bytes);
    const engine = this.engines[end];
    if (!cut || !(engine instanceof TLSEngine)) return;
    this.#step(end);
    engine.receiveEof();
    this.#pieces[end] = [];
    this.#step(end);
    this.errors[end] ??= new Error("the stream was cut");
  }

  #greet(datagram: Bytes): void {
    try {
      const { reply, engine } = greet(this.#configs.server, datagram, { clientId: CLIENT_ID });
      if (reply !== undefined) this.#pieces.client.push(reply);
      if (engine !== undefined) this.engines.server = engine;
    } catch (error) {
      expected(error);
    }
  }

  /** All that an end has read. */
  read(end: End): Bytes {
    return concat([EMPTY, ...this.reads[end]]);
  }

  /** Whether an end has completed its handshake. */
  isDone(end: End): boolean {
    return this.engines[end]?.handshakeDone ?? false;
  }

  /** What an end believes that was agreed. */
  view(end: End): string {
    const engine = this.engines[end]!;
    const { version, cipher, alpnProtocol, sessionReused, extendedMasterSecret } = engine;
    return JSON.stringify({
      version,
      cipher: cipher?.name,
      alpnProtocol,
      sessionReused,
      extendedMasterSecret,
    });
  }

  [Symbol.dispose](): void {
    for (const end of ENDS) this.engines[end]?.[Symbol.dispose]();
  }
}

/** What one scenario needs, made once for a core. */
export interface Stage {
  readonly configs: Record<End, TLSConfig>;
  readonly session: SSLSession | undefined;
  /** What an undisturbed connection agrees on; `undefined`: there is none. */
  readonly view: string | undefined;
}

/** Runs scripts in a core. */
export class Handshakes {
  readonly fuzz: FuzzCore;
  readonly #stages = new Map<Scenario, Stage>();
  #runs = 0;

  constructor(fuzz: FuzzCore) {
    this.fuzz = fuzz;
  }

  /** Runs one script. Returns what came of it, for people and to tell scripts apart. Throws a {@linkcode Finding}. */
  run(bytes: Bytes): string {
    const script = decode(bytes);
    const scenario = SCENARIOS[script.scenario % SCENARIOS.length]!;
    const keeps = scenario.server?.sessionCacheSize === undefined; // a server that caches sessions grows
    const start = this.fuzz.core.allocated;
    const stage = keeps ? this.stage(scenario) : this.#makeStage(scenario);
    const session = scenario.early === undefined ? stage.session : this.#session(scenario, stage.configs);
    const before = keeps ? this.fuzz.core.allocated : start;
    this.fuzz.clearEdges();
    const outcome = this.#run(script, bytes, scenario, { ...stage, session });
    if (!keeps) { for (const end of ENDS) stage.configs[end][Symbol.dispose](); }
    const after = this.fuzz.core.allocated;
    if (after !== before) throw new Finding("leak", `${after - before} bytes of the core's heap`);
    return outcome;
  }

  #run(script: Script, bytes: Bytes, scenario: Scenario, stage: Stage): string {
    this.fuzz.rewind(script.seed);
    this.fuzz.begin(bytes, scenario.both?.datagrams !== undefined);
    using pair = new Meddled(this.fuzz, stage.configs, scenario, stage.session, script).run();
    this.#judge(pair, script, scenario, stage);
    const ends = ENDS.map((end) => {
      const error = pair.errors[end];
      const reason = error instanceof SSLError
        ? `${error.reason} ${error.alert?.name ?? ""}`
        : error?.message ?? "";
      return `${end} ${pair.engines[end]?.state ?? "none"} ${pair.read(end).length} ${reason}`;
    });
    return ends.join("; ");
  }

  #judge(pair: Meddled, script: Script, scenario: Scenario, stage: Stage): void {
    for (const end of ENDS) {
      if (!pair.isDone(end)) continue;
      if (scenario.impostors?.includes(peerOf(end))) {
        throw new Finding(
          "authentication",
          `the ${end} completed a handshake with an impostor (${scenario.name})`,
        );
      }
      if (!this.#isWritten(pair, end)) {
        throw new Finding("data", `the ${end} read what was not written (${scenario.name})`);
      }
      for (const der of pair.engines[end]!.error === undefined ? pair.engines[end]!.peerCertificates() : []) {
        try {
          readCertificate(this.fuzz.core, der);
        } catch (error) {
          expected(error);
        }
      }
    }
    if (pair.oddEvent) throw new Finding("data", `a trace says ${JSON.stringify(pair.oddEvent)}`);
    if (!startsWith(EARLY, pair.early)) {
      throw new Finding("data", `the server read early data that was not written (${scenario.name})`);
    }
    const isOnTheWay = script.edits.every(({ layer }) => layer === "wire");
    if (!isOnTheWay || ENDS.some((end) => !pair.isDone(end) || pair.engines[end]!.error !== undefined)) {
      return;
    }
    for (const end of ENDS) {
      if (stage.view !== undefined && pair.view(end) !== stage.view) {
        throw new Finding(
          "agreement",
          `the ${end} has ${pair.view(end)}, not ${stage.view} (${scenario.name})`,
        );
      }
    }
    const [mine, yours] = ENDS.map((end) => pair.engines[end]!.exportKeyingMaterial(32, "EXPERIMENTAL fuzz"));
    if (!equalBytes(mine!, yours!)) {
      throw new Finding("agreement", `the ends have other keys (${scenario.name})`);
    }
  }

  /** Whether an end has read what the other wrote: a stream from its start, of datagrams any in any order. */
  #isWritten(pair: Meddled, end: End): boolean {
    const text = TEXT[peerOf(end)];
    if (pair.engines[end] instanceof TLSEngine) {
      if (end === "client" || pair.earlySize === 0) return startsWith(text, pair.read(end));
      // Early data that the server did not take comes first, once more.
      return startsWith(concat([EARLY.slice(0, pair.earlySize), text]), concat([pair.early, pair.read(end)]));
    }
    const hex = text.toHex();
    return pair.reads[end].every((read) => hex.includes(read.toHex()));
  }

  /** What a scenario needs, made when it is first asked for. */
  stage(scenario: Scenario): Stage {
    const stage = this.#stages.get(scenario) ?? this.#makeStage(scenario);
    this.#stages.set(scenario, stage);
    return stage;
  }

  #makeStage(scenario: Scenario): Stage {
    const configs = configsOf(scenario, this.fuzz.core);
    const session = scenario.resumes ? this.#session(scenario, configs) : undefined;
    this.fuzz.rewind(0);
    this.fuzz.begin(encode({ scenario: 0, seed: 0, edits: [] }), scenario.both?.datagrams !== undefined);
    using pair = new Meddled(this.fuzz, configs, scenario, session).run();
    const isDone = ENDS.every((end) => pair.isDone(end));
    if (isDone !== (scenario.impostors === undefined)) {
      throw new Error(`Scenario "${scenario.name}": ${JSON.stringify(pair.errors)}, done: ${isDone}`);
    }
    return { configs, session, view: isDone ? pair.view("client") : undefined };
  }

  /** The session of a connection before; each is another. */
  #session(scenario: Scenario, configs: Record<End, TLSConfig>): SSLSession {
    this.fuzz.rewind(1000 + this.#runs++);
    this.fuzz.begin(EMPTY, scenario.both?.datagrams !== undefined);
    const { early: _, ...full } = scenario;
    using pair = new Meddled(this.fuzz, configs, full).run();
    const session = pair.engines.client!.session();
    if (session === undefined) throw new Error(`Scenario "${scenario.name}" gives no session`);
    return session;
  }
}

function startsWith(all: Bytes, bytes: Bytes): boolean {
  return equalBytes(bytes, all.subarray(0, bytes.length));
}
