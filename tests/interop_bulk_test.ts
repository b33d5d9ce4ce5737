/** Much data, and many connections at once. */
import { assertEquals, assertObjectMatch } from "@std/assert";
import { openConnection, type Server, SSLContext } from "tlsio";
import { equalBytes } from "../lib/bytes.ts";
import { closeInOrder, ROOTS, tlsioClient, tlsioServer, VERSION } from "./interop.ts";
import {
  identity,
  nodeClient,
  nodeServer,
  PATIENCE,
  pattern,
  pythonClient,
  pythonServer,
  runSteps,
  within,
} from "./peers.ts";

const MEGABYTE = 1_000_000;
/** All of it takes a few seconds; a slow machine may take many more. */
const BULK_PATIENCE = 120_000;

const CLIENTS = { "python ssl": pythonClient, "node tls": nodeClient };
const SERVERS = { "python ssl": pythonServer, "node tls": nodeServer };

/** Both directions, one after the other and at once. */
function steps(megabytes: number): string[] {
  const bytes = megabytes * MEGABYTE;
  return [`SINK ${bytes} 1`, `SOURCE ${bytes} 2`, `ECHO ${bytes} 3`];
}

const BULK = [
  { megabytes: 1, cipher: "TLS_AES_128_GCM_SHA256", tls: "1.3" },
  { megabytes: 1, cipher: "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", tls: "1.2" },
  { megabytes: 64, cipher: "TLS_CHACHA20_POLY1305_SHA256", tls: "1.3" },
] as const;

for (const { megabytes, cipher, tls } of BULK) {
  const wanted = steps(megabytes);
  const what = `${megabytes} MB up, down and both at once, ${cipher}`;

  for (const [name, connect] of Object.entries(CLIENTS)) {
    Deno.test(`interop ${name} -> tlsio TLSv${tls}: ${what}: hashes agree at both ends`, async () => {
      await using server = await tlsioServer({ ciphers: [cipher], sslVersion: VERSION[tls] });
      const { connections } = await connect({
        port: server.port,
        ca: ROOTS,
        steps: wanted,
        timeoutMs: BULK_PATIENCE,
        ...(tls === "1.2" && { ciphers: "ALL" }),
      });
      const { steps: found, error } = connections[0]!;
      assertEquals([found.map(({ step, ok }) => ok && step), error], [wanted, undefined]);
      const served = (await server.served(1))[0]!;
      assertEquals([served.ended, served.cipher], ["eof", cipher]);
    });
  }

  for (const [name, start] of Object.entries(SERVERS)) {
    // The blocking server of python reads and writes by turns: an echo of that size would lock both ends.
    const asyncio = name === "python ssl" ? { style: "asyncio" } as const : {};
    Deno.test(`interop tlsio -> ${name} TLSv${tls}: ${what}: hashes agree at both ends`, async () => {
      await using server = await start({
        ...identity("ec"),
        ...asyncio,
        ...(tls === "1.2" && { ciphers: "ALL" }),
      });
      const socket = await tlsioClient(server.port, { ciphers: [cipher], sslVersion: VERSION[tls] });
      assertEquals(socket.cipher()?.name, cipher);
      const found = await runSteps(socket, wanted, BULK_PATIENCE);
      assertEquals(found.map(({ step, ok }) => ok && step), wanted);
      await closeInOrder(socket);
    });
  }
}

const CROWD = 500;

Deno.test(`interop node tls -> tlsio: ${CROWD} connections at once: all served, hashes right, stats add up`, async () => {
  await using server = await tlsioServer();
  const { connections } = await nodeClient({
    port: server.port,
    ca: ROOTS,
    steps: ["ECHO 50000 1", "SINK 50000 2"],
    connections: CROWD,
    args: ["--parallel"],
    timeoutMs: BULK_PATIENCE,
  });
  assertEquals(connections.filter(({ steps, error }) => !error && steps.every(({ ok }) => ok)).length, CROWD);
  const served = await server.served(CROWD);
  assertEquals(served.filter(({ ended }) => ended === "eof").length, CROWD);
  await assertStats(server.server, CROWD);
});

Deno.test(`interop tlsio -> tlsio: ${CROWD} connections at once: all served, hashes right, stats add up`, async () => {
  await using server = await tlsioServer({ identity: "rsa" });
  using ssl = await SSLContext.create({ caCerts: ROOTS });
  const one = async () => {
    const at = { hostname: "127.0.0.1", port: server.port, ssl, serverHostname: "localhost" };
    const [reader, writer] = await openConnection(at);
    writer.write(`ECHO 1000 ${1}\n`);
    writer.write(pattern(1, 0, 1000));
    const same = equalBytes(await reader.readexactly(1000), pattern(1, 0, 1000));
    writer.write("QUIT\n");
    const ended = await reader.read(1);
    writer.close();
    await writer.waitClosed();
    return same && ended.length === 0;
  };
  const all = await within(Promise.all(Array.from({ length: CROWD }, one)), BULK_PATIENCE, "serve a crowd");
  assertEquals(all.filter((ok) => ok).length, CROWD);
  await server.served(CROWD);
  await assertStats(server.server, CROWD);
});

/** Nothing is open any more, nothing failed, everything was counted. */
async function assertStats(server: Server, accepted: number): Promise<void> {
  server.close();
  await within(server.waitClosed(), PATIENCE, "wait for the last connection");
  const none = { refused: 0, handshaking: 0, open: 0, handshakeFailures: 0, failures: {} };
  assertObjectMatch(server.stats, { accepted, handshakes: accepted, ...none });
}
