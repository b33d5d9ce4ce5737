/**
 * Who does no harm: for each line with a number of seconds it makes new connections, one after the other, and sends messages
 * on an open one, and answers with how long each took, in milliseconds, as JSON. Its TLS is Deno's own (rustls).
 */
import { connect as connectTls, type TLSSocket } from "node:tls";

const [portText, localAddress, ca, cert, key] = Deno.args as [string, string, string, string?, string?];
const PATIENCE = 10_000; // milliseconds
const PAUSE = 5; // milliseconds between two messages, and between two connections: attackers have the processor meanwhile
const MESSAGE = new Uint8Array(64);
const options = {
  host: "127.0.0.1",
  port: Number(portText),
  localAddress,
  servername: "localhost",
  ca: Deno.readTextFileSync(ca),
  ...(cert && key && { cert: Deno.readTextFileSync(cert), key: Deno.readTextFileSync(key) }),
};

/** Sends a message and waits for its echo. */
async function echo(socket: TLSSocket): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => reject(new Error("no answer")), PATIENCE);
  const end = () => reject(new Error("closed"));
  socket.once("data", () => resolve()).once("error", reject).once("close", end);
  socket.write(MESSAGE);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    socket.off("error", reject).off("close", end);
  }
}

async function connect(): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connectTls(options, resolve);
  socket.on("connect", () => socket.setNoDelay(true)); // else the message waits 40 ms for the ACK of the last flight (Nagle)
  const timer = setTimeout(() => reject(new Error("no handshake")), PATIENCE);
  socket.on("error", reject).on("close", () => reject(new Error("closed")));
  try {
    await promise;
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

const open = await connect();
await echo(open);
console.log("open");

async function measure(seconds: number) {
  const ends = performance.now() + seconds * 1000;
  const connects: number[] = [];
  const messages: number[] = [];
  let failed = 0;
  const comers = (async () => {
    while (performance.now() < ends) {
      const start = performance.now();
      let socket: TLSSocket | undefined;
      try {
        socket = await connect();
        await echo(socket);
        connects.push(performance.now() - start);
      } catch {
        failed++;
      }
      socket?.destroy();
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  })();
  while (performance.now() < ends) {
    const start = performance.now();
    await echo(open);
    messages.push(performance.now() - start);
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  await comers;
  return { connects, messages, failed };
}

for await (const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  console.log(JSON.stringify(await measure(Number(line))));
}
Deno.exit();
