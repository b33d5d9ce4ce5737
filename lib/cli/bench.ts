/** `tlsio bench`: what TLS costs here, and what it would cost elsewhere. */

import { deviceNames, resolveDevice } from "../cost/device.ts";
import { type Link, linkNames, resolveLink } from "../cost/link.ts";
import { renderCsv } from "./bench/csv.ts";
import { benchHandshakes } from "./bench/handshake.ts";
import { Interrupt } from "./bench/interrupt.ts";
import { MemoryTarget } from "./bench/memory.ts";
import { startProgress } from "./bench/progress.ts";
import type { BenchResult, LinkFacts } from "./bench/result.ts";
import type { Effort } from "./bench/runner.ts";
import type { Reconnect } from "./bench/savings.ts";
import { type HostOptions, HostTarget, withoutKeys } from "./bench/host.ts";
import { peerNames, PeersTarget } from "./bench/peers/target.ts";
import { CHOICES, chooseScenarios, type Chosen, OVER_TCP } from "./bench/scenarios.ts";
import { later } from "./later.ts";
import { assertDistinct, OutputFile } from "./output_file.ts";
import { parseOperand } from "./target.ts";
import { renderTable } from "./bench/table.ts";
import type { Target } from "./bench/target.ts";
import { CommandError, defineCommand, items, UsageError, wholeNumber } from "./flags.ts";
import { oneLine, outputStyle, terminalWidth } from "./terminal.ts";

const BENCHES = ["handshake"] as const;
const RUNS = 100;
const WARM_UP = 5;
/** V8 compiles a core anew while it runs: P-384 takes less than half the time after 0.35 s; other scenarios share the time. */
const WARM_UP_MS = 1000;
const RUNS_MAX = 100_000;
const SECONDS_MAX = 3600;
/** Over TCP a handshake is a connection, a peer's client a process. */
const RUNS_TCP = 20;
const WARM_UP_TCP = 2;
const TIMEOUT = 10; // seconds; as wrapSocket()
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
    "tls": { value: "<versions>", many: true, help: `${CHOICES.version}, or all (default)` },
    "key-type": { value: "<types>", many: true, help: `of the server's key: ${CHOICES.key}, or all` },
    "kind": { value: "<kinds>", many: true, help: `${CHOICES.kind}, or all` },
    "profile": { value: "<profiles>", many: true, help: `of both our ends: ${CHOICES.profile}, or all` },
    "scenario": { value: "<names>", many: true, help: "these alone, as in 1.3/P-256/full" },
    "runs": { value: "<n>", help: `handshakes of each (default ${RUNS}, over TCP ${RUNS_TCP})` },
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
      help: "and this rate, 200, or 50/200 for up and down (default no limit)",
    },
    "reconnect": { value: "<seconds>", help: "what resumption saves a client that connects so often" },
    "ticket-lifetime": {
      value: "<seconds>",
      help: `for that: how long a session lasts (default ${TICKET_LIFETIME})`,
    },
    "peers": {
      value: "<peers>",
      optional: true,
      help: `with others, as servers and as clients: ${peerNames().join(", ")}`,
    },
    "servername": { value: "<name>", help: "of host: the name to ask for and to check (default the host)" },
    "ca": { value: "<file>", help: "of host: trust these certificates instead of the Mozilla roots" },
    "cert": { value: "<file>", help: "of host: a certificate of our own, for --kind mutual" },
    "key": { value: "<file>", help: "its key" },
    "no-check": { help: "of host: do not check the certificate" },
    "timeout": {
      value: "<seconds>",
      help: `for each connection and handshake over TCP (default ${TIMEOUT})`,
    },
    "json": { value: "<file>", optional: true, help: "all figures as JSON; alone, on standard output" },
    "csv": { value: "<file>", optional: true, help: "the table as CSV, likewise" },
    "html": { value: "<file>", help: "a report with charts: one file that needs no network" },
    "wide": { help: "all columns, however wide" },
  },
  notes: `
Without a host and --peers both ends are ours, in this process, each in a core of its own, without
a network. With a host our client goes there again and again: ask whose server it is. A scenario is
version/key/kind, as in 1.3/P-256/ticket, and the profile where it is not the default one.

Exit code: 0; 1 when a scenario failed or none could be measured; 2 wrong arguments; 130 after
Ctrl-C, which shows what was measured so far.`,
  async run(values, [name, operand]) {
    if (!(BENCHES as readonly string[]).includes(name!)) {
      throw new UsageError(`unknown bench "${name}"; known are ${BENCHES.join(", ")}`);
    }
    const remote = remoteOf(values, operand);
    const effort = effortOf(values, remote !== undefined);
    const devices = devicesOf(values.device);
    const links = linksOf(values);
    const reconnect = reconnectOf(values);
    const { tls: version, "key-type": key, kind, profile, scenario } = values;
    const choice = { version, key, kind, profile, scenario };
    const chosen = chooseScenarios(choice, reconnect !== undefined, remote && OVER_TCP);
    const { json, csv, html } = values;
    if (html === STDOUT) throw new UsageError("--html needs a file");
    if (json === STDOUT && csv === STDOUT) {
      throw new UsageError("--json and --csv cannot both be printed: give one a file");
    }
    const paths = Object.entries({ json, csv, html })
      .filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== STDOUT);
    assertDistinct(Object.fromEntries(paths));
    await using opened = new AsyncDisposableStack();
    const files: Files = {};
    for (const [form, path] of paths) files[form as Form] = opened.use(await OutputFile.open(path));
    using interrupt = new Interrupt();
    await using target = await targetOf(remote, chosen, interrupt.signal);
    const models = { devices, links: links.map(({ link }) => link) };
    const facts = links.map(factsOf);
    const run = await (async () => {
      using progress = await startProgress();
      const { signal } = interrupt;
      return await benchHandshakes({ target, effort, models, links: facts, reconnect, progress, signal });
    })();
    const data = json === STDOUT ? FORMS.json(run) : csv === STDOUT ? FORMS.csv(run) : undefined;
    print(run, await data, values.wide ?? false);
    // What was in a file is worth more than a run without a figure.
    if (!run.interrupted || run.scenarios.length > 0) await write(run, files);
    if (run.interrupted) return Interrupt.exitCode;
    return run.scenarios.length === 0 || run.skipped.some(({ failed }) => failed) ? 1 : 0;
  },
});

/** A run as the text of a file. */
const FORMS = {
  json: (run: BenchResult) => `${JSON.stringify(run, null, 2)}\n`,
  csv: renderCsv,
  async html(run: BenchResult) {
    const report = await later<typeof import("./report/handshake_report.ts")>(
      new URL("./report/handshake_report.ts", import.meta.url),
    );
    return await report.handshakeReport(run);
  },
};

type Form = keyof typeof FORMS;
type Files = Partial<Record<Form, OutputFile>>;

/** Each of them, also after one that cannot be written: a run is not repeated for a disk that was full. */
async function write(run: BenchResult, files: Files): Promise<void> {
  const failures: string[] = [];
  for (const form of Object.keys(files) as Form[]) {
    try {
      await files[form]!.write(await FORMS[form](run));
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      failures.push(error.message);
    }
  }
  if (failures.length > 0) throw new CommandError(failures.join("; "));
}

function print(run: BenchResult, data: string | undefined, wide: boolean): void {
  if (data === undefined) {
    console.log(renderTable(run, { width: wide ? Infinity : terminalWidth(WIDTH), style: outputStyle() }));
  } else {
    console.log(data.trimEnd());
    for (const { name, reason, failed } of run.skipped) {
      if (failed) console.error(`tlsio bench: ${name} failed: ${oneLine(reason)}`);
    }
  }
  if (!run.interrupted) return;
  const state = run.scenarios.length === 0
    ? "nothing had been measured"
    : "this is what was measured until then";
  console.error(`tlsio bench: interrupted: ${state}`);
}

/** What `host` and the flags of TCP come to. */
type Remote = { readonly host: HostOptions } | {
  readonly peers: readonly string[] | undefined;
  readonly timeout: number;
};

interface RemoteFlags {
  peers?: string;
  servername?: string;
  ca?: string;
  cert?: string;
  key?: string;
  "no-check"?: true;
  timeout?: string;
  "key-type"?: string[];
  scenario?: string[];
}

const OF_HOST = ["servername", "ca", "cert", "key", "no-check"] as const;

function remoteOf(values: RemoteFlags, operand: string | undefined): Remote | undefined {
  const { peers, servername, ca, cert, key, "no-check": unchecked = false } = values;
  const timeout = numberIn("timeout", values.timeout ?? String(TIMEOUT), "seconds", SECONDS_MAX);
  if (operand === undefined) {
    const misplaced = OF_HOST.find((flag) => values[flag] !== undefined);
    if (misplaced !== undefined) throw new UsageError(`--${misplaced} needs a host`);
    if (peers === undefined && values.timeout !== undefined) {
      throw new UsageError("--timeout needs a host or --peers");
    }
    return peers === undefined ? undefined : { peers: peersOf(peers), timeout };
  }
  if (peers !== undefined) throw new UsageError("--peers are on this machine: they go without a host");
  if (values["key-type"] !== undefined) {
    throw new UsageError("--key-type is the server's: it goes without a host");
  }
  if (values.scenario !== undefined) {
    throw new UsageError("--scenario has a key, which is the server's: --tls and --kind choose");
  }
  if ((cert === undefined) !== (key === undefined)) throw new UsageError("--cert and --key go together");
  const { host: hostname, port } = parseOperand(operand);
  const address = { hostname, port, timeout };
  return { host: { address, servername, ca, cert, key, check: !unchecked } };
}

/** `undefined`: all of them. */
function peersOf(text: string): string[] | undefined {
  if (text === STDOUT) return undefined;
  const known = peerNames();
  const names = items([text]);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new UsageError(`unknown peer "${unknown}"; known are ${known.join(", ")}`);
  return names;
}

async function targetOf(remote: Remote | undefined, chosen: Chosen, signal: AbortSignal): Promise<Target> {
  if (remote === undefined) return new MemoryTarget(chosen);
  if ("peers" in remote) return await PeersTarget.create(chosen, remote.peers, remote.timeout);
  return await HostTarget.create(withoutKeys(chosen), remote.host, signal);
}

function effortOf({ runs, seconds }: { runs?: string; seconds?: string }, overTcp: boolean): Effort {
  const usual = overTcp ? RUNS_TCP : RUNS;
  const warm = overTcp ? { warmUp: WARM_UP_TCP } : { warmUp: WARM_UP, warmUpMs: WARM_UP_MS };
  if (runs !== undefined && seconds !== undefined) {
    throw new UsageError("--runs and --seconds exclude each other");
  }
  if (seconds !== undefined) {
    return { seconds: numberIn("seconds", seconds, "seconds", SECONDS_MAX), ...warm };
  }
  return { runs: wholeNumber("runs", runs ?? String(usual), 1, RUNS_MAX), ...warm };
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
