/** A certificate for a server on this machine that was given none: made once, kept in the user's cache folder. */

import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { createCertificate } from "../certificate.ts";
import { createAuthority, LOCAL_HOSTS, writeSecret } from "./cert.ts";
import { hostNames } from "./certificates.ts";
import { CommandError } from "./flags.ts";
import { isSystemError, systemReason } from "./terminal.ts";

const DAYS = 365;
const RENEW_BEFORE = 30 * 86_400_000; // milliseconds: a server that starts now may run for weeks

/** A certificate with its key, PEM, and the file that a client must trust. */
export interface LocalCertificate {
  readonly certificate: string;
  readonly key: string;
  readonly caFile: string;
}

/**
 * The certificate of this machine for {@linkcode LOCAL_HOSTS}, the machine's name and `host`. Its authority signs nothing else
 * ever: the authority's key is thrown away, so that to trust it in a browser is no risk.
 *
 * @param host The address that the server listens on.
 * @throws {CommandError} If the cache folder cannot be used.
 */
export async function localCertificate(host: string, folder = cacheFolder()): Promise<LocalCertificate> {
  const hosts = [...new Set<string>([...LOCAL_HOSTS, ...machineName(), ...ownAddress(host)])];
  // A folder for each address: what one server told its clients to trust stays when another starts.
  const home = join(folder, ownAddress(host).length > 0 ? `cert-${shortHash(host)}` : "cert-local");
  try {
    await Deno.mkdir(home, { recursive: true, mode: 0o700 });
    if (Deno.build.os !== "windows") await Deno.chmod(home, 0o700);
    using lock = await Deno.open(join(home, "lock"), { create: true, write: true, mode: 0o600 });
    await lock.lock(true); // two servers may start at once
    return await load(home, hosts) ?? await make(home, hosts);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new CommandError(
      `Cannot keep a certificate in ${home}: ${
        systemReason(error)
      }; give --cert and --key, or set XDG_CACHE_HOME`,
    );
  }
}

/** Where the platform keeps what can be made again. */
export function cacheFolder(): string {
  const xdg = Deno.env.get("XDG_CACHE_HOME") ?? "";
  if (isAbsolute(xdg)) return join(xdg, "tlsio"); // the specification says to ignore a relative one
  switch (Deno.build.os) {
    case "windows":
      return join(Deno.env.get("LOCALAPPDATA") ?? join(homedir(), "AppData", "Local"), "tlsio");
    case "darwin":
      return join(homedir(), "Library", "Caches", "tlsio");
    default:
      return join(homedir(), ".cache", "tlsio");
  }
}

function files(home: string): { certfile: string; keyfile: string; caFile: string } {
  return {
    certfile: join(home, "server.pem"),
    keyfile: join(home, "server.key"),
    caFile: join(home, "ca.pem"),
  };
}

/** What is there, if it is whole, still valid for a while, and for all hosts. */
async function load(home: string, hosts: readonly string[]): Promise<LocalCertificate | undefined> {
  const { certfile, keyfile, caFile } = files(home);
  try {
    const [certificate, key, authority] = await Promise.all(
      [certfile, keyfile, caFile].map((path) => Deno.readTextFile(path)),
    ) as [string, string, string];
    const leaf = new X509Certificate(certificate);
    const ca = new X509Certificate(authority);
    const names = hostNames(leaf);
    const good = leaf.checkPrivateKey(createPrivateKey(key)) && leaf.verify(ca.publicKey) &&
      [leaf, ca].every(({ validTo }) => Date.parse(validTo) - Date.now() > RENEW_BEFORE) &&
      hosts.every((host) => names.includes(host));
    return good ? { certificate, key, caFile } : undefined;
  } catch {
    return undefined; // missing or damaged: make it again
  }
}

async function make(home: string, hosts: readonly string[]): Promise<LocalCertificate> {
  const { certfile, keyfile, caFile } = files(home);
  const authority = createAuthority(`CN=tlsio on ${machineName()[0] ?? "this machine"}`, { days: DAYS });
  const leaf = createCertificate({ subject: "CN=localhost", hosts, days: DAYS, issuer: authority });
  await writeSecret(keyfile, leaf.key, true);
  await writeSecret(certfile, leaf.certificate, true);
  await writeSecret(caFile, authority.certificate, true);
  return { ...leaf, caFile };
}

/** The machine's name, when it is one that a certificate can have. */
function machineName(): string[] {
  const name = Deno.hostname().toLowerCase();
  return /^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/.test(name) && !/^[\d.]+$/.test(name) ? [name] : [];
}

/** The address to listen on, when clients can use it and the certificate does not have it anyway. */
function ownAddress(host: string): string[] {
  return ["0.0.0.0", "::", ...LOCAL_HOSTS].includes(host) ? [] : [host];
}

function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
