/**
 * The cores: what each is made of, and how it is compiled and linked.
 *
 * @module
 */

import type { Compiler } from "./compiler.ts";
import type { ObjectCache } from "./object_cache.ts";

/** One variant of the core. */
export interface Core {
  /** mbedTLS's user configuration. */
  config: string;
  /** Sources beside those of {@linkcode FOLDERS}. */
  sources: string[];
  /** Flags for one source, after those of its folder. */
  flags(path: string): string[];
}

/** Every core, by the name of its .wasm file. */
export const CORES: Readonly<Record<string, Core>> = {
  core: { config: "wasm/config/default.h", sources: ["wasm/config/no_stdio.c"], flags: () => [] },
};

/** Whether the module names its functions: a profile needs that, and it costs 8 % more bytes. */
export const KEEP_NAMES = Deno.env.get("TLSIO_KEEP_NAMES") === "1";

const STRICT = ["-Wall", "-Wextra", "-Werror"];

/** The folders whose .c files every core takes, and the flags of each. */
const FOLDERS: Readonly<Record<string, string[]>> = {
  "wasm/glue/": [...STRICT, "-Iwasm/glue"],
  "wasm/crypto/": STRICT,
  "mbedtls/library/": [], // no -msimd128: the vectoriser halves the speed of mbedTLS's ChaCha20
};

const TARGET = "--target=wasm32-wasip1";

const COMPILE = [
  TARGET,
  "-O2",
  "-mbulk-memory", // memory.copy makes records some 15 % faster
  "-fvisibility=hidden",
  "-I.",
  "-Imbedtls/include",
  "-Imbedtls/library", // ssl_misc.h, for the glue
  "-Iwasm/crypto", // *_alt.h, for mbedTLS
];

const LINK = [
  TARGET,
  "-mexec-model=reactor", // there is no main(): the host calls _initialize() once
  "-Wl,--gc-sections",
  "-Wl,--stack-first", // an overflow traps instead of writing over data
  "-Wl,-z,stack-size=262144", // bytes; a handshake takes 3000, and untouched pages cost nothing
  "-Wl,--initial-memory=1048576", // bytes; grows on demand
  "-Wl,--max-memory=1073741824", // bytes; room for some 20 000 connections
  "-Wl,--wrap=mbedtls_ssl_handle_pending_alert", // see wasm/glue/traffic.c
  "-Wl,--wrap=mbedtls_ssl_send_alert_message",
  "-lc-printscan-no-floating-point",
  KEEP_NAMES ? "-Wl,--strip-debug" : "-Wl,--strip-all",
];

/** What {@linkcode buildCore} works with. */
export interface Workshop {
  compiler: Compiler;
  objects: ObjectCache;
  /** Every file that the compiler can read, by path. */
  files: ReadonlyMap<string, Uint8Array>;
  /** All that the object of one source depends on, besides the compiler's arguments. */
  inputs(path: string): unknown;
  /** What the core calls itself. */
  version: string;
  /** Told of each file that is begun, with the count of those so far. */
  progress(begun: number, total: number, path: string): void;
}

/**
 * Compiles and links one core.
 *
 * @returns The bytes of the module.
 * @throws {Error} With all that the compiler or the linker says.
 */
export async function buildCore(name: string, core: Core, workshop: Workshop): Promise<Uint8Array> {
  const objects = await compile(name, core, workshop);
  const plan = await workshop.compiler.plan(...LINK, "in.o", "-o", "out.wasm");
  const args = plan.flatMap((word) => word === "in.o" ? Object.keys(objects).sort() : [word]);
  const { text, output } = await workshop.compiler.run({ args, files: objects, output: "out.wasm" });
  if (output === undefined || text !== "") throw new Error(`Cannot link ${name}: the linker says\n${text}`);

  const imports = WebAssembly.Module.imports(new WebAssembly.Module(output));
  const foreign = imports.filter(({ module }) => module !== "tlsio");
  if (foreign.length > 0) {
    const names = foreign.map(({ module, name }) => `${module}.${name}`).join(", ");
    throw new Error(`Cannot link ${name}: it would import ${names}`);
  }
  return output;
}

/** The objects of a core, by a name for the linker. */
async function compile(name: string, core: Core, workshop: Workshop): Promise<Record<string, Uint8Array>> {
  const { compiler, files, objects, progress } = workshop;
  const compiled: Record<string, Uint8Array> = {};
  const stale: { path: string; args: string[]; inputs: unknown; ours: boolean; size: number }[] = [];
  for (const path of files.keys()) {
    const flags = flagsOf(core, path, workshop.version);
    if (flags === undefined) continue;
    const plan = await compiler.plan(...flags, "-c", "in.c", "-o", "out.o");
    const args = plan.map((word) => word === "in.c" ? path : word);
    const inputs = [args, workshop.inputs(path)];
    const object = await objects.get(inputs);
    if (object !== undefined) compiled[objectName(path)] = object;
    else stale.push({ path, args, inputs, ours: path.startsWith("wasm/"), size: files.get(path)!.length });
  }

  // Ours first, since mistakes are there; then the longest, since a thread that gets one late finishes late.
  stale.sort((a, b) => Number(b.ours) - Number(a.ours) || b.size - a.size);
  const total = stale.length;
  const faults: string[] = [];
  const thread = async () => {
    for (let unit = stale.shift(); unit !== undefined; unit = stale.shift()) {
      if (faults.length > 0 && !unit.ours) return;
      progress(total - stale.length, total, unit.path);
      const { text, output } = await compiler.run({ args: unit.args, output: "out.o" });
      if (output === undefined || text !== "") faults.push(text);
      else await objects.put(unit.inputs, compiled[objectName(unit.path)] = output);
    }
  };
  await Promise.all(Array.from({ length: compiler.threads }, thread));
  if (faults.length > 0) throw new Error(`Cannot compile ${name}: the compiler says\n${faults.join("")}`);
  return compiled;
}

/** The flags of a source; undefined for a file that the core does not take. */
function flagsOf(core: Core, path: string, version: string): string[] | undefined {
  if (!path.endsWith(".c")) return undefined;
  const folder = Object.keys(FOLDERS).find((folder) => path.startsWith(folder));
  if (folder === undefined && !core.sources.includes(path)) return undefined;
  return [
    ...COMPILE,
    `-DMBEDTLS_USER_CONFIG_FILE="${core.config}"`,
    ...(folder === undefined ? STRICT : FOLDERS[folder]!),
    ...(folder === "wasm/glue/" ? [`-DTLSIO_CORE_VERSION="${version}"`] : []),
    ...core.flags(path),
  ];
}

/** What the linker calls the object of a source: it knows no folders. */
function objectName(path: string): string {
  return `${path.replaceAll("/", ".")}.o`;
}
