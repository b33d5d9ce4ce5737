/**
 * Session tickets of several servers, as behind a load balancer: those that share a TicketKeyRing resume each other's
 * sessions, one with keys of its own does not. All of them, and the client, in one program.
 *
 * ```sh
 * deno run --allow-net examples/shared_tickets.ts localhost
 * ```
 */
import {
  createCertificate,
  openConnection,
  saveSession,
  type Server,
  type SSLSession,
  type SSLSocket,
  startServer,
  TicketKeyRing,
} from "../mod.ts";

const [hostname = "localhost"] = Deno.args;
const { certificate, key } = createCertificate({ subject: `CN=${hostname}`, hosts: [hostname] });

const ring = new TicketKeyRing({ lifetime: 3600, rotateEvery: 1800 }); // seconds
const copy = TicketKeyRing.from(ring.toBytes()); // on another machine; the bytes are secret
const other = new TicketKeyRing();

async function start(tickets: TicketKeyRing): Promise<Server> {
  return await startServer(async (_reader, writer) => {
    writer.write("hello\n");
    await writer.drain();
  }, { hostname, port: 0, ssl: { certfile: certificate, keyfile: key, tickets } });
}

await using first = await start(ring);
await using second = await start(copy);
await using stranger = await start(other);

async function visit(name: string, server: Server, savedSession?: SSLSession): Promise<SSLSession> {
  const { port } = server.addr as Deno.NetAddr;
  const ssl = { caCerts: certificate, ...(savedSession && { savedSession }) };
  const [reader, writer] = await openConnection({ hostname, port, ssl });
  await using _ = writer;
  await reader.readline(); // the ticket comes with the first data
  const tls = writer.transport as SSLSocket;
  console.log(`${name}: ${tls.sessionReused ? "resumed" : "full handshake"}`);
  return saveSession(tls)!;
}

const session = await visit("First server", first);
await visit("Second server, same keys", second, session);
await visit("Server with other keys", stranger, session);
