/** A server somewhere: `tlsio bench handshake host:port`. */

import { readOptions } from "../../context_options.ts";
import { SSLError } from "../../errors.ts";
import { CERT_NONE, CERT_REQUIRED, type TLSConfigOptions } from "../../policy.ts";
import { certificateFacts } from "../certificates.ts";
import { inFlags, UsageError } from "../flags.ts";
import { ClientMeasurer } from "./client.ts";
import { ourImplementation } from "./environment.ts";
import { Identities } from "./identities.ts";
import { ScenarioError } from "./measurer.ts";
import { EndConfigs } from "./policies.ts";
import type { Key, Scenario, Skipped } from "./result.ts";
import { type Chosen, usesSharedKey } from "./scenarios.ts";
import { type Target, Unavailable } from "./target.ts";
import { type Address, connectTcp } from "./tcp.ts";

/** How to reach a server, and whom to trust. */
export interface HostOptions {
  readonly address: Address;
  readonly servername?: string | undefined;
  /** A file. */
  readonly ca?: string | undefined;
  /** Whether its certificate is checked. */
  readonly check: boolean;
  /** Files of our own certificate, for mutual authentication. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** A server that listens somewhere. */
export class HostTarget implements Target {
  readonly name: string;
  readonly scenarios: readonly Scenario[];
  readonly skipped: readonly Skipped[];
  readonly atOnce = Infinity;
  readonly identities = new Identities();
  readonly #options: HostOptions;
  readonly #given: TLSConfigOptions;
  #hung: string | undefined; // what a server that did not answer has cost is not paid twice

  private constructor({ scenarios, skipped }: Chosen, options: HostOptions, given: TLSConfigOptions) {
    const { hostname, port } = options.address;
    this.name = `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
    this.scenarios = scenarios.map((scenario) => ({ ...scenario, server: this.name }));
    [this.skipped, this.#options, this.#given] = [skipped, options, given];
  }

  /**
   * Reads the files and looks whether there is a server.
   *
   * @throws {UsageError} The scenarios need what was not given.
   * @throws {CommandError} There is no server.
   */
  static async create(chosen: Chosen, options: HostOptions, signal: AbortSignal): Promise<HostTarget> {
    const { address, ca, check, cert, key } = options;
    const shared = chosen.scenarios.find(usesSharedKey);
    if (shared !== undefined) {
      throw new UsageError(`${shared.kind} is between our ends or with --peers: the key is the bench's`);
    }
    const isMutual = chosen.scenarios.some(({ kind }) => kind === "mutual");
    if (isMutual && cert === undefined) throw new UsageError("mutual needs --cert and --key");
    const { policy } = await readOptions({
      certReqs: check ? CERT_REQUIRED : CERT_NONE,
      ...(ca && check && { caCerts: ca }),
      ...(cert && key && { certfile: cert, keyfile: key }),
    }).catch((error) => {
      throw inFlags(error, { caCerts: "--ca", certfile: "--cert", keyfile: "--key" });
    });
    (await connectTcp(address, signal)).close();
    const { certReqs, trust, credential } = policy;
    const given = { certReqs: certReqs!, ...(trust && { trust }), ...(credential && { credential }) };
    return new HostTarget(chosen, options, given);
  }

  /** Makes a first handshake: what the server does not have shows at once. */
  async open(scenario: Scenario, signal: AbortSignal): Promise<ClientMeasurer> {
    if (this.#hung !== undefined) throw new Error(this.#hung);
    const { address, servername = address.hostname } = this.#options;
    const { credential, ...anonymous } = this.#given;
    const given = scenario.kind === "mutual"
      ? { ...anonymous, ...(credential && { credential }) }
      : anonymous;
    const configs = await EndConfigs.create(scenario, "client", { given });
    const server = { address, serverHostname: servername };
    const implementations = { client: ourImplementation(), server: this.name };
    const measurer = new ClientMeasurer(scenario, configs, server, implementations);
    try {
      await measurer.measure({ observe: false, signal });
      const key = measurer.certificate && keyOf(measurer.certificate);
      measurer.scenario = { ...scenario, ...(key && { key }) };
      return measurer;
    } catch (error) {
      await measurer[Symbol.asyncDispose]();
      if (error instanceof ScenarioError) throw new Unavailable(error.message);
      const alert = error instanceof SSLError ? error.alert?.name : undefined;
      if (REFUSALS.includes(alert)) {
        throw new Unavailable(`the server agrees to no TLS ${scenario.version} of ours (${alert})`);
      }
      if (error instanceof Error && /took longer|timed out/.test(error.message)) this.#hung = error.message;
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** What a server without our version says; mbedTLS, which looks at the suites first, the second. */
const REFUSALS: readonly (string | undefined)[] = ["protocol_version", "handshake_failure"];

const KEYS: Readonly<Record<string, Key>> = {
  "EC P-256": "P-256",
  "EC P-384": "P-384",
  "RSA 2048": "RSA-2048",
  "RSA 4096": "RSA-4096",
};

function keyOf(certificate: Uint8Array): Key | undefined {
  return KEYS[certificateFacts(certificate).key];
}

/** The scenarios of a server whose key is its own: without the key in their names. */
export function withoutKeys({ scenarios, skipped }: Chosen): Chosen {
  const short = (name: string) => name.replace(/(?<=^1\.[23]\/)(P|RSA)-\d+\//, "");
  const named = scenarios.map(({ key: _, ...scenario }) => ({ ...scenario, name: short(scenario.name) }));
  return {
    scenarios: [...new Map(named.map((each) => [each.name, each])).values()],
    skipped: skipped.map((each) => ({ ...each, name: short(each.name) })),
  };
}
