/**
 * What a handshake would take on a device: counts times the device's figures. Nothing of it is timed here.
 *
 * @module
 */

import type { Bulk, HandshakeCost, Operation } from "./cost.ts";
import { type Device, resolveDevice } from "./device.ts";
import { type Figure, type Range, type Reliability, times, total, worst } from "./figure.ts";
import { type Link, modelHandshake, resolveLink } from "./link.ts";

/**
 * What takes the time: `"cpu"`, operations with keys, ciphers and hashes; `"transfer"`, the device's network stack and the
 * program's stream; `"network"`, the way there and back; `"fixed"`, what each connection takes.
 */
export type EstimateGroup = "cpu" | "transfer" | "network" | "fixed";

/** A part of an {@linkcode Estimate}, in milliseconds. */
export interface EstimatePart extends Range {
  /** To what it belongs. */
  readonly group: EstimateGroup;
  /** What it is: `"P-256 multiply"`, `"AES-GCM"`, `"records"`. */
  readonly name: string;
  /** How many of {@linkcode unit}. */
  readonly count: number;
  /** What is counted. */
  readonly unit: "times" | "bytes";
  /** How far its figure can be trusted. */
  readonly reliability: Reliability;
  /** Where its figure comes from. */
  readonly source: string;
}

/** What a handshake would take on a device, in milliseconds. */
export interface Estimate extends Range {
  /** The device. */
  readonly device: string;
  /** The sum of each group. */
  readonly groups: Readonly<Record<EstimateGroup, Range>>;
  /** All parts, by group, the longest first. */
  readonly parts: readonly EstimatePart[];
  /**
   * What the handshake needs and nobody has published for this device: the sums are too low by these. A few bytes through a
   * cipher, which can be no hundredth of the sum, are a part that is a guess.
   */
  readonly missing: readonly string[];
  /** The worst of all parts that make a tenth of the likely sum or more; `"guess"` where there is no part. */
  readonly reliability: Reliability;
}

/** Options of {@linkcode estimate}. */
export interface EstimateOptions {
  /** The network, or the name of one. @default none: no waits */
  link?: Link | string | undefined;
}

/** A table's figure for bytes is for so many. */
const KB = 1024;
/** A cipher or hash without a figure takes at most so many times what the device's slowest takes. */
const AT_MOST = 10;
/** It is missing where that would be more than this share of the sum. */
const LITTLE = 0.01;

/**
 * Estimates what a handshake would take on a device: operations and bytes times the device's figures, the waits of the
 * network if there is a `link`, and what each connection takes. The peer's own time is not in it.
 *
 * @param cost What was counted, at the end that the device would be.
 * @param device The device, or the name of one: `"esp32"`, `"esp32-s3"`, `"esp32-c3"`, `"rp2040"`.
 * @throws {TypeError} If the device or the link is unknown, or nothing counted the operations.
 *
 * @example A server with an RSA key
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { networkCost } from "./network_cost.ts";
 *
 * const network = networkCost([], { role: "server" });
 * const operations = { "P-256 multiply": 2, "RSA-2048 private warm": 1 } as const;
 * const { groups, missing } = estimate({ resumed: false, network, operations }, "esp32");
 * assertEquals([groups.cpu.likely, missing], [500, []]);
 * ```
 */
export function estimate(
  cost: HandshakeCost,
  device: Device | string,
  { link }: EstimateOptions = {},
): Estimate {
  const table = typeof device === "string" ? resolveDevice(device) : device;
  const { network, operations, bulk = {} } = cost;
  if (operations === undefined) {
    throw new TypeError(
      "Cannot estimate: the operations were not counted; measure of tlsio's own connections does",
    );
  }
  const missing: string[] = [];
  const part = (
    group: EstimateGroup,
    name: string,
    figure: Figure | undefined,
    count = 0,
    unit: EstimatePart["unit"] = "times",
  ) => {
    if (count === 0) return [];
    if (figure === undefined) missing.push(name);
    if (figure === undefined) return [];
    const { reliability, source } = figure;
    const ms = times(figure, unit === "bytes" ? count / KB : count);
    return [{ group, name, count, unit, ...ms, reliability, source }];
  };
  const bulks = Object.entries(bulk) as [Bulk, number][];
  const parts: EstimatePart[] = [
    ...Object.entries(operations).flatMap(([name, count]) =>
      part("cpu", name, table.operations[name as Operation], count)
    ),
    ...bulks.filter(([name]) => table.bulk[name] !== undefined)
      .flatMap(([name, bytes]) => part("cpu", name, table.bulk[name], bytes, "bytes")),
    ...part("transfer", "records", table.transfer, network.up.bytes + network.down.bytes, "bytes"),
    ...(link === undefined ? [] : part("network", "round trips and bytes", linkFigure(cost, link), 1)),
    ...Object.entries(table.fixed).flatMap(([name, figure]) => part("fixed", name, figure, 1)),
  ];
  const most = LITTLE * total(parts).likely;
  const unknown = unknownBulk(table);
  for (const [name, bytes] of bulks.filter(([name]) => table.bulk[name] === undefined)) {
    const isLittle = unknown !== undefined && times(unknown, bytes / KB).high <= most;
    parts.push(...part("cpu", name, isLittle ? unknown : undefined, bytes, "bytes"));
  }
  const sums = total(parts);
  const big = parts.filter(({ likely }) => likely >= sums.likely / 10);
  return {
    device: table.name,
    ...sums,
    groups: {
      cpu: sumOf(parts, "cpu"),
      transfer: sumOf(parts, "transfer"),
      network: sumOf(parts, "network"),
      fixed: sumOf(parts, "fixed"),
    },
    parts: GROUPS.flatMap((group) =>
      parts.filter((each) => each.group === group).sort((a, b) => b.likely - a.likely)
    ),
    missing,
    reliability: worst(big.map(({ reliability }) => reliability)),
  };
}

const GROUPS: readonly EstimateGroup[] = ["cpu", "transfer", "network", "fixed"];

function sumOf(parts: readonly EstimatePart[], group: EstimateGroup): Range {
  return total(parts.filter((part) => part.group === group));
}

/** For a few bytes through a cipher or a hash that nobody has timed; `undefined`: nor any other on this device. */
function unknownBulk({ bulk }: Device): Figure | undefined {
  const [slowest] = Object.values(bulk).sort((a, b) => b.high - a.high);
  return slowest && {
    ...{ low: 0, likely: slowest.likely, high: AT_MOST * slowest.high, reliability: "guess" },
    source: `none is published; at most ${AT_MOST} times the device's slowest`,
  };
}

/** What the handshake waits for the network, as the client sees it. */
function linkFigure({ network }: HandshakeCost, link: Link | string): Figure {
  const resolved = resolveLink(link);
  const { client } = modelHandshake(network, resolved);
  const { reliability = "given", source = "the caller's link" } = resolved;
  return { low: client, likely: client, high: client, reliability, source };
}
