/** Our client against a server that listens. */

import type { TLSConfig } from "../../config.ts";
import type { HandshakeCost } from "../../cost/cost.ts";
import type { SSLSession } from "../../session.ts";
import { assertScenario, assertSession, type MeasureOptions, type Measurer, observe } from "./measurer.ts";
import type { EndConfigs } from "./policies.ts";
import type { End, Scenario } from "./result.ts";
import { resumes } from "./scenarios.ts";
import { type Address, awaitSession, closeQuietly, connectTcp, hangUp, shakeHands } from "./tcp.ts";
import { TimedEngine } from "./timed_engine.ts";

/** A server, as a client has to know it. */
export interface ServerFacts {
  readonly address: Address;
  /** The name to ask for and to check. */
  readonly serverHostname: string;
  /** Its CPU so far, in milliseconds; `undefined`: it cannot be told. */
  cpuMs?(): Promise<number | undefined>;
  /** Ends it, where it is ours to end. */
  end?(): PromiseLike<void>;
}

/** One of our client's configs, and what it resumes. */
interface Lane {
  readonly config: TLSConfig;
  session: SSLSession | undefined;
}

/** A scenario of our client with another's server. */
export class ClientMeasurer implements Measurer {
  scenario: Scenario;
  readonly implementations: Readonly<Record<End, string>>;
  primed: HandshakeCost | undefined;
  readonly #server: ServerFacts;
  readonly #configs: EndConfigs;
  readonly #timed: Lane;
  readonly #counting: Lane;
  #renews = true; // whether the server gives a ticket with each resumption
  /** The server's certificate, DER; `undefined`: it has shown none. */
  certificate: Uint8Array | undefined;

  /** Takes the configs, which end with it. */
  constructor(
    scenario: Scenario,
    configs: EndConfigs,
    server: ServerFacts,
    implementations: Readonly<Record<End, string>>,
  ) {
    [this.scenario, this.#configs, this.#server] = [scenario, configs, server];
    this.implementations = implementations;
    this.#timed = { config: configs.timed, session: undefined };
    this.#counting = { config: configs.counting, session: undefined };
  }

  async measure({ observe: counts, signal }: MeasureOptions) {
    const lane = counts ? this.#counting : this.#timed;
    const again = resumes(this.scenario);
    if (again && lane.session === undefined) {
      const { client } = await this.#handshake(lane, { counts, signal, primes: true });
      lane.session = assertSession(this.scenario, client.session);
      if (counts) this.primed = client.cost;
    }
    const { sample, observed } = await this.#handshake(lane, { counts, signal, primes: false });
    return { sample, observed };
  }

  async #handshake(
    lane: Lane,
    { counts, signal, primes }: { counts: boolean; signal: AbortSignal | undefined; primes: boolean },
  ) {
    const { address, serverHostname } = this.#server;
    const { timeout } = address;
    const again = resumes(this.scenario);
    const before = await this.#server.cpuMs?.();
    const dialed = performance.now();
    const conn = await connectTcp(address, signal);
    const connectMs = performance.now() - dialed;
    using client = new TimedEngine(lane.config, {
      serverHostname,
      savedSession: again && !primes ? lane.session : undefined,
      steps: counts,
    });
    try {
      const wallMs = await shakeHands(conn, client, timeout, signal);
      assertScenario(this.scenario, client, primes);
      const { cpuMs } = client;
      if (again) {
        if (primes || this.#renews) await awaitSession(conn, client, () => client.session, signal);
        // A ticket of TLS 1.3 can be used once: without another, a full handshake gets the next.
        this.#renews &&= client.session !== undefined;
        lane.session = client.session;
      }
      this.certificate ??= client.engine.peerCertificates()[0];
      const observed = counts ? observe({ client }) : undefined;
      await hangUp(conn, client);
      const after = before === undefined ? undefined : await this.#server.cpuMs?.();
      const server = before === undefined || after === undefined ? {} : { server: after - before };
      return {
        sample: { wallMs, connectMs, cpuMs: { client: cpuMs, ...server } },
        observed,
        client: { session: client.session, cost: observed?.costs.client },
      };
    } catch (error) {
      closeQuietly(conn);
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#configs[Symbol.dispose]();
    await this.#server.end?.();
  }
}
