/**
 * The cores: what each is made of, and how it is compiled and linked.
 *
 * @module
 */

import type { Compiler, Result } from "./compiler.ts";
import { Includes } from "./includes.ts";
import { KERNEL_FLAGS, KERNELS, renamed } from "./kernels.ts";
import type { ObjectCache } from "./object_cache.ts";

/** One variant of the core. */
export interface Core {
  /** Whether it is for users. The others are for tests and benches, and only those build them. */
  shipped: boolean;
  /** mbedTLS's user configuration. */
  config: string;
  /** The folders whose `.c` files it takes, of {@linkcode FOLDERS}. */
  folders: string[];
  /** What it leaves out of them. */
  without: string[];
  /** Sources beside those. */
  sources: string[];
  /** Functions whose calls the linker sends to `__wrap_` and their name: all that the compiler has not inlined. */
  wraps: string[];
  /** Which of {@linkcode KERNELS} it has. */
  kernels: string[];
  /** Flags for the SIMD of its kernels. */
  simd: string[];
  /** Whether the module names its functions: a profile needs that, and it costs 8 % more bytes. */
  names: boolean;
  /** Sources whose edges are counted as they run, by the beginning of their paths: a fuzzer wants to know. */
  covered?: string[];
}

const PLAIN_SIMD = ["-msimd128"];
const RELAXED_SIMD = ["-msimd128", "-mrelaxed-simd"];

/** What is counted: see wasm/glue/counts.c. */
const COUNTED = [
  "mbedtls_aes_crypt_cbc",
  "mbedtls_ccm_auth_decrypt",
  "mbedtls_ccm_encrypt_and_tag",
  "mbedtls_chachapoly_auth_decrypt",
  "mbedtls_chachapoly_encrypt_and_tag",
  "mbedtls_ecdsa_read_signature",
  "mbedtls_ecdsa_write_signature",
  "mbedtls_ecp_mul_restartable",
  "mbedtls_gcm_auth_decrypt",
  "mbedtls_gcm_crypt_and_tag",
  "mbedtls_rsa_pkcs1_decrypt",
  "mbedtls_rsa_pkcs1_encrypt",
  "mbedtls_rsa_pkcs1_sign",
  "mbedtls_rsa_pkcs1_verify",
  "mbedtls_rsa_rsassa_pss_sign_no_mode_check",
  "mbedtls_rsa_rsassa_pss_verify_ext",
  "mbedtls_sha1",
  "mbedtls_sha1_update",
  "mbedtls_sha256",
  "mbedtls_sha256_update",
  "mbedtls_sha512",
  "mbedtls_sha512_update",
];

const SHIPPED: Core = {
  shipped: true,
  config: "wasm/config/default.h",
  folders: ["mbedtls/library/", "wasm/glue/"],
  without: [],
  wraps: COUNTED,
  sources: ["wasm/config/no_stdio.c"],
  kernels: Object.keys(KERNELS),
  simd: RELAXED_SIMD,
  names: Deno.env.get("TLSIO_KEEP_NAMES") === "1",
};

const TEST: Core = {
  ...SHIPPED,
  shipped: false,
  folders: [...SHIPPED.folders, "wasm/harness/"],
  kernels: Object.keys(KERNELS),
  names: true,
};

/** What reads bytes from outside. Arithmetic has no edges that a peer's bytes lead to. */
const PARSERS = ["asn1", "base64", "oid", "pem", "pk", "rsa_alt_helpers", "ssl", "x509"];

/** The shipped one with a hostile peer inside: see wasm/fuzz/fuzz.h. */
const FUZZ: Core = {
  ...SHIPPED,
  shipped: false,
  config: "wasm/config/fuzz.h",
  folders: [...SHIPPED.folders, "wasm/fuzz/"],
  wraps: [...SHIPPED.wraps, "mbedtls_ssl_write_handshake_msg_ext", "mbedtls_ssl_finish_handshake_msg"],
  names: true,
  covered: ["wasm/glue/", ...PARSERS.map((name) => `mbedtls/library/${name}`)],
};

/** The devices': an ESP32's and what others have besides, no kernels of ours, and a heap that counts. */
const DEVICE: Core = {
  ...SHIPPED,
  config: "wasm/config/device.h",
  folders: [...SHIPPED.folders, "wasm/device/"],
  without: ["constraints", "early", "idle", "measure", "memory", "tls13", "traffic"].map((name) =>
    `wasm/glue/${name}.c`
  ),
  wraps: [
    ...COUNTED,
    "mbedtls_aria_crypt_cbc",
    "mbedtls_mpi_mul_mpi",
    "mbedtls_ssl_config_defaults", // see wasm/device/build.c
    "mbedtls_ssl_get_ecp_group_id_from_tls_id",
  ],
  kernels: [],
  simd: [],
};

/** Every core, by the name of its .wasm file. */
export const CORES: Readonly<Record<string, Core>> = {
  "core": SHIPPED,
  "core.simd": { ...SHIPPED, simd: PLAIN_SIMD }, // for engines without relaxed SIMD; lib/core_module.js chooses
  "core.esp32": DEVICE, // lib/esp32_module.js loads it
  "test": TEST,
  "test.simd": { ...TEST, simd: PLAIN_SIMD },
  "stock": { ...TEST, kernels: [] },
  "uncounted": { ...SHIPPED, shipped: false, without: ["wasm/glue/counts.c"], wraps: [] }, // bench/counting.ts's
  "fuzz": FUZZ,
};

const STRICT = ["-Wall", "-Wextra", "-Werror"];

/** The folders whose .c files a core can take whole, and the flags of each. */
const FOLDERS: Readonly<Record<string, string[]>> = {
  "mbedtls/library/": [], // no -msimd128: the vectoriser halves the speed of mbedTLS's ChaCha20
  "wasm/glue/": STRICT,
  "wasm/device/": [...STRICT, "-Iwasm/glue"],
  "wasm/fuzz/": [...STRICT, "-Iwasm/glue"],
  "wasm/harness/": [...STRICT, "-Iwasm/glue"],
};

const TARGET = "--target=wasm32-wasip1";
const COVERAGE = "-fsanitize-coverage=inline-8bit-counters";

const HEADERS = [
  "", // the root: MBEDTLS_USER_CONFIG_FILE
  "mbedtls/include/",
  "mbedtls/library/", // ssl_misc.h, for the glue
  "wasm/crypto/", // *_alt.h, for mbedTLS
];

const COMPILE = [
  TARGET,
  "-O2",
  "-mbulk-memory", // memory.copy makes records some 15 % faster
  "-fvisibility=hidden",
  ...HEADERS.map((folder) => `-I${folder || "."}`),
];

const LINK = [
  TARGET,
  "-mexec-model=reactor", // there is no main(): the host calls _initialize() once
  "-Wl,--gc-sections",
  "-Wl,--stack-first", // an overflow traps instead of writing over data
  "-Wl,-z,stack-size=262144", // bytes; an RSA signature takes 40 000, and untouched pages cost nothing
  "-Wl,--initial-memory=1048576", // bytes; grows on demand
  "-Wl,--max-memory=1073741824", // bytes; room for 25 000 handshakes at once, or 400 000 idle servers' ends
  "-Wl,--wrap=mbedtls_ssl_handle_pending_alert", // see wasm/glue/alerts.c
  "-Wl,--wrap=mbedtls_ssl_send_alert_message",
  "-Wl,--wrap=mbedtls_ssl_parse_alpn_ext", // see wasm/glue/alpn.c
  "-Wl,--wrap=mbedtls_ssl_handshake_wrapup", // see wasm/glue/connection.c
  "-Wl,--wrap=mbedtls_pk_sign_ext", // see wasm/glue/signer.c
  "-Wl,--wrap=mbedtls_ssl_set_outbound_transform", // see wasm/glue/early.c
  "-Wl,--wrap=mbedtls_ssl_write_record", // see wasm/glue/trace.c
  "-Wl,--wrap=mbedtls_ssl_handle_message_type",
  "-Wl,--wrap=mbedtls_x509_crt_parse_der", // see wasm/glue/peer_chain.c
  "-Wl,--wrap=mbedtls_pk_verify_ext",
  "-lc-printscan-no-floating-point",
];

/** What of {@linkcode LINK} and of the fuzzer's core goes for a native build, too: which functions the glue stands before. */
export const WRAPS: readonly string[] = [
  ...LINK.filter((flag) => flag.startsWith("-Wl,--wrap=")),
  ...FUZZ.wraps.map((name) => `-Wl,--wrap=${name}`),
];

/** What {@linkcode buildCore} works with. */
export interface Workshop {
  compiler: Compiler;
  objects: ObjectCache;
  /** Every file that the compiler can read, by path. */
  files: ReadonlyMap<string, Uint8Array>;
  /** Beside a source's own text and flags, what decides what it compiles to: compiler and release of mbedTLS. */
  tools: string[];
  /** What the core calls itself. */
  version: string;
  /** Told of each file that is begun, with the count of those so far. */
  progress(begun: number, total: number, path: string): void;
}

/** What comes of a core. */
export interface Built {
  /** The module. */
  module: Uint8Array;
  /** The objects of its kernels, by source. */
  kernels: Map<string, Uint8Array>;
  /** What came from the compiler's libraries: names of objects, by archive. Only of cores for users. */
  libraries: Record<string, string[]>;
}

/**
 * Compiles and links one core.
 *
 * @throws {Error} With all that the compiler or the linker says.
 */
export async function buildCore(name: string, workshop: Workshop): Promise<Built> {
  const core = CORES[name]!;
  const objects = await compile(name, core, workshop);
  const strip = core.names ? "-Wl,--strip-debug" : "-Wl,--strip-all";
  const wraps = core.wraps.map((name) => `-Wl,--wrap=${name}`);
  const plan = await workshop.compiler.plan(...LINK, ...wraps, strip, "in.o", "-o", "out.wasm");
  const files = Object.fromEntries([...objects].map(([path, object]) => [objectName(path), object]));
  const args = plan.flatMap((word) => word === "in.o" ? Object.keys(files).sort() : [word]);
  const { text, output } = await workshop.compiler.run({ args, files, output: "out.wasm" });
  if (output === undefined || text !== "") throw new Error(`Cannot link ${name}: the linker says\n${text}`);

  const imports = WebAssembly.Module.imports(new WebAssembly.Module(output));
  const foreign = imports.filter(({ module }) => module !== "tlsio");
  if (foreign.length > 0) {
    const names = foreign.map(({ module, name }) => `${module}.${name}`).join(", ");
    throw new Error(`Cannot link ${name}: it would import ${names}`);
  }
  const kernels = new Map([...objects].filter(([path]) => path.startsWith("wasm/crypto/")));
  const libraries = core.shipped
    ? librariesOf(await workshop.compiler.run({ args: [...args, MAP], files, output: "map" }))
    : {};
  return { module: output, kernels, libraries };
}

const MAP = "--Map=map";

/** What a linker's map has of archives. */
function librariesOf({ text, output }: Result): Record<string, string[]> {
  if (output === undefined) throw new Error(`Cannot read the linker's map: it says\n${text}`);
  const found = new Map<string, Set<string>>();
  for (const [, archive, object] of new TextDecoder().decode(output).matchAll(/([^/\s]+\.a)\(([^)]+)\):/g)) {
    found.set(archive!, (found.get(archive!) ?? new Set()).add(object!));
  }
  return Object.fromEntries([...found].sort().map(([archive, objects]) => [archive, [...objects].sort()]));
}

/** One source on its way to an object. */
interface Unit {
  path: string;
  args: string[];
  /** What is compiled instead of the source, as `renamed.c`. */
  text: string | undefined;
  /** All that the object depends on. */
  inputs: unknown;
  size: number;
  /** Whether it is compiled to assembly first: see {@linkcode assemble}. */
  covered: boolean;
}

/** The objects of a core, by source. */
async function compile(name: string, core: Core, workshop: Workshop): Promise<Map<string, Uint8Array>> {
  const { compiler, files, objects, progress } = workshop;
  const made = new Map<string, Uint8Array>();
  const stale: Unit[] = [];
  for (const unit of await plan(core, workshop)) {
    const object = await objects.get(unit.inputs);
    if (object === undefined) stale.push(unit);
    else made.set(unit.path, object);
  }

  // Ours first, since mistakes are there; then the longest, since a thread that gets one late finishes late.
  const isOurs = ({ path }: Unit) => path.startsWith("wasm/");
  stale.sort((a, b) => Number(isOurs(b)) - Number(isOurs(a)) || b.size - a.size);
  const total = stale.length;
  const faults: string[] = [];
  const thread = async () => {
    for (let unit = stale.shift(); unit !== undefined; unit = stale.shift()) {
      if (faults.length > 0 && !isOurs(unit)) return;
      progress(total - stale.length, total, unit.path);
      const compiled = await compiler.run({
        args: unit.args,
        ...(unit.text !== undefined && { files: { "renamed.c": unit.text } }),
        output: unit.covered ? "out.s" : "out.o",
      });
      const isAssembly = unit.covered && compiled.output !== undefined && compiled.text === "";
      const { text, output } = isAssembly ? await assemble(compiler, compiled.output!) : compiled;
      if (output === undefined || text !== "") faults.push(text);
      else {
        made.set(unit.path, output);
        await objects.put(unit.inputs, output);
      }
    }
  };
  await Promise.all(Array.from({ length: compiler.threads }, thread));
  if (faults.length > 0) throw new Error(`Cannot compile ${name}: the compiler says\n${faults.join("")}`);
  return new Map(
    [...files.keys()].flatMap((path) => made.has(path) ? [[path, made.get(path)!]] : []),
  );
}

/** What a core is compiled from, and how. */
async function plan(core: Core, { compiler, files, tools, version }: Workshop): Promise<Unit[]> {
  for (const name of core.kernels) {
    const missing = KERNELS[name]!.sources.find((source) => !files.has(`wasm/crypto/${source}`));
    if (missing !== undefined) throw new Error(`Cannot find wasm/crypto/${missing} of the kernel "${name}"`);
  }
  const includes = new Includes(files, HEADERS);
  const decoder = new TextDecoder();
  const units: Unit[] = [];
  for (const [path, { length: size }] of files) {
    const flags = flagsOf(core, path, version);
    if (flags === undefined) continue;
    const text = renamed(path, core.kernels);
    const covered = flags.includes(COVERAGE);
    const words = await compiler.plan(
      ...flags,
      covered ? "-S" : "-c",
      "in.c",
      "-o",
      covered ? "out.s" : "out.o",
    );
    const args = words.map((word) => word === "in.c" ? text === undefined ? path : "renamed.c" : word);
    // Of mbedTLS's own files, `tools` has the hash.
    const ours = includes.closure(path, core.config).filter((path) => path.startsWith("wasm/"));
    const inputs: unknown[] = [
      tools,
      args,
      text,
      ours.map((path) => [path, decoder.decode(files.get(path))]),
    ];
    if (covered) inputs.push(assemble.toString());
    units.push({ path, args, text, inputs, size, covered });
  }
  return units;
}

/** The flags of a source; undefined for a file that the core does not take. */
function flagsOf(core: Core, path: string, version: string): string[] | undefined {
  if (!path.endsWith(".c") || core.without.includes(path)) return undefined;
  const kernel = kernelOf(core, path);
  const folder = core.folders.find((folder) => path.startsWith(folder));
  const own = kernel ?? (folder === undefined ? undefined : FOLDERS[folder]);
  if (own === undefined && !core.sources.includes(path)) return undefined;
  const defines = core.kernels.flatMap((name) => KERNELS[name]!.defines ?? []);
  return [
    ...COMPILE,
    `-DMBEDTLS_USER_CONFIG_FILE="${core.config}"`,
    ...defines.map((define) => `-D${define}`),
    ...(own ?? STRICT),
    ...(core.covered?.some((start) => path.startsWith(start)) ? [COVERAGE] : []),
    ...(path === "wasm/glue/platform.c" ? [`-DTLSIO_CORE_VERSION="${version}"`] : []),
  ];
}

/** The flags of a kernel's source. */
function kernelOf({ kernels, simd }: Core, path: string): string[] | undefined {
  const kernel = kernels.map((name) => KERNELS[name]!).find(({ sources }) =>
    sources.some((source) => path === `wasm/crypto/${source}`)
  );
  return kernel && [...STRICT, ...KERNEL_FLAGS, ...simd, ...(kernel.flags ?? [])];
}

/**
 * Assembles what was compiled with {@linkcode COVERAGE}. The compiler puts each function into a group that has its name, and of
 * groups of one name the linker takes one: of two static functions that have a name in common, too. So there are no groups.
 * What would tell a runtime of the counters at the start is not needed: wasm/fuzz/coverage.c asks the linker where they are.
 */
async function assemble(compiler: Compiler, output: Uint8Array): Promise<Result> {
  const text = new TextDecoder().decode(output)
    .replaceAll(/^(\t\.section\t__sancov_cntrs),.*$/gm, '$1,"R",@')
    .replaceAll(/^(\t\.section\t[^,]+),"G[A-Z]*",@,.*,comdat$/gm, '$1,"",@')
    .replace(/^\t\.section\t\.init_array\.2,.*\n\t\.p2align.*\n\t\.int32\tsancov\..*\n/m, "")
    .replaceAll(/^\t\.no_dead_strip\t\.?L?_*sancov.*\n/gm, "");
  const words = await compiler.plan(TARGET, "-mbulk-memory", "-c", "in.s", "-o", "out.o");
  return await compiler.run({
    args: words.map((word) => word === "in.s" ? "covered.s" : word),
    files: { "covered.s": text },
    output: "out.o",
  });
}

/** What the linker calls the object of a source: it knows no folders. */
function objectName(path: string): string {
  return `${path.replaceAll("/", ".")}.o`;
}
