// One end of node:tls, for `tlsio bench handshake --peers`: run by Node, with its options as JSON in the first argument.
// It listens or dials as it is asked, a line of JSON for each line: the CPU is the process's own (getrusage).
import { createInterface } from "node:readline";
import { connect, createServer } from "node:tls";

const { role, version, cert, key, ca, requestCert, sessionIds, psk } = JSON.parse(process.argv.at(-1));
const exact = { minVersion: `TLSv${version}`, maxVersion: `TLSv${version}` };
const cpu = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const answer = (value) => console.log(JSON.stringify(value));
const secret = psk && { identity: psk.identity, key: Buffer.from(psk.key, "hex") };

if (role === "server") {
  const sessions = new Map();
  const server = createServer({
    ...exact,
    noDelay: true,
    ...(psk
      ? {
        pskCallback: (_, identity) => identity === secret.identity ? secret.key : null,
        ciphers: psk.ciphers,
      }
      : { cert, key }),
    ...(requestCert && { requestCert, rejectUnauthorized: true, ca }),
    ...(sessionIds && { secureOptions: 1 << 14 }), // SSL_OP_NO_TICKET
  });
  server.on("newSession", (id, data, done) => (sessions.set(id.toString("hex"), data), done()));
  server.on("resumeSession", (id, done) => done(null, sessions.get(id.toString("hex")) ?? null));
  server.on("secureConnection", (socket) => {
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.resume();
  });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1", () => answer({ port: server.address().port }));
}

let session;
function dial({ port, resume }) {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: "127.0.0.1",
      port,
      servername: "localhost",
      ...exact,
      ...(psk
        ? {
          pskCallback: () => ({ psk: secret.key, identity: secret.identity }),
          ciphers: psk.ciphers,
          checkServerIdentity: () => undefined,
        }
        : { ca }),
      ...(requestCert && { cert, key }),
      ...(resume && session !== undefined && { session }),
    });
    socket.setNoDelay(true);
    socket.on("session", (newest) => session = newest);
    socket.on("secureConnect", () => socket.end());
    socket.on("error", reject);
    socket.on("close", () => resolve({ reused: socket.isSessionReused() }));
    socket.resume();
  });
}

createInterface({ input: process.stdin }).on("line", async (line) => {
  try {
    const order = JSON.parse(line);
    if (order.do === "cpu") answer({ cpu: cpu() });
    else answer({ ...await dial(order), cpu: cpu() });
  } catch (error) {
    answer({ error: error.message });
  }
}).on("close", () => process.exit());
