/** The programs of `examples/`, as the tests run them: as their head comments say, with the permissions named there alone. */
import { assertEquals } from "@std/assert";
import { listening, Program, run, type Server, tempDir } from "./peers.ts";

const ROOT = new URL("../", import.meta.url);
export const EXAMPLES = new URL("examples/", ROOT);
const DENO = Deno.execPath();

/** Long enough for a first run, in which Deno also compiles the program. In milliseconds. */
export const START = 60_000;
const ENV = {
  NO_COLOR: "1",
  PATH: `${DENO.slice(0, DENO.lastIndexOf("/"))}:${Deno.env.get("PATH")}`, // for programs that start "deno"
};

/** A command of a head comment, the first or a later one, with another port, and localhost for example.com. */
export async function commandOf(example: string, port = 0, nth = 0): Promise<string[]> {
  const source = await Deno.readTextFile(new URL(example, EXAMPLES));
  const commands = [...source.matchAll(/^ \* deno run ((?:--\S+ )*)examples\/(\S+)((?: \S+)*)$/gm)];
  const [, flags = "", file, args = ""] = commands[nth] ?? [];
  assertEquals(file, example, "a command of the head comment is missing, or names another file");
  return [
    "run",
    "--no-prompt",
    ...words(flags),
    new URL(example, EXAMPLES).href,
    ...words(args).map((arg) =>
      /^\d{3,}$/.test(arg) ? String(port) : arg === "example.com" ? "localhost" : arg
    ),
  ];
}

function words(text: string): string[] {
  return text.split(" ").filter((word) => word !== "");
}

/** A running example; messages call it by its own name. */
export class Example extends Program {
  override readonly name: string;

  constructor(example: string, args: readonly string[], cwd: string) {
    super("env", [DENO, ...args], { cwd, env: ENV }); // env becomes the program itself: same process id
    this.name = example;
  }
}

let credentials: Promise<Record<string, Uint8Array>> | undefined;

const FILES = ["ca.pem", "server.pem", "server.key", "server.der", "server.key.der"];

/** {@linkcode FILES}, made as README.md says. */
async function makeCredentials(): Promise<Record<string, Uint8Array>> {
  await using dir = await tempDir();
  const readme = await Deno.readTextFile(new URL("README.md", EXAMPLES));
  for (const [, program, args] of readme.matchAll(/^deno run -A (\S+\.ts) (.*)$/gm)) {
    const command = [DENO, "run", "-A", new URL(program!, ROOT).href, ...words(args!)];
    const made = await run("env", command, { cwd: dir.path, env: ENV, timeoutMs: START });
    assertEquals(made.code, 0, made.stderr);
  }
  const read = async (name: string) => [name, await Deno.readFile(`${dir.path}/${name}`)] as const;
  return Object.fromEntries(await Promise.all(FILES.map(read)));
}

/** A folder with the files that the examples expect, to start them in. */
export class Folder implements AsyncDisposable {
  readonly path: string;
  readonly #dir: AsyncDisposable;

  private constructor(dir: { path: string } & AsyncDisposable) {
    this.path = dir.path;
    this.#dir = dir;
  }

  static async create(): Promise<Folder> {
    const files = await (credentials ??= makeCredentials());
    const folder = new Folder(await tempDir());
    for (const [name, bytes] of Object.entries(files)) await Deno.writeFile(folder.file(name), bytes);
    return folder;
  }

  file(name: string): string {
    return `${this.path}/${name}`;
  }

  get ca(): string {
    return this.file("ca.pem");
  }

  get identity(): { cert: string; key: string } {
    return { cert: this.file("server.pem"), key: this.file("server.key") };
  }

  /** Starts an example that is a server, on a port of its own choice. */
  async serve(example: string): Promise<Server & { url: string }> {
    const program = new Example(example, await commandOf(example), this.path);
    const server = await listening(program, /^Listening on \S*localhost:(\d+)\/?$/m);
    const scheme = example.startsWith("http_") ? "http" : "https";
    return { ...server, url: `${scheme}://localhost:${server.port}/` };
  }

  /** Runs an example to its end; asserts that it ends well. Returns what it printed. */
  async run(example: string, port?: number): Promise<string> {
    await using program = new Example(example, await commandOf(example, port), this.path);
    await program.closeStdin();
    assertEquals(await program.exit(START), 0, program.output());
    assertEquals(program.stderr, "", program.output());
    return program.stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** The lines of `text` that match. */
export function grep(text: string, pattern: RegExp): string[] {
  return text.split("\n").filter((line) => pattern.test(line));
}
