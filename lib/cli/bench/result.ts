/**
 * What a run of `tlsio bench handshake` comes to: what `--json` prints and the HTML report draws.
 *
 * All of it is plain data that JSON can hold: a member that is not there could not be told, and `null` stands for "without
 * end", which JSON has no number for. Times are milliseconds, sizes bytes.
 *
 * @module
 */

import type { Bulk, HeapCost, Operation } from "../../cost/cost.ts";
import type { Estimate } from "../../cost/estimate.ts";
import type { Range, Reliability } from "../../cost/figure.ts";
import type { NetworkCost } from "../../cost/network_cost.ts";

/** A run. */
export interface BenchResult {
  /** Which bench. */
  readonly bench: "handshake";
  /** The number of this shape. */
  readonly format: 1;
  /** Whether Ctrl-C ended it: what had been measured until then is here. */
  readonly interrupted: boolean;
  readonly environment: Environment;
  readonly plan: Plan;
  /** In the order in which they were asked for. */
  readonly scenarios: readonly ScenarioResult[];
  /** Those that are missing. */
  readonly skipped: readonly Skipped[];
  /** What resumption saves, where `plan.reconnect` asks for it: for each pair of a full and a resumed handshake. */
  readonly resumption: readonly ResumptionResult[];
}

/** Where it ran. */
export interface Environment {
  /** When it began, ISO 8601. */
  readonly date: string;
  /** Of tlsio. */
  readonly version: string;
  /** mbedTLS and a hash of what was compiled. */
  readonly core: string;
  readonly deno: string;
  readonly v8: string;
  /** Operating system and its release. */
  readonly os: string;
  readonly arch: string;
  /** The processor's name. */
  readonly cpu?: string | undefined;
  readonly cpus: number;
  /** The smallest step of the clock that was seen. */
  readonly timerStepMs: number;
  /** What to know of the figures: what they are without, what disturbed them. */
  readonly notes: readonly string[];
}

/** What was asked for. */
export interface Plan {
  /** `"memory"`: both ends in this process without a network; `"peers"`: loopback; otherwise `host:port`. */
  readonly target: string;
  /** Rounds that count, and those before that do not; what they came to. */
  readonly runs: number;
  readonly warmUp: number;
  readonly devices: readonly string[];
  readonly links: readonly LinkFacts[];
  /** Of `--reconnect`, seconds. */
  readonly reconnect?: { readonly interval: number; readonly ticketLifetime: number } | undefined;
}

/** A network of the model. */
export interface LinkFacts {
  /** Its name, or `"60 ms, 200 kbit/s"`. */
  readonly name: string;
  readonly rttMs: number;
  /** 1000 bits a second; `null`: without end. */
  readonly kbpsUp: number | null;
  readonly kbpsDown: number | null;
  readonly reliability: Reliability;
  readonly source: string;
}

/** TLS's version. */
export type Version = "1.2" | "1.3";
/** The server's key: of its certificate, and of the client's where it has one. A pre-shared key has neither. */
export type Key = "RSA-2048" | "RSA-4096" | "P-256" | "P-384";
/**
 * - `"full"`: the server shows a certificate.
 * - `"mutual"`: so does the client.
 * - `"session-id"`, `"ticket"`: resumes a full one, by the server's memory (TLS 1.2) or a ticket.
 * - `"psk"`: a pre-shared key alone; `"ecdhe-psk"`: with a key agreement besides.
 */
export type Kind = "full" | "mutual" | "session-id" | "ticket" | "psk" | "ecdhe-psk";
/** One of the two ends. */
export type End = "client" | "server";

/** What is measured. */
export interface Scenario {
  /** `"1.2/P-256/full"`; with the profile or the peer behind it, where they are not the usual: one in a run. */
  readonly name: string;
  /** Against `host:port` without `--tls`: what was agreed on. */
  readonly version: Version;
  /** Of a pre-shared key, or a server whose certificate is none of these: none. */
  readonly key?: Key | undefined;
  readonly kind: Kind;
  /** Of our ends. */
  readonly profile: string;
  /** `"tlsio"`, or the peer's name: `"openssl"`, `"Deno"`. */
  readonly client: string;
  readonly server: string;
}

/** What came of a scenario. */
export interface ScenarioResult {
  readonly scenario: Scenario;
  /** The suite by its IANA name. */
  readonly suite?: string | undefined;
  /** The group of the key agreement. */
  readonly group?: string | undefined;
  /** Whether each run resumed: those that ought to and did not are in `skipped`, as failed. */
  readonly resumed: boolean;
  /**
   * A handshake from its first byte to the last, both ends. In memory it is what both take and the copies between; over TCP
   * without the connection.
   */
  readonly wallMs: Statistics;
  /** TCP's connection, over a network. */
  readonly connectMs?: Statistics | undefined;
  readonly ends: Readonly<Record<End, EndResult>>;
  /** Of the last run. Our client's trace, or our server's where the client is another's. Other peers tell nothing. */
  readonly network?: NetworkCost | undefined;
  /** Waits on each link of the plan, in its order. */
  readonly links: readonly ModelledTime[];
}

/** One end of a scenario. */
export interface EndResult {
  /** Name and version: `"tlsio 0.1.0, Mbed TLS 3.6.7"`, `"OpenSSL 3.5.0"`. */
  readonly implementation: string;
  /**
   * CPU of a handshake: of ours, the time in its engine's calls, on one thread, with what collecting garbage took meanwhile; of
   * a peer's process, all that it used, over the number of handshakes.
   */
  readonly cpuMs?: Statistics | undefined;
  /**
   * The operations of a handshake; where the time of each is known, all together are the median of `cpuMs`, with the rest as
   * `"other"`. An operation is timed apart, in handshakes of the same core.
   */
  readonly operations?: readonly OperationResult[] | undefined;
  /**
   * Where the CPU went, by message, in the order of the handshake: the time between two messages is that of the second if it is
   * sent, else of the first. Timed apart: the sum is a little more than `cpuMs`.
   */
  readonly steps?: readonly StepResult[] | undefined;
  /** Bytes through each cipher and hash. */
  readonly bulk?: Readonly<Partial<Record<Bulk, number>>> | undefined;
  /** As on a 32-bit device; `phases` by the step of the handshake. */
  readonly heap?: HeapCost | undefined;
  /** What a handshake would take the devices of the plan as this end, in its order. */
  readonly devices: readonly DeviceResult[];
}

/** An operation with a key, counted. */
export interface OperationResult {
  /** {@linkcode Operation}, or `"other"`: all else, as messages, hashes and the engine. */
  readonly name: Operation | "other";
  /** How often in a handshake; of `"other"`, 1. */
  readonly count: number;
  /** What they took of this machine's CPU, all together. */
  readonly cpuMs?: number | undefined;
  /** Of the end's CPU, 0 to 1. */
  readonly share?: number | undefined;
}

/** What making a message, or taking one in, took. */
export interface StepResult {
  /** The message, as in the trace: `"server_key_exchange"`. */
  readonly name: string;
  readonly direction: "sent" | "received";
  /** The median. */
  readonly cpuMs: number;
}

/** On a device. */
export interface DeviceResult extends Estimate {
  /** {@linkcode Estimate.likely} with the waits for each link of the plan, in its order. */
  readonly overLinks: readonly Range[];
}

/** A handshake over a link of the model: its waits alone, none of the two ends' time. */
export interface ModelledTime {
  /** TCP's connection before it. */
  readonly connectMs: number;
  /** Until the client may send data, without `connectMs`. */
  readonly clientMs: number;
  /** Until the server may, likewise. */
  readonly serverMs: number;
}

/** Of all runs that counted. */
export interface Statistics {
  readonly median: number;
  /** The 95th percentile, by nearest rank: of fewer than 20 runs it is the longest. */
  readonly p95: number;
  readonly min: number;
  readonly max: number;
  /** How many. */
  readonly runs: number;
}

/** A scenario that has no result. */
export interface Skipped {
  /** A scenario's name, or a peer's. */
  readonly name: string;
  readonly reason: string;
  /** It was tried, and went wrong. */
  readonly failed: boolean;
}

/** What resumption saves. Below 0: it costs so much. */
export interface ResumptionResult {
  /** The names of the two scenarios. */
  readonly full: string;
  readonly resumed: string;
  /** Resumed handshakes for each full one; `null`: all but the first. */
  readonly resumedPerFull: number | null;
  /** How many of all connections resume, 0 to 1. */
  readonly resumedShare: number;
  readonly perResumption: SavingResult;
  readonly perConnection: SavingResult;
  readonly perDay: SavingResult;
  readonly breakEven: {
    /** Bytes of the tickets that a full handshake spends on it. */
    readonly ticketBytes: number;
    /** How many resumptions save those bytes again; `null`: no number does. */
    readonly resumptions: number | null;
    /** Seconds: who connects less often never resumes. */
    readonly interval: number;
  };
}

/** What is saved. */
export interface SavingResult {
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly roundTrips: number;
  /** Measured here: CPU of each end, between the medians. */
  readonly cpuMs: Readonly<Partial<Record<End, number>>>;
  /** The wait for each link of the plan, in its order, as the client sees it. */
  readonly linkMs: readonly number[];
  /** CPU of each device of the plan, in its order, as each end. */
  readonly deviceMs: Readonly<Record<End, readonly Range[]>>;
}
