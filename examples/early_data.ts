/**
 * A request with the first flight (0-RTT): on its second visit a client sends it before the handshake, and the server may
 * answer at once. Who recorded the request can send it again: so only what does no harm twice, here GET, is answered early.
 *
 * ```sh
 * deno run --allow-net examples/early_data.ts
 * ```
 */
import { createCertificate, openConnection, SSLContext, type SSLSession, type SSLSocket } from "../mod.ts";

const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
using context = await SSLContext.create({
  serverSide: true,
  certfile: certificate,
  keyfile: key,
  maxEarlyData: 4096, // bytes; 0, the default, takes none
});
const encode = (text: string) => new TextEncoder().encode(text);

async function serve(conn: Deno.Conn): Promise<void> {
  await using tls = await context.wrapSocket(conn, { doHandshake: false }); // early data comes before its end
  const buffer = new Uint8Array(4096);
  let request = "";
  for (let n; (n = await tls.readEarlyData(buffer)) !== null;) {
    request += new TextDecoder().decode(buffer.subarray(0, n));
    if (!request.startsWith("GET ")) continue; // it waits for the handshake, which nobody can replay
    await tls.write(encode(`early answer to ${request}`));
    return;
  }
  if (request === "") request = new TextDecoder().decode(buffer.subarray(0, (await tls.read(buffer)) ?? 0));
  await tls.write(encode(`answer to ${request}`));
}

const listener = Deno.listen({ hostname: "localhost", port: 0 });
const serving = (async () => {
  for await (const conn of listener) await serve(conn).catch((error) => console.error(error.message));
})();

let savedSession: SSLSession | undefined;
for (const request of ["GET /first", "GET /second", "POST /third"]) {
  const [reader, writer] = await openConnection({
    hostname: "localhost",
    port: listener.addr.port,
    ssl: { caCerts: certificate },
    earlyData: encode(request), // behind the handshake when it cannot go with the first flight; exactly once
    ...(savedSession && { savedSession }),
  });
  console.log(new TextDecoder().decode(await reader.read()));
  const tls = writer.getExtraInfo("sslObject") as SSLSocket;
  console.log(`with the first flight: ${tls.earlyDataAccepted}`);
  savedSession = tls.session;
  writer.close();
  await writer.waitClosed();
}
listener.close();
await serving;
