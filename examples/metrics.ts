/**
 * An HTTPS server, and beside it, for this machine alone, what it counts at `/metrics`: for Prometheus, or for curl.
 *
 * ```sh
 * deno run --allow-net examples/metrics.ts localhost 8443 9464
 * ```
 */
import { createCertificate } from "../mod.ts";
import { serve } from "../http.ts";
import { metricsText } from "../metrics.ts";

const [hostname = "localhost", port = "8443", metricsPort = "9464"] = Deno.args;
const { certificate, key } = createCertificate({ subject: `CN=${hostname}`, hosts: [hostname] });

await using server = await serve(() => new Response("hello\n"), {
  hostname,
  port: Number(port),
  ssl: { certfile: certificate, keyfile: key },
});

await using metrics = Deno.serve({
  hostname: "127.0.0.1", // what a server counts is nobody else's business
  port: Number(metricsPort),
  onListen: (addr) => console.log(`Metrics at http://127.0.0.1:${addr.port}/metrics`),
}, (request) => {
  if (new URL(request.url).pathname !== "/metrics") return new Response("Not found\n", { status: 404 });
  const headers = { "content-type": "text/plain; version=0.0.4; charset=utf-8" };
  return new Response(metricsText(server.stats), { headers });
});
console.log(`Listening on https://${hostname}:${(server.addr as Deno.NetAddr).port}/`);
await metrics.finished;
