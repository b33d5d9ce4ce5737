/**
 * The processes of the bench: each runs agent.ts for one implementation and one side.
 *
 * @module
 */

import { stripTypeScriptTypes } from "node:module";
import { deadline } from "@std/async";
import { openStreams, type StreamReader, type StreamWriter } from "tlsio";
import type { COMMANDS } from "./agent.ts";
import type { PeerName, Terms } from "./peer.ts";

const ANSWER_TIMEOUT = 60; // seconds; every command is bounded, and a thousand connections take some ten
const ANSWER_MAX = 8 * 2 ** 20; // bytes; a hundred thousand figures
const NODE_FILES = ["agent", "peer", "peers_node", "workload"]; // what Node needs of this folder

type Commands = typeof COMMANDS;

/** One process. It ends with its scope. */
export class Agent implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #reader: StreamReader;
  readonly #writer: StreamWriter;
  readonly #name: PeerName;

  private constructor(name: PeerName, child: Deno.ChildProcess) {
    this.#name = name;
    this.#child = child;
    const { stdout: readable, stdin: writable } = child;
    [this.#reader, this.#writer] = openStreams({ readable, writable }, { limit: ANSWER_MAX });
  }

  /**
   * Starts a process.
   *
   * @param name What it runs.
   * @param collectable Whether it collects its garbage before it says how much memory it has.
   */
  static async start(name: PeerName, collectable = false): Promise<Agent> {
    const [program, args] = name === "node:tls in Node"
      ? ["node", [...(collectable ? ["--expose-gc"] : []), await nodeAgent()]]
      : [Deno.execPath(), ["run", "-A", ...(collectable ? ["--v8-flags=--expose-gc"] : []), AGENT.pathname]];
    const options = { stdin: "piped", stdout: "piped", stderr: "inherit" } as const;
    return new Agent(name, new Deno.Command(program!, { args: [...args!, name], ...options }).spawn());
  }

  /** Runs one command of agent.ts in the process. */
  async call<Name extends keyof Commands>(
    name: Name,
    ...args: Parameters<Commands[Name]>
  ): Promise<Awaited<ReturnType<Commands[Name]>>> {
    this.#writer.write(`${JSON.stringify([name, ...args])}\n`);
    const line = await deadline(this.#reader.readline(), ANSWER_TIMEOUT * 1000);
    if (line.length === 0) throw new Error(`Cannot run ${name} with ${this.#name}: its process ended`);
    const { value, error } = JSON.parse(new TextDecoder().decode(line));
    if (error !== undefined) throw new Error(`Cannot run ${name} with ${this.#name}: ${error}`);
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#writer.abort();
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // it has ended
    }
    await this.#child.status;
  }
}

const AGENT = new URL("agent.ts", import.meta.url);
let forNode: Promise<string> | undefined;

/** The path of an agent that Node can run: the same files, their types erased. */
function nodeAgent(): Promise<string> {
  return forNode ??= (async () => {
    const folder = await Deno.makeTempDir({ prefix: "tlsio_bench_" });
    addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
    for (const name of NODE_FILES) {
      const text = stripTypeScriptTypes(await Deno.readTextFile(new URL(`${name}.ts`, import.meta.url)));
      await Deno.writeTextFile(
        `${folder}/${name}.mjs`,
        text.replaceAll('.ts")', '.mjs")').replaceAll('.ts";', '.mjs";'),
      );
    }
    return `${folder}/agent.mjs`;
  })();
}

/** Whether a program can be started. */
export async function isInstalled(program: string): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args: ["--version"], stdout: "null" }).output()).success;
  } catch {
    return false;
  }
}

/** Agents that are started when they are first needed, and stay until the end of the scope. */
export class Pool implements AsyncDisposable {
  readonly #agents = new Map<string, Promise<Agent>>();
  readonly #ports = new Map<string, Promise<number>>();

  /** The process of one implementation on one side. */
  agent(name: PeerName, side: "client" | "server"): Promise<Agent> {
    return remember(this.#agents, `${side} ${name}`, () => Agent.start(name));
  }

  /** The port of a server of these terms, in the process of its implementation. */
  port(name: PeerName, terms: Terms): Promise<number> {
    const listen = async () => await (await this.agent(name, "server")).call("listen", terms);
    return remember(this.#ports, JSON.stringify([name, terms]), listen);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const agents = await Promise.allSettled(this.#agents.values());
    await Promise.all(
      agents.map((agent) => agent.status === "fulfilled" && agent.value[Symbol.asyncDispose]()),
    );
  }
}

function remember<T>(map: Map<string, T>, key: string, make: () => T): T {
  if (!map.has(key)) map.set(key, make());
  return map.get(key)!;
}
