/**
 * Mutual TLS: the server asks for a client's certificate, and knows who is there. Both ends, and a small authority
 * that signs for them, in one program.
 *
 * ```sh
 * deno run --allow-net examples/mutual_tls.ts localhost 8443
 * ```
 */
import { CERT_REQUIRED, createCertificate, type Credential, type PeerCertificate } from "../mod.ts";
import { openConnection, startServer } from "../mod.ts";

const [hostname = "localhost", port = "8443"] = Deno.args;

const ca = createCertificate({ subject: "CN=Demo CA", isCA: true });
const stranger = createCertificate({ subject: "CN=alice" }); // signed by itself
const alice = createCertificate({ subject: "CN=alice", issuer: ca });
const own = createCertificate({ subject: `CN=${hostname}`, hosts: [hostname], issuer: ca });

await using server = await startServer(async (_reader, writer) => {
  const { subject = [] } = writer.getExtraInfo("peercert") as PeerCertificate;
  writer.write(`Hello ${Object.fromEntries(subject.flat()).commonName}\n`);
  await writer.drain();
}, {
  hostname,
  port: Number(port),
  ssl: {
    certfile: own.certificate,
    keyfile: own.key,
    caCerts: ca.certificate, // who signs clients
    certReqs: CERT_REQUIRED, // CERT_OPTIONAL: ask, and let in who has none
  },
  onError: (error) => console.log(`  server: ${error}`),
});

async function visit(who: string, credential?: Credential): Promise<void> {
  console.log(`${who}:`);
  try {
    const [reader, writer] = await openConnection({
      hostname,
      port: (server.addr as Deno.NetAddr).port,
      ssl: {
        caCerts: ca.certificate,
        ...(credential && { certfile: credential.certificate, keyfile: credential.key }),
      },
    });
    await using _ = writer;
    console.log(`  client: ${new TextDecoder().decode(await reader.readline()).trim()}`);
  } catch (error) { // in TLS 1.3 the server's verdict comes with the first read
    console.log(`  client: ${error}`);
  }
}

await visit("With a certificate", alice);
await visit("With none");
await visit("With one that nobody signed", stranger);
