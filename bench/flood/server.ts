/**
 * A server in a process of its own, and how long its event loop stands still. Each line that it reads is answered with what
 * there was since the line before, as JSON.
 */
import { startServer } from "../../lib/net.ts";
import { Core } from "../../lib/core.ts";

const [certfile, keyfile] = Deno.args as [string, string];
await using server = await startServer(async (reader, writer) => {
  for (let bytes = await reader.read(65536); bytes.length > 0; bytes = await reader.read(65536)) {
    writer.write(bytes);
    await writer.drain();
  }
}, { hostname: "127.0.0.1", port: 0, ssl: { certfile, keyfile }, onError() {} });
console.log((server.addr as Deno.NetAddr).port);

let stalls: number[] = [];
let last = performance.now();
setInterval(() => {
  const time = performance.now();
  stalls.push(time - last - 1);
  last = time;
}, 1);

for await (const _ of Deno.stdin.readable) {
  stalls.sort((a, b) => a - b);
  const at = (share: number) => stalls[Math.floor(share * (stalls.length - 1))]!;
  const { rss } = Deno.memoryUsage();
  const { size } = { size: Core.shared().memory.length };
  console.log(JSON.stringify({
    stallMax: at(1),
    stallP99: at(0.99),
    rss,
    heap: size,
    allocated: Core.shared().allocated,
    stats: server.stats,
  }));
  stalls = [];
}
Deno.exit(); // whoever measured has gone
