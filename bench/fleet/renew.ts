/** A fleet whose certificates are renewed in their files, under load: what its clients see of it. */
import {
  createCertificate,
  openConnection,
  peerCertificate,
  SSLContext,
  type SSLSocket,
  type StreamReader,
  type StreamWriter,
} from "../../mod.ts";
import type { Server } from "../../tests/peers.ts";
import type { ServerCounts } from "./server.ts";

const CONNECTIONS = 4; // to each server, open all the while
const PATIENCE = 20; // seconds until every server has gone on with the renewed files

/** The files of a fleet's certificate. */
export interface FleetFiles {
  certfile: string;
  keyfile: string;
}

/** What {@linkcode renewCertificates} needs. */
export interface RenewOptions {
  renewals: number;
  issuer: ReturnType<typeof createCertificate>;
  files: FleetFiles;
  servers: readonly Server[];
  ask: (server: Server) => Promise<ServerCounts>;
  log: (text: string) => void;
}

/** Says hello, and gives the answer: the name of a server. */
export async function lineOf(reader: StreamReader, writer: StreamWriter): Promise<string> {
  writer.write("hello\n");
  const name = new TextDecoder().decode(await reader.readline()).trim();
  if (name === "") throw new Error("the server is gone");
  return name;
}

/**
 * Renews the certificates, again and again, the certificate first and its key later, as programs do. After each, every server
 * must show the new one, and every connection that was open before must still answer.
 */
export async function renewCertificates(options: RenewOptions) {
  const { renewals, issuer, files, servers, ask, log } = options;
  using ssl = await SSLContext.create({ caCerts: issuer.certificate });
  const connect = async ({ port }: Server) => {
    const address = {
      hostname: "127.0.0.1",
      port,
      serverHostname: "localhost",
      sslHandshakeTimeout: PATIENCE,
    };
    const [reader, writer] = await openConnection({ ...address, ssl });
    await lineOf(reader, writer);
    const serial = (writer.transport as SSLSocket).getpeercert()?.serialNumber;
    return { ask: () => lineOf(reader, writer), serial, close: () => (writer.close(), writer.waitClosed()) };
  };
  const live = await Promise.all(
    servers.flatMap((server) => Array.from({ length: CONNECTIONS }, () => connect(server))),
  );
  const seen = new Set(live.map(({ serial }) => serial));
  let lost = 0;
  try {
    for (let i = 0; i < renewals; i++) {
      const before = await Promise.all(servers.map(async (server) => (await ask(server)).renewed));
      const { certificate, key } = createCertificate({
        subject: "CN=localhost",
        hosts: ["localhost"],
        issuer,
      });
      await Deno.writeTextFile(files.certfile, certificate);
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 600)); // it does not fit its key meanwhile
      await Deno.writeTextFile(files.keyfile, key);
      const { serialNumber } = peerCertificate(new TextEncoder().encode(certificate));
      for (const [at, server] of servers.entries()) {
        const deadline = performance.now() + PATIENCE * 1000;
        while ((await ask(server)).renewed === before[at]) {
          if (performance.now() > deadline) {
            throw new Error("Cannot renew certificates: a server does not go on with them");
          }
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
        const visitor = await connect(server);
        seen.add(visitor.serial);
        await visitor.close();
        if (visitor.serial !== serialNumber) {
          throw new Error("Cannot renew certificates: a server shows an old one");
        }
      }
      for (const connection of live) await connection.ask().catch(() => lost++);
    }
  } finally {
    await Promise.all(live.map(({ close }) => close().catch(() => {})));
  }
  log(`certificates were renewed ${renewals} times`);
  return { certificates: seen.size, live: live.length, lost };
}
