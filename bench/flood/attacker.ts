/**
 * Attacks a port by so many lanes at once, from so many addresses, until its standard input ends. Each line that it reads is
 * answered with the number of attacks so far.
 *
 * Most floods send one recorded ClientHello again and again: that costs an attacker next to nothing, and the server a key
 * agreement and a signature.
 */
import { connect as connectTcp, type Socket } from "node:net";
import { SSLContext } from "../../lib/ssl.ts";
import { startServer } from "../../lib/net.ts";
import type { Duplex } from "../../lib/duplex.ts";
import type { SSLSession } from "../../lib/session.ts";
import type { Flood } from "./floods.ts";

interface Target {
  flood: Flood;
  port: number;
  lanes: number;
  addresses: number;
  ca: string;
  cert: string;
  key: string;
  clientCert: string;
}

const target: Target = JSON.parse(Deno.args[0]!);
const { flood, lanes, addresses, ca, cert, key, clientCert } = target;
let begun = 0;

/** A connection from one of the attackers' addresses: 127.0.0.2 and so on. */
async function connect(lane: number): Promise<Socket> {
  const localAddress = `127.0.0.${2 + lane % addresses}`;
  const socket = connectTcp({ host: "127.0.0.1", port: target.port, localAddress });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("connect", resolve).on("error", reject);
  await promise;
  socket.on("error", () => {}); // and closed then
  begun++;
  return socket;
}

/** The first flight of a client: its hello. */
async function helloOf(savedSession?: SSLSession): Promise<Uint8Array<ArrayBuffer>> {
  const context = await SSLContext.create({ caCerts: ca });
  const { promise, resolve } = Promise.withResolvers<Uint8Array<ArrayBuffer>>();
  const never = new Promise<number | null>(() => {});
  context.wrapSocket({
    read: () => never,
    write: (p) => (resolve(p.slice()), Promise.resolve(p.length)),
    close() {},
  }, { serverHostname: "localhost", ...(savedSession && { savedSession }) }).catch(() => {});
  return await promise;
}

/** A session of another server with the same certificate, whose tickets this one cannot open. */
async function foreignSession(context: SSLContext): Promise<SSLSession> {
  await using other = await startServer(async (reader, writer) => {
    writer.write(await reader.readexactly(1));
    await writer.drain();
  }, { hostname: "127.0.0.1", port: 0, ssl: { certfile: cert, keyfile: key } });
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: (other.addr as Deno.NetAddr).port });
  await using tls = await context.wrapSocket(conn, { serverHostname: "localhost" });
  await tls.write(new Uint8Array(1));
  await tls.read(new Uint8Array(1));
  return tls.session!;
}

/** Sends `bytes`; then waits for an answer, or holds the connection for as long as the server lets it. */
async function send(lane: number, bytes: Uint8Array, holds: boolean): Promise<void> {
  const socket = await connect(lane);
  socket.write(bytes);
  await new Promise<void>((resolve) => {
    socket.on("close", () => resolve());
    if (holds) socket.resume();
    else socket.once("data", () => resolve());
  });
  socket.destroy();
}

/** A whole handshake. */
async function shake(lane: number, context: SSLContext, savedSession?: SSLSession): Promise<void> {
  const socket = await connect(lane);
  const options = { serverHostname: "localhost", ...(savedSession && { savedSession }) };
  const tls = await context.wrapSocket(duplexOf(socket), options);
  if (tls.sessionReused) throw new Error("the server has opened a foreign ticket");
  if (flood === "rsa-client") await tls.read(new Uint8Array(1)); // the server's verdict comes behind our last flight
  tls.abort();
}

function duplexOf(socket: Socket): Duplex {
  const chunks: Uint8Array[] = [];
  let over = false;
  let wake = () => {};
  socket.on("data", (chunk: Uint8Array) => (chunks.push(chunk), wake()));
  socket.on("close", () => (over = true, wake()));
  return {
    async read(p) {
      while (chunks.length === 0 && !over) await new Promise<void>((resolve) => wake = resolve);
      const chunk = chunks.shift();
      if (chunk === undefined) return null;
      const n = Math.min(chunk.length, p.length);
      p.set(chunk.subarray(0, n));
      if (n < chunk.length) chunks.unshift(chunk.subarray(n));
      return n;
    },
    write: (p) => new Promise((resolve) => socket.write(p.slice(), () => resolve(p.length))),
    close: () => void socket.destroy(),
  };
}

/** One attack of a lane. */
async function plan(): Promise<(lane: number) => Promise<void>> {
  using context = await SSLContext.create({ caCerts: ca });
  switch (flood) {
    case "half-open": {
      const part = (await helloOf()).subarray(0, 100);
      return (lane) => send(lane, part, true);
    }
    case "silent": {
      const hello = await helloOf();
      return (lane) => send(lane, hello, true);
    }
    case "hello": {
      const hello = await helloOf();
      return (lane) => send(lane, hello, false);
    }
    case "ticket": {
      const hello = await helloOf(await foreignSession(context));
      return (lane) => send(lane, hello, false);
    }
    case "handshake": {
      const session = await foreignSession(context);
      const own = await SSLContext.create({ caCerts: ca });
      return (lane) => shake(lane, own, session);
    }
    case "rsa-client": { // signs with noise, which costs it nothing and is checked all the same
      const sign = () => crypto.getRandomValues(new Uint8Array(512));
      const own = await SSLContext.create({ caCerts: ca, certificates: [{ certfile: clientCert, sign }] });
      return (lane) => shake(lane, own);
    }
    case "none":
      return () => new Promise(() => {});
  }
}

const attack = await plan();
for (let lane = 0; lane < lanes; lane++) {
  (async () => {
    for (;;) {
      try {
        await attack(lane);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 1)); // refused
      }
    }
  })();
}
console.log("attacking");
for await (const _ of Deno.stdin.readable) {
  console.log(begun);
  if (flood === "none") { for (;;); // the processor's part of a flood: a loop that takes what an attacker takes
   }
}
Deno.exit();
