/** What the workers of a server need for TLS: the files read once, so that all have the same; the ring of tickets on its own. */

import type { Bytes } from "./bytes.ts";
import { loadSource } from "./files.ts";
import { Certificate, type CertificateFiles } from "./own_certificate.ts";
import type { ServeOptions } from "./server.ts";
import type { ContextOptions } from "./context_options.ts";
import { SSLContext } from "./ssl.ts";
import { TicketKeyRing } from "./tickets.ts";
import { cannotCross, copyForWorker } from "./worker_messages.ts";

/** Options of a context that can cross, and the ring that goes by itself. */
export interface CrossingContext {
  readonly ring: TicketKeyRing;
  readonly ssl?: Omit<ContextOptions, "serverSide">;
}

/** Reads what `ssl` names, and checks it; `keys` is the ring when it names none. */
export async function contextFor(
  ssl: ServeOptions["ssl"],
  keys = TicketKeyRing.shared(),
): Promise<CrossingContext> {
  if (ssl === undefined) return { ring: keys };
  if (ssl instanceof SSLContext) throw cannotCross("ssl", "an SSLContext");
  SSLContext.refuseEarlyData(ssl); // each Worker would take a replay once
  const { tickets, certfile, keyfile, certificates, caCerts, crls, ...rest } = ssl;
  copyForWorker("ssl", rest, []);
  if (certificates instanceof Certificate) throw cannotCross("ssl.certificates", "a Certificate");
  (await SSLContext.create({ ...ssl, serverSide: true }))[Symbol.dispose](); // options that are wrong fail here
  const load = async (name: string, value: unknown): Promise<Bytes> => (await loadSource(name, value)).bytes;
  const loadAll = (name: string, value: unknown): Promise<Bytes[]> =>
    Promise.all((Array.isArray(value) ? value : [value]).map((one) => load(name, one)));
  const loadOwn = async ({ certfile, keyfile, password, sign }: CertificateFiles) => {
    if (sign !== undefined) throw cannotCross("ssl.certificates", "a key that signs elsewhere");
    const own = { certfile: await load("certfile", certfile), keyfile: await load("keyfile", keyfile) };
    return { ...own, ...(password !== undefined && { password }) };
  };
  return {
    ring: tickets instanceof TicketKeyRing ? tickets : keys,
    ssl: {
      ...rest,
      ...(tickets === false && { tickets }),
      ...(certfile !== undefined && { certfile: await load("certfile", certfile) }),
      ...(keyfile !== undefined && { keyfile: await load("keyfile", keyfile) }),
      ...(certificates !== undefined && { certificates: await Promise.all(certificates.map(loadOwn)) }),
      ...(caCerts !== undefined && { caCerts: await loadAll("caCerts", caCerts) }),
      ...(crls !== undefined && { crls: await loadAll("crls", crls) }),
    },
  };
}

/** Wipes the keys in options that have crossed. */
export function wipe({ ssl }: { readonly ssl?: unknown }): void {
  const { keyfile, certificates = [] } = (ssl ?? {}) as {
    keyfile?: unknown;
    certificates?: { keyfile?: unknown }[];
  };
  for (const key of [keyfile, ...certificates.map(({ keyfile }) => keyfile)]) {
    if (key instanceof Uint8Array) key.fill(0);
  }
}
