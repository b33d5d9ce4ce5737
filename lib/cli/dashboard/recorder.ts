/**
 * What the dashboard shows, made of what the server counts: rates of the last second, shares and quantiles of the last minute.
 *
 * @module
 */

import type { HttpServerStats } from "../../http.ts";
import type { Histogram } from "../../server_stats.ts";
import type { Vitals } from "./vitals.ts";

/** What is counted at a moment; with workers, of all of them. */
export type Counts = HttpServerStats & { readonly workers?: number; readonly restarts?: number };

/** A point of the charts: what happened in a second. `null`: not known, or nothing to say it of. */
export interface Point {
  /** Milliseconds since the Unix epoch. */
  readonly time: number;
  /** Each a second. */
  readonly requests: number | null;
  readonly full: number | null;
  readonly resumed: number | null;
  readonly failed: number | null;
  readonly refused: number | null;
  readonly limits: number | null;
  readonly tls12: number | null;
  readonly tls13: number | null;
  /** Bytes a second. */
  readonly received: number | null;
  readonly sent: number | null;
  /** What is there now. */
  readonly open: number;
  readonly handshaking: number;
  /** Of those, the ones that wait for their turn in the event loop. */
  readonly waiting: number;
  /** Milliseconds of the handshakes of the last {@linkcode SHORT} seconds. */
  readonly p50: number | null;
  readonly p99: number | null;
  /** Milliseconds: the longest that the event loop was late in this second. */
  readonly lag: number;
  /** Percent of one processor. */
  readonly cpu: number | null;
  /** MiB of the process. */
  readonly rss: number;
  /** KiB of the cores' live blocks. */
  readonly core: number;
}

/** A row of a table: how often in the last minute, and since the start. */
export interface Row {
  readonly name: string;
  readonly recent: number;
  readonly total: number;
}

/** What the page is told each second. */
export interface Moment {
  readonly point: Point;
  /** Seconds that "recent" means: up to {@linkcode RECENT}, fewer when nobody has watched for so long. */
  readonly recentSeconds: number;
  readonly totals: Readonly<
    Record<"accepted" | "refused" | "requests" | "handshakes" | "failures" | "resumed", number>
  >;
  /** Of the recent handshakes, 0 to 1. */
  readonly resumedShare: number | null;
  /** Milliseconds, of the recent handshakes. */
  readonly p50: number | null;
  readonly p99: number | null;
  /** The recent handshakes by time: up to `le` seconds, and more than the one before. */
  readonly times: readonly { readonly le: string; readonly count: number }[];
  readonly tables: Readonly<Record<"suites" | "failures" | "limits" | "tickets", readonly Row[]>>;
  /** MiB of the cores' memory. */
  readonly coreSize: number;
  /** Keys that open session tickets now. */
  readonly ticketKeys: number;
  readonly workers: number | null;
  readonly restarts: number | null;
}

/** Points that are kept for who comes later: five minutes. */
export const POINTS = 300;
const RECENT = 60; // seconds
const SHORT = 10; // seconds: long enough for a median of few handshakes, short enough to see a stall
const [KIB, MIB] = [1 << 10, 1 << 20];

interface Snapshot {
  readonly time: number;
  readonly counts: Counts;
  readonly cpuTime: number;
}

/** Keeps the last minutes of what a server counts. */
export class Recorder {
  /** The last {@linkcode POINTS}, the oldest first. */
  readonly points: Point[] = [];
  readonly #snapshots: Snapshot[] = []; // those of the last minute: after a while without viewers there are none

  /**
   * Takes what is counted now.
   *
   * @param counts All of it; later changes to it do not matter.
   * @param time Milliseconds since the Unix epoch.
   */
  add(counts: Counts, vitals: Vitals, time: number): Moment {
    const now: Snapshot = { time, counts: structuredClone(counts), cpuTime: vitals.cpuTime };
    const all = this.#snapshots;
    all.push(now);
    while (time - all[0]!.time > (RECENT + 0.5) * 1000) all.shift();
    const before = all.at(-2);
    const recent = all[0]!;
    const short = all.find((each) => time - each.time <= (SHORT + 0.5) * 1000)!;
    const point = pointOf(now, before, short, vitals);
    this.points.push(point);
    if (this.points.length > POINTS) this.points.shift();
    const handshakes = counts.handshakes - recent.counts.handshakes;
    const times = minus(counts.handshakeTime, recent.counts.handshakeTime);
    return {
      point,
      recentSeconds: Math.round((time - recent.time) / 1000),
      totals: {
        accepted: counts.accepted,
        refused: counts.refused,
        requests: counts.requests,
        handshakes: counts.handshakes,
        failures: counts.handshakeFailures,
        resumed: counts.resumed,
      },
      resumedShare: handshakes > 0 ? (counts.resumed - recent.counts.resumed) / handshakes : null,
      p50: quantile(times, 0.5),
      p99: quantile(times, 0.99),
      times,
      tables: tablesOf(counts, recent.counts),
      coreSize: vitals.coreSize / MIB,
      ticketKeys: vitals.ticketKeys,
      workers: counts.workers ?? null,
      restarts: counts.restarts ?? null,
    };
  }
}

function pointOf(now: Snapshot, before: Snapshot | undefined, short: Snapshot, vitals: Vitals): Point {
  const { counts, time } = now;
  const seconds = before === undefined ? 0 : (time - before.time) / 1000;
  // What a worker that crashed had not told yet is lost, so that a sum may shrink.
  const rate = (of: (counts: Counts) => number): number | null =>
    before === undefined || seconds <= 0 ? null : Math.max(0, of(counts) - of(before.counts)) / seconds;
  const times = minus(counts.handshakeTime, short.counts.handshakeTime);
  return {
    time,
    requests: rate(({ requests }) => requests),
    full: rate(({ handshakes, resumed }) => handshakes - resumed),
    resumed: rate(({ resumed }) => resumed),
    failed: rate(({ handshakeFailures }) => handshakeFailures),
    refused: rate(({ refused }) => refused),
    limits: rate(({ limits }) => sum(limits)),
    tls12: rate(({ versions }) => versions["TLSv1.2"] ?? 0),
    tls13: rate(({ versions }) => versions["TLSv1.3"] ?? 0),
    received: rate(({ bytesReceived }) => bytesReceived),
    sent: rate(({ bytesSent }) => bytesSent),
    open: counts.open,
    handshaking: counts.handshaking,
    waiting: vitals.waiting,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    lag: vitals.lag,
    cpu: before === undefined || seconds <= 0 ? null : (now.cpuTime - before.cpuTime) / seconds * 100,
    rss: vitals.rss / MIB,
    core: vitals.core / KIB,
  };
}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((all, count) => all + count, 0);
}

// ---- Times of handshakes --------------------------------------------------------------------------------

type Times = Moment["times"];

/** What came into each bucket since `before`, without what is in those below it. */
function minus(now: Histogram, before: Histogram): Times {
  let below = 0;
  return Object.keys(now.buckets).map((le) => ({ le, bound: le === "+Inf" ? Infinity : Number(le) }))
    .sort((a, b) => a.bound - b.bound)
    .map(({ le }) => {
      const upTo = Math.max(below, now.buckets[le]! - (before.buckets[le] ?? 0));
      const count = upTo - below;
      below = upTo;
      return { le, count };
    });
}

/** Milliseconds up to which `share` of the times are: between the bounds of a bucket, as if they lay evenly in it. */
export function quantile(times: Times, share: number): number | null {
  const all = times.reduce((sum, { count }) => sum + count, 0);
  if (all === 0) return null;
  let [left, low] = [share * all, 0];
  for (const { le, count } of times) {
    if (le === "+Inf") break; // above the last bound: nobody knows how far
    if (count > 0 && left <= count) return 1000 * (low + (Number(le) - low) * left / count);
    left -= count;
    low = Number(le);
  }
  return 1000 * low;
}

// ---- Tables ---------------------------------------------------------------------------------------------

function tablesOf(counts: Counts, recent: Counts): Moment["tables"] {
  const tickets = ({ ticketsIssued, ticketsAccepted, ticketsRefused }: Counts) => ({
    issued: ticketsIssued,
    accepted: ticketsAccepted,
    ...Object.fromEntries(
      Object.entries(ticketsRefused).map(([reason, count]) => [`refused: ${reason}`, count]),
    ),
  });
  return {
    suites: rows(counts.suites, recent.suites),
    failures: rows(counts.failures, recent.failures),
    limits: rows(counts.limits, recent.limits),
    tickets: rows(tickets(counts), tickets(recent)),
  };
}

/** The most frequent first. */
function rows(now: Readonly<Record<string, number>>, before: Readonly<Record<string, number>>): Row[] {
  return Object.entries(now)
    .map(([name, total]) => ({ name, total, recent: Math.max(0, total - (before[name] ?? 0)) }))
    .filter(({ total }) => total > 0)
    .sort((a, b) => b.total - a.total);
}
