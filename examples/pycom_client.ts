/**
 * Pycom's client, by Pycom's names: it saves the session of its first connection, prints what it saved, and resumes it with
 * the second. Here, as on a Pycom, TLS is put on the socket first, and `connect` then shakes hands.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/pycom_client.ts localhost 8443 ca.pem
 * ```
 */
import { AF_INET, getaddrinfo, socket } from "../socket.ts";
import { CERT_REQUIRED, save_session, type SSLSession, wrap_socket } from "../ussl.ts";

const [hostname = "localhost", port = "8443", ca_certs = "ca.pem"] = Deno.args;
const [info] = await getaddrinfo(hostname, Number(port), AF_INET);

async function visit(saved_session: SSLSession | null): Promise<SSLSession> {
  const ss = await wrap_socket(socket(), {
    cert_reqs: CERT_REQUIRED, // without it nothing is checked: that is the seeds' default
    ca_certs,
    server_hostname: hostname,
    saved_session,
    timeout: 10,
  });
  await ss.connect(info!.at(-1) as [string, number]);
  await ss.write(`GET / HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`);
  const status = new TextDecoder().decode((await ss.readline())!).trim();
  console.log(`${ss.session_reused ? "Resumed" : "Full handshake"}, ${ss.version()}: ${status}`);
  const session = await save_session(ss);
  await ss.close();
  return session;
}

const session = await visit(null);
console.log(`Saved ${session.toBytes().length} bytes of a ${session.facts.version} session with`, session);
await visit(session);
