/**
 * tlsio's client in a process of its own: `deno run -A resume.ts port file`. It offers the session whose bytes the file
 * holds, if any, and puts there those of its own. Prints a line of JSON.
 */
import { SSLSession, wrapSocket } from "tlsio";
import { certFile } from "./options.ts";
import { runSteps } from "./protocol.ts";

const [port, file] = Deno.args as [string, string];
const saved = await Deno.readFile(file);
const conn = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
await using socket = await wrapSocket(conn, {
  serverHostname: "localhost",
  caCerts: certFile("roots.pem"),
  ...(saved.length > 0 && { savedSession: SSLSession.from(saved) }),
});
const [step] = await runSteps(socket, ["ECHO 1000 1"]);
await Deno.writeFile(file, socket.session?.toBytes() ?? new Uint8Array());
console.log(JSON.stringify({ version: socket.version(), resumed: socket.sessionReused, ok: step?.ok }));
