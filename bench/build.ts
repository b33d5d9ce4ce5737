/**
 * Builds the programs in C by the machine's own compiler, into the build's cache; nothing is built twice.
 *
 * @module
 */

import { CACHE, sha256, writeAtomic } from "../wasm/fetch.ts";
import { NotRun } from "./runner.ts";

const HERE = new URL("programs/", import.meta.url);
const FOLDER = new URL("bench/", CACHE);
const FLAGS = ["-O2", "-Wall", "-Wextra", "-Werror"];

/** What a program is linked with, and what to install when that is missing. */
const PROGRAMS = {
  client: { libraries: ["-lssl", "-lcrypto"], header: "openssl/ssl.h", install: "libssl-dev" },
} as const;

const built = new Map<string, Promise<string>>();

/**
 * The path of a program, built when its source is newer.
 *
 * @throws {NotRun} If there is no compiler, or a library is missing: says what to install.
 */
export function buildProgram(name: keyof typeof PROGRAMS): Promise<string> {
  if (!built.has(name)) built.set(name, build(name));
  return built.get(name)!;
}

async function build(name: keyof typeof PROGRAMS): Promise<string> {
  const { libraries, header, install } = PROGRAMS[name];
  const version = await compile("--version").catch(() => {
    throw new NotRun("there is no C compiler: install gcc");
  });
  const source = new URL(`${name}.c`, HERE);
  const hash = await sha256(version + FLAGS + await Deno.readTextFile(source));
  const path = new URL(`${name}-${hash.slice(0, 12)}`, FOLDER);
  if (await exists(path)) return path.pathname;
  await Deno.mkdir(FOLDER, { recursive: true });
  const probe = new URL("probe.c", FOLDER);
  await writeAtomic(probe, new TextEncoder().encode(`#include <${header}>\n`));
  await compile("-fsyntax-only", probe.pathname).catch(() => {
    throw new NotRun(`the C compiler does not find ${header}: install ${install}`);
  });
  const part = `${path.pathname}.${Deno.pid}.part`;
  await compile(...FLAGS, source.pathname, "-o", part, ...libraries);
  await Deno.rename(part, path);
  return path.pathname;
}

/** Runs the compiler. Returns what it prints. */
async function compile(...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.env.get("CC") ?? "cc", { args }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`Cannot compile: the compiler says\n${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

async function exists(file: URL): Promise<boolean> {
  return await Deno.stat(file).then(() => true, () => false);
}
