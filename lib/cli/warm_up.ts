/** Handshakes in memory before one that is timed: else most of the work that it shows is V8 compiling the engine. */

import { createCertificate } from "../certificate.ts";
import type { SSLSession } from "../session.ts";
import { SSLContext } from "../ssl.ts";
import { TLSVersion } from "../suites.ts";

const NAME = "warm-up.invalid";
const ROUNDS = 4; // V8 has compiled what is hot by then; more change nothing that can be seen

/** Runs them with the core that all share. */
export async function warmUp(): Promise<void> {
  const { certificate, key } = createCertificate({ subject: `CN=${NAME}`, hosts: [NAME] });
  const own = { serverSide: true, certfile: certificate, keyfile: key };
  for (const sslVersion of [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3]) {
    using server = await SSLContext.create({ ...own, sslVersion });
    using client = await SSLContext.create({ caCerts: certificate, sslVersion });
    let session: SSLSession | undefined;
    for (let round = 0; round < ROUNDS; round++) {
      session = await connection(client, server, session) ?? session;
    }
  }
}

/** Gives the session that came with it. */
async function connection(
  client: SSLContext,
  server: SSLContext,
  savedSession: SSLSession | undefined,
): Promise<SSLSession | undefined> {
  const up = new TransformStream<Uint8Array, Uint8Array>();
  const down = new TransformStream<Uint8Array, Uint8Array>();
  const trace = () => {};
  const options = { serverHostname: NAME, trace, ...(savedSession && { savedSession }) };
  const [ours, theirs] = await Promise.all([
    client.wrapSocket({ readable: down.readable, writable: up.writable }, options),
    server.wrapSocket({ readable: up.readable, writable: down.writable }, { trace }),
  ]);
  await Promise.all([theirs.write(new Uint8Array(1)), ours.read(new Uint8Array(1))]); // with it, TLS 1.3's ticket
  const { session } = ours;
  await Promise.all([ours.close(), theirs.close()]);
  return session;
}
