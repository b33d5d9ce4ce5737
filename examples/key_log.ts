/**
 * A key log: with it Wireshark shows what this connection carried, and so does everyone else who has the file.
 *
 * ```sh
 * deno run --allow-net --allow-read --allow-write=keys.log examples/key_log.ts localhost 8443 ca.pem
 * ```
 *
 * In Wireshark: Preferences, Protocols, TLS, "(Pre)-Master-Secret log filename".
 */
import { wrapSocket } from "../mod.ts";

const FILE = "keys.log"; // NSS's format: one secret a line

const [hostname = "localhost", port = "8443", caCerts] = Deno.args;

const conn = await Deno.connect({ hostname, port: Number(port) });
await using tls = await wrapSocket(conn, {
  serverHostname: hostname,
  ...(caCerts && { caCerts }),
  keyLog(line) {
    Deno.writeTextFileSync(FILE, `${line}\n`, { append: true, mode: 0o600 });
    console.log(line.split(" ")[0]); // which secret; never the secret itself
  },
});

await tls.write(new TextEncoder().encode(`GET / HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`));
const n = await tls.read(new Uint8Array(1024));
console.log(`Read ${n} bytes over ${tls.version()}; the secrets are in ${FILE}`);
