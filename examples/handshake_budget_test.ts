/**
 * A test that holds a handshake to a budget: it fails when someone makes the certificate chain longer, or resumption stops.
 *
 * ```sh
 * deno test --allow-net=127.0.0.1 examples/handshake_budget_test.ts
 * ```
 */
import { assertHandshakeCost } from "../cost.ts";
import { createCertificate, MemorySessionStore, SSLContext, startServer } from "../mod.ts";

const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });

Deno.test("a device's handshakes keep to their budget", async (t) => {
  await using server = await startServer(async (reader, writer) => {
    writer.write(await reader.readline());
    await writer.drain();
  }, { hostname: "127.0.0.1", port: 0, ssl: { certfile: certificate, keyfile: key } });
  const { port } = server.addr as Deno.NetAddr;
  using context = await SSLContext.create({
    caCerts: certificate,
    sessionStore: new MemorySessionStore(), // its second connection resumes
    measure: true, // what assertHandshakeCost() needs
  });

  async function connect() {
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    const tls = await context.wrapSocket(conn, { serverHostname: "localhost" });
    await tls.write(new TextEncoder().encode("21.5\n"));
    await tls.read(new Uint8Array(10)); // tickets come with the data
    await tls.close();
    return tls;
  }

  await t.step("a full one", async () => {
    assertHandshakeCost(await connect(), { maxRoundTrips: 1, maxBytesUp: 600, maxBytesDown: 1200 });
  });

  await t.step("a resumed one: no certificate comes", async () => {
    assertHandshakeCost(await connect(), { maxRoundTrips: 1, maxBytesUp: 900, maxBytesDown: 400 });
  });
});
