/**
 * An HTTPS server as a handler of requests, as for `Deno.serve`, which is told what TLS knows of the connection.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/serve_http.ts localhost 8443 server.pem server.key
 * ```
 */
import { serve } from "../http.ts";

const [hostname = "localhost", port = "8443", certfile = "server.pem", keyfile = "server.key"] = Deno.args;

const server = await serve(async (request, { remoteAddr, tls }) => {
  const { pathname } = new URL(request.url);
  if (pathname !== "/") return new Response(`Nothing at ${pathname}\n`, { status: 404 });
  return Response.json({
    method: request.method,
    body: await request.text(),
    client: (remoteAddr as Deno.NetAddr).hostname,
    version: tls?.version,
    cipher: tls?.cipher,
    group: tls?.group,
    sessionReused: tls?.sessionReused,
  });
}, { hostname, port: Number(port), ssl: { certfile, keyfile } });

console.log(`Listening on https://${hostname}:${(server.addr as Deno.NetAddr).port}/`);
Deno.addSignalListener("SIGINT", () => server.close()); // requests under way are finished first
await server.finished;
console.log(`Served ${server.stats.requests} requests`);
