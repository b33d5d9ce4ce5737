/**
 * The processes of the bench: each runs agent.ts for one implementation and one side.
 *
 * @module
 */

import { stripTypeScriptTypes } from "node:module";
import { deadline } from "@std/async";
import { openStreams, type StreamReader, type StreamWriter } from "tlsio";
import type { COMMANDS } from "./agent.ts";
import { isInstalled, remember } from "./installed.ts";
import { startNginx } from "./nginx.ts";
import type { PeerName, Terms } from "./peer.ts";
import { NotRun } from "./runner.ts";

const ANSWER_TIMEOUT = 60; // seconds; every command is bounded, and a thousand connections take some ten
const ANSWER_MAX = 8 * 2 ** 20; // bytes; a hundred thousand figures
const NODE_FILES = ["agent", "peer", "peers_node", "workload"]; // what Node needs of this folder

type Commands = typeof COMMANDS;

/** The implementations that an agent runs. */
export type AgentName = Exclude<PeerName, "nginx" | "C client">;

/** The side of an implementation that is measured from outside, by its process. */
export interface Server extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  /** Collects its garbage, if it knows how to. */
  settle(): Promise<unknown>;
}

/** What a server does with a connection: {@linkcode serve} of workload.ts, or HTTP. */
export type Protocol = "bytes" | "http";

/** One process. It ends with its scope. */
export class Agent implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #reader: StreamReader;
  readonly #writer: StreamWriter;
  readonly #name: AgentName;

  private constructor(name: AgentName, child: Deno.ChildProcess) {
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
  static async start(name: AgentName, collectable = false): Promise<Agent> {
    const [program, args] = await commandOf(name, collectable);
    if (!await isInstalled(program)) throw new NotRun(`${program} is not installed`);
    const options = { stdin: "piped", stdout: "piped", stderr: "inherit" } as const;
    return new Agent(name, new Deno.Command(program, { args: [...args, name], ...options }).spawn());
  }

  get pid(): number {
    return this.#child.pid;
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

async function commandOf(name: AgentName, collectable: boolean): Promise<[string, string[]]> {
  if (name === "CPython asyncio") return ["python3", [ASYNCIO.pathname]];
  if (name === "node:tls in Node") {
    return ["node", [...(collectable ? ["--expose-gc"] : []), await nodeAgent()]];
  }
  return [Deno.execPath(), [
    "run",
    "-A",
    "--unstable-net",
    ...(collectable ? ["--v8-flags=--expose-gc"] : []),
    AGENT.pathname,
  ]];
}

/** Starts a server in a process of its own, which ends with its scope. */
export async function startServer(
  name: PeerName,
  terms: Terms,
  protocol: Protocol = "bytes",
  collectable = false,
): Promise<Server> {
  if (name === "nginx") return await startNginx(terms);
  const agent = await Agent.start(name as AgentName, collectable);
  try {
    return serverOf(agent, await agent.call(protocol === "http" ? "listenHttp" : "listen", terms));
  } catch (error) {
    await agent[Symbol.asyncDispose]();
    throw error;
  }
}

function serverOf(agent: Agent, port: number): Server {
  return {
    port,
    pid: agent.pid,
    settle: () => agent.call("usage"),
    [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
  };
}

const AGENT = new URL("agent.ts", import.meta.url);
const ASYNCIO = new URL("programs/asyncio_server.py", import.meta.url);
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

/** Agents and servers that are started when they are first needed, and stay until the end of the scope. */
export class Pool implements AsyncDisposable {
  readonly #agents = new Map<string, Promise<Agent>>();
  readonly #servers = new Map<string, Promise<Server>>();

  /** The process of one implementation on one side. */
  agent(name: PeerName, side: "client" | "server"): Promise<Agent> {
    return remember(this.#agents, `${side} ${name}`, () => Agent.start(name as AgentName));
  }

  /** A server of these terms, in the process of its implementation. */
  server(name: PeerName, terms: Terms, protocol: Protocol = "bytes"): Promise<Server> {
    return remember(this.#servers, JSON.stringify([name, protocol, terms]), async () => {
      if (name === "nginx") return await startNginx(terms);
      const agent = await this.agent(name, "server");
      return serverOf(agent, await agent.call(protocol === "http" ? "listenHttp" : "listen", terms));
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = await Promise.allSettled([...this.#agents.values(), ...this.#servers.values()]);
    await Promise.all(all.map((one) => one.status === "fulfilled" && one.value[Symbol.asyncDispose]()));
  }
}
