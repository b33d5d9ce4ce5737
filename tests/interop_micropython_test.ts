/** startServer and openConnection with the asyncio of MicroPython 1.25, whose handshakes are those of the first use. */
import { assertEquals, assertRejects } from "@std/assert";
import { openConnection } from "../lib/net.ts";
import { SSLError } from "../lib/errors.ts";
import { certFile, identity, micropythonClient, micropythonServer } from "./peers.ts";
import { CREDENTIAL, serving, test, VERSIONS } from "./sockets.ts";

const ROOT = certFile("root.pem");
const ALERT = -30592;
const NO_CLIENT_CERTIFICATE = -29824;

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`startServer(): MicroPython's open_connection, ${version}`, async () => {
    await using server = await serving(async (reader, writer) => {
      const line = new TextDecoder().decode(await reader.readline());
      writer.write(line.toUpperCase() + "x".repeat(100_000));
      await writer.drain();
    }, { ssl: { ...CREDENTIAL, sslVersion } });
    const { port } = server.addr as Deno.NetAddr;
    const client = { port, ca: ROOT, hostname: "localhost", asyncio: true, read: true };
    const all = await Promise.all([
      micropythonClient(client),
      micropythonClient({ ...client, line: "other" }),
    ]);
    assertEquals(all.map(({ line, rest }) => [line, rest]), [["HELLO\n", 100_000], ["OTHER\n", 100_000]]);
  });

  test(`openConnection(): MicroPython's start_server, ${version}`, async () => {
    await using peer = await micropythonServer({ ...identity("ec"), asyncio: true });
    const connections = await Promise.all([1, 2, 3].map(async (n) => {
      const ssl = { caCerts: ROOT, serverHostname: "localhost", sslVersion, suppressRaggedEofs: true };
      const [reader, writer] = await openConnection({ hostname: "127.0.0.1", port: peer.port, ssl });
      for (let line = 0; line < n; line++) {
        writer.write(`line ${line}\n`);
        assertEquals(new TextDecoder().decode(await reader.readline()), `LINE ${line}\n`);
      }
      writer.write("bye\n");
      assertEquals((await reader.read()).length, 0);
      writer.close();
      await writer.waitClosed();
      return n;
    }));
    assertEquals(connections, [1, 2, 3]);
  });

  test(`startServer(): MicroPython's open_connection without a certificate hears of it, ${version}`, async () => {
    const failed = Promise.withResolvers<unknown>();
    await using server = await serving(() => {}, {
      ssl: { ...CREDENTIAL, sslVersion, certReqs: 2, caCerts: ROOT },
      onError: (error) => failed.resolve(error),
    });
    const { port } = server.addr as Deno.NetAddr;
    const { args } = await micropythonClient({ port, ca: ROOT, hostname: "localhost", asyncio: true });
    assertEquals(args![0], ALERT);
    assertEquals((await failed.promise as SSLError).code, NO_CLIENT_CERTIFICATE);
  });

  test(`openConnection(): MicroPython's handler meets a client without a certificate in its first read, ${version}`, async () => {
    await using peer = await micropythonServer({ ...identity("ec"), ca: ROOT, asyncio: true });
    const ssl = { caCerts: ROOT, serverHostname: "localhost", sslVersion };
    await assertRejects(async () => {
      const [reader, writer] = await openConnection({ hostname: "127.0.0.1", port: peer.port, ssl });
      try {
        writer.write("hello\n");
        await writer.drain();
        await reader.readline(); // TLS 1.3: here
      } finally {
        writer.close();
        await writer.waitClosed().catch(() => {});
      }
    }, SSLError);
    assertEquals((await peer.closed()).args![0], NO_CLIENT_CERTIFICATE);
  });
}
