/** Attacks a port until its standard input ends: `half-open`, `hello` or `ticket`, by so many lanes at once. */
import { SSLContext } from "../../lib/ssl.ts";
import { startServer } from "../../lib/net.ts";
import type { SSLSession } from "../../lib/session.ts";

const [kind, portText, lanesText, caCerts, certfile, keyfile] = Deno.args as [
  string,
  string,
  string,
  string,
  string,
  string,
];
const port = Number(portText);
let begun = 0;
let over = false;
const connect = () => Deno.connect({ hostname: "127.0.0.1", port });

/** The first flight of a client: its hello. */
async function helloOf(): Promise<Uint8Array<ArrayBuffer>> {
  const context = await SSLContext.create({ caCerts });
  const { promise, resolve } = Promise.withResolvers<Uint8Array<ArrayBuffer>>();
  const never = new Promise<number | null>(() => {});
  context.wrapSocket({
    read: () => never,
    write: (p) => (resolve(p.slice()), Promise.resolve(p.length)),
    close() {},
  }, { serverHostname: "localhost" }).catch(() => {});
  return await promise;
}

async function flood(): Promise<void> {
  const hello = await helloOf();
  const p = new Uint8Array(16384);
  while (!over) {
    try {
      using conn = await connect();
      begun++;
      if (kind === "half-open") { // part of a hello, and silence
        await conn.write(hello.subarray(0, 100));
        await conn.read(p);
      } else { // a whole one, whose answer costs the server its key
        await conn.write(hello);
        await conn.read(p);
      }
    } catch {
      // refused
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

/** Offers tickets that the server cannot open, in whole handshakes: they are of another server with the same certificate. */
async function floodTickets(): Promise<void> {
  using context = await SSLContext.create({ caCerts });
  const savedSession = await foreignSession(context);
  while (!over) {
    try {
      const tls = await context.wrapSocket(await connect(), { serverHostname: "localhost", savedSession });
      if (tls.sessionReused) throw new Error("the server has opened a foreign ticket");
      begun++;
      tls.abort();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}

async function foreignSession(context: SSLContext): Promise<SSLSession> {
  await using other = await startServer(async (reader, writer) => {
    writer.write(await reader.readexactly(1));
    await writer.drain();
  }, { hostname: "127.0.0.1", port: 0, ssl: { certfile, keyfile } });
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: (other.addr as Deno.NetAddr).port });
  await using tls = await context.wrapSocket(conn, { serverHostname: "localhost" });
  await tls.write(new Uint8Array(1));
  await tls.read(new Uint8Array(1));
  return tls.session!;
}

for (let i = 0; i < Number(lanesText); i++) kind === "ticket" ? floodTickets() : flood();
for await (const _ of Deno.stdin.readable) console.log(begun);
over = true;
Deno.exit();
