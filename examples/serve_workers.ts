/**
 * An HTTPS server that uses several processors: one Worker for each, all on the same port. The Workers import this very file
 * for its default export; what is for the program alone is behind `import.meta.main`.
 *
 * ```sh
 * deno run --unstable-net --allow-net --allow-read examples/serve_workers.ts localhost 8443 server.pem server.key
 * ```
 */
import { type HttpHandler, type HttpServeOptions, serve } from "../http.ts";

const worker = crypto.randomUUID(); // each Worker has variables of its own

const handler: HttpHandler = (_request, { tls }) =>
  Response.json({ worker, version: tls?.version, sessionReused: tls?.sessionReused });
export default handler;

/** What cannot cross to a Worker: functions, and an `SSLContext` if the handler needs its own. */
export const options: HttpServeOptions = {
  onError: () => new Response("Sorry\n", { status: 500 }),
};

if (import.meta.main) {
  const [hostname = "localhost", port = "8443", certfile = "server.pem", keyfile = "server.key"] = Deno.args;
  const server = await serve(import.meta.url, {
    workers: navigator.hardwareConcurrency,
    hostname,
    port: Number(port),
    ssl: { certfile, keyfile },
  });
  console.log(`Listening on https://${hostname}:${server.addr.port}/`);
  Deno.addSignalListener("SIGINT", () => server.close()); // requests under way are finished first
  await server.finished;
  const { requests } = await server.stats();
  console.log(`Served ${requests} requests`);
}
