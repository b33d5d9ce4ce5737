/** `--peers`: our client with others' servers, and our server with others' clients, over loopback. */

import { join } from "node:path";
import { ClientMeasurer } from "../client.ts";
import { ourImplementation } from "../environment.ts";
import { HOST, Identities } from "../identities.ts";
import type { Measurer } from "../measurer.ts";
import { EndConfigs, newSharedKey } from "../policies.ts";
import type { End, Key, Scenario, Skipped } from "../result.ts";
import { type Chosen, usesSharedKey } from "../scenarios.ts";
import { ServerMeasurer } from "../server.ts";
import { type Target, Unavailable } from "../target.ts";
import { oneLine } from "../../terminal.ts";
import { GNUTLS, OPENSSL } from "./programs.ts";
import type { Material, PeerProgram } from "./program.ts";
import { DENO, NODE } from "./scripted.ts";

const PEERS: readonly PeerProgram[] = [DENO, NODE, OPENSSL, GNUTLS];
/** Each is a process. */
const AT_ONCE = 30;
const OWNER_ONLY = 0o600;

/** The names of all peers. */
export function peerNames(): string[] {
  return PEERS.map(({ name }) => name);
}

/** A scenario of one of our ends with a peer. */
interface Pairing {
  readonly scenario: Scenario;
  readonly program: PeerProgram;
  readonly version: string;
  /** What the peer is. */
  readonly end: End;
}

/** The peers that are here, each as a server and as a client. */
export class PeersTarget implements Target {
  readonly name = "peers";
  readonly skipped: readonly Skipped[];
  readonly #pairings: readonly Pairing[];
  readonly atOnce = AT_ONCE;
  readonly identities = new Identities();
  readonly #folder: string;
  readonly #timeout: number;

  private constructor(
    pairings: readonly Pairing[],
    skipped: readonly Skipped[],
    folder: string,
    timeout: number,
  ) {
    [this.#pairings, this.skipped, this.#folder, this.#timeout] = [pairings, skipped, folder, timeout];
    addEventListener("unload", this.#remove); // also of a program that ends in the middle
  }

  /**
   * Looks which of the peers are here.
   *
   * @param names Those that are asked for; `undefined`: all, but for what they warn of.
   */
  static async create(
    chosen: Chosen,
    names: readonly string[] | undefined,
    timeout: number,
  ): Promise<PeersTarget> {
    const skipped: Skipped[] = [...chosen.skipped];
    const pairings: Pairing[] = [];
    for (const program of PEERS.filter(({ name }) => names?.includes(name) ?? true)) {
      let version: string;
      try {
        version = await program.version();
      } catch (error) {
        skipped.push({ name: program.name, reason: oneLine(error), failed: !(error instanceof Unavailable) });
        continue;
      }
      for (const end of ["server", "client"] as const) {
        for (const ours of chosen.scenarios) {
          const name = `${ours.name}/${program.name}-${end}`;
          const caution = names === undefined && end === "server" ? program.caution : undefined;
          const reason = program.absence(end, ours) ?? caution;
          if (reason !== undefined) skipped.push({ name, reason, failed: false });
          else pairings.push({ scenario: { ...ours, name, [end]: program.name }, program, version, end });
        }
      }
    }
    return new PeersTarget(pairings, skipped, await Deno.makeTempDir({ prefix: "tlsio-bench-" }), timeout);
  }

  /** All pairings. */
  get scenarios(): Scenario[] {
    return this.#pairings.map(({ scenario }) => scenario);
  }

  /** Starts the peer, and makes our end. */
  async open(scenario: Scenario, signal: AbortSignal): Promise<Measurer> {
    const { program, version, end } = this.#pairings.find((each) => each.scenario === scenario)!;
    const material = await this.#material(scenario, signal);
    const implementations = { client: ourImplementation(), server: ourImplementation(), [end]: version };
    await using stack = new AsyncDisposableStack();
    const ours = end === "server" ? "client" : "server";
    const configs = stack.use(await EndConfigs.create(scenario, ours, material));
    if (end === "client") {
      const client = stack.use(await program.client(scenario, material));
      stack.move();
      return new ServerMeasurer(scenario, configs, client, implementations, this.#timeout);
    }
    const server = stack.use(await program.server(scenario, material));
    stack.move();
    const address = { hostname: "127.0.0.1", port: server.port, timeout: this.#timeout };
    const cpuMs = server.cpuMs && (() => server.cpuMs!());
    const facts = {
      address,
      serverHostname: HOST,
      ...(cpuMs && { cpuMs }),
      end: () => server[Symbol.asyncDispose](),
    };
    return new ClientMeasurer(scenario, configs, facts, implementations);
  }

  async #material(scenario: Scenario, signal: AbortSignal): Promise<Material> {
    const file = (name: string) => join(this.#folder, name);
    const sessionFile = file(`${scenario.name.replaceAll("/", "-")}.session`);
    if (usesSharedKey(scenario)) {
      const psk = newSharedKey();
      const [hex, path] = [psk.key.toHex(), file(`${scenario.name.replaceAll("/", "-")}.psk`)];
      await this.#write(path, `${psk.identity}:${hex}\n`);
      return { psk: { ...psk, hex, file: path }, sessionFile };
    }
    const identity = await this.identities.of(scenario.key!, signal);
    return { identity: { ...identity, files: await this.#files(scenario.key!, identity) }, sessionFile };
  }

  async #files(key: Key, identity: Readonly<Record<"certificate" | "key" | "ca", string>>) {
    const path = (name: string) => join(this.#folder, `${key}.${name}.pem`);
    const files = { certificate: path("certificate"), key: path("key"), ca: path("ca") };
    for (const name of ["certificate", "key", "ca"] as const) await this.#write(files[name], identity[name]);
    return files;
  }

  async #write(path: string, text: string): Promise<void> {
    await Deno.writeTextFile(path, text, { mode: OWNER_ONLY });
  }

  readonly #remove = () => {
    try {
      Deno.removeSync(this.#folder, { recursive: true });
    } catch {
      // It is gone.
    }
  };

  // deno-lint-ignore require-await -- an AsyncDisposable
  async [Symbol.asyncDispose](): Promise<void> {
    removeEventListener("unload", this.#remove);
    this.#remove();
  }
}
