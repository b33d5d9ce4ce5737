/** Handshakes in memory: both ends in this process, an array for a wire. */

import { EMPTY } from "../../bytes.ts";
import type { TLSConfig } from "../../config.ts";
import type { HandshakeCost } from "../../cost/cost.ts";
import type { SSLSession } from "../../session.ts";
import { ourImplementation } from "./environment.ts";
import { HOST, Identities, type Identity } from "./identities.ts";
import {
  assertScenario,
  assertSession,
  type MeasureOptions,
  type Measurer,
  observe,
  ScenarioError,
} from "./measurer.ts";
import { EndConfigs, newSharedKey } from "./policies.ts";
import type { Scenario, Skipped } from "./result.ts";
import { type Chosen, resumes, usesSharedKey } from "./scenarios.ts";
import type { Target } from "./target.ts";
import { TimedEngine } from "./timed_engine.ts";

const READ = new Uint8Array(1024); // nothing but tickets is read

/** The configs of both ends, and what the client resumes. */
interface Lane {
  readonly client: TLSConfig;
  readonly server: TLSConfig;
  session: SSLSession | undefined;
}

/** A scenario between our two ends. */
export class MemoryMeasurer implements Measurer {
  readonly scenario: Scenario;
  readonly implementations;
  primed: HandshakeCost | undefined;
  readonly #ends: readonly EndConfigs[];
  readonly #timed: Lane;
  readonly #counting: Lane;

  private constructor(scenario: Scenario, client: EndConfigs, server: EndConfigs, implementation: string) {
    this.scenario = scenario;
    this.implementations = { client: implementation, server: implementation };
    this.#ends = [client, server];
    this.#timed = { client: client.timed, server: server.timed, session: undefined };
    this.#counting = { client: client.counting, server: server.counting, session: undefined };
  }

  /** Makes both ends, each in a core of its own. */
  static async create(
    scenario: Scenario,
    identity: Identity | undefined,
    implementation: string,
  ): Promise<MemoryMeasurer> {
    const options = { identity, ...(usesSharedKey(scenario) && { psk: newSharedKey() }) };
    using stack = new DisposableStack();
    const client = stack.use(await EndConfigs.create(scenario, "client", options));
    const server = stack.use(await EndConfigs.create(scenario, "server", options));
    stack.move();
    return new MemoryMeasurer(scenario, client, server, implementation);
  }

  // deno-lint-ignore require-await -- those over a network wait
  async measure({ observe: counts }: MeasureOptions) {
    const lane = counts ? this.#counting : this.#timed;
    if (resumes(this.scenario) && lane.session === undefined) this.#prime(lane, counts);
    return this.#handshake(lane, counts);
  }

  /** A full handshake, for its session. */
  #prime(lane: Lane, counts: boolean): void {
    using client = new TimedEngine(lane.client, { serverHostname: HOST });
    using server = new TimedEngine(lane.server);
    exchange(client, server);
    assertScenario(this.scenario, client, true);
    lane.session = assertSession(this.scenario, sessionOf(client));
    if (counts) this.primed = client.engine.cost().handshake;
  }

  #handshake(lane: Lane, counts: boolean) {
    const savedSession = resumes(this.scenario) ? lane.session : undefined;
    const start = performance.now();
    using client = new TimedEngine(lane.client, { serverHostname: HOST, savedSession, steps: counts });
    using server = new TimedEngine(lane.server, { steps: counts });
    exchange(client, server);
    const wallMs = performance.now() - start;
    for (const end of [client, server]) assertScenario(this.scenario, end);
    const sample = { wallMs, cpuMs: { client: client.cpuMs, server: server.cpuMs } };
    lane.session = sessionOf(client) ?? lane.session; // those of TLS 1.3 can be used once
    return counts ? { sample, observed: observe({ client, server }) } : { sample };
  }

  // deno-lint-ignore require-await -- an AsyncDisposable
  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends) end[Symbol.dispose]();
  }
}

/** Carries records until both ends are done. */
function exchange(client: TimedEngine, server: TimedEngine): void {
  let down = EMPTY;
  while (true) {
    const up = client.advance(down);
    down = server.advance(up);
    if (client.done && server.done) break;
    if (up.length === 0 && down.length === 0) throw new ScenarioError("both ends wait for each other");
  }
  if (down.length > 0) client.advance(down); // tickets
}

/** The newest session: in TLS 1.3 the tickets are read with the data. */
function sessionOf(client: TimedEngine): SSLSession | undefined {
  client.engine.read(READ);
  return client.session;
}

/** Scenarios between our two ends. */
export class MemoryTarget implements Target {
  readonly name = "memory";
  readonly scenarios: readonly Scenario[];
  readonly skipped: readonly Skipped[];
  readonly atOnce = Infinity;
  readonly identities = new Identities();

  /** Takes what was chosen. */
  constructor({ scenarios, skipped }: Chosen) {
    [this.scenarios, this.skipped] = [scenarios, skipped];
  }

  /** Makes both ends. */
  async open(scenario: Scenario, signal: AbortSignal): Promise<MemoryMeasurer> {
    const identity = scenario.key && await this.identities.of(scenario.key, signal);
    return await MemoryMeasurer.create(scenario, identity, ourImplementation());
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}
