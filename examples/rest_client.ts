/**
 * The book's REST client: reads and writes a temperature with GET, PUT, POST, PATCH, DELETE and HEAD. The words of HTTP are
 * `node:http`'s, the TLS is ours; Deno's `fetch` takes no connection from outside.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/rest_client.ts localhost 8443 ca.pem
 * deno run --allow-net --allow-sys examples/rest_client.ts example.com 443
 * ```
 */
import { type IncomingMessage, request } from "node:http";
import { Duplex } from "node:stream";
import { SSLContext } from "../mod.ts";

const [hostname = "localhost", port = "8443", caCerts] = Deno.args;

using context = await SSLContext.create(caCerts ? { caCerts } : {});

/** One request on a connection of its own, as MicroPython's `requests` does it. Returns the status and the body. */
async function send(method: string, path: string, data?: unknown): Promise<[number, string]> {
  const conn = await Deno.connect({ hostname, port: Number(port) });
  await using tls = await context.wrapSocket(conn, { serverHostname: hostname, timeout: 5 });
  const body = data === undefined ? "" : JSON.stringify(data);
  const headers = {
    "Content-Type": "application/json",
    "Content-Length": new TextEncoder().encode(body).length,
    Connection: "close",
  };
  const createConnection = () => Duplex.fromWeb({ readable: tls.readable, writable: tls.writable });
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const sent = request({ createConnection, method, host: hostname, path, headers }, resolve);
    sent.on("error", reject);
    sent.end(body);
  });
  let text = "";
  for await (const chunk of answer) text += chunk;
  return [answer.statusCode!, text];
}

for (const method of ["GET", "HEAD", "DELETE"]) {
  console.log(method, ...await send(method, "/"));
}
for (const method of ["PUT", "POST", "PATCH"]) {
  console.log(method, ...await send(method, "/", { temperature: 21.5 }));
}
