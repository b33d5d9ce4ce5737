/**
 * A pre-shared key in place of certificates: both ends know a secret, as small devices do that cannot afford signatures.
 * One that does not know it is turned away.
 *
 * ```sh
 * deno run --allow-net examples/psk.ts localhost
 * ```
 */
import { openConnection, type SSLSocket, startServer } from "../mod.ts";

const [hostname = "localhost"] = Deno.args;
const identity = "thermometer-1"; // goes over the network in the clear
const key = crypto.getRandomValues(new Uint8Array(32)); // 16 to 256 bytes, random: a password can be guessed

await using server = await startServer(async (_reader, writer) => {
  writer.write("21.5\n");
  await writer.drain();
}, {
  hostname,
  port: 0,
  ssl: { psk: { identity, key } },
  onError: (error) => console.log(`  server: ${error}`),
});

async function visit(who: string, key: Uint8Array): Promise<void> {
  console.log(`${who}:`);
  try {
    const [reader, writer] = await openConnection({
      hostname,
      port: (server.addr as Deno.NetAddr).port,
      ssl: { psk: { identity, key } },
    });
    await using _ = writer;
    const celsius = new TextDecoder().decode(await reader.readline()).trim();
    const tls = writer.transport as SSLSocket;
    console.log(
      `  client: ${celsius} C over ${tls.version()}, certificate: ${tls.getpeercert(true) ?? "none"}`,
    );
  } catch (error) {
    console.log(`  client: ${error}`);
  }
}

await visit("With the key", key);
await visit("With another key", new Uint8Array(32));
