/**
 * Floods a server, and measures what those feel who do no harm: `deno task flood`.
 *
 * For each flood, in one run: new connections and messages on an open one, before and during it; how long the server's event
 * loop stands still; what it holds before, during and after. With `--check` a broken bound ends it with status 1.
 *
 * Attackers are other machines in life. Here they must not take the server's processor, nor its clients': the server has one
 * for itself, and attackers get what the clients leave of the other one (`SCHED_IDLE`). The row "none" is a plain loop in their place.
 */
import { parseArgs } from "@std/cli";
import { Program, run } from "../../tests/peers.ts";
import { type Flood, FLOODS } from "./floods.ts";

const RATIO = 3; // p99 during a flood to p99 before it
const STALL = 20; // milliseconds
const LEFT = 64 * 1024; // bytes of the core that may be allocated afterwards and were not before: lists that have grown
const SWING = 10_000; // milliseconds that attackers have to begin as many attacks as they make at once
const GROWTH = 1.1; // RSS after a flood that was there before, to RSS before it came again

const flags = parseArgs(Deno.args, {
  string: ["seconds", "keys", "floods", "addresses", "lanes"],
  boolean: ["check", "help"],
  default: { seconds: "5", keys: "P-256,RSA-4096", addresses: "1", floods: Object.keys(FLOODS).join() },
}) as unknown as {
  seconds: string;
  keys: string;
  floods: string;
  addresses: string;
  lanes?: string;
  check: boolean;
  help: boolean;
};
if (flags.help) {
  console.log(
    "deno task flood [--check] [--seconds 5] [--keys P-256,RSA-4096] [--addresses 1] [--lanes N] [--floods a,b]",
  );
  for (const [name, { lanes, what }] of Object.entries(FLOODS)) {
    console.log(`  ${name}: ${what}; ${lanes} at once`);
  }
  Deno.exit();
}
const seconds = Number(flags.seconds);
const floods = flags.floods.split(",") as Flood[];
const keyTypes = flags.keys.split(",");

// ---- Who takes part -----------------------------------------------------------------------------------

const canPin = Deno.build.os === "linux" && navigator.hardwareConcurrency > 1;
const OWN: Record<string, string[]> = canPin
  ? {
    server: [],
    client: ["taskset", "-c", "1"],
    attacker: ["taskset", "-c", "1", "chrt", "--idle", "0"],
  }
  : { server: [], client: [], attacker: [] };

function start(role: "server" | "client" | "attacker", ...args: string[]): Program {
  const script = new URL(`${role}.ts`, import.meta.url).pathname;
  const v8 = role === "server" ? ["--v8-flags=--expose-gc"] : [];
  const [name, ...rest] = [
    ...OWN[role]!,
    "deno",
    "run",
    "--quiet",
    "--no-check",
    "-A",
    ...v8,
    script,
    ...args,
  ];
  return new Program(name!, rest);
}

const dir = await Deno.makeTempDir();
const path = (name: string) => `${dir}/${name}`;

/** Makes a key, and its certificate: of itself, or of `issuer`. */
async function certify(name: string, keyType: string, issuer?: string): Promise<void> {
  const [type, bits] = keyType.split("-");
  const key = type === "RSA" ? `rsa:${bits}` : "ec";
  const curve = type === "RSA" ? [] : ["-pkeyopt", "ec_paramgen_curve:P-256"];
  const signer = issuer ? ["-CA", path(`${issuer}.pem`), "-CAkey", path(`${issuer}.key`)] : [];
  const isCA = issuer === undefined;
  const { code, stderr } = await run("openssl", [
    ...["req", "-x509", "-newkey", key, ...curve, "-nodes", "-days", "2", "-subj", `/CN=${name}`],
    ...[
      "-addext",
      `basicConstraints=critical,CA:${isCA ? "TRUE" : "FALSE"}`,
      "-addext",
      "subjectAltName=DNS:localhost",
    ],
    ...["-keyout", path(`${name}.key`), "-out", path(`${name}.pem`), ...signer],
  ]);
  if (code !== 0) throw new Error(`Cannot make ${name}: ${stderr}`);
}

/** Asks a program by a line; its answer is its next line. */
function asking(program: Program) {
  let lines = program.stdout.split("\n").length - 1;
  return async (line: string) => {
    await program.write(`${line}\n`);
    lines++;
    await program.waitFor(new RegExp(`^(.*\\n){${lines}}`), 60_000);
    return JSON.parse(program.stdout.split("\n")[lines - 1]!);
  };
}

// ---- Figures ------------------------------------------------------------------------------------------

interface Measured {
  connects: number[];
  messages: number[];
  failed: number;
}

const percentile = (times: number[], share: number) =>
  times.toSorted((a, b) => a - b)[Math.ceil(share * times.length) - 1] ?? NaN;
const fixed = (value: number, width: number, digits = 1) => value.toFixed(digits).padStart(width);
const mib = (bytes: number) => fixed(bytes / (1 << 20), 5, 0);
const kib = (bytes: number) => fixed(bytes / 1024, 6, 0);
const broken: string[] = [];

function compare(calm: number[], flooded: number[]): { text: string; ratio: number } {
  const ratio = percentile(flooded, 0.99) / percentile(calm, 0.99);
  const texts = [calm, flooded].map((times) =>
    `${fixed(percentile(times, 0.5), 6)} ${fixed(percentile(times, 0.99), 6)}`
  );
  return { text: `${texts.join(" ->")} ${fixed(ratio, 5)}x`, ratio };
}

const HEADER = [
  "flood       attacks/s",
  "   new connection: p50, p99 ms   ",
  "  message: p50, p99 ms           ",
  "stall, step ms",
  "RSS MiB         ",
  "core KiB            ",
  "failed",
].join(" | ");

/** One flood, with what was before and what is after it. */
async function measure(
  name: string,
  flood: Flood,
  port: number,
  ask: Ask,
  client: Ask,
  files: Files,
): Promise<void> {
  const before = await ask("settle");
  const calm: Measured = await client(String(seconds));
  await ask("?");
  let attacks = 0; // per second
  let came = 0; // before it was measured
  let flooded: Measured;
  let during;
  {
    await using attacker = start("attacker", JSON.stringify(targetOf(flood, port, files)));
    await attacker.waitFor(/^attacking\n/);
    const count = asking(attacker);
    if (flood === "none") await attacker.write("?\n"); // it has no answer, but begins
    const ends = performance.now() + SWING;
    let first = 0;
    while (flood !== "none" && first < FLOODS[flood].lanes && performance.now() < ends) { // until it is in full swing
      await new Promise((resolve) => setTimeout(resolve, 250));
      first = await count("?");
    }
    came = first;
    await ask("?");
    const begun = performance.now();
    flooded = await client(String(seconds));
    during = await ask("?");
    if (flood !== "none") attacks = (await count("?") - first) / ((performance.now() - begun) / 1000);
  }
  const after = await ask("settle");
  const connects = compare(calm.connects, flooded.connects);
  const messages = compare(calm.messages, flooded.messages);
  const memory = (field: "rss" | "allocated", unit: typeof mib) =>
    [before[field], during.most[field], after[field]].map(unit).join(" ");
  console.log([
    `${flood.padEnd(11)} ${fixed(attacks, 9, 0)}`,
    connects.text,
    messages.text,
    `${fixed(during.most.stall, 6)} ${fixed(during.most.step, 6)} `,
    memory("rss", mib),
    memory("allocated", kib),
    `${flooded.failed} of ${flooded.connects.length + flooded.failed}`,
  ].join(" | "));

  const judge = (isKept: boolean, what: string) => isKept || broken.push(`${name}, ${flood}: ${what}`);
  judge(flood === "none" || came > 0, "the flood did not come");
  judge(connects.ratio <= RATIO, `new connections: p99 is ${connects.ratio.toFixed(1)} times that before`);
  judge(messages.ratio <= RATIO, `messages: p99 is ${messages.ratio.toFixed(1)} times that before`);
  judge(during.most.stall <= STALL, `the event loop stood still for ${during.most.stall.toFixed(1)} ms`);
  judge(flooded.failed === 0, `${flooded.failed} new connections failed`);
  const left = after.allocated - before.allocated;
  judge(left <= LEFT, `${left} bytes of the core are left`);
}

/** What is freed is used again: WebAssembly's memory does not shrink, so that RSS stays where the greatest flood has left it. */
async function repeat(name: string, flood: Flood, port: number, ask: Ask, files: Files): Promise<void> {
  const before = await ask("settle");
  {
    await using attacker = start("attacker", JSON.stringify(targetOf(flood, port, files)));
    await attacker.waitFor(/^attacking\n/);
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  }
  const after = await ask("settle");
  console.log(`${flood} again: RSS ${mib(before.rss).trim()} -> ${mib(after.rss).trim()} MiB`);
  if (after.rss > GROWTH * before.rss) broken.push(`${name}, ${flood} again: RSS grows`);
}

function targetOf(flood: Flood, port: number, files: Files) {
  const lanes = flags.lanes && flood !== "none" ? Number(flags.lanes) : FLOODS[flood].lanes;
  return { flood, port, lanes, addresses: Number(flags.addresses), ...files };
}

type Ask = ReturnType<typeof asking>;
interface Files {
  ca: string;
  cert: string;
  key: string;
  clientCert: string;
}

async function serve(keyType: string, asksClients: boolean): Promise<void> {
  const which = floods.filter((flood) => (flood === "rsa-client") === asksClients);
  if (which.length === 0) return;
  const name = `${keyType}${asksClients ? ", clients with certificates" : ""}`;
  console.log(`\nserver's key: ${name}\n${HEADER}`);
  const files = {
    ca: path("root.pem"),
    cert: path(`${keyType}.pem`),
    key: path(`${keyType}.key`),
    clientCert: path("attacker.pem"),
  };
  await using server = start("server", files.cert, files.key, ...(asksClients ? [path("clients.pem")] : []));
  const port = Number((await server.waitFor(/^(\d+)\n/))[1]);
  const own = asksClients ? [path("good.pem"), path("good.key")] : [];
  await using good = start("client", String(port), "127.0.0.1", files.ca, ...own);
  await good.waitFor(/^open\n/);
  const ask = asking(server);
  const client = asking(good);
  await client("3"); // warm
  for (const flood of which) await measure(name, flood, port, ask, client, files);
  await repeat(name, which.at(-1)!, port, ask, files);
}

try {
  console.log(
    canPin
      ? "processors: 0 the server, 1 its clients, and attackers with what these leave (SCHED_IDLE)"
      : "processors: shared by the server, its clients and the attackers; ratios hold their part, too",
  );
  console.log(`attackers: ${flags.addresses} address(es), the clients have another; ${seconds} s each`);
  await certify("root", "P-256");
  for (const keyType of keyTypes) await certify(keyType, keyType, "root");
  if (floods.includes("rsa-client")) {
    await certify("clients", "RSA-4096");
    await certify("attacker", "RSA-4096", "clients");
    await certify("good", "P-256", "clients");
  }
  for (const keyType of keyTypes) {
    await serve(keyType, false);
    await serve(keyType, true);
  }
} finally {
  await Deno.remove(dir, { recursive: true });
}
console.log(broken.length === 0 ? "\nevery bound is kept" : `\nbroken:\n  ${broken.join("\n  ")}`);
if (flags.check && broken.length > 0) Deno.exit(1);
