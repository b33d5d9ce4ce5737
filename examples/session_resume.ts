/**
 * Pycom's session resume: the first run saves the session to a file and prints what it saved, the next ones resume it. A
 * resumed handshake sends no certificates and takes a fraction of the work.
 *
 * ```sh
 * deno run --allow-net --allow-read --allow-write=session.bin examples/session_resume.ts localhost 8443 ca.pem
 * deno run --allow-net --allow-read --allow-write=session.bin --allow-sys examples/session_resume.ts example.com 443
 * ```
 */
import { saveSession, wrapSocket } from "../mod.ts";

const FILE = "session.bin"; // as secret as a key: who has it can resume in our place

const [hostname = "localhost", port = "8443", caCerts] = Deno.args;

async function load(): Promise<Uint8Array | undefined> {
  try {
    return await Deno.readFile(FILE);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined; // the first run
    throw error;
  }
}

const savedSession = await load();
const conn = await Deno.connect({ hostname, port: Number(port) });
const start = performance.now();
await using tls = await wrapSocket(conn, {
  serverHostname: hostname,
  ...(caCerts && { caCerts }),
  ...(savedSession && { savedSession }), // passed over if it does not fit
});
console.log(
  `Reused: ${tls.sessionReused}, handshake: ${(performance.now() - start).toFixed(1)} ms, ${tls.version()}`,
);

// A TLS 1.3 server sends what to resume behind the handshake; it comes with the first data that is read.
await tls.write(new TextEncoder().encode(`GET / HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`));
await tls.read(new Uint8Array(1024));

const session = saveSession(tls);
if (session === undefined) {
  console.log("The server does not resume");
} else {
  const bytes = session.toBytes();
  await Deno.writeFile(FILE, bytes, { mode: 0o600 });
  const { serverHostname, version, created, verifyFlags } = session.facts;
  console.log(`Saved ${FILE}: ${bytes.length} bytes; run it again`);
  console.log(`  ${version} with ${serverHostname} at ${new Date(created).toISOString()}`);
  console.log(`  certificate: ${verifyFlags === 0 ? "valid" : `flags ${verifyFlags}`}`); // as it was checked then
}
