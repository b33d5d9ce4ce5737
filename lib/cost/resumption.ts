/**
 * What resumption saves a client that connects again and again, and when it begins to.
 *
 * @module
 */

import { assertSeconds } from "../bytes.ts";
import type { HandshakeCost } from "./cost.ts";
import type { Device } from "./device.ts";
import { estimate } from "./estimate.ts";
import { type Range, times, total } from "./figure.ts";
import { type Link, modelHandshake } from "./link.ts";
import type { Way } from "./network_cost.ts";

/** How a client reconnects. */
export interface ReconnectPlan {
  /** Seconds from one connection to the next. */
  interval: number;
  /** Seconds that a ticket is good for. */
  ticketLifetime: number;
  /** Whether a resumed handshake gives a new ticket. @default whether the counted one did */
  renewed?: boolean | undefined;
  /** The device that saves time, or the name of one. @default none: no figures for time on it */
  device?: Device | string | undefined;
  /** The network, or the name of one. @default none: no waits */
  link?: Link | string | undefined;
}

/** What is saved. Below 0: it costs so much. */
export interface Saving {
  /** Bytes of records from the client to the server. */
  readonly bytesUp: number;
  /** Bytes of records from the server to the client; what the tickets cost is taken off. */
  readonly bytesDown: number;
  /** Round trips. */
  readonly roundTrips: number;
  /** Milliseconds of a handshake, on the device and over the link; `undefined`: neither was given. */
  readonly ms: Range | undefined;
  /** Milliseconds of the device's CPU in ciphers and operations with keys; `undefined`: no device was given. */
  readonly cpuMs: Range | undefined;
}

/** What resumption comes to. */
export interface ResumptionReport {
  /** Resumed handshakes for each full one: 0, a whole number, or `Infinity`. */
  readonly resumedPerFull: number;
  /** How many of all connections resume, 0 to 1. */
  readonly resumedShare: number;
  /** Saved by each handshake that resumes, against a full one whose server gives no tickets. */
  readonly perResumption: Saving;
  /** Saved by a connection on average, full or resumed. */
  readonly perConnection: Saving;
  /** Saved in a day. */
  readonly perDay: Saving;
  /** What it takes for resumption to pay. */
  readonly breakEven: {
    /** The bytes of the tickets that a full handshake spends on it, with their messages' headers. */
    readonly ticketBytes: number;
    /** How many resumptions save those bytes again; `Infinity`: no number does. */
    readonly resumptions: number;
    /** Seconds: who connects less often never resumes. */
    readonly interval: number;
  };
  /** What the device has no figure for: the times are without it. */
  readonly missing: readonly string[];
}

const DAY = 86400; // seconds

/**
 * What resumption saves, from the cost of a full and of a resumed handshake.
 *
 * The tickets of TLS 1.3 count with their handshake, if the trace saw them. Their records' headers are not counted, nor the
 * time for them.
 *
 * @param full A full handshake whose server gave tickets.
 * @param resumed One that resumed it, counted at the same end.
 * @param plan How often the client connects, and how long a ticket is good for.
 * @throws {TypeError} If a cost is not what it should be, or the device or link is unknown.
 * @throws {RangeError} If `interval` or `ticketLifetime` is not a number of seconds above 0.
 *
 * @example Every five minutes, with tickets for an hour that are not renewed
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { networkCost } from "./network_cost.ts";
 *
 * const network = { ...networkCost([], { role: "client" }), complete: true, roundTrips: 2 };
 * const { resumedPerFull, perDay } = resumptionReport(
 *   { resumed: false, network },
 *   { resumed: true, network: { ...network, roundTrips: 1 } },
 *   { interval: 300, ticketLifetime: 3600 },
 * );
 * assertEquals(resumedPerFull, 12);
 * assertEquals(Math.round(perDay.roundTrips), 266); // of 288 connections
 * ```
 */
export function resumptionReport(
  full: HandshakeCost,
  resumed: HandshakeCost,
  plan: ReconnectPlan,
): ResumptionReport {
  const { interval, ticketLifetime, renewed = ticketBytesOf(resumed, "down") > 0 } = plan;
  assertSeconds("interval", interval);
  assertSeconds("ticketLifetime", ticketLifetime);
  assertUsable("full", full, false);
  assertUsable("resumed", resumed, true);
  if (full.network.role !== resumed.network.role) {
    throw new TypeError("Cannot compare handshakes: one was counted by the client, the other by the server");
  }

  const [before, after] = [spend(full, plan), spend(resumed, plan)];
  const ticketBytes = ticketBytesOf(full, "down");
  // A full handshake without tickets is what there is without resumption.
  const perResumption = sumOf(before, scale(after, -1), { ...NOTHING, bytesDown: -ticketBytes });
  const resumedPerFull = interval > ticketLifetime
    ? 0
    : renewed
    ? Infinity
    : Math.floor(ticketLifetime / interval);
  const resumedShare = resumedPerFull === Infinity ? 1 : resumedPerFull / (resumedPerFull + 1);
  const perConnection = sumOf(
    scale(perResumption, resumedShare),
    { ...NOTHING, bytesDown: -ticketBytes * (1 - resumedShare) },
  );
  const savedBytes = perResumption.bytesUp + perResumption.bytesDown;
  return {
    resumedPerFull,
    resumedShare,
    perResumption,
    perConnection,
    perDay: scale(perConnection, DAY / interval),
    breakEven: {
      ticketBytes,
      resumptions: savedBytes > 0 ? Math.ceil(ticketBytes / savedBytes) : Infinity,
      interval: ticketLifetime,
    },
    missing: [...new Set([...before.missing, ...after.missing])],
  };
}

/** What a handshake spends, tickets and all. */
interface Spent extends Saving {
  readonly missing: readonly string[];
}

function spend(cost: HandshakeCost, { device, link }: ReconnectPlan): Spent {
  const { network } = cost;
  const spent = {
    bytesUp: network.up.bytes,
    bytesDown: network.down.bytes + network.rest.down.ticketBytes,
    roundTrips: network.roundTrips,
  };
  if (device !== undefined) {
    const { low, likely, high, groups, missing } = estimate(cost, device, { link });
    return { ...spent, ms: { low, likely, high }, cpuMs: groups.cpu, missing };
  }
  if (link === undefined) return { ...spent, ms: undefined, cpuMs: undefined, missing: [] };
  const { client } = modelHandshake(network, link);
  return { ...spent, ms: { low: client, likely: client, high: client }, cpuMs: undefined, missing: [] };
}

const NOTHING: Saving = { bytesUp: 0, bytesDown: 0, roundTrips: 0, ms: undefined, cpuMs: undefined };

function scale({ bytesUp, bytesDown, roundTrips, ms, cpuMs }: Saving, factor: number): Saving {
  return {
    bytesUp: bytesUp * factor,
    bytesDown: bytesDown * factor,
    roundTrips: roundTrips * factor,
    ms: ms && times(ms, factor),
    cpuMs: cpuMs && times(cpuMs, factor),
  };
}

/** The sum; of a range, low with low: both are of one device, whose figures err together. */
function sumOf(...savings: readonly Saving[]): Saving {
  const sum = (of: "bytesUp" | "bytesDown" | "roundTrips") =>
    savings.reduce((total, saving) => total + saving[of], 0);
  const ranges = (of: "ms" | "cpuMs") => {
    const known = savings.flatMap((saving) => saving[of] ?? []);
    return known.length === 0 ? undefined : total(known);
  };
  return {
    bytesUp: sum("bytesUp"),
    bytesDown: sum("bytesDown"),
    roundTrips: sum("roundTrips"),
    ms: ranges("ms"),
    cpuMs: ranges("cpuMs"),
  };
}

function ticketBytesOf({ network }: HandshakeCost, way: Way): number {
  return network[way].ticketBytes + network.rest[way].ticketBytes;
}

function assertUsable(name: string, cost: HandshakeCost, resumed: boolean): void {
  if (cost.resumed !== resumed) {
    throw new TypeError(
      `Cannot use ${name}: that handshake ${resumed ? "did not resume" : "resumed"} a session`,
    );
  }
  if (!cost.network.complete) throw new TypeError(`Cannot use ${name}: that handshake is not complete`);
}
