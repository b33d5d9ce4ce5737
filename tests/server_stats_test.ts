/** What a server counts, against what its clients saw. */
import { assert, assertEquals, assertObjectMatch } from "@std/assert";
import {
  createCertificate,
  openConnection,
  saveSession,
  type Server,
  type ServerStats,
  type SSLSession,
  type SSLSocket,
  startServer,
  type TicketEvent,
  TicketKeyRing,
  TLSVersion,
  WorkerServer,
} from "tlsio";
import { noStats, sumStats } from "../lib/server_stats.ts";
import { eventually, test } from "./sockets.ts";

const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
const OWN = { certfile: certificate, keyfile: key };

async function visit(
  server: Pick<Server, "addr">,
  sslVersion: TLSVersion,
  savedSession?: SSLSession,
): Promise<{ session: SSLSession; suite: string }> {
  const { port } = server.addr as Deno.NetAddr;
  const [reader, writer] = await openConnection({
    hostname: "127.0.0.1",
    port,
    serverHostname: "localhost",
    ssl: { caCerts: certificate, sslVersion, ...(savedSession && { savedSession }) },
  });
  writer.write("hello\n");
  await reader.readline();
  const tls = writer.transport as SSLSocket;
  const visited = { session: saveSession(tls)!, suite: tls.cipher()!.name };
  writer.close();
  await writer.waitClosed();
  return visited;
}

const echo = `export default async (r, w) => { w.write(await r.readline()); await w.drain(); w.close(); }`;
const { default: handler } = await import(`data:text/javascript,${encodeURIComponent(echo)}`);

test("server.stats: handshakes by version and suite, resumptions, tickets, bytes and times", async () => {
  using tickets = new TicketKeyRing();
  using foreign = new TicketKeyRing();
  let issued = 0;
  const onTicket = (event: TicketEvent) => issued += event.type === "issued" ? event.count : 0;
  const ssl = { ...OWN, tickets, onTicket };
  await using server = await startServer(handler, { hostname: "127.0.0.1", port: 0, ssl });
  const first = await visit(server, TLSVersion.TLSv1_2);
  const second = await visit(server, TLSVersion.TLSv1_3);
  await visit(server, TLSVersion.TLSv1_2, first.session);
  await visit(server, TLSVersion.TLSv1_3, second.session);
  tickets.load(foreign.toBytes());
  await visit(server, TLSVersion.TLSv1_3, (await visit(server, TLSVersion.TLSv1_3)).session);
  await visit(server, TLSVersion.TLSv1_2, first.session); // its key is gone
  await eventually(() => server.stats.open === 0);
  const { stats } = server;
  const { handshakeTime, bytesReceived, bytesSent, suites, ...counts } = stats;
  assertObjectMatch(counts, {
    accepted: 7,
    handshakes: 7,
    resumed: 3,
    versions: { "TLSv1.2": 3, "TLSv1.3": 4 },
    ticketsAccepted: 3,
    ticketsRefused: { "unknown-key": 1 },
    handshakeFailures: 0,
  });
  assertEquals(suites[first.suite]! + (first.suite === second.suite ? 0 : suites[second.suite]!), 7);
  assertEquals(counts.ticketsIssued, issued);
  assert(issued >= 7, `${issued} tickets`);
  // Three full handshakes at least, with a certificate each.
  assert(bytesSent > 4 * 300 && bytesReceived > 7 * 150, `${bytesReceived} in, ${bytesSent} out`);
  const { count, sum, buckets } = handshakeTime;
  assertEquals([count, buckets["+Inf"]], [7, 7]);
  assert(sum > 0 && sum < 7 * 60);
  const bounds = Object.entries(buckets).sort(([a], [b]) =>
    Number(a.replace("+Inf", "Infinity")) - Number(b.replace("+Inf", "Infinity"))
  );
  assert(bounds.every(([, n], i) => i === 0 || n >= bounds[i - 1]![1]), "cumulative");
});

test("server.stats: bytes are those that went through the connection, also while it is open", async () => {
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  await using server = await startServer(async (reader, writer) => {
    await reader.readexactly(100_000);
    writer.write(new Uint8Array(50_000));
    await writer.drain();
    await ended;
  }, { hostname: "127.0.0.1", port: 0, ssl: OWN });
  const { port } = server.addr as Deno.NetAddr;
  const address = { hostname: "127.0.0.1", port, serverHostname: "localhost" };
  const [reader, writer] = await openConnection({ ...address, ssl: { caCerts: certificate } });
  writer.write(new Uint8Array(100_000));
  await reader.readexactly(50_000);
  const within = (bytes: number, data: number) => bytes > data && bytes < data * 1.1;
  const { bytesReceived, bytesSent, open } = server.stats;
  assert(
    open === 1 && within(bytesReceived, 100_000) && within(bytesSent, 50_000),
    `${bytesReceived} ${bytesSent}`,
  );
  end();
  writer.close();
  await writer.waitClosed();
  await eventually(() => server.stats.open === 0);
  const after = server.stats;
  assert(
    after.bytesReceived >= bytesReceived && within(after.bytesReceived, 100_000),
    "kept when it is closed",
  );
});

test("server.stats: a handshake that the handler completes counts when it is over; one that fails, by its reason", async () => {
  const ssl = { ...OWN, profile: "esp32" } as const;
  await using server = await startServer(handler, { hostname: "127.0.0.1", port: 0, ssl, onError: () => {} });
  await visit(server, TLSVersion.TLSv1_2);
  await eventually(() => server.stats.open === 0);
  assertObjectMatch(server.stats, { handshakes: 1, versions: { "TLSv1.2": 1 }, handshakeTime: { count: 0 } });
  const conn = await Deno.connect({ hostname: "127.0.0.1", port: (server.addr as Deno.NetAddr).port });
  await conn.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
  await eventually(() => server.stats.handshakeFailures === 1);
  conn.close();
  assertEquals([server.stats.handshakes, Object.values(server.stats.failures)], [1, [1]]);
});

test("server.stats: those of workers are added up, with their histograms", async () => {
  const module = `data:text/javascript,${encodeURIComponent(echo)}`;
  const server = await startServer(module, { workers: 2, hostname: "127.0.0.1", port: 0, ssl: OWN });
  assert(server instanceof WorkerServer);
  await using _server = server;
  for (let i = 0; i < 6; i++) await visit(server, TLSVersion.TLSv1_3);
  let stats: ServerStats = await server.stats();
  while (stats.open > 0) stats = await server.stats();
  assertObjectMatch(stats, { handshakes: 6, versions: { "TLSv1.3": 6 }, handshakeTime: { count: 6 } });
  assert(stats.bytesReceived > 6 * 150);
});

Deno.test("server.stats: sums go into what is nested, and change nothing of what they add", () => {
  const one = { ...noStats(), accepted: 1, failures: { a: 1 } };
  const other = { ...noStats(), accepted: 2, failures: { a: 2, b: 3 } };
  assertObjectMatch(sumStats([one, other]), { accepted: 3, failures: { a: 3, b: 3 } });
  assertEquals([one.failures, other.failures], [{ a: 1 }, { a: 2, b: 3 }]);
});
