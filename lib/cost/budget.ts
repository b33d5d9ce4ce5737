/**
 * A budget for handshakes: an assertion for the tests of a program, whose failure says what took it.
 *
 * @module
 */

import { typeName } from "../bytes.ts";
import type { ConnectionCost, HandshakeCost } from "./cost.ts";
import type { Device } from "./device.ts";
import { estimate, type EstimatePart } from "./estimate.ts";
import type { Link } from "./link.ts";
import type { NetworkCost, Way } from "./network_cost.ts";

/** What a handshake may cost. Each limit is checked that is given; one at least. */
export interface HandshakeBudget {
  /** Bytes of records from the client to the server. */
  maxBytesUp?: number | undefined;
  /** Bytes of records from the server to the client. */
  maxBytesDown?: number | undefined;
  /** How often the client waits for the server before it may send data; without TCP's own. */
  maxRoundTrips?: number | undefined;
  /** Bytes of the core's heap at its peak. */
  maxPeakHeap?: number | undefined;
  /** Milliseconds that the handshake likely takes {@linkcode device}, with the waits for {@linkcode link}. */
  maxDeviceMs?: number | undefined;
  /** For `maxDeviceMs`. @default {"esp32"} */
  device?: Device | string | undefined;
  /** For `maxDeviceMs`. @default none: no waits */
  link?: Link | string | undefined;
}

/** A limit of a {@linkcode HandshakeBudget}. */
export type HandshakeLimit = "maxBytesUp" | "maxBytesDown" | "maxRoundTrips" | "maxPeakHeap" | "maxDeviceMs";

/** A limit that a handshake did not keep. */
export interface BudgetExcess {
  /** Which. */
  readonly limit: HandshakeLimit;
  /** What the budget allows, in the limit's unit. */
  readonly allowed: number;
  /** What it was. */
  readonly actual: number;
  /** What took it, the most first: `"certificate 548"`. */
  readonly takers: readonly string[];
}

/** A handshake cost more than its budget. */
export class HandshakeBudgetError extends Error {
  /** `"HandshakeBudgetError"`. */
  override readonly name = "HandshakeBudgetError";
  /** The limits that it did not keep. */
  readonly excesses: readonly BudgetExcess[];

  /** For {@linkcode assertHandshakeCost}. */
  constructor(excesses: readonly BudgetExcess[]) {
    const lines = excesses.map(({ limit, allowed, actual, takers }) =>
      `${limit} ${allowed}, but took ${Number(actual.toFixed(1))}${
        takers.length > 0 ? `: ${takers.join(", ")}` : ""
      }`
    );
    super(`Handshake over its budget: ${lines.join("; ")}`);
    this.excesses = excesses;
  }
}

/** What a limit is measured by: what the handshake cost, and what took how much of it. */
interface Measure {
  readonly actual: number;
  readonly parts: readonly (readonly [name: string, amount: number])[];
}

const MEASURES: Readonly<Record<HandshakeLimit, (cost: HandshakeCost, budget: HandshakeBudget) => Measure>> =
  {
    maxBytesUp: ({ network }) => bytesOf(network, "up"),
    maxBytesDown: ({ network }) => bytesOf(network, "down"),
    maxRoundTrips: ({ network: { roundTrips, flights } }) => ({
      actual: roundTrips,
      // An answer, named by its first message; in the order of the handshake.
      parts: flights.filter(({ way }) => way === "down").map(({ messages }) => [messages[0]?.name ?? "?", 1]),
    }),
    maxPeakHeap({ heap }) {
      if (heap === undefined) {
        throw new TypeError("Cannot check maxPeakHeap: the heap was not counted");
      }
      return { actual: heap.peak, parts: Object.entries(heap.phases ?? {}) };
    },
    maxDeviceMs(cost, { device = "esp32", link }) {
      const { likely, parts, missing, device: name } = estimate(cost, device, { link });
      if (missing.length > 0) {
        throw new TypeError(`Cannot check maxDeviceMs: ${name} has no figure for ${missing.join(", ")}`);
      }
      return {
        actual: likely,
        parts: parts.map((part) => [labelOf(part), part.likely]),
      };
    },
  };

function labelOf({ name, count, unit }: EstimatePart): string {
  if (unit === "bytes") return `${count} bytes of ${name}`;
  return count === 1 ? name : `${count} × ${name}`;
}

/** What {@linkcode assertHandshakeCost} takes: a socket or an engine whose connection is measured, or what its `cost()` gave. */
export type HandshakeCostSource = { cost(): ConnectionCost } | ConnectionCost | HandshakeCost;

/** So many parts are named: the rest is small. */
const TAKERS = 4;

/**
 * Asserts that a handshake kept to a budget.
 *
 * @param of The socket or engine, with `measure: true`; or what its handshake has cost.
 * @param budget What it may cost: one limit or several.
 * @throws {HandshakeBudgetError} If it cost more. The message says which limit, by how much, and what took it.
 * @throws {TypeError} If the budget has no limit or an unknown one, the handshake is not complete, or what a limit needs was not
 * counted or is not published for the device.
 *
 * @example
 * ```ts
 * import { assertThrows } from "@std/assert";
 * import { networkCost } from "./network_cost.ts";
 *
 * const network = { ...networkCost([], { role: "server" }), complete: true };
 * const cost = { resumed: false, network, operations: { "P-384 multiply": 2, "P-384 sign": 1 } } as const;
 * assertHandshakeCost(cost, { maxRoundTrips: 2, maxDeviceMs: 1200 });
 * assertThrows(
 *   () => assertHandshakeCost(cost, { maxDeviceMs: 800 }),
 *   HandshakeBudgetError,
 *   "maxDeviceMs 800, but took 995: 2 × P-384 multiply 600, P-384 sign 300",
 * );
 * ```
 */
export function assertHandshakeCost(of: HandshakeCostSource, budget: HandshakeBudget): void {
  const cost = handshakeOf(of);
  const { device: _, link: __, ...limits } = budget;
  const given = Object.entries(limits).filter(([, allowed]) => allowed !== undefined);
  const known = Object.keys(MEASURES);
  if (given.length === 0) {
    throw new TypeError(
      `Cannot check a handshake's cost: the budget has no limit; known are ${known.join(", ")}`,
    );
  }
  for (const [name, allowed] of given) {
    if (!known.includes(name)) {
      throw new TypeError(`Cannot check ${name}: unknown limit; known are ${known.join(", ")}`);
    }
    if (typeof allowed !== "number" || !(allowed >= 0)) {
      const got = typeof allowed === "number" ? String(allowed) : typeName(allowed);
      throw new TypeError(`Cannot check ${name}: expected a number of 0 or more, got ${got}`);
    }
  }
  if (!cost.network.complete) throw new TypeError("Cannot check a handshake's cost: it is not complete");
  const excesses = (given as [HandshakeLimit, number][]).flatMap(([limit, allowed]) => {
    const { actual, parts } = MEASURES[limit](cost, budget);
    if (actual <= allowed) return [];
    const takers = parts.toSorted(([, a], [, b]) => b - a).slice(0, TAKERS)
      .map(([name, amount]) => `${name} ${Math.round(amount)}`);
    return [{ limit, allowed, actual, takers }];
  });
  if (excesses.length > 0) throw new HandshakeBudgetError(excesses);
}

function handshakeOf(of: HandshakeCostSource): HandshakeCost {
  if (typeof of !== "object" || of === null) {
    throw new TypeError(
      `Cannot check a handshake's cost: expected a socket, an engine or a cost, got ${typeName(of)}`,
    );
  }
  const cost = "cost" in of ? of.cost() : of;
  return "handshake" in cost ? cost.handshake : cost;
}

/** The bytes of one way by message, and what its records add. */
function bytesOf(network: NetworkCost, way: Way): Measure {
  const { bytes, records } = network[way];
  const messages = network.flights.filter((flight) => flight.way === way).flatMap(({ messages }) => messages);
  const sums = new Map<string, number>();
  for (const { name, bytes } of messages) sums.set(name, (sums.get(name) ?? 0) + bytes);
  const inMessages = [...sums.values()].reduce((sum, each) => sum + each, 0);
  return { actual: bytes, parts: [...sums, [`framing of ${records} records`, bytes - inMessages]] };
}
