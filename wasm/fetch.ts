/**
 * Fetches the source of mbedTLS: from wherever it is to be had, since its SHA-256 is pinned in sources.json.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { parseTar } from "nanotar";
import Bunzip from "seek-bzip";
import sources from "./sources.json" with { type: "json" };

/** A release of mbedTLS that the core may be built from. */
export type Source = (typeof sources.mbedtls)[number];

/** The releases that are accepted, preferred first. */
export const SOURCES: readonly Source[] = sources.mbedtls;

/** What builds keep between runs. Ignored by git. */
export const CACHE = new URL(".cache/", import.meta.url);

/** A place to look. */
interface Place {
  name: string;
  get(): Promise<Uint8Array<ArrayBuffer>>;
  /** Whether it is the cache itself. */
  cached?: boolean;
}

/**
 * Looks for a tarball in the cache, in `$TLSIO_MBEDTLS_TARBALL`, at the machine's Debian mirror, and at upstream.
 *
 * @param log Told which place it came from.
 * @param wanted The releases that will do.
 * @returns The release and its tarball, whose SHA-256 has been verified.
 * @throws {Error} With each place's reason, when none has one of them.
 */
export async function fetchMbedtls(
  log: (line: string) => void,
  wanted = SOURCES,
): Promise<[Source, Uint8Array]> {
  const reasons: string[] = [];
  for (const { name, get, cached = false } of await places(wanted)) {
    try {
      const tarball = await get();
      const hash = await sha256(tarball);
      const source = wanted.find((source) => source.sha256 === hash);
      if (source === undefined) {
        throw new Error(`its SHA-256 is ${hash}, which wasm/sources.json does not list`);
      }
      log(`Using ${source.file} from ${name}`);
      if (!cached) await writeAtomic(new URL(source.file, CACHE), tarball);
      return [source, tarball];
    } catch (error) {
      if (cached && error instanceof Deno.errors.NotFound) continue;
      reasons.push(`${name}: ${error instanceof Error ? error.message : error}`);
    }
  }
  throw new Error(`Cannot fetch mbedTLS: no place has it\n  ${reasons.join("\n  ")}`);
}

async function places(wanted: readonly Source[]): Promise<Place[]> {
  const cache = wanted.map(({ file }) => ({
    name: `wasm/.cache/${file}`,
    get: () => Deno.readFile(new URL(file, CACHE)),
    cached: true,
  }));
  const path = Deno.env.get("TLSIO_MBEDTLS_TARBALL");
  const given = path === undefined
    ? []
    : [{ name: "$TLSIO_MBEDTLS_TARBALL", get: () => Deno.readFile(path) }];
  const mirrors = await debianMirrors();
  const debian = mirrors.flatMap((mirror) =>
    ["unstable", "stable"].map((suite) => ({ name: `Debian ${suite}`, get: () => fromDebian(mirror, suite) }))
  );
  if (mirrors.length === 0) {
    debian.push({ name: "Debian", get: () => Promise.reject(new Error("/etc/apt lists no mirror of it")) });
  }
  const upstream = wanted.map(({ url }) => ({ name: url, get: () => fromUrl(url) }));
  return [...cache, ...given, ...debian, ...upstream];
}

/** The Debian mirrors that this machine's own apt uses. */
async function debianMirrors(): Promise<string[]> {
  const lists = ["/etc/apt/sources.list"];
  try {
    for await (const { name } of Deno.readDir("/etc/apt/sources.list.d")) {
      if (/\.(list|sources)$/.test(name)) lists.push(`/etc/apt/sources.list.d/${name}`);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const texts = await Promise.all(lists.sort().map((path) => Deno.readTextFile(path).catch(() => "")));
  const active = texts.join("\n").replaceAll(/#.*/g, "");
  // The archive proper: not debian-security, nor other publishers' repositories.
  return [...new Set(active.match(/\bhttps?:\/\/\S+\/debian\/?(?=\s|$)/g))];
}

/** Debian's mbedtls_*.orig.tar.bz2 is upstream's file. apt-get verifies signatures and knows proxies and mirrors. */
async function fromDebian(mirror: string, suite: string): Promise<Uint8Array<ArrayBuffer>> {
  const dir = await Deno.makeTempDir({ prefix: "tlsio-apt-" });
  try {
    await Deno.mkdir(`${dir}/lists/partial`, { recursive: true });
    await Deno.mkdir(`${dir}/archives/partial`, { recursive: true });
    await Deno.writeTextFile(`${dir}/status`, "");
    const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    const signed = await exists(keyring) ? `[signed-by=${keyring}] ` : "";
    await Deno.writeTextFile(`${dir}/sources.list`, `deb-src ${signed}${mirror} ${suite} main\n`);

    await apt(dir, "update");
    await apt(dir, "source", "--download-only", "--tar-only", "mbedtls");
    for await (const { name } of Deno.readDir(dir)) {
      if (name.endsWith(".orig.tar.bz2")) return await Deno.readFile(`${dir}/${name}`);
    }
    throw new Error("apt-get downloaded no .orig.tar.bz2");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Runs apt-get on private state: it needs no root and leaves the system as it is. */
async function apt(dir: string, ...args: string[]): Promise<void> {
  const options = [
    `Dir::State=${dir}`,
    `Dir::State::lists=${dir}/lists`,
    `Dir::State::status=${dir}/status`,
    `Dir::Cache=${dir}`,
    `Dir::Etc::SourceList=${dir}/sources.list`,
    "Dir::Etc::SourceParts=-",
    "Acquire::Languages=none",
    "Acquire::Check-Valid-Until=false", // an old index will do: the hash of what it leads to is pinned
    "Acquire::http::Timeout=20", // seconds; a dead mirror should not hold the build up
    "APT::Update::Error-Mode=any",
    "APT::Sandbox::User=root", // the unprivileged user that root's apt-get becomes cannot enter our directory
  ];
  const { success, stderr } = await new Deno.Command("apt-get", {
    args: [...options.flatMap((option) => ["-o", option]), ...args],
    cwd: dir,
    env: { LC_ALL: "C" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) {
    const text = new TextDecoder().decode(stderr).trim();
    throw new Error(`apt-get ${args[0]} failed: ${text.replaceAll(/\s*\n\s*/g, "; ")}`);
  }
}

async function fromUrl(url: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url, { signal: AbortSignal.timeout(120_000) }); // 5 MB on a slow line
  if (!response.ok) {
    await response.body?.cancel();
    throw new Error(`HTTP status ${response.status}`);
  }
  return await response.bytes();
}

/**
 * Unpacks what a build needs of a tarball.
 *
 * @returns The files of `include` and `library`, by their path from the top of the release.
 */
export function unpack(tarball: Uint8Array): Map<string, Uint8Array> {
  const tar = new Uint8Array(Bunzip.decode(Buffer.from(tarball))); // a copy that starts at 0, as parseTar assumes
  const files = new Map<string, Uint8Array>();
  for (
    const { name, data } of parseTar(tar, {
      filter: ({ name }) => /\/(include|library)\/.*\.[ch]$/.test(name),
    })
  ) {
    const path = name.slice(name.indexOf("/") + 1);
    if (data !== undefined && /^(include|library)\//.test(path)) files.set(path, data.slice());
  }
  return files;
}

/** Writes a file so that no reader ever sees half of it. */
export async function writeAtomic(file: URL, bytes: Uint8Array): Promise<void> {
  await Deno.mkdir(new URL(".", file), { recursive: true });
  const part = new URL(`${file.href}.${Deno.pid}.part`);
  await Deno.writeFile(part, bytes);
  await Deno.rename(part, file);
}

/** The SHA-256 of `data`, in hexadecimal. */
export async function sha256(data: string | Uint8Array): Promise<string> {
  const bytes = typeof data === "string" ? new TextEncoder().encode(data) : new Uint8Array(data);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
