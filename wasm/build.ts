/**
 * Builds the wasm cores: fetches mbedTLS, compiles it with our configuration, kernels and glue, links `wasm/dist/*.wasm`.
 * The same inputs give the same bytes; `deno task verify` checks that.
 *
 * `deno task build` builds the cores for users; `deno task build test stock` those that only tests and benches use.
 *
 * @module
 */

import type { Tree } from "@yowasp/clang";
import config from "../deno.json" with { type: "json" };
import { Compiler } from "./compiler.ts";
import { buildCore, type Built, CORES } from "./cores.ts";
import { errorCodes } from "./error_codes.ts";
import { CACHE, fetchMbedtls, sha256, type Source, SOURCES, unpack, writeAtomic } from "./fetch.ts";
import { KERNELS } from "./kernels.ts";
import { ObjectCache } from "./object_cache.ts";

/** Where the cores for users go. */
export const DIST = new URL("dist/", import.meta.url);

/** The cores for users: `lib/core_module.js` chooses one of them. */
export const SHIPPED: readonly string[] = Object.keys(CORES).filter((name) => CORES[name]!.shipped);

const ROOT = new URL("../", import.meta.url);
const COMPILER = config.imports["@yowasp/clang"];

/** What a build leaves in `manifest.json`. */
export interface Manifest {
  /** mbedTLS's version and a short hash of all inputs: what a core calls itself, with its own name behind. */
  version: string;
  /** SHA-256 of all inputs. */
  inputs: string;
  /** The release of mbedTLS. */
  mbedtls: Source;
  /** The compiler's package. */
  compiler: string;
  /** What each core for users has of the compiler's libraries: names of objects, by archive. */
  libraries: Record<string, Record<string, string[]>>;
  /** SHA-256 of each file built. */
  files: Record<string, string>;
}

/** What to build, and how, when it is not as usual. */
export interface BuildOptions {
  /** The cores: those for users, or one other. @default {SHIPPED} */
  cores?: readonly string[];
  /** Where the results go. */
  folder?: URL;
  /** Releases of mbedTLS that will do. @default {SOURCES} */
  sources?: readonly Source[];
  /** Compile everything, even what earlier builds have compiled. @default {false} */
  fresh?: boolean;
}

/** The folder that a core is built into: users' cores into `wasm/dist`, each other one into a folder of its own. */
export function folderOf(core: string): URL {
  return SHIPPED.includes(core) ? DIST : new URL(`cores/${core}/`, CACHE);
}

/**
 * Builds what is not up to date. Of builds that run at once, one works and the others wait.
 *
 * @param cores Names of cores. With one of those for users come the others.
 * @returns What each folder holds: that of the users' cores first.
 * @throws {Error} Saying what cannot be done, and why; with the compiler's diagnostics.
 */
export async function ensureBuilt(cores: readonly string[] = SHIPPED): Promise<Manifest[]> {
  const unknown = cores.find((name) => CORES[name] === undefined);
  if (unknown !== undefined) {
    throw new Error(`Cannot build core "${unknown}": there are ${Object.keys(CORES).join(", ")}`);
  }
  const groups = cores.filter((name) => !SHIPPED.includes(name)).map((name): readonly string[] => [name]);
  if (groups.length < cores.length) groups.unshift(SHIPPED);

  let lock: Deno.FsFile | undefined;
  try {
    const manifests: Manifest[] = [];
    for (const cores of groups) {
      const present = await upToDate(cores);
      if (present === undefined) lock ??= await lockCache();
      manifests.push(present ?? await upToDate(cores) ?? await build({ cores }));
    }
    return manifests;
  } finally {
    lock?.close();
  }
}

async function lockCache(): Promise<Deno.FsFile> {
  await Deno.mkdir(CACHE, { recursive: true });
  const lock = await Deno.open(new URL("lock", CACHE), { create: true, write: true });
  if (!await lock.tryLock(true)) {
    log("Waiting for another build");
    await lock.lock(true);
  }
  return lock;
}

async function upToDate(cores: readonly string[]): Promise<Manifest | undefined> {
  const folder = folderOf(cores[0]!);
  try {
    const manifest: Manifest = JSON.parse(await Deno.readTextFile(new URL("manifest.json", folder)));
    const source = SOURCES.find(({ sha256 }) => sha256 === manifest.mbedtls.sha256);
    if (source === undefined) return undefined;
    if (await hashInputs(await readInputs(cores), source, cores) !== manifest.inputs) return undefined;
    for (const [name, hash] of Object.entries(manifest.files)) {
      if (await sha256(await Deno.readFile(new URL(name, folder))) !== hash) return undefined;
    }
    return manifest;
  } catch {
    return undefined; // missing, damaged, or from another time
  }
}

/** Builds `cores`, needed or not. */
export async function build(
  { cores = SHIPPED, folder = folderOf(cores[0]!), sources = SOURCES, fresh = false }: BuildOptions = {},
): Promise<Manifest> {
  using compiler = new Compiler(); // loads while we fetch
  const [source, tarball] = await fetchMbedtls(log, sources);
  if (source !== SOURCES[0]) {
    log(`mbedTLS ${source.version} stands in for ${SOURCES[0]!.version}: not for a release`);
  }
  const inputs = await readInputs(cores);
  const hash = await hashInputs(inputs, source, cores);
  const version = `mbedtls-${source.version}+${hash.slice(0, 8)}`;

  const files = new Map<string, Uint8Array>();
  for (const [path, bytes] of unpack(tarball)) files.set(`mbedtls/${path}`, bytes);
  for (const [path, text] of inputs) files.set(path, new TextEncoder().encode(text));
  compiler.share(toTree(files));

  const objects = new ObjectCache(!fresh);
  const workshop = { compiler, objects, files, tools: [COMPILER, source.sha256], progress };
  const outputs: Record<string, Uint8Array> = {};
  const libraries: Manifest["libraries"] = {};
  for (const name of cores) {
    const built = await buildCore(name, { ...workshop, version: version + suffixOf(name) });
    Object.assign(outputs, outputsOf(name, built));
    if (CORES[name]!.shipped) libraries[name] = built.libraries;
  }
  if (cores === SHIPPED) outputs["error_codes.json"] = new TextEncoder().encode(errorCodes(files));
  await objects.prune();

  const manifest: Manifest = {
    version,
    inputs: hash,
    mbedtls: source,
    compiler: COMPILER,
    libraries,
    files: {},
  };
  for (const [name, bytes] of Object.entries(outputs)) {
    await writeAtomic(new URL(name, folder), bytes);
    manifest.files[name] = await sha256(bytes);
  }
  // Last: until it is written, what it says of the others is wrong, and the next build starts again.
  await writeAtomic(
    new URL("manifest.json", folder),
    new TextEncoder().encode(JSON.stringify(manifest, null, 2) + "\n"),
  );
  return manifest;
}

/** The files that a core is: for users the module, for tests its kernels' objects too. */
function outputsOf(name: string, { module, kernels }: Built): Record<string, Uint8Array> {
  const outputs = { [`${name}.wasm`]: module };
  if (CORES[name]!.shipped) return outputs;
  for (const [path, object] of kernels) outputs[`${path.split("/").at(-1)}.o`] = object;
  return outputs;
}

/** What tells a core's version from that of the one that most users run. */
function suffixOf(name: string): string {
  return name === "core" ? "" : `.${name.replace("core.", "")}`;
}

/** Everything in `wasm` that decides what `cores` are, by path. */
async function readInputs(cores: readonly string[]): Promise<[path: string, text: string][]> {
  const taken = cores.flatMap((name) => CORES[name]!.folders).filter((folder) => folder.startsWith("wasm/"));
  const paths: string[] = [];
  for (const folder of new Set(["wasm/", "wasm/config/", "wasm/crypto/", ...taken])) {
    try {
      for await (const { name, isFile } of Deno.readDir(new URL(folder, ROOT))) {
        if (name === "advisories.json") continue; // what is known of a core is no part of it
        if (isFile && /^\w.*\.(ts|json|c|h|inc)$/.test(name)) paths.push(folder + name);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  const listed = new Set(Object.values(KERNELS).flatMap(({ sources }) => sources));
  const stray = paths.find((path) => /^wasm\/crypto\/.*\.c$/.test(path) && !listed.has(path.slice(12)));
  if (stray !== undefined) throw new Error(`Cannot build: wasm/kernels.ts has no kernel with ${stray}`);
  return await Promise.all(
    paths.sort().map(async (path) => [path, await Deno.readTextFile(new URL(path, ROOT))]),
  );
}

async function hashInputs(
  inputs: [path: string, text: string][],
  source: Source,
  cores: readonly string[],
): Promise<string> {
  const made = cores.map((name) => [name, CORES[name]]);
  return await sha256(JSON.stringify([inputs, source.sha256, COMPILER, made]));
}

function toTree(files: Map<string, Uint8Array>): Tree {
  const root: Tree = {};
  for (const [path, bytes] of files) {
    const names = path.split("/");
    const last = names.pop()!;
    names.reduce((tree, name) => (tree[name] ??= {}) as Tree, root)[last] = bytes;
  }
  return root;
}

const TERMINAL = Deno.stderr.isTerminal();
const CLEAR_LINE = "\r\x1b[K";

function log(line: string): void {
  console.error(TERMINAL ? CLEAR_LINE + line : line);
}

/** A line per file; on a terminal, one line that changes. */
function progress(begun: number, total: number, path: string): void {
  const line = `[${String(begun).padStart(3)}/${total}] ${path}`;
  if (!TERMINAL) return log(line);
  Deno.stderr.writeSync(new TextEncoder().encode(begun < total ? CLEAR_LINE + line : CLEAR_LINE));
}

/** Runs a command's work; if it fails, says why and exits with code 1. */
export async function command(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    log(error instanceof Error ? error.message : String(error));
    Deno.exit(1);
  }
}

if (import.meta.main) {
  await command(async () => {
    for (const { version, files } of await ensureBuilt(Deno.args.length > 0 ? Deno.args : SHIPPED)) {
      console.log(version);
      for (const [name, hash] of Object.entries(files)) console.log(`${hash}  ${name}`);
    }
  });
}
