/**
 * Builds what the bench has in C by the machine's own compiler, into the build's cache; nothing is built twice.
 *
 * @module
 */

import { CACHE, fetchMbedtls, sha256, unpack } from "../wasm/fetch.ts";
import { NotRun } from "./runner.ts";

const ROOT = new URL("../", import.meta.url);
const FOLDER = new URL("bench/", CACHE);
const STRICT = ["-O2", "-Wall", "-Wextra", "-Werror"];

const CLIENT = "bench/programs/client.c";
const CLIENT_LIBRARIES = ["-lssl", "-lcrypto"];

const NATIVE = ["bench/programs/native.c", "bench/programs/native_config.h"];
/** What the harness needs of the glue. */
const GLUE = ["measure", "memory", "platform"].map((name) => `wasm/glue/${name}.c`);
const OURS = ["wasm/glue", "wasm/harness", "wasm/config"];
const NATIVE_FLAGS = [
  "-O2",
  "-fPIC",
  "-Wno-attributes", // export_name and the like are wasm's
  '-DMBEDTLS_USER_CONFIG_FILE="bench/programs/native_config.h"',
  '-DTLSIO_CORE_VERSION="native"',
  `-I${ROOT.pathname}`,
  `-I${ROOT.pathname}wasm/glue`,
];

const DEVICE = "bench/programs/device.c";
const DEVICE_FLAGS = [
  ...["-m32", "-malign-double"], // uint64_t is aligned as on the device
  ...[
    "-O2",
    "-ffreestanding",
    "-fno-pic",
    "-fno-stack-protector",
    "-ffunction-sections",
    "-U_FORTIFY_SOURCE",
  ],
  "-DMBEDTLS_ALLOW_PRIVATE_ACCESS",
  '-DMBEDTLS_USER_CONFIG_FILE="wasm/config/esp32.h"',
  `-I${ROOT.pathname}`,
];
const DEVICE_LINK = [
  "-m32",
  "-nostdlib",
  "-static",
  "-no-pie",
  "-Wl,--gc-sections",
  "-Wl,--wrap=mbedtls_mpi_mul_mpi",
];

let compiler: Promise<string> | undefined;
let client: Promise<string> | undefined;
let native: Promise<string> | undefined;

/** The version of the machine's compiler. */
function compilerVersion(): Promise<string> {
  if (Deno.build.os !== "linux") throw new NotRun("it is written for Linux: epoll, getrandom(), CPU clocks");
  return compiler ??= compile("--version").then(
    (text) => text.split("\n")[0]!,
    () => Promise.reject(new NotRun("there is no C compiler: install gcc")),
  );
}

/**
 * The path of the native client.
 *
 * @throws {NotRun} If there is no compiler or no OpenSSL to link with: says what to install.
 */
export function buildClient(): Promise<string> {
  return client ??= once("client", [CLIENT], STRICT.join(), async (path) => {
    const probe = `${path}.c`;
    await Deno.writeTextFile(probe, "#include <openssl/ssl.h>\n");
    await compile("-fsyntax-only", probe).catch(() => {
      throw new NotRun("the C compiler does not find OpenSSL's headers: install libssl-dev");
    });
    await compile(...STRICT, new URL(CLIENT, ROOT).pathname, "-o", path, ...CLIENT_LIBRARIES);
  });
}

/**
 * The path of a shared library: mbedTLS for this machine, with the harness of the test cores.
 *
 * @throws {NotRun} If there is no compiler.
 */
export function buildNative(): Promise<string> {
  return native ??= (async () => {
    const [source, tarball] = await fetchMbedtls(() => {});
    const ours = (await Promise.all(OURS.map(filesOf))).flat();
    const tag = [source.sha256, ...NATIVE_FLAGS].join();
    return await once("native", [...NATIVE, ...ours], tag, async (path) => {
      const folder = await Deno.makeTempDir({ prefix: "tlsio_bench_" });
      try {
        const harness = ours.filter((name) => /harness\/.*\.c$/.test(name));
        const own = [NATIVE[0]!, ...GLUE, ...harness];
        await compileAll(await sourcesOf(unpack(tarball), own, folder), folder, path, NATIVE_FLAGS, [
          "-shared",
        ]);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    });
  })();
}

/**
 * The path of a program of 32 bits: mbedTLS with the configuration of core.esp32.wasm.
 *
 * @throws {NotRun} If there is no compiler, or the machine is no x86.
 */
export async function buildDevice(): Promise<string> {
  await compilerVersion();
  if (Deno.build.arch !== "x86_64") throw new NotRun("it is written for x86");
  const [source, tarball] = await fetchMbedtls(() => {});
  const ours = [DEVICE, ...await filesOf("wasm/config")];
  return await once("device", ours, [source.sha256, ...DEVICE_FLAGS, ...DEVICE_LINK].join(), async (path) => {
    const folder = await Deno.makeTempDir({ prefix: "tlsio_bench_" });
    try {
      const sources = await sourcesOf(unpack(tarball), [DEVICE], folder);
      // The headers of a C library for 64 bits do for 32, but for one that says which functions are missing.
      await Deno.mkdir(`${folder}/include/gnu`);
      await Deno.writeTextFile(`${folder}/include/gnu/stubs-32.h`, "");
      const triple = (await compile("-print-multiarch")).trim();
      await compileAll(sources, folder, path, [...DEVICE_FLAGS, `-I/usr/include/${triple}`], DEVICE_LINK);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

/** Unpacks mbedTLS. Returns all that is to be compiled, ours first, since mistakes are there. */
async function sourcesOf(
  release: Map<string, Uint8Array>,
  own: readonly string[],
  folder: string,
): Promise<string[]> {
  for (const name of ["include/mbedtls", "include/psa", "library"]) {
    await Deno.mkdir(`${folder}/${name}`, { recursive: true });
  }
  for (const [name, bytes] of release) await Deno.writeFile(`${folder}/${name}`, bytes);
  return [
    ...own.map((name) => new URL(name, ROOT).pathname),
    ...[...release.keys()].filter((name) => name.endsWith(".c")).map((name) => `${folder}/${name}`),
  ];
}

/** Compiles on all processors, and links. */
async function compileAll(
  sources: readonly string[],
  folder: string,
  path: string,
  flags: readonly string[],
  link: readonly string[],
): Promise<void> {
  const objects = sources.map((_, i) => `${folder}/${i}.o`);
  const includes = [`-I${folder}/include`, `-I${folder}/library`];
  let next = 0;
  const thread = async () => {
    for (let i = next++; i < sources.length; i = next++) {
      await compile(...flags, ...includes, "-c", sources[i]!, "-o", objects[i]!);
    }
  };
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, thread));
  await compile(...link, "-o", path, ...objects);
}

/** The path of what `make` makes of our files and `tag`; made when it is not there. */
async function once(
  name: string,
  files: readonly string[],
  tag: string,
  make: (path: string) => Promise<void>,
): Promise<string> {
  const texts = await Promise.all(files.map((file) => Deno.readTextFile(new URL(file, ROOT))));
  const hash = await sha256(JSON.stringify([await compilerVersion(), tag, texts]));
  const { pathname: path } = new URL(`${name}-${hash.slice(0, 12)}`, FOLDER);
  if (await Deno.stat(path).then(() => true, () => false)) return path;
  await Deno.mkdir(FOLDER, { recursive: true });
  const part = `${path}.${Deno.pid}`;
  await make(part);
  await Deno.rename(part, path);
  return path;
}

async function filesOf(folder: string): Promise<string[]> {
  const names = await Array.fromAsync(Deno.readDir(new URL(folder, ROOT)), ({ name }) => name);
  return names.filter((name) => /\.[ch]$/.test(name)).sort().map((name) => `${folder}/${name}`);
}

/** Runs the compiler. Returns what it prints. */
async function compile(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.env.get("CC") ?? "cc", { args }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Cannot compile: the compiler says\n${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}
