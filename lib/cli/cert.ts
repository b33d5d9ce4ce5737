/** `tlsio cert`: makes a certificate, and a small authority to sign it when asked. */

import { isIP } from "node:net";
import { join } from "node:path";
import { domainToASCII } from "node:url";
import { type CertificateOptions, createCertificate, type Credential, type KeyType } from "../certificate.ts";
import { certificateFacts, validity } from "./certificates.ts";
import { columns, CommandError, defineCommand, items, oneOf, UsageError, wholeNumber } from "./flags.ts";
import { isSystemError, outputStyle, systemReason } from "./terminal.ts";

/** Names by which programs on a machine reach a server there. */
export const LOCAL_HOSTS = ["localhost", "127.0.0.1", "::1"] as const;

const KEY_TYPES = [
  "P-256",
  "P-384",
  "P-521",
  "RSA-2048",
  "RSA-3072",
  "RSA-4096",
] as const satisfies KeyType[];
const DAYS_MAX = 36_500; // a century

/** `tlsio cert`. */
export const cert = defineCommand({
  name: "cert",
  summary: "Make a server's certificate with its key, and the small CA that signs it.",
  operands: "",
  arity: [0, 0],
  flags: {
    "host": {
      value: "<names>",
      many: true,
      help: `host names, IP addresses; may be repeated (default ${LOCAL_HOSTS.join(",")})`,
    },
    "ca": { help: "make a small CA, which signs the certificate (default)" },
    "self-signed": { help: "make no CA: the certificate is signed with its own key" },
    "key-type": { value: "<type>", help: `${KEY_TYPES.join(", ")} (default P-256)` },
    "days": { value: "<n>", help: "days until it ends (default 365)" },
    "subject": { value: "<name>", help: `whom it names, as in "CN=sensor,O=Lab" (default CN=<first host>)` },
    "out": { value: "<dir>", help: "the folder to write to (default .)" },
    "force": { help: "overwrite files that exist" },
  },
  notes: `
Files: server.pem and server.key; ca.pem, which is what clients trust, and ca.key, which signs. A
self-signed server.pem is itself what clients trust. Only their owner can read them. The certificate
does for a server and for a client.`,
  async run(values) {
    const { out = ".", force = false } = values;
    const ca = !values["self-signed"];
    if (values.ca && !ca) throw new UsageError("--ca and --self-signed exclude each other");
    const hosts = values.host === undefined ? [...LOCAL_HOSTS] : items(values.host).map(hostName);
    if (hosts.length === 0) throw new UsageError("--host needs a value, <names>");
    const options: CertificateOptions = {
      subject: values.subject ?? `CN=${hosts[0]}`,
      hosts,
      keyType: oneOf("key-type", values["key-type"] ?? "P-256", KEY_TYPES),
      days: wholeNumber("days", values.days ?? "365", 1, DAYS_MAX),
    };
    if (!/^[A-Za-z]+=[^=]+(,[A-Za-z]+=[^=]+)*$/.test(options.subject)) {
      throw new UsageError(`--subject takes a name such as "CN=sensor,O=Lab", not "${options.subject}"`);
    }
    const paths = (ca ? ["ca.pem", "ca.key"] : []).concat("server.pem", "server.key").map((n) =>
      join(out, n)
    );
    if (!force) await inFolder(out, refuseOverwrite(paths));
    if (options.keyType!.startsWith("RSA") && Deno.stderr.isTerminal()) {
      console.error(`Making ${options.keyType} keys takes some seconds`);
    }
    const authority = ca ? createAuthority(`CN=tlsio CA for ${hosts[0]}`, options) : undefined;
    const leaf = createCertificate({ ...options, ...(authority && { issuer: authority }) });
    const texts = [authority, leaf].filter((made) => made !== undefined)
      .flatMap(({ certificate, key }) => [certificate, key]);
    await inFolder(out, Deno.mkdir(out, { recursive: true }));
    await inFolder(out, writeAll(paths.map((path, i) => [path, texts[i]!]), force));
    report(paths, leaf);
    return 0;
  },
});

/** Says where, if the system refuses. */
async function inFolder(out: string, work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isSystemError(error)) throw error;
    throw new CommandError(`Cannot write to ${out}: ${systemReason(error)}`, { cause: error });
  }
}

/** An authority whose certificate lasts a day longer than what it signs. */
export function createAuthority(
  subject: string,
  { days = 365, keyType }: Partial<CertificateOptions>,
): Credential {
  return createCertificate({ subject, isCA: true, days: days + 1, ...(keyType && { keyType }) });
}

function report(paths: readonly string[], leaf: Credential): void {
  const { bold, dim } = outputStyle();
  const facts = certificateFacts(leaf.certificate);
  const secret = dim("(secret)");
  const files = paths.map((path) => path.endsWith(".key") ? `${bold(path)} ${secret}` : bold(path));
  console.log(columns([
    ["Files", files[0]!],
    ...files.slice(1).map((file) => ["", file] as const),
    ["Subject", facts.subject],
    ["Hosts", facts.names.join(", ")],
    ["Key", facts.key],
    ["Valid", validity(facts)],
    ["SHA-256", facts.sha256],
  ]));
}

/** A host as a certificate names it. */
function hostName(text: string): string {
  const bare = text.replace(/^\[(.*)\]$/, "$1");
  if (isIP(bare) !== 0) return bare;
  const ascii = domainToASCII(bare.replace(/^\*\./, "").replace(/\.$/, ""));
  const isName = ascii.split(".").every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label));
  if (!isName || ascii.length > 253 || /^[\d.]+$/.test(ascii)) {
    throw new UsageError(`--host takes host names and IP addresses, not "${text}"`);
  }
  return bare.startsWith("*.") ? `*.${ascii}` : ascii;
}

async function refuseOverwrite(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    try {
      await Deno.lstat(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      throw error;
    }
    throw new CommandError(`Cannot write ${path}: it exists; --force overwrites`);
  }
}

/** Writes all files, or, without `overwrite`, none. */
async function writeAll(files: readonly [path: string, text: string][], overwrite: boolean): Promise<void> {
  const written: string[] = [];
  try {
    for (const [path, text] of files) {
      await writeSecret(path, text, overwrite);
      written.push(path);
    }
  } catch (error) {
    if (!overwrite) await Promise.allSettled(written.map((path) => Deno.remove(path)));
    throw error;
  }
}

/** Writes a file that only its owner can read: whole, or not at all. */
export async function writeSecret(path: string, text: string, overwrite: boolean): Promise<void> {
  if (!overwrite) return await Deno.writeTextFile(path, text, { createNew: true, mode: 0o600 });
  const temporary = `${path}.${crypto.randomUUID()}`;
  try {
    await Deno.writeTextFile(temporary, text, { createNew: true, mode: 0o600 });
    await Deno.rename(temporary, path);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
}
