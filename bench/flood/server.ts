/**
 * A server in a process of its own, which measures what it feels: how long its event loop stands still, how long one step of a
 * handshake takes, what it holds. Each line that it reads is answered with what there was since the line before, as JSON.
 */
import { startServer } from "../../lib/net.ts";
import { Core } from "../../lib/core.ts";
import { TLSEngine } from "../../lib/engine.ts";

const [certfile, keyfile, clientCa] = Deno.args as [string, string, string?];
await using server = await startServer(async (reader, writer) => {
  for (let bytes = await reader.read(65536); bytes.length > 0; bytes = await reader.read(65536)) {
    writer.write(bytes);
    await writer.drain();
  }
}, {
  hostname: "127.0.0.1",
  port: 0,
  ssl: { certfile, keyfile, ...(clientCa && { caCerts: clientCa, certReqs: 2 }) },
  maxConnectionsPerAddress: 1000, // the defaults, which loopback addresses do not have
  maxHandshakesPerAddress: 100,
  onError() {},
});
console.log((server.addr as Deno.NetAddr).port);

/** What was the greatest since the last line. */
const most = { stall: 0, step: 0, rss: 0, allocated: 0 };

let last = performance.now();
setInterval(() => {
  const time = performance.now();
  most.stall = Math.max(most.stall, time - last - 1);
  last = time;
}, 1);

const hold = () => {
  most.rss = Math.max(most.rss, Deno.memoryUsage().rss);
  most.allocated = Math.max(most.allocated, Core.shared().allocated);
};
setInterval(hold, 100);

const { handshakeStep } = TLSEngine.prototype;
TLSEngine.prototype.handshakeStep = function () {
  const start = performance.now();
  try {
    return handshakeStep.call(this);
  } finally {
    most.step = Math.max(most.step, performance.now() - start);
  }
};

const { gc } = globalThis as unknown as { gc: () => void };
let open = 0; // connections when nobody floods
for await (const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  if (line.startsWith("settle")) { // until the attackers' connections are gone
    for (let tries = 0; tries < 300 && server.stats.open + server.stats.handshaking > open; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    gc();
    await new Promise((resolve) => setTimeout(resolve, 100));
    Object.assign(most, { stall: 0, step: 0 });
  }
  const { rss } = Deno.memoryUsage();
  const { allocated, memory } = Core.shared();
  const { handshaking, handshakeFailures, refused } = server.stats;
  hold();
  console.log(JSON.stringify({
    most,
    rss,
    allocated,
    heap: memory.length,
    handshaking,
    handshakeFailures,
    refused,
    open: server.stats.open,
  }));
  if (line.startsWith("settle")) open = server.stats.open + handshaking;
  Object.assign(most, { stall: 0, step: 0, rss, allocated });
  last = performance.now();
}
Deno.exit(); // whoever measured has gone
