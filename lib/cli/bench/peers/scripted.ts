/** Peers that are scripts of ours: Deno's own TLS in Deno, node:tls in Node. */

import type { End, Scenario } from "../result.ts";
import { resumes, usesSharedKey } from "../scenarios.ts";
import { Unavailable } from "../target.ts";
import { PeerProcess } from "./process.ts";
import type { Material, PeerClient, PeerProgram, PeerServer } from "./program.ts";

const NODE_CIPHERS = { "psk": "PSK-CHACHA20-POLY1305", "ecdhe-psk": "ECDHE-PSK-CHACHA20-POLY1305" } as const;

/** A runtime that runs a script. */
class Scripted implements PeerProgram {
  readonly name: string;
  readonly version: PeerProgram["version"];
  readonly absence: PeerProgram["absence"];
  readonly #run: (options: string) => Promise<PeerProcess>;

  constructor(
    { name, version, absence, run }: Pick<PeerProgram, "name" | "version" | "absence"> & {
      run(options: string): Promise<PeerProcess>;
    },
  ) {
    [this.name, this.version, this.absence, this.#run] = [name, version, absence, run];
  }

  async #start(role: End, { version, kind }: Scenario, { identity, psk }: Material): Promise<PeerProcess> {
    return await this.#run(JSON.stringify({
      role,
      version,
      ...(identity && { cert: identity.certificate, key: identity.key, ca: identity.ca }),
      requestCert: kind === "mutual",
      sessionIds: kind === "session-id",
      ...(psk && {
        psk: {
          identity: psk.identity,
          key: psk.hex,
          ciphers: NODE_CIPHERS[kind as keyof typeof NODE_CIPHERS],
        },
      }),
    }));
  }

  async server(scenario: Scenario, material: Material): Promise<PeerServer> {
    await using stack = new AsyncDisposableStack();
    const process = stack.use(await this.#start("server", scenario, material));
    const { port } = JSON.parse(await process.line());
    const owned = stack.move();
    return {
      port,
      cpuMs: async () => (await process.ask(JSON.stringify({ do: "cpu" }))).cpu as number,
      [Symbol.asyncDispose]: () => owned.disposeAsync(),
    };
  }

  async client(scenario: Scenario, material: Material): Promise<PeerClient> {
    const process = await this.#start("client", scenario, material);
    let { cpu } = await process.ask(JSON.stringify({ do: "cpu" })) as { cpu: number };
    return {
      async connect(port, resume) {
        const before = cpu;
        ({ cpu } = await process.ask(JSON.stringify({ do: "dial", port, resume })) as { cpu: number });
        return cpu - before;
      },
      [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
    };
  }
}

/** Deno's own TLS. */
export const DENO: PeerProgram = new Scripted({
  name: "deno",
  // deno-lint-ignore require-await -- others ask
  async version() {
    if (Deno.build.standalone) {
      throw new Unavailable("there is no Deno to run a peer: this program was compiled");
    }
    return `Deno ${Deno.version.deno} (rustls)`;
  },
  absence(end, scenario) {
    if (usesSharedKey(scenario)) return "Deno's TLS has no pre-shared keys";
    if (end === "client" && resumes(scenario)) return "Deno's clients do not say whether they resume";
    if (end === "server" && scenario.kind === "mutual") return "Deno's servers ask for no certificates";
    if (end === "server" && scenario.version === "1.2" && scenario.kind === "ticket") {
      return "Deno's servers resume TLS 1.2 by session ids";
    }
    return undefined;
  },
  async run(options) {
    const script = await textOf("deno_peer.js");
    return PeerProcess.start(Deno.execPath(), [
      ...["run", "--quiet", "--no-config", "--no-lock", "--allow-net=127.0.0.1", "--ext=js"],
      ...[`data:text/javascript,${encodeURIComponent(script)}`, options],
    ]);
  },
});

/** OpenSSL in Node. */
export const NODE: PeerProgram = new Scripted({
  name: "node",
  version: async () => {
    await using process = PeerProcess.start("node", [
      "-p",
      "`Node ${process.versions.node} (OpenSSL ${process.versions.openssl})`",
    ]);
    return await process.line();
  },
  absence(_, scenario) {
    return usesSharedKey(scenario) && scenario.version === "1.3"
      ? "node:tls has no pre-shared keys in TLS 1.3"
      : undefined;
  },
  async run(options) {
    const script = await textOf("node_peer.js");
    return PeerProcess.start("node", ["--input-type=module", "--eval", script, "--", "peer", options]);
  },
});

/** The text of a script beside this file, wherever that is. */
async function textOf(name: string): Promise<string> {
  return await (await fetch(new URL(name, import.meta.url))).text();
}
