/**
 * TLS over a WebSocket: end to end through a relay or a firewall that lets only HTTP pass. Both ends on this machine.
 *
 * ```sh
 * deno run --allow-net examples/websocket.ts localhost
 * ```
 */
import { createCertificate, type StreamPair, StreamReader, wrapSocket } from "../mod.ts";

const [hostname = "localhost"] = Deno.args;
const { certificate, key } = createCertificate({ subject: "CN=inside", hosts: ["inside"] });

/** The messages of a WebSocket as bytes in and bytes out: all that TLS needs. */
function streams(socket: WebSocket): StreamPair {
  socket.binaryType = "arraybuffer";
  const opened = new Promise((resolve) => socket.addEventListener("open", resolve));
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const received = writable.getWriter();
  const ignore = () => {}; // nobody reads any more
  socket.addEventListener("message", ({ data }) => received.write(new Uint8Array(data)).catch(ignore));
  socket.addEventListener("close", () => received.close().catch(ignore));
  return {
    readable,
    writable: new WritableStream({
      async write(chunk) {
        if (socket.readyState === WebSocket.CONNECTING) await opened;
        socket.send(chunk);
      },
      close: () => socket.close(),
      abort: () => socket.close(),
    }),
  };
}

async function answer(socket: WebSocket): Promise<void> {
  const own = { serverSide: true, certfile: certificate, keyfile: key };
  await using tls = await wrapSocket(streams(socket), own);
  for await (const line of new StreamReader(tls)) {
    await tls.write(new TextEncoder().encode(new TextDecoder().decode(line).toUpperCase()));
  }
}

const answered = Promise.withResolvers<void>();
await using server = Deno.serve({ hostname, port: 0, onListen() {} }, (request) => {
  const { socket, response } = Deno.upgradeWebSocket(request);
  answer(socket).then(answered.resolve, answered.reject);
  return response;
});

const socket = new WebSocket(`ws://${hostname}:${server.addr.port}/`);
const tls = await wrapSocket(streams(socket), { serverHostname: "inside", caCerts: certificate });
await tls.write(new TextEncoder().encode("hello\n"));
const line = await new StreamReader(tls).readline();
console.log(`${tls.version()} inside ws: ${new TextDecoder().decode(line).trim()}`);
await Promise.all([tls.close(), answered.promise]);
