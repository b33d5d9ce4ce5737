/**
 * The servers of the soak, in a process of their own: `startServer()` sends back what it gets, `serve()` a body and its hash.
 * It prints both ports; then, for each line that it reads, what it holds, as JSON.
 */
import { serve } from "../../lib/http.ts";
import { Core } from "../../lib/core.ts";
import { startServer } from "../../lib/net.ts";

const [certfile, keyfile] = Deno.args as [string, string];
const where = { hostname: "127.0.0.1", port: 0, ssl: { certfile, keyfile }, sslHandshakeTimeout: 5 };
await using streams = await startServer(async (reader, writer) => {
  for (let bytes = await reader.read(65536); bytes.length > 0; bytes = await reader.read(65536)) {
    writer.write(bytes);
    await writer.drain();
  }
}, { ...where, onError() {} });
await using web = await serve(async (request) => {
  const body = await request.bytes();
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", body)).toHex();
  return new Response(body, { headers: { "x-hash": hash } });
}, { ...where, onError: () => new Response(null, { status: 500 }) });
const portOf = (addr: Deno.Addr) => (addr as Deno.NetAddr).port;
console.log(portOf(streams.addr), portOf(web.addr));

for await (const _ of Deno.stdin.readable) {
  const core = Core.shared();
  const [a, b] = [streams.stats, web.stats];
  console.log(JSON.stringify({
    rss: Deno.memoryUsage().rss,
    heap: core.memory.length,
    allocated: core.allocated,
    files: [...Deno.readDirSync("/proc/self/fd")].length,
    open: a.open + a.handshaking + b.open + b.handshaking,
    accepted: a.accepted + b.accepted,
    failures: { ...a.failures, ...b.failures },
    limits: { ...a.limits, ...b.limits },
  }));
}
Deno.exit(); // whoever measured has gone
