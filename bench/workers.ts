/**
 * How handshakes grow with workers: `deno run -A bench/workers.ts [--seconds N] [--rounds N]`, or `deno task bench-workers`.
 *
 * The server is a process of its own: `startServer()` without workers, then with 1 to n of them. The clients are several
 * `openssl s_time` at once, each one full handshake after the other. They share the machine's processors with the server,
 * so the table also says what each side used: `server CPU ms` is a handshake's cost, `server cores` how many processors
 * the server kept busy. With c ms of CPU per handshake for a client and s for the server, n processors cannot do more than
 * n * 1000 / (s + c) handshakes a second: that is `limit /s`.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { type ClientConnected, startServer } from "tlsio";
import { median } from "./runner.ts";

const CLIENTS = 16; // enough to keep two workers busy: each is one connection at a time
const WORK = 5; // milliseconds; what a handler may compute for a page
const LOADS = {
  "P-256": { leaf: "ec", root: "root", work: 0 },
  "P-256 and 5 ms of work": { leaf: "ec", root: "root", work: WORK },
  "RSA-2048": { leaf: "rsa", root: "root-rsa", work: 0 },
} as const;
type Load = keyof typeof LOADS;

/** Computes for some milliseconds, then reads until the client leaves. */
function handler(work: number): ClientConnected {
  return async (reader) => {
    for (const end = performance.now() + work; performance.now() < end;);
    while ((await reader.read(4096).catch(() => "")).length > 0);
  };
}

/** The handler of the workers, which import this module for it. */
export default handler(Number(new URL(import.meta.url).searchParams.get("work")));

const certs = new URL("../tests/certs/", import.meta.url);

/** The server's process: serves until its standard input ends. */
async function serve(workers: number, load: Load): Promise<void> {
  const { leaf, work } = LOADS[load];
  const ssl = { certfile: new URL(`${leaf}.pem`, certs), keyfile: new URL(`${leaf}.key`, certs) };
  const options = { hostname: "127.0.0.1", port: 0, ssl, backlog: 1000 };
  const server = workers === 0
    ? await startServer(handler(work), { ...options, onError: () => {} })
    : await startServer(`${import.meta.url}?work=${work}`, { ...options, workers, onError: () => {} });
  console.log((server.addr as Deno.NetAddr).port);
  for await (const _ of Deno.stdin.readable);
  Deno.exit(0);
}

/** What a round has measured. */
interface Sample {
  readonly rate: number;
  readonly serverCpu: number;
  readonly clientCpu: number;
  readonly cores: number;
}

/** One round: starts a server, warms it up, and lets the clients run. */
async function measure(workers: number, load: Load, seconds: number): Promise<Sample> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--unstable-net", import.meta.filename!, "--serve", String(workers), "--load", load],
    stdin: "piped",
    stdout: "piped",
  });
  await using server = command.spawn();
  const reader = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const port = Number((await reader.read()).value);
  await handshakes(port, load, 1); // compiled by then
  const [serverBefore, clientBefore, start] = [
    await cpuOf(server.pid),
    await cpuOfChildren(),
    performance.now(),
  ];
  const count = await handshakes(port, load, seconds);
  const took = (performance.now() - start) / 1000;
  const serverCpu = await cpuOf(server.pid) - serverBefore;
  const clientCpu = await cpuOfChildren() - clientBefore;
  await server.stdin.close();
  await reader.cancel();
  return {
    rate: count / took,
    serverCpu: serverCpu / count,
    clientCpu: clientCpu / count,
    cores: serverCpu / 1000 / took,
  };
}

/** Lets all clients run for some seconds. Returns how many handshakes they did. */
async function handshakes(port: number, load: Load, seconds: number): Promise<number> {
  const { root } = LOADS[load];
  const ca = new URL(`${root}.pem`, certs).pathname;
  const args = ["s_time", "-connect", `127.0.0.1:${port}`, "-new", "-time", String(seconds)];
  const command = new Deno.Command("openssl", {
    args: [...args, "-CAfile", ca, "-verify", "3"],
    stderr: "null",
  });
  const counts = await Promise.all(Array.from({ length: CLIENTS }, async () => {
    const { stdout } = await command.output();
    const text = new TextDecoder().decode(stdout);
    const count = Number(text.match(/^(\d+) connections in \d+ real seconds/m)?.[1]);
    if (!(count > 0)) throw new Error(`Cannot measure: openssl s_time printed ${JSON.stringify(text)}`);
    return count;
  }));
  return counts.reduce((sum, count) => sum + count, 0);
}

const TICK = 10; // milliseconds of a clock tick (sysconf(_SC_CLK_TCK) is 100 on every Linux that Deno runs on)

/** The fields of /proc/PID/stat behind the name, which may hold spaces. */
async function statOf(process: number | "self"): Promise<number[]> {
  const text = await Deno.readTextFile(`/proc/${process}/stat`);
  return text.slice(text.lastIndexOf(")") + 2).split(" ").map(Number);
}

/** Milliseconds of CPU time of a process, all threads, user and system: proc(5). */
async function cpuOf(pid: number): Promise<number> {
  const fields = await statOf(pid);
  return (fields[11]! + fields[12]!) * TICK;
}

/** Milliseconds of CPU time of our own children that have ended. */
async function cpuOfChildren(): Promise<number> {
  const fields = await statOf("self");
  return (fields[13]! + fields[14]!) * TICK;
}

async function main(): Promise<void> {
  const { seconds = "3", rounds = "3", ...given } = parseArgs(Deno.args, {
    string: ["seconds", "rounds", "serve", "load"],
  });
  if (given.serve !== undefined) return await serve(Number(given.serve), given.load as Load);
  const processors = navigator.hardwareConcurrency;
  const rows = (Object.keys(LOADS) as Load[]).flatMap((load) =>
    [0, ...Array.from({ length: processors }, (_, i) => i + 1)].map((workers) => ({ load, workers }))
  );
  const samples = new Map<typeof rows[number], Sample[]>(rows.map((row) => [row, []]));
  for (let round = 0; round < Number(rounds); round++) {
    for (const row of rows) samples.get(row)!.push(await measure(row.workers, row.load, Number(seconds)));
  }
  console.log(`TLS 1.3 full handshakes over loopback, ${CLIENTS} x openssl s_time, ${processors} processors`);
  console.log(
    line([
      "",
      "/s",
      "min..max",
      "x one worker",
      "limit /s",
      "server CPU ms",
      "client CPU ms",
      "server cores",
    ]),
  );
  for (const row of rows) {
    const of = (pick: (sample: Sample) => number, from = row) => median(samples.get(from)!.map(pick));
    const one = rows.find(({ load, workers }) => load === row.load && workers === 1)!;
    const rates = samples.get(row)!.map(({ rate }) => rate);
    const cost = of(({ serverCpu, clientCpu }) => serverCpu + clientCpu);
    console.log(line([
      `${row.load}, ${row.workers === 0 ? "no workers" : `workers: ${row.workers}`}`,
      of(({ rate }) => rate).toFixed(0),
      `${Math.min(...rates).toFixed(0)}..${Math.max(...rates).toFixed(0)}`,
      (of(({ rate }) => rate) / of(({ rate }) => rate, one)).toFixed(2),
      (processors * 1000 / cost).toFixed(0),
      of(({ serverCpu }) => serverCpu).toFixed(3),
      of(({ clientCpu }) => clientCpu).toFixed(3),
      of(({ cores }) => cores).toFixed(2),
    ]));
  }
}

function line([name, ...cells]: readonly string[]): string {
  return name!.padEnd(36) + cells.map((cell) => cell.padStart(14)).join("");
}

if (import.meta.main) await main();
