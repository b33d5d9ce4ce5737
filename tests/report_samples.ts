/** Runs of `tlsio bench handshake` to draw: figures made up, of the size that real ones have. */
import { type Estimate, estimate } from "../lib/cost/estimate.ts";
import type { HandshakeCost, Operation } from "../lib/cost/cost.ts";
import { total } from "../lib/cost/figure.ts";
import { modelHandshake, resolveLink } from "../lib/cost/link.ts";
import { type Flight, networkCost } from "../lib/cost/network_cost.ts";
import type {
  BenchResult,
  DeviceResult,
  EndResult,
  Key,
  Kind,
  LinkFacts,
  OperationResult,
  ScenarioResult,
  Statistics,
  Version,
} from "../lib/cli/bench/result.ts";

const DEVICES = ["esp32", "rp2040"] as const;
const LINKS: readonly LinkFacts[] = ["2g", "lte-m"].map((name) => {
  const { rtt, kbpsUp = null, kbpsDown = null, reliability = "given", source = "" } = resolveLink(name);
  return { name, rttMs: rtt, kbpsUp, kbpsDown, reliability, source };
});

/** Statistics around a median. */
export function statistics(median: number, runs = 50): Statistics {
  return { median, p95: median * 1.3, min: median * 0.9, max: median * 1.6, runs };
}

type Message = readonly [name: string, bytes: number];

function flight(way: Flight["way"], ...messages: readonly Message[]): Flight {
  const bytes = messages.reduce((sum, [, bytes]) => sum + bytes, 0);
  const records = messages.length;
  return {
    way,
    bytes: bytes + records * 22,
    records,
    messages: messages.map(([name, bytes]) => ({ name, bytes })),
  };
}

const CERTIFICATES: Readonly<Record<Key, number>> = {
  "P-256": 461,
  "P-384": 530,
  "RSA-2048": 860,
  "RSA-4096": 1380,
};
const SIGNATURES: Readonly<Record<Key, number>> = {
  "P-256": 78,
  "P-384": 110,
  "RSA-2048": 264,
  "RSA-4096": 520,
};

function flightsOf(version: Version, key: Key, kind: Kind): Flight[] {
  const hello: Message = ["client_hello", kind === "ticket" ? 420 : 235];
  const certificate: Message = ["certificate", CERTIFICATES[key]];
  const short = kind !== "full" && kind !== "mutual";
  if (version === "1.3") {
    const signed: Message[] = [certificate, ["certificate_verify", SIGNATURES[key]]];
    const asked: Message[] = kind === "mutual" ? [["certificate_request", 50]] : [];
    return [
      flight("up", hello),
      flight(
        "down",
        ["server_hello", 122],
        ["change_cipher_spec", 1],
        ["encrypted_extensions", 6],
        ...(short ? [] : [...asked, ...signed]),
        ["finished", 36],
      ),
      flight("up", ["change_cipher_spec", 1], ...(kind === "mutual" ? signed : []), ["finished", 36]),
    ];
  }
  const end: Message[] = [["change_cipher_spec", 1], ["finished", 16]];
  if (kind === "session-id" || kind === "ticket") {
    return [flight("up", hello), flight("down", ["server_hello", 90], ...end), flight("up", ...end)];
  }
  return [
    flight("up", hello),
    flight(
      "down",
      ["server_hello", 90],
      ...(short ? [] : [certificate]),
      ["server_key_exchange", 70 + SIGNATURES[key]],
      ...(kind === "mutual" ? [["certificate_request", 40] as const] : []),
      ["server_hello_done", 4],
    ),
    flight("up", ...(kind === "mutual" ? [certificate] : []), ["client_key_exchange", 70], ...end),
    flight("down", ["new_session_ticket", 170], ...end),
  ];
}

function networkOf(flights: readonly Flight[]): HandshakeCost["network"] {
  const traffic = (way: Flight["way"]) => {
    const own = flights.filter((flight) => flight.way === way);
    const messages = own.flatMap(({ messages }) => messages);
    const sum = (names: readonly string[]) =>
      messages.filter(({ name }) => names.includes(name)).reduce((sum, { bytes }) => sum + bytes, 0);
    return {
      bytes: own.reduce((sum, { bytes }) => sum + bytes, 0),
      records: own.reduce((sum, { records }) => sum + records, 0),
      certificateBytes: sum(["certificate"]),
      ticketBytes: sum(["new_session_ticket"]),
      dataBytes: 0,
    };
  };
  return {
    ...networkCost([], { role: "client" }),
    complete: true,
    up: traffic("up"),
    down: traffic("down"),
    flights,
    roundTrips: flights.filter(({ way }) => way === "down").length,
    elapsed: 1.2,
  };
}

const MS: Readonly<Record<string, number>> = {
  ...{ "P-256 multiply": 0.06, "P-256 sign": 0.05, "P-256 verify": 0.11, "X25519 multiply": 0.04 },
  ...{ "P-384 multiply": 0.9, "P-384 sign": 0.95, "P-384 verify": 1.8, "RSA-2048 public": 0.04 },
  ...{ "RSA-2048 private cold": 1.3, "RSA-4096 public": 0.13, "RSA-4096 private cold": 7.9 },
};

function operationsOf(
  key: Key,
  kind: Kind,
  end: "client" | "server",
  profile: string,
): Partial<Record<Operation, number>> {
  const agreement = { [profile === "default" ? "X25519 multiply" : "P-256 multiply"]: 2 };
  if (kind === "session-id" || kind === "psk") return {};
  if (kind === "ticket" || kind === "ecdhe-psk") return agreement;
  const [sign, verify] = key.startsWith("RSA")
    ? [`${key} private cold`, `${key} public`]
    : [`${key} sign`, `${key} verify`];
  const own = end === "server" ? { [sign]: 1 } : { [verify]: 2 };
  return { ...agreement, ...own, ...(kind === "mutual" ? { [end === "server" ? verify : sign]: 2 } : {}) };
}

function endOf(cost: HandshakeCost, implementation: string, rest: number): EndResult {
  const operations: OperationResult[] = Object.entries(cost.operations ?? {}).map(([name, count = 0]) => ({
    ...{ name: name as Operation, count, cpuMs: count * MS[name]! },
  }));
  operations.push({ name: "other", count: 1, cpuMs: rest });
  const sum = operations.reduce((sum, { cpuMs }) => sum + cpuMs!, 0);
  const devices = DEVICES.map((device): DeviceResult => {
    const result: Estimate = estimate(cost, device);
    return {
      ...result,
      overLinks: LINKS.map(({ name }) => {
        const { client } = modelHandshake(cost.network, name);
        return total([result, { low: client, likely: client, high: client }]);
      }),
    };
  });
  return {
    implementation,
    cpuMs: statistics(sum),
    operations: operations.map((each) => ({ ...each, share: each.cpuMs! / sum })),
    steps: [
      { name: "client_hello", direction: "sent", cpuMs: sum * 0.3 },
      { name: "finished", direction: "received", cpuMs: sum * 0.7 },
    ],
    ...(cost.bulk && { bulk: cost.bulk }),
    ...(cost.heap && { heap: cost.heap }),
    devices,
  };
}

/** A scenario's result. */
export function scenario(version: Version, key: Key, kind: Kind, profile = "default"): ScenarioResult {
  const shared = kind === "psk" || kind === "ecdhe-psk";
  const network = networkOf(flightsOf(version, key, kind));
  const resumed = kind === "session-id" || kind === "ticket";
  const heap = profile === "default" ? undefined : {
    peak: 46_212 + CERTIFICATES[key],
    live: 24_310,
    phases: {
      setup: 22_400,
      client_hello: 23_904,
      server_hello: 24_012,
      server_certificate: 28_100,
      server_key_exchange: 46_212 + CERTIFICATES[key],
      client_key_exchange: 31_870,
      finished: 25_100,
      done: 24_310,
    },
  };
  const cost = (end: "client" | "server"): HandshakeCost => ({
    ...{ resumed, network, operations: operationsOf(key, kind, end, profile) },
    bulk: { "AES-GCM": 120, "SHA-256": 4200 },
    ...(heap && { heap: end === "client" ? { ...heap, peak: heap.peak - 4000, phases: undefined } : heap }),
  });
  const [client, server] = [
    endOf(cost("client"), "tlsio 0.1.0, Mbed TLS 3.6.7", 0.11),
    endOf(cost("server"), "tlsio 0.1.0, Mbed TLS 3.6.7", 0.13),
  ];
  return {
    scenario: {
      name: [version, ...(shared ? [] : [key]), kind, ...(profile === "default" ? [] : [profile])].join("/"),
      ...{ version, kind, profile, client: "tlsio", server: "tlsio" },
      ...(!shared && { key }),
    },
    suite: version === "1.3" ? "TLS_AES_128_GCM_SHA256" : "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    group: profile === "default" ? "x25519" : "secp256r1",
    resumed,
    wallMs: statistics(client.cpuMs!.median + server.cpuMs!.median + 0.05),
    ends: { client, server },
    network,
    links: LINKS.map(({ name }) => {
      const { connect, client, server } = modelHandshake(network, name);
      return { connectMs: connect, clientMs: client, serverMs: server };
    }),
  };
}

/** A run of everything that a report can show. */
export function sampleRun(changes: Partial<BenchResult> = {}): BenchResult {
  const scenarios = [
    ...(["1.2", "1.3"] as const).flatMap((version) => [
      scenario(version, "P-256", "full"),
      scenario(version, "RSA-2048", "full"),
      scenario(version, "P-256", "ticket"),
      scenario(version, "P-256", "ecdhe-psk"),
      scenario(version, "P-256", "mutual"),
    ]),
    scenario("1.2", "P-256", "session-id"),
    scenario("1.2", "P-384", "full"),
    scenario("1.3", "RSA-4096", "full"),
    scenario("1.2", "P-256", "full", "esp32"),
    scenario("1.2", "RSA-2048", "full", "esp32"),
  ];
  const zero = { low: 0, likely: 0, high: 0 };
  const saving = {
    ...{
      bytesUp: -120,
      bytesDown: 700,
      roundTrips: 1,
      cpuMs: { client: 0.2, server: 0.05 },
      linkMs: [820.2, 104],
    },
    deviceMs: {
      client: [{ low: 300, likely: 400, high: 540 }, zero],
      server: [{ low: 120, likely: 155, high: 210 }, zero],
    },
  };
  return {
    bench: "handshake",
    format: 1,
    interrupted: false,
    environment: {
      ...{
        date: "2026-11-21T22:00:00.000Z",
        version: "0.1.0",
        core: "Mbed TLS 3.6.7, 1234abcd",
        deno: "2.9.6",
      },
      ...{ v8: "14.2", os: "linux 6.12", arch: "x86_64", cpu: "AMD EPYC", cpus: 2, timerStepMs: 0.000041 },
      notes: [
        "Times are without V8's first compilation of the core.",
        "Another program used 40 % of the processor.",
      ],
    },
    plan: {
      ...{ target: "memory", runs: 50, warmUp: 5, devices: DEVICES, links: LINKS },
      reconnect: { interval: 300, ticketLifetime: 3600 },
    },
    scenarios,
    skipped: [
      { name: "gnutls", reason: "gnutls-serv is not installed", failed: false },
      {
        name: "1.2/P-256/ticket/esp32",
        reason: 'a server of the profile "esp32" resumes nothing',
        failed: false,
      },
    ],
    resumption: [{
      ...{ full: "1.2/P-256/full", resumed: "1.2/P-256/ticket", resumedPerFull: 12, resumedShare: 12 / 13 },
      ...{ perResumption: saving, perConnection: saving, perDay: saving },
      breakEven: { ticketBytes: 192, resumptions: 1, interval: 3600 },
    }],
    ...changes,
  };
}
