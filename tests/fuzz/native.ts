/**
 * The same C for this machine, under AddressSanitizer and UndefinedBehaviorSanitizer, with libFuzzer: what a wasm core cannot
 * see, a read or a write beside a block, stops this one.
 *
 * @module
 */

import type { Bytes } from "../../lib/bytes.ts";
import { WRAPS } from "../../wasm/cores.ts";
import { KERNELS, renamed } from "../../wasm/kernels.ts";
import { CACHE, fetchMbedtls, sha256, unpack } from "../../wasm/fetch.ts";
import { makeWorld } from "./world.ts";

const ROOT = new URL("../../", import.meta.url);
const FOLDER = new URL("fuzz/", CACHE);
const CLANG = "clang";
const SANITIZE = "-fsanitize=address,undefined";
const FLAGS = [
  "-O1",
  "-g",
  "-fno-omit-frame-pointer",
  SANITIZE,
  "-fno-sanitize-recover=all",
  "-fsanitize=fuzzer-no-link",
  "-Wno-unknown-attributes", // export_name and the like are wasm's
  '-DMBEDTLS_USER_CONFIG_FILE="tests/fuzz/native/config.h"',
  '-DTLSIO_CORE_VERSION="native"',
  `-I${ROOT.pathname}`,
  ...["wasm/glue", "wasm/crypto"].map((folder) => `-I${ROOT.pathname}${folder}`),
  ...Object.values(KERNELS).flatMap(({ defines = [] }) => defines.map((define) => `-D${define}`)),
];
const STRICT = ["-Wall", "-Wextra", "-Werror"];
/** mbedTLS copies and compares nothing at NULL, and adds 0 to it, in several places: C2y allows it, and clang does what is meant. */
const THEIRS = ["-fno-sanitize=nonnull-attribute,pointer-overflow"];
/** Numbers alone: fifty times slower under sanitizers, and no input decides what they read or write. */
const ARITHMETIC =
  /^mbedtls\/library\/(bignum|bignum_core|bignum_mod|bignum_mod_raw|ecp|ecp_curves|ecp_curves_new)\.c$/;
/** Which way they go is no news to who looks for edges. */
const UNCOVERED =
  "-fno-sanitize-coverage=trace-cmp,indirect-calls,inline-8bit-counters,pc-table,trace-pc-guard";
const PLAIN = ["-O2", "-fno-sanitize=all", UNCOVERED];
/** Our kernels, as on an engine with relaxed SIMD: tests/fuzz/native/wasm_simd128.h has the vectors. */
const KERNEL = [
  "-fno-sanitize=pointer-overflow,alignment,null,object-size", // AddressSanitizer sees the same; they take minutes to compile
  UNCOVERED,
  "-D__wasm_relaxed_simd__",
  `-I${ROOT.pathname}tests/fuzz/native`,
];
const OURS = ["wasm/glue", "tests/fuzz/native"];
const HOSTILE = ["wasm/fuzz/edits.c", "wasm/fuzz/script.c"]; // coverage is libFuzzer's
const HEADERS = ["wasm/fuzz", "wasm/config", "wasm/crypto"];
const KERNEL_NAMES = Object.keys(KERNELS);

/** The targets that are C from their first byte on: tests/fuzz/native/main.c has them. */
export const NATIVE_TARGETS = [
  "handshake",
  "records",
  "certificate",
  "key",
  "crl",
  "session",
  "ticket",
] as const;

/** Says what is missing, if the native build cannot be made here. */
export async function whyNotNative(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return "it is written for Linux";
  const missing = "install clang and its sanitizers: sh tests/fuzz/sanitizers.sh";
  const probe = await Deno.makeTempDir({ prefix: "tlsio_fuzz_" });
  try {
    await Deno.writeTextFile(
      `${probe}/a.c`,
      "int LLVMFuzzerTestOneInput(const char *a, long b) { return !a && b; }\n",
    );
    const args = [SANITIZE, "-fsanitize=fuzzer", `${probe}/a.c`, "-o", `${probe}/a`];
    const { success } = await new Deno.Command(CLANG, { args, stdout: "null", stderr: "null" }).output();
    return success ? undefined : missing;
  } catch {
    return missing;
  } finally {
    await Deno.remove(probe, { recursive: true });
  }
}

let built: Promise<string> | undefined;
let world: Promise<Bytes> | undefined;

/** The path of the native fuzzer, built when something in it has changed. */
export function buildNativeFuzzer(): Promise<string> {
  return built ??= build();
}

async function filesOf(folder: string): Promise<string[]> {
  const names = await Array.fromAsync(Deno.readDir(new URL(folder, ROOT)), ({ name }) => name);
  return names.filter((name) => /\.[ch]$/.test(name)).sort().map((name) => `${folder}/${name}`);
}

async function build(): Promise<string> {
  const [source, tarball] = await fetchMbedtls(() => {});
  const files = [...(await Promise.all([...OURS, ...HEADERS].map(filesOf))).flat()];
  const texts = await Promise.all(files.map((file) => Deno.readTextFile(new URL(file, ROOT))));
  const version = await run(CLANG, ["--version"]);
  const hash = await sha256(
    JSON.stringify([
      version,
      source.sha256,
      FLAGS,
      STRICT,
      THEIRS,
      PLAIN,
      String(ARITHMETIC),
      WRAPS,
      files,
      texts,
    ]),
  );
  const { pathname: path } = new URL(`fuzzer-${hash.slice(0, 12)}`, FOLDER);
  if (await Deno.stat(path).then(() => true, () => false)) return path;
  await Deno.mkdir(FOLDER, { recursive: true });
  const folder = await Deno.makeTempDir({ prefix: "tlsio_fuzz_" });
  try {
    const release = new Map([...unpack(tarball)].map(([name, bytes]) => [`mbedtls/${name}`, bytes]));
    for (const name of ["include/mbedtls", "include/psa", "library"]) {
      await Deno.mkdir(`${folder}/mbedtls/${name}`, { recursive: true });
    }
    for (const [name, bytes] of release) await Deno.writeFile(`${folder}/${name}`, bytes);
    const ours = files.filter((name) => OURS.some((start) => name.startsWith(start)) && name.endsWith(".c"));
    const kernels = new Set(Object.values(KERNELS).flatMap(({ sources }) => sources));
    const jobs = [
      ...[...kernels].map((name) => ({ // they take longest
        path: new URL(`wasm/crypto/${name}`, ROOT).pathname,
        flags: [...STRICT, ...KERNEL],
      })),
      ...[...ours, ...HOSTILE].map((name) => ({ path: new URL(name, ROOT).pathname, flags: STRICT })),
    ];
    for (const name of release.keys()) {
      if (!name.endsWith(".c")) continue;
      let path = `${folder}/${name}`;
      const text = renamed(name, KERNEL_NAMES);
      if (text !== undefined) {
        path = `${folder}/renamed_${name.split("/").at(-1)}`;
        await Deno.writeTextFile(path, text);
      }
      jobs.push({ path, flags: ARITHMETIC.test(name) ? PLAIN : THEIRS });
    }
    const objects = jobs.map((_, i) => `${folder}/${i}.o`);
    const includes = [`-I${folder}`, `-I${folder}/mbedtls/include`, `-I${folder}/mbedtls/library`];
    let next = 0;
    const thread = async () => {
      for (let i = next++; i < jobs.length; i = next++) {
        const { path, flags } = jobs[i]!;
        await run(CLANG, [...FLAGS, ...flags, ...includes, "-c", path, "-o", objects[i]!]);
      }
    };
    await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, thread));
    const part = `${path}.${Deno.pid}`;
    await run(CLANG, [SANITIZE, "-fsanitize=fuzzer", ...WRAPS, ...objects, "-lm", "-o", part]);
    await Deno.rename(part, path);
    return path;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function run(program: string, args: readonly string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args: [...args] }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Cannot build the native fuzzer: ${program} says\n${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

/** What the native build made of a target's inputs. */
export interface NativeResult {
  readonly target: string;
  /** Inputs that it was given, and those that it has run. */
  readonly inputs: number;
  readonly runs: number;
  /** Edges that have run, as libFuzzer counts them. */
  readonly edges: number;
  readonly seconds: number;
  /** What a sanitizer said; `undefined`: nothing. */
  readonly finding: string | undefined;
  /** The input that it said it of. */
  readonly crash: Bytes | undefined;
}

const INPUT_MAX = 65536; // bytes; the longest recording has some 20 000
const MEMORY = 2048; // MiB
const SLOW = 20; // seconds that one input may take

/**
 * Runs a target's inputs, and then, for `seconds`, others that libFuzzer makes of them.
 *
 * @param target One of {@linkcode NATIVE_TARGETS}.
 * @param inputs What it begins with.
 */
export async function runNative(
  target: string,
  inputs: readonly Bytes[],
  { seconds = 0, seed = 1 }: { seconds?: number; seed?: number } = {},
): Promise<NativeResult> {
  const program = await buildNativeFuzzer();
  const folder = await Deno.makeTempDir({ prefix: "tlsio_fuzz_" });
  try {
    await Deno.mkdir(`${folder}/corpus`);
    await Deno.writeFile(`${folder}/world`, await (world ??= makeWorld()));
    for (const [i, input] of inputs.entries()) await Deno.writeFile(`${folder}/corpus/${i}`, input);
    // libFuzzer's own limit looks at the process's highest memory, where Linux counts in what started it: the sanitizer's does not.
    const memory = ["-rss_limit_mb=0", `-malloc_limit_mb=${MEMORY}`];
    const limits = [...memory, `-max_len=${INPUT_MAX}`, `-timeout=${SLOW}`, `-seed=${seed}`];
    const time = seconds > 0 ? `-max_total_time=${seconds}` : "-runs=0";
    const start = performance.now();
    const { success, stderr } = await new Deno.Command(program, {
      args: [
        ...limits,
        time,
        "-use_value_profile=0",
        `-artifact_prefix=${folder}/`,
        "-print_final_stats=1",
        `${folder}/corpus`,
      ],
      env: {
        FUZZ_TARGET: target,
        FUZZ_WORLD: `${folder}/world`,
        ASAN_OPTIONS: `detect_leaks=1:allocator_may_return_null=1:hard_rss_limit_mb=${MEMORY}`,
      },
      stdout: "null",
    }).output();
    const text = new TextDecoder().decode(stderr);
    const crash = (await Array.fromAsync(Deno.readDir(folder), ({ name }) => name)).find((name) =>
      /^(crash|leak|timeout|oom)-/.test(name)
    );
    return {
      target,
      inputs: inputs.length,
      runs: Number(/stat::number_of_executed_units: (\d+)/.exec(text)?.[1] ?? 0),
      edges: Math.max(0, ...[...text.matchAll(/ cov: (\d+)/g)].map(([, count]) => Number(count))),
      seconds: (performance.now() - start) / 1000,
      finding: success ? undefined : text.slice(text.search(/==\d+==|FOUND:|runtime error/)).slice(0, 6000),
      crash: crash === undefined ? undefined : await Deno.readFile(`${folder}/${crash}`),
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
