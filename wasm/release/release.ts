/**
 * Makes a release: the tree that `deno publish` publishes, from pinned sources, to the byte the same each time.
 *
 * ```text
 * <folder>/            what publish.include of deno.json names, with the cores in wasm/dist
 *   NOTICES            licences of what is compiled in and of npm packages
 *   sbom.cdx.json      the bill of materials: CycloneDX 1.6
 *   SHA256SUMS         of every other file; `sha256sum -c SHA256SUMS` checks them
 * ```
 *
 * @module
 */

import config from "../../deno.json" with { type: "json" };
import { build, DIST, ensureBuilt, type Manifest, SHIPPED } from "../build.ts";
import { CORES } from "../cores.ts";
import { CACHE, fetchMbedtls, sha256, SOURCES } from "../fetch.ts";
import { audit, readAdvisories } from "./audit.ts";
import { licenseOf, notices } from "./notices.ts";
import { cachedPackages, findPackages, specifiersOf } from "./npm.ts";
import { bill } from "./sbom.ts";

const ROOT = new URL("../../", import.meta.url);

/** What to release, and how. */
export interface ReleaseOptions {
  /** Where to: a folder that is not there yet. */
  folder: string;
  /** Release a tree with changes that are not committed; the bill names no commit then. @default {false} */
  allowDirty?: boolean;
  /** Build nothing twice and check no types: for tests, beside checks that do. @default {false} */
  quick?: boolean;
  /** Told what is being done. */
  log?: (line: string) => void;
}

/** What was released. */
export interface Release {
  /** The files, by path, with their SHA-256. */
  files: Map<string, string>;
  /** Bytes of all. */
  size: number;
  /** SHA-256 of `SHA256SUMS`: the release in one number. */
  digest: string;
}

/**
 * Makes a release. The folder appears when all is done and checked, or not at all.
 *
 * @throws {Error} Saying what is unclean, missing or different.
 */
export async function release(
  { folder, allowDirty = false, quick = false, log = () => {} }: ReleaseOptions,
): Promise<Release> {
  if (await Deno.lstat(folder).then(() => true, () => false)) {
    throw new Error(`Cannot release into ${folder}: it is there already`);
  }
  const clean = await isClean(ROOT);
  const from = await commit(ROOT);
  if (!clean && !allowDirty) {
    throw new Error(
      "Cannot release: the tree has changes that are not committed (git status); --allow-dirty takes them",
    );
  }
  const date = await sourceDate(ROOT);
  audit(SOURCES[0]!.version, await readAdvisories(), log);

  const named = SHIPPED.find((core) => CORES[core]!.names);
  if (named !== undefined) {
    throw new Error(`Cannot release: ${named} would name its functions; unset TLSIO_KEEP_NAMES`);
  }
  const [manifest] = await ensureBuilt();
  await checkCores(manifest!, DIST);
  if (!quick) await rebuild(manifest!);
  log(`Cores: ${manifest!.version}${quick ? "" : ", built again to the same bytes"}`);

  const part = `${folder}.part-${Deno.pid}`;
  try {
    await copy(await published(ROOT, true), ROOT, part);
    if (await commit(ROOT) !== from || (clean && !await isClean(ROOT))) {
      throw new Error("Cannot release: the tree has changed since the release was begun");
    }
    for (
      const [name, text] of await documents(part, manifest!, date, clean ? from : undefined)
    ) {
      await Deno.writeTextFile(`${part}/${name}`, text);
    }
    const files = await sums(part);
    await Deno.writeTextFile(
      `${part}/SHA256SUMS`,
      [...files].map(([path, hash]) => `${hash}  ${path}\n`).join(""),
    );
    const size = await stamp(part, date);
    await checkPublished(part, new Set([...files.keys(), "SHA256SUMS"]), quick);
    log("deno publish --dry-run: passes");
    await Deno.rename(part, folder);
    return { files, size, digest: await sha256(await Deno.readFile(`${folder}/SHA256SUMS`)) };
  } finally {
    await Deno.remove(part, { recursive: true }).catch(() => {}); // renamed, or not begun
  }
}

/** Builds the cores from nothing and compares. */
async function rebuild(manifest: Manifest): Promise<void> {
  const folder = new URL(`release-${Deno.pid}/`, CACHE);
  try {
    const again = await build({ folder, sources: SOURCES.slice(0, 1), fresh: true });
    const different = Object.keys(manifest.files).filter((name) =>
      again.files[name] !== manifest.files[name]
    );
    if (different.length > 0) throw new Error(`Cannot release: ${different.join(", ")} came out different`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * Checks that a folder has every core for users, as the manifest says, of the release of mbedTLS that is preferred.
 *
 * @throws {Error} Naming the file and both hashes.
 */
export async function checkCores(manifest: Manifest, folder: URL): Promise<void> {
  const { version, sha256: pinned } = SOURCES[0]!;
  if (manifest.mbedtls.sha256 !== pinned) {
    throw new Error(`Cannot release: the cores are of mbedTLS ${manifest.mbedtls.version}, not ${version}`);
  }
  for (const name of SHIPPED.map((core) => `${core}.wasm`)) {
    if (!(name in manifest.files)) throw new Error(`Cannot release: the build's manifest has no ${name}`);
  }
  for (const [name, hash] of Object.entries(manifest.files)) {
    const bytes = await Deno.readFile(new URL(name, folder)).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new Error(`Cannot release: wasm/dist/${name} is missing`);
    });
    const actual = await sha256(bytes);
    if (actual !== hash) {
      throw new Error(`Cannot release: wasm/dist/${name} has SHA-256 ${actual}, not ${hash}`);
    }
  }
}

/** Whether git knows of no change to a tree; also when it is no repository, as an unpacked archive. */
export async function isClean(root: URL): Promise<boolean> {
  return (await git(root, "status", "--porcelain") ?? "") === "";
}

async function commit(root: URL): Promise<string | undefined> {
  return await git(root, "rev-parse", "HEAD");
}

/**
 * The date of a release in seconds: `$SOURCE_DATE_EPOCH`, or that of the commit.
 *
 * @throws {Error} When there is neither, or the variable is no number.
 */
export async function sourceDate(root: URL, given = Deno.env.get("SOURCE_DATE_EPOCH")): Promise<number> {
  const text = given ?? await git(root, "log", "-1", "--format=%ct");
  if (text === undefined) {
    throw new Error("Cannot date the release: set SOURCE_DATE_EPOCH, since there is no commit");
  }
  if (!/^\d{1,11}$/.test(text)) {
    throw new Error(`Cannot date the release: SOURCE_DATE_EPOCH is "${text}", not seconds`);
  }
  return Number(text);
}

/** What git prints; undefined where it fails. */
async function git(root: URL, ...args: string[]): Promise<string | undefined> {
  const command = new Deno.Command("git", {
    args,
    cwd: root,
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  });
  const { success, stdout } = await command.output();
  return success ? new TextDecoder().decode(stdout).trim() : undefined;
}

/**
 * The files that `deno publish` would publish of a folder, by path.
 *
 * @throws {Error} With what it says, when it refuses.
 */
export async function published(root: URL, quick: boolean): Promise<string[]> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty", ...(quick ? ["--no-check"] : [])],
    cwd: root,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(stderr);
  if (!success) throw new Error(`Cannot release: deno publish refuses it\n${text}`);
  const files: string[] = [];
  for (const [, url] of text.matchAll(/^\s+(file:\S+) \([\d.]+\s*[kKM]?B\)$/gm)) {
    if (!url!.startsWith(root.href)) throw new Error(`Cannot release: ${url} is outside of ${root}`);
    files.push(decodeURIComponent(url!.slice(root.href.length)));
  }
  if (files.length === 0) throw new Error(`Cannot release: deno publish names no file\n${text}`);
  return files.sort();
}

async function copy(files: readonly string[], from: URL, to: string): Promise<void> {
  for (const path of files) {
    const target = `${to}/${path}`;
    await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), { recursive: true });
    await Deno.writeFile(target, await Deno.readFile(new URL(path, from)), { mode: 0o644 });
  }
}

/** What a release has beside the repository's files. */
async function documents(
  folder: string,
  manifest: Manifest,
  date: number,
  commit: string | undefined,
): Promise<[name: string, text: string][]> {
  const sources: string[] = [];
  for (const path of await filesIn(folder)) {
    if (/\.(ts|js)$/.test(path)) sources.push(await Deno.readTextFile(`${folder}/${path}`));
  }
  const lock = await Deno.readTextFile(new URL("deno.lock", ROOT));
  const read = await cachedPackages();
  const { packages, roots } = await findPackages(specifiersOf(sources), lock, read);
  const tools = await findPackages([manifest.compiler], lock, read);
  const [, tarball] = await fetchMbedtls(() => {}, SOURCES.slice(0, 1));
  const { name, version, license } = config;
  const compiler = tools.packages.get(tools.roots[0]!)!;
  return [
    ["NOTICES", await notices(manifest, licenseOf(tarball), packages.values())],
    [
      "sbom.cdx.json",
      await bill({ name, version, license, date, commit, build: manifest, packages, roots, compiler }),
    ],
  ];
}

/** The files below a folder, sorted. */
async function filesIn(folder: string, below = ""): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${folder}/${below}`)) {
    if (isDirectory) files.push(...await filesIn(folder, `${below}${name}/`));
    else files.push(below + name);
  }
  return files.sort();
}

async function sums(folder: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const path of await filesIn(folder)) {
    found.set(path, await sha256(await Deno.readFile(`${folder}/${path}`)));
  }
  return found;
}

/** Gives all files the release's date, so that archives of them are the same, too. Returns their bytes. */
async function stamp(folder: string, date: number): Promise<number> {
  let size = 0;
  for (const path of await filesIn(folder)) {
    await Deno.utime(`${folder}/${path}`, date, date);
    size += (await Deno.stat(`${folder}/${path}`)).size;
  }
  return size;
}

/** Checks that `deno publish` takes the tree, and all of it. */
async function checkPublished(folder: string, expected: Set<string>, quick: boolean): Promise<void> {
  const root = new URL(`file://${await Deno.realPath(folder)}/`);
  const taken = new Set(await published(root, quick));
  const left = [...expected.difference(taken), ...taken.difference(expected)];
  if (left.length > 0) {
    throw new Error(`Cannot release: deno publish does not agree about ${left.join(", ")}`);
  }
}
