/** The program as its users run it: a process of its own, with its own cache folder. */
import { fileURLToPath } from "node:url";
import { Program, run, type RunResult, type SpawnOptions, tempDir } from "./peers.ts";

const CLI = fileURLToPath(new URL("../cli.ts", import.meta.url));

/** `env` becomes the program that it starts, so that signals reach it. */
const command = (args: readonly string[]) => [Deno.execPath(), "run", "--quiet", "-A", CLI, ...args];

let denoDir: Promise<string> | undefined;

/** The environment of a run: its cache folder is not the user's, but Deno's modules are where they were. */
async function environment(env: Record<string, string> = {}): Promise<Record<string, string>> {
  denoDir ??= run("env", [Deno.execPath(), "info", "--json"]).then(({ stdout }) =>
    JSON.parse(stdout).denoDir
  );
  return { DENO_DIR: await denoDir, NO_PROXY: "*", ...env };
}

/** Runs the program to its end. */
export async function cli(args: readonly string[], options: SpawnOptions = {}): Promise<RunResult> {
  return await run("env", command(args), { ...options, env: await environment(options.env) });
}

/** Starts the program. */
export async function cliStart(args: readonly string[], env?: Record<string, string>): Promise<Program> {
  return new Program("env", command(args), { env: await environment(env) });
}

/** A running `tlsio serve`. */
export interface CliServer extends AsyncDisposable {
  readonly program: Program;
  readonly url: string;
  readonly port: number;
  /** The command line that it says to try. */
  readonly curl: string;
  /** The file that clients must trust. */
  readonly ca: string;
  /** The folder that stands for the user's cache. */
  readonly cache: string;
}

/** Starts `tlsio serve` on a free port and waits until it says that it serves. */
export async function cliServe(args: readonly string[] = [], cache?: string): Promise<CliServer> {
  const dir = cache === undefined ? await tempDir() : undefined;
  const XDG_CACHE_HOME = cache ?? dir!.path;
  const env = await environment({ XDG_CACHE_HOME });
  const program = new Program("env", command(["serve", "--port", "0", ...args]), { env });
  const dispose = async () => {
    await program[Symbol.asyncDispose]();
    await dir?.[Symbol.asyncDispose]();
  };
  try {
    await program.waitFor(/^ +SHA-256 .*\n.*\n/m);
    const url = program.stdout.match(/https:\S+/)?.[0] ?? "";
    const curl = program.stdout.match(/curl .*/)?.[0] ?? "";
    return {
      program,
      url,
      port: Number(new URL(url).port),
      curl,
      ca: curl.match(/--cacert (\S+)/)?.[1] ?? "",
      cache: XDG_CACHE_HOME,
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}
