/** What every target looks like to the runner: something that makes one handshake of one scenario, and says what it took. */

import type { HandshakeCost } from "../../cost/cost.ts";
import type { SSLSession } from "../../session.ts";
import type { End, Scenario } from "./result.ts";
import { resumes } from "./scenarios.ts";
import type { Step, TimedEngine } from "./timed_engine.ts";

/** One handshake; milliseconds. */
export interface Sample {
  readonly wallMs: number;
  readonly connectMs?: number | undefined;
  /** Of the ends where it can be told. */
  readonly cpuMs: Readonly<Partial<Record<End, number>>>;
}

/** What is counted besides, where that was asked for. */
export interface Observed {
  readonly version: string;
  readonly suite: string | undefined;
  readonly group: string | undefined;
  readonly resumed: boolean;
  /** Of our ends. */
  readonly costs: Readonly<Partial<Record<End, HandshakeCost>>>;
  readonly steps: Readonly<Partial<Record<End, readonly Step[]>>>;
}

/** How a handshake is made. */
export interface MeasureOptions {
  /** Count, and time the steps: the sample is then none to count on. */
  readonly observe: boolean;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
}

/** A scenario, ready. */
export interface Measurer extends AsyncDisposable {
  readonly scenario: Scenario;
  /** Name and version of each end. */
  readonly implementations: Readonly<Record<End, string>>;
  /** The full handshake that a resumed one goes on from, as the client counted it. */
  readonly primed?: HandshakeCost | undefined;
  /** Makes a handshake. */
  measure(options: MeasureOptions): Promise<{ sample: Sample; observed?: Observed | undefined }>;
}

/** A handshake that is not what its scenario says. */
export class ScenarioError extends Error {
  override readonly name = "ScenarioError";
}

/** Throws unless the handshake of one of our ends is what the scenario says. */
export function assertScenario({ version, kind }: Scenario, { engine }: TimedEngine, primes = false): void {
  if (engine.version !== `TLSv${version}`) {
    throw new ScenarioError(`it was to be TLS ${version}, and was ${engine.version}`);
  }
  const expected = resumes({ kind }) && !primes;
  if (engine.sessionReused === expected) return;
  throw new ScenarioError(expected ? "it did not resume: the server made a full handshake" : "it resumed");
}

/** Throws unless the server gave what the kind resumes with. */
export function assertSession({ kind }: Scenario, session: SSLSession | undefined): SSLSession {
  const wanted = kind === "ticket" ? "ticket" : "session id";
  if (session === undefined || session.facts.ticket !== (kind === "ticket")) {
    throw new ScenarioError(
      `the server gave no ${wanted}${
        session === undefined ? "" : `, but ${session.facts.ticket ? "a ticket" : "an id"}`
      }`,
    );
  }
  return session;
}

/** What both ends know of their handshake. */
export function observe(ends: Partial<Record<End, TimedEngine>>): Observed {
  const { engine } = ends.client ?? ends.server!;
  const each = Object.entries(ends) as [End, TimedEngine][];
  return {
    version: engine.version!,
    suite: engine.cipher?.name,
    group: engine.group,
    resumed: engine.sessionReused,
    costs: Object.fromEntries(each.map(([end, { engine }]) => [end, engine.cost().handshake])),
    steps: Object.fromEntries(each.map(([end, { steps }]) => [end, steps])),
  };
}
