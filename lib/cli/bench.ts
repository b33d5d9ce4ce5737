/** `tlsio bench`: what TLS costs here, and what it would cost elsewhere. */

import { deviceNames, resolveDevice } from "../cost/device.ts";
import { type Link, linkNames, resolveLink } from "../cost/link.ts";
import { renderCsv } from "./bench/csv.ts";
import { benchHandshakes } from "./bench/handshake.ts";
import { Interrupt } from "./bench/interrupt.ts";
import { MemoryTarget } from "./bench/memory.ts";
import { OutputFile } from "./bench/output.ts";
import { startProgress } from "./bench/progress.ts";
import type { BenchResult, LinkFacts } from "./bench/result.ts";
import type { Effort } from "./bench/runner.ts";
import type { Reconnect } from "./bench/savings.ts";
import { CHOICES, chooseScenarios } from "./bench/scenarios.ts";
import { renderTable } from "./bench/table.ts";
import type { Target } from "./bench/target.ts";
import { defineCommand, items, UsageError, wholeNumber } from "./flags.ts";
import { oneLine, outputStyle } from "./terminal.ts";

const BENCHES = ["handshake"] as const;
const RUNS = 100;
const WARM_UP = 5;
const RUNS_MAX = 100_000;
const SECONDS_MAX = 3600;
const DEVICE = "esp32";
const TICKET_LIFETIME = 43200; // seconds; what our servers promise
/** Where no terminal says how wide it is. */
const WIDTH = 120;
const STDOUT = "-";

/** `tlsio bench`. */
export const bench = defineCommand({
  name: "bench",
  summary: "Measure what handshakes cost: CPU, bytes, round trips, heap, and the time on a device.",
  operands: "handshake [host[:port]]",
  arity: [1, 2],
  flags: {
    "version": { value: "<versions>", many: true, help: `${CHOICES.version}, or all (default)` },
    "key": { value: "<keys>", many: true, help: `of the server: ${CHOICES.key}, or all` },
    "kind": { value: "<kinds>", many: true, help: `${CHOICES.kind}, or all` },
    "profile": { value: "<profiles>", many: true, help: `of both our ends: ${CHOICES.profile}, or all` },
    "scenario": { value: "<names>", many: true, help: "these alone, as in 1.3/P-256/full" },
    "runs": { value: "<n>", help: `handshakes of each (default ${RUNS})` },
    "seconds": { value: "<n>", help: "as many as fit into this time, instead" },
    "device": {
      value: "<devices>",
      many: true,
      help: `estimate for ${deviceNames().join(", ")} (default ${DEVICE})`,
    },
    "link": { value: "<links>", many: true, help: `model the wait for ${linkNames().join(", ")}` },
    "rtt": { value: "<ms>", help: "model a link with this round trip" },
    "kbps": {
      value: "<kbit/s>",
      help: "and this rate, as in 200 or up/down as in 50/200 (default no limit)",
    },
    "reconnect": { value: "<seconds>", help: "what resumption saves a client that connects so often" },
    "ticket-lifetime": {
      value: "<seconds>",
      help: `for that: how long a session lasts (default ${TICKET_LIFETIME})`,
    },
    "json": { value: "<file>", optional: true, help: "all figures as JSON; alone, on standard output" },
    "csv": { value: "<file>", optional: true, help: "the table as CSV, likewise" },
    "wide": { help: "all columns, however wide" },
  },
  notes: `
Both ends are ours, in this process, each in a core of its own, without a network.`,
  async run(values, [name, operand]) {
    if (!(BENCHES as readonly string[]).includes(name!)) {
      throw new UsageError(`unknown bench "${name}"; known are ${BENCHES.join(", ")}`);
    }
    const effort = effortOf(values);
    const devices = devicesOf(values.device);
    const links = linksOf(values);
    const reconnect = reconnectOf(values);
    const chosen = chooseScenarios(values, reconnect !== undefined);
    const { json, csv } = values;
    if (json === STDOUT && csv === STDOUT) {
      throw new UsageError("--json and --csv cannot both be printed: give one a file");
    }
    await using files = new AsyncDisposableStack();
    const open = async (path: string | undefined) =>
      path === undefined || path === STDOUT ? undefined : files.use(await OutputFile.open(path));
    const [jsonFile, csvFile] = [await open(json), await open(csv)];
    await using target: Target = new MemoryTarget(chosen);
    using interrupt = new Interrupt();
    const models = { devices, links: links.map(({ link }) => link) };
    const facts = links.map(factsOf);
    const run = await (async () => {
      using progress = await startProgress();
      const { signal } = interrupt;
      return await benchHandshakes({ target, effort, models, links: facts, reconnect, progress, signal });
    })();
    const asJson = `${JSON.stringify(run, null, 2)}\n`;
    await jsonFile?.write(asJson);
    await csvFile?.write(renderCsv(run));
    print(run, json === STDOUT ? asJson : csv === STDOUT ? renderCsv(run) : undefined, values.wide ?? false);
    if (run.interrupted) return Interrupt.exitCode;
    return run.skipped.some(({ failed }) => failed) ? 1 : 0;
  },
});

function print(run: BenchResult, data: string | undefined, wide: boolean): void {
  if (data === undefined) {
    console.log(renderTable(run, { width: wide ? Infinity : terminalWidth(), style: outputStyle() }));
  } else {
    console.log(data.trimEnd());
    for (const { name, reason, failed } of run.skipped) {
      if (failed) console.error(`tlsio bench: ${name} failed: ${oneLine(reason)}`);
    }
  }
  if (run.interrupted) console.error("tlsio bench: interrupted: this is what was measured until then");
}

function terminalWidth(): number {
  try {
    return Deno.stdout.isTerminal() ? Deno.consoleSize().columns : WIDTH;
  } catch {
    return WIDTH;
  }
}

function effortOf({ runs, seconds }: { runs?: string; seconds?: string }): Effort {
  if (runs !== undefined && seconds !== undefined) {
    throw new UsageError("--runs and --seconds exclude each other");
  }
  if (seconds !== undefined) {
    return { seconds: numberIn("seconds", seconds, "seconds", SECONDS_MAX), warmUp: WARM_UP };
  }
  return { runs: wholeNumber("runs", runs ?? String(RUNS), 1, RUNS_MAX), warmUp: WARM_UP };
}

function devicesOf(given: readonly string[] = [DEVICE]): string[] {
  const names = [...new Set(items(given))];
  try {
    for (const name of names) resolveDevice(name);
  } catch (error) {
    throw new UsageError(oneLine(error).replace("Cannot estimate for device", "--device"));
  }
  return names;
}

interface NamedLink {
  readonly name: string;
  readonly link: Link;
}

function linksOf(
  { link: given = [], rtt, kbps }: { link?: string[]; rtt?: string; kbps?: string },
): NamedLink[] {
  if (kbps !== undefined && rtt === undefined) throw new UsageError("--kbps needs --rtt");
  const links = [...new Set(items(given))].map((name): NamedLink => {
    try {
      return { name, link: resolveLink(name) };
    } catch (error) {
      throw new UsageError(oneLine(error).replace("Cannot use link", "--link"));
    }
  });
  if (rtt === undefined) return links;
  const ms = Number(rtt);
  if (!(ms >= 0 && ms <= 3_600_000)) {
    throw new UsageError(`--rtt takes milliseconds, 0 or more, not "${rtt}"`);
  }
  const rates = kbps?.split("/").map((text) => numberIn("kbps", text, "1000 bits a second", Infinity)) ?? [];
  if (rates.length > 2) throw new UsageError(`--kbps takes one rate, or up/down, not "${kbps}"`);
  const [up, down = up] = rates;
  const name = kbps === undefined ? `${ms} ms` : `${ms} ms, ${kbps} kbit/s`;
  return [...links, { name, link: { rtt: ms, kbpsUp: up, kbpsDown: down } }];
}

function factsOf({ name, link }: NamedLink): LinkFacts {
  const { rtt, kbpsUp = null, kbpsDown = null, reliability = "given", source = "the command line" } = link;
  return { name, rttMs: rtt, kbpsUp, kbpsDown, reliability, source };
}

function reconnectOf(values: { reconnect?: string; "ticket-lifetime"?: string }): Reconnect | undefined {
  const { reconnect, "ticket-lifetime": lifetime } = values;
  if (reconnect === undefined) {
    if (lifetime !== undefined) throw new UsageError("--ticket-lifetime needs --reconnect");
    return undefined;
  }
  return {
    interval: numberIn("reconnect", reconnect, "seconds", Infinity),
    ticketLifetime: numberIn("ticket-lifetime", lifetime ?? String(TICKET_LIFETIME), "seconds", Infinity),
  };
}

function numberIn(flag: string, text: string, unit: string, most: number): number {
  const number = Number(text);
  if (number > 0 && number <= most && number < Infinity) return number;
  throw new UsageError(
    `--${flag} takes ${unit}, above 0${most === Infinity ? "" : ` to ${most}`}, not "${text}"`,
  );
}
