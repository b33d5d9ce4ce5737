/** Our server for another's client. */

import type { TLSConfig } from "../../config.ts";
import { inTime } from "../../deadline.ts";
import { assertScenario, type MeasureOptions, type Measurer, observe } from "./measurer.ts";
import type { PeerClient } from "./peers/program.ts";
import type { EndConfigs } from "./policies.ts";
import type { End, Scenario } from "./result.ts";
import { resumes } from "./scenarios.ts";
import { closeQuietly, hangUp, shakeHands } from "./tcp.ts";
import { TimedEngine } from "./timed_engine.ts";

/** Seconds that a client may take to end its connection. */
const END_WAIT = 2;

/** A scenario of our server with another's client. */
export class ServerMeasurer implements Measurer {
  readonly scenario: Scenario;
  readonly implementations: Readonly<Record<End, string>>;
  readonly #configs: EndConfigs;
  readonly #client: PeerClient;
  readonly #timeout: number;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  #accepted: Promise<Deno.TcpConn> | undefined;
  readonly #primed = new Set<TLSConfig>();

  /** Takes the configs and the client, which end with it. */
  constructor(
    scenario: Scenario,
    configs: EndConfigs,
    client: PeerClient,
    implementations: Readonly<Record<End, string>>,
    timeout: number,
  ) {
    [this.scenario, this.#configs, this.#client, this.#timeout] = [scenario, configs, client, timeout];
    this.implementations = implementations;
  }

  async measure({ observe: counts, signal }: MeasureOptions) {
    const config = counts ? this.#configs.counting : this.#configs.timed;
    if (resumes(this.scenario) && !this.#primed.has(config)) {
      await this.#handshake(config, { counts, signal, primes: true });
      this.#primed.clear(); // a client keeps one session, and a session id is of one config
      this.#primed.add(config);
    }
    return await this.#handshake(config, { counts, signal, primes: false });
  }

  async #handshake(
    config: TLSConfig,
    { counts, signal, primes }: { counts: boolean; signal: AbortSignal | undefined; primes: boolean },
  ) {
    const { port } = this.#listener.addr;
    const dialed = this.#client.connect(port, resumes(this.scenario) && !primes);
    dialed.catch(() => {});
    this.#accepted ??= this.#listener.accept();
    this.#accepted.catch(() => {});
    const failed = dialed.then(() => Promise.reject(new Error("the client did not connect")));
    const conn = await inTime(Promise.race([this.#accepted, failed]), this.#timeout, undefined, signal);
    this.#accepted = undefined;
    conn.setNoDelay(true);
    using server = new TimedEngine(config, { steps: counts });
    try {
      const wallMs = await shakeHands(conn, server, this.#timeout, signal);
      assertScenario(this.scenario, server, primes);
      const { cpuMs } = server;
      const observed = counts ? observe({ server }) : undefined;
      await hangUp(conn, server, END_WAIT);
      const client = await inTime(dialed, this.#timeout, undefined, signal);
      return {
        sample: { wallMs, cpuMs: { server: cpuMs, ...(client !== undefined && { client }) } },
        observed,
      };
    } catch (error) {
      closeQuietly(conn);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    this.#configs[Symbol.dispose]();
    await this.#client[Symbol.asyncDispose]();
  }
}
