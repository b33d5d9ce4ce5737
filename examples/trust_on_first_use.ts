/**
 * Trust on first use, as SSH has it: a device with a certificate that nobody signed is remembered by its key, and another
 * key in its place is refused.
 *
 * ```sh
 * deno run --allow-net examples/trust_on_first_use.ts localhost 8443
 * ```
 */
import { type ConnectionState, createCertificate, openConnection, startServer } from "../mod.ts";

const [hostname = "localhost", port = "8443"] = Deno.args;

const makeDevice = () => createCertificate({ subject: "CN=device", hosts: [hostname] }); // signed by itself
const device = makeDevice();
const impostor = makeDevice();

const known = new Map<string, string>(); // keep it in a file, or in Deno.openKv()

function onUnknownPeer({ serverHostname, pin }: ConnectionState): boolean {
  const host = serverHostname!;
  if (!known.has(host)) {
    known.set(host, pin!); // a person could be asked first: it may wait
    console.log(`  new: ${host} has the key ${pin}`);
  }
  return known.get(host) === pin;
}

await using server = await startServer((_reader, writer) => {
  writer.write("21.5 degrees\n");
  writer.close();
}, { hostname, port: Number(port), ssl: { certfile: device.certificate, keyfile: device.key } });

async function visit(): Promise<void> {
  try {
    const [reader, writer] = await openConnection({
      hostname,
      port: (server.addr as Deno.NetAddr).port,
      ssl: { caCerts: [], onUnknownPeer }, // caCerts: no authority is trusted, every peer is unknown
    });
    await using _ = writer;
    console.log(`  ${new TextDecoder().decode(await reader.readline()).trim()}`);
  } catch (error) {
    console.log(`  ${error}`);
  }
}

for (const what of ["The first time:", "The second time:"]) {
  console.log(what);
  await visit();
}
console.log("Another key in its place:");
await server.setContext({ certfile: impostor.certificate, keyfile: impostor.key });
await visit();
