/**
 * TLS without a network: two engines in memory, and this program carries the records from one to the other. So TLS goes
 * over whatever can carry bytes, and a test needs no socket.
 *
 * ```sh
 * deno run examples/memory_engines.ts
 * ```
 */
import { TLSConfig, TLSEngine } from "../engine.ts";
import { createCertificate } from "../mod.ts";

const { certificate, key } = createCertificate({ subject: "CN=inside", hosts: ["inside"] });
const pem = (name: string, text: string) => ({ name, bytes: new TextEncoder().encode(text) });
const chain = pem("certificate", certificate);

using server = new TLSEngine(
  new TLSConfig({ serverSide: true, credential: { chain, key: pem("key", key) } }),
);
using client = new TLSEngine(new TLSConfig({ trust: [chain] }), { serverHostname: "inside" });
const ends = [{ name: "client", from: client, to: server }, { name: "server", from: server, to: client }];

/** Carries the records that wait at either end to the other one. Returns whether there were any. */
function carry(): boolean {
  let carried = false;
  for (const { name, from, to } of ends) {
    const records = from.takeRecords();
    if (records.length === 0) continue;
    console.log(`${name} sends ${records.length} bytes`);
    to.receive(records);
    carried = true;
  }
  return carried;
}

// Each end goes on as far as it can, then needs records of the other.
while (!client.handshakeDone || !server.handshakeDone) {
  for (const { from } of ends) if (!from.handshakeDone) from.handshake();
  carry();
}
console.log(`${client.version}, ${client.cipher!.name}, ${client.group}`);

client.write(new TextEncoder().encode("hello"));
carry();
const buffer = new Uint8Array(1024);
const outcome = server.read(buffer);
if (outcome.state === "data") {
  console.log(`server reads "${new TextDecoder().decode(buffer.subarray(0, outcome.bytes))}"`);
}
client.closeNotify();
carry();
console.log(`server reads ${server.read(buffer).state}`);
