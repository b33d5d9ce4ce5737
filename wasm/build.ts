/**
 * Builds the wasm core: fetches mbedTLS, compiles it with our configuration and glue, links `wasm/dist/core.wasm`.
 * The same inputs give the same bytes; `deno task verify` checks that.
 *
 * @module
 */

import type { Tree } from "@yowasp/clang";
import config from "../deno.json" with { type: "json" };
import { Compiler } from "./compiler.ts";
import { buildCore, CORES, KEEP_NAMES, type Workshop } from "./cores.ts";
import { errorCodes } from "./error_codes.ts";
import { CACHE, fetchMbedtls, sha256, type Source, SOURCES, unpack, writeAtomic } from "./fetch.ts";
import { ObjectCache } from "./object_cache.ts";

/** Where builds go. */
export const DIST = new URL("dist/", import.meta.url);

const ROOT = new URL("../", import.meta.url);
const COMPILER = config.imports["@yowasp/clang"];

/** What a build leaves in `manifest.json`. */
export interface Manifest {
  /** What the core calls itself: mbedTLS's version, and a short hash of all inputs. */
  version: string;
  /** SHA-256 of all inputs. */
  inputs: string;
  /** The release of mbedTLS. */
  mbedtls: Source;
  /** The compiler's package. */
  compiler: string;
  /** SHA-256 of each file built. */
  files: Record<string, string>;
}

/** How to build, when it is not as usual. */
export interface BuildOptions {
  /** Where the results go. @default {DIST} */
  dist?: URL;
  /** Releases of mbedTLS that will do. @default {SOURCES} */
  sources?: readonly Source[];
  /** Compile everything, even what has been compiled before. @default {false} */
  fresh?: boolean;
}

/**
 * Builds `wasm/dist` unless it is up to date. Of builds that run at once, one works and the others wait.
 *
 * @returns What `wasm/dist` holds.
 * @throws {Error} Saying what cannot be done, and why; with the compiler's diagnostics.
 */
export async function ensureBuilt(): Promise<Manifest> {
  const present = await upToDate();
  if (present !== undefined) return present;

  await Deno.mkdir(CACHE, { recursive: true });
  using lock = await Deno.open(new URL("lock", CACHE), { create: true, write: true });
  if (!await lock.tryLock(true)) {
    log("Waiting for another build");
    await lock.lock(true);
  }
  return await upToDate() ?? await build();
}

async function upToDate(): Promise<Manifest | undefined> {
  try {
    const manifest: Manifest = JSON.parse(await Deno.readTextFile(new URL("manifest.json", DIST)));
    const source = SOURCES.find(({ sha256 }) => sha256 === manifest.mbedtls.sha256);
    if (source === undefined) return undefined;
    if (await hashInputs(await readInputs(), source) !== manifest.inputs) return undefined;
    for (const [name, hash] of Object.entries(manifest.files)) {
      if (await sha256(await Deno.readFile(new URL(name, DIST))) !== hash) return undefined;
    }
    return manifest;
  } catch {
    return undefined; // missing, damaged, or from another time
  }
}

/** Builds every core, needed or not. */
export async function build(
  { dist = DIST, sources = SOURCES, fresh = false }: BuildOptions = {},
): Promise<Manifest> {
  using compiler = new Compiler(); // loads while we fetch
  const [source, tarball] = await fetchMbedtls(log, sources);
  const inputs = await readInputs();
  const hash = await hashInputs(inputs, source);
  const version = `mbedtls-${source.version}+${hash.slice(0, 8)}`;

  const files = new Map<string, Uint8Array>();
  for (const [path, bytes] of unpack(tarball)) files.set(`mbedtls/${path}`, bytes);
  for (const [path, text] of inputs) files.set(path, new TextEncoder().encode(text));
  compiler.share(toTree(files));

  // mbedTLS's own sources see of ours the configuration and the headers of replacements (*_alt.h), not the glue.
  const seen = inputs.filter(([path]) => /^wasm\/(config\/.*|crypto\/.*\.h)$/.test(path));
  const workshop: Workshop = {
    compiler,
    objects: new ObjectCache(!fresh),
    files,
    inputs: (path) => [COMPILER, source.sha256, path.startsWith("wasm/") ? inputs : seen],
    version,
    progress,
  };
  const outputs: Record<string, Uint8Array> = {};
  for (const [name, core] of Object.entries(CORES)) {
    outputs[`${name}.wasm`] = await buildCore(name, core, workshop);
  }
  outputs["error_codes.json"] = new TextEncoder().encode(errorCodes(files));
  await workshop.objects.prune();

  const manifest: Manifest = { version, inputs: hash, mbedtls: source, compiler: COMPILER, files: {} };
  for (const [name, bytes] of Object.entries(outputs)) {
    await writeAtomic(new URL(name, dist), bytes);
    manifest.files[name] = await sha256(bytes);
  }
  // Last: until it is written, what it says of the others is wrong, and the next build starts again.
  await writeAtomic(
    new URL("manifest.json", dist),
    new TextEncoder().encode(JSON.stringify(manifest, null, 2) + "\n"),
  );
  return manifest;
}

/** Everything in `wasm` that decides what is built, by path. */
async function readInputs(): Promise<[path: string, text: string][]> {
  const paths: string[] = [];
  for (const folder of ["wasm/", "wasm/config/", "wasm/glue/", "wasm/crypto/"]) {
    try {
      for await (const { name, isFile } of Deno.readDir(new URL(folder, ROOT))) {
        if (isFile && /^\w.*\.(ts|json|c|h|inc)$/.test(name)) paths.push(folder + name);
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return await Promise.all(
    paths.sort().map(async (path) => [path, await Deno.readTextFile(new URL(path, ROOT))]),
  );
}

async function hashInputs(inputs: [path: string, text: string][], source: Source): Promise<string> {
  return await sha256(JSON.stringify([inputs, source.sha256, COMPILER, KEEP_NAMES]));
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
    const { version, files } = await ensureBuilt();
    console.log(version);
    for (const [name, hash] of Object.entries(files)) console.log(`${hash}  wasm/dist/${name}`);
  });
}
