// One end of Deno's own TLS (rustls), for `tlsio bench handshake --peers`: run by Deno, with its options as JSON in the first
// argument. It listens or dials as it is asked, a line of JSON for each line: the CPU is the process's own (getrusage).
import { createInterface } from "node:readline";
import process from "node:process";

const { role, cert, key, ca, requestCert } = JSON.parse(Deno.args[0]);
const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const answer = (value) => console.log(JSON.stringify(value));

async function serve(conn) {
  try {
    await conn.handshake();
    await conn.read(new Uint8Array(1)); // its end
    conn.close();
  } catch {
    try {
      conn.close();
    } catch {
      // It is.
    }
  }
}

if (role === "server") {
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
  answer({ port: listener.addr.port });
  (async () => {
    for await (const conn of listener) serve(conn);
  })();
}

async function dial({ port }) {
  const hostname = "127.0.0.1"; // startTls() has no certificate of the client's
  const conn = await Deno.connectTls({ hostname, port, caCerts: [ca], ...(requestCert && { cert, key }) });
  await conn.handshake();
  await conn.closeWrite().catch(() => {});
  await conn.read(new Uint8Array(1)).catch(() => {});
  conn.close();
  return { reused: false };
}

createInterface({ input: process.stdin }).on("line", async (line) => {
  try {
    const order = JSON.parse(line);
    if (order.do === "cpu") answer({ cpu: cpu() });
    else answer({ ...await dial(order), cpu: cpu() });
  } catch (error) {
    answer({ error: error.message });
  }
}).on("close", () => Deno.exit());
