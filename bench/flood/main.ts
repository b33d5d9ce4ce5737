/**
 * Floods a server, and measures what those feel who do no harm: `deno task flood`.
 *
 * For each flood, in one run and on one machine: new connections and messages on an open one, before and during it, and after
 * it what the server still holds. The ratio of both is what counts; the machine has to carry the attackers, too.
 */
import { parseArgs } from "@std/cli";
import { wrapSocket } from "../../lib/ssl.ts";
import { Program } from "../../tests/peers.ts";

const flags = parseArgs(Deno.args, {
  string: ["seconds", "lanes", "key", "cert", "ca"],
  default: {
    seconds: "5",
    lanes: "32",
    cert: "tests/certs/ec.pem",
    key: "tests/certs/ec.key",
    ca: "tests/certs/root.pem",
  },
});
const { seconds, lanes, key, cert, ca } = flags as Record<string, string> as {
  seconds: string;
  lanes: string;
  key: string;
  cert: string;
  ca: string;
};
const SECONDS = Number(seconds);
const file = (name: string) => new URL(name, import.meta.url).pathname;
const run = (script: string, ...args: string[]) =>
  new Program("deno", ["run", "--quiet", "--no-check", "-A", file(script), ...args]);

const caCerts = Deno.readTextFileSync(ca);
await using server = run("server.ts", cert, key);
const [, portText] = await server.waitFor(/^(\d+)\n/);
const port = Number(portText);
const connect = async () =>
  await wrapSocket(await Deno.connect({ hostname: "127.0.0.1", port }), {
    serverHostname: "localhost",
    caCerts,
    timeout: 30,
  });

let asked = 1;
async function ask() {
  await server.write("?\n");
  const nth = ++asked;
  await server.waitFor(new RegExp(`^(.*\n){${nth}}`));
  return JSON.parse(server.stdout.split("\n")[nth - 1]!);
}

const percentile = (times: number[], share: number) =>
  times.sort((a, b) => a - b)[Math.floor(share * (times.length - 1))] ?? NaN;

/** New connections one after the other, and messages on an open one. */
async function measure() {
  const ends = performance.now() + SECONDS * 1000;
  const connects: number[] = [];
  const messages: number[] = [];
  let failed = 0;
  const p = new Uint8Array(64);
  const open = await connect();
  await Promise.all([
    (async () => {
      while (performance.now() < ends) {
        const start = performance.now();
        try {
          const tls = await connect();
          await tls.write(p);
          await tls.read(p.slice());
          connects.push(performance.now() - start);
          await tls.close();
        } catch {
          failed++;
        }
      }
    })(),
    (async () => {
      while (performance.now() < ends) {
        const start = performance.now();
        await open.write(new Uint8Array(64));
        await open.read(new Uint8Array(64));
        messages.push(performance.now() - start);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })(),
  ]);
  await open.close();
  return {
    connectP50: percentile(connects, 0.5),
    connectP99: percentile(connects, 0.99),
    messageP50: percentile(messages, 0.5),
    messageP99: percentile(messages, 0.99),
    n: connects.length,
    failed,
  };
}

const ms = (value: number) => value.toFixed(1).padStart(8);
await measure(); // warm
console.log(
  "flood       connect p50      p99  ratio   message p50     p99  ratio   stall p99     max   failed  rss MiB",
);
for (const kind of ["none", "half-open", "hello", "ticket"]) {
  await ask();
  const calm = await measure();
  await ask();
  let flooded = calm;
  let during;
  if (kind !== "none") {
    await using _attacker = run("attacker.ts", kind, String(port), lanes, ca, cert, key);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await ask();
    flooded = await measure();
    during = await ask();
  } else {
    flooded = await measure();
    during = await ask();
  }
  console.log(
    `${kind.padEnd(10)} ${ms(flooded.connectP50)} ${ms(flooded.connectP99)} ${
      ms(flooded.connectP99 / calm.connectP99)
    }    ${ms(flooded.messageP50)} ${ms(flooded.messageP99)} ${ms(flooded.messageP99 / calm.messageP99)}  ${
      ms(during.stallP99)
    } ${ms(during.stallMax)}  ${String(flooded.failed).padStart(4)}   ${ms(during.rss / (1 << 20))}`,
  );
}
await new Promise((resolve) => setTimeout(resolve, 4000));
const { rss, allocated, heap, stats } = await ask();
console.log(
  `afterwards: ${(rss / (1 << 20)).toFixed(1)} MiB RSS, core ${allocated} of ${heap} bytes, ${
    JSON.stringify(stats)
  }`,
);
