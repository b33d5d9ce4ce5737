/**
 * One server for several hosts, whose certificates it renews as it runs: `getCertificate` chooses by the name that the
 * client asks for, and no connection is dropped. The certificates are made here; with files, watch those instead.
 *
 * ```sh
 * deno run --allow-net examples/renew_certificate.ts localhost 8443
 * ```
 */
import { Certificate, createCertificate, openConnection, type SSLSocket, startServer } from "../mod.ts";

const [hostname = "localhost", port = "8443"] = Deno.args;
const ca = createCertificate({ subject: "CN=Demo CA", isCA: true });
const sites = new Map<string, Certificate>();

/** Read once: to choose it costs nothing then. Sessions go on, since the names are the same. */
async function renew(host: string): Promise<void> {
  const { certificate, key } = createCertificate({ subject: `CN=${host}`, hosts: [host], issuer: ca });
  sites.set(host, await Certificate.load({ certfile: certificate, keyfile: key }));
}
for (const host of ["a.test", "b.test"]) await renew(host);

await using server = await startServer(async (reader, writer) => {
  for await (const line of reader) {
    writer.write(line);
    await writer.drain();
  }
  writer.close();
}, {
  hostname,
  port: Number(port),
  ssl: {
    certificates: sites.get("a.test")!, // for who asks for no name, or for an unknown one
    getCertificate: ({ serverName }) => sites.get(serverName ?? ""), // could ask a database: it may wait
  },
});

async function visit(serverHostname: string) {
  const [reader, writer] = await openConnection({
    hostname,
    port: (server.addr as Deno.NetAddr).port,
    serverHostname,
    ssl: { caCerts: ca.certificate },
  });
  const { serialNumber } = (writer.transport as SSLSocket).getpeercert()!;
  console.log(`${serverHostname}: certificate ${serialNumber?.slice(0, 8)}`);
  return { reader, writer };
}

const before = await visit("a.test");
await renew("a.test");
const after = await visit("a.test");
const other = await visit("b.test");
for (const { reader, writer } of [before, after, other]) {
  writer.write("still here\n");
  console.log(new TextDecoder().decode(await reader.readline()).trim());
  writer.close();
  await writer.waitClosed();
}
