/**
 * The model of the network against real handshakes over a loopback with the delay and the rates of a link. A proxy can
 * hold bytes back, not the SYN: TCP's own round trip, `connect` in the model, is not among what is measured.
 */
import { assert, assertEquals } from "@std/assert";
import { type Link, modelHandshake, type ModelledHandshake } from "../lib/cost/link.ts";
import { networkCost } from "../lib/cost/network_cost.ts";
import { CERT_REQUIRED } from "../lib/policy.ts";
import type { SSLSession } from "../lib/session.ts";
import { SSLContext, wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import type { ContextOptions } from "../lib/context_options.ts";
import type { TraceEvent } from "../lib/trace.ts";
import { slowProxy } from "./slow_proxy.ts";
import { CLIENT, CREDENTIAL, test, VERSIONS } from "./sockets.ts";
import { certFile } from "./peers.ts";

/** Timers are exact enough on it, and this machine's own work is next to nothing. */
const LINK: Link = { rtt: 150, kbpsUp: 64, kbpsDown: 128 };
/** Attempts until one is not held up by another program. */
const ATTEMPTS = 20;

interface Scenario {
  readonly version: keyof typeof VERSIONS;
  /** How often the client waits for the server. */
  readonly roundTrips: number;
  readonly client?: WrapSocketOptions;
  readonly server?: ContextOptions;
  readonly link?: Link;
  readonly resumed?: boolean;
  readonly earlyData?: Uint8Array;
}

/** A server's certificate with eight more behind it that nobody needs: some 7 KB. */
const BIG = {
  certfile: CREDENTIAL.certfile + Deno.readTextFileSync(certFile("client-rsa.pem")).repeat(8),
  keyfile: CREDENTIAL.keyfile,
};
const BIG_BYTES = 6000; // at least

const SCENARIOS: Record<string, Scenario> = {
  "full (TLSv1.2)": { version: "TLSv1.2", roundTrips: 2 },
  "resumed (TLSv1.2)": { version: "TLSv1.2", roundTrips: 1, resumed: true },
  "full (TLSv1.3)": { version: "TLSv1.3", roundTrips: 1 },
  "resumed (TLSv1.3)": { version: "TLSv1.3", roundTrips: 1, resumed: true },
  "mutual (TLSv1.3)": {
    version: "TLSv1.3",
    roundTrips: 1,
    client: { certfile: certFile("client.pem"), keyfile: certFile("client.key") },
    server: { certReqs: CERT_REQUIRED, caCerts: certFile("root.pem") },
  },
  "with a HelloRetryRequest (TLSv1.3)": {
    version: "TLSv1.3",
    roundTrips: 2,
    client: { groups: ["secp256r1", "x25519"] },
    server: { groups: ["x25519"] },
  },
  "with early data (TLSv1.3)": {
    version: "TLSv1.3",
    roundTrips: 1,
    resumed: true,
    server: { maxEarlyData: 1024 },
    earlyData: new Uint8Array(16), // little: the model has it not
  },
  "with a long chain (TLSv1.2)": { version: "TLSv1.2", roundTrips: 2, server: BIG },
  "with a long chain (TLSv1.3)": { version: "TLSv1.3", roundTrips: 1, server: BIG },
};

/** What a handshake took, and what the model says of it, in milliseconds. */
interface Run {
  readonly client: number;
  readonly server: number;
  /** When the server had the early data. */
  readonly early: number | undefined;
  readonly modelled: ModelledHandshake;
  readonly roundTrips: number;
  readonly session: SSLSession | undefined;
}

/** Makes one connection through the proxy. */
async function connection(
  { client: extra, earlyData, link = LINK }: Scenario,
  listener: Deno.TcpListener,
  port: number,
  context: SSLContext,
  savedSession: SSLSession | undefined,
): Promise<Run> {
  const accepting = listener.accept();
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const accepted = await accepting; // the proxy has connected: what follows is TLS alone
  const events: TraceEvent[] = [];
  const start = performance.now();
  const since = () => performance.now() - start;
  const isEarly = earlyData !== undefined && savedSession !== undefined;
  const near = async () => {
    const trace = (event: TraceEvent) => events.push(event);
    const resuming = savedSession && { savedSession, ...(isEarly && { earlyData }) };
    const socket = await wrapSocket(conn, { ...CLIENT, ...extra, trace, ...resuming });
    return { socket, took: since() };
  };
  const far = async () => {
    const socket = await context.wrapSocket(accepted, { doHandshake: false });
    let early: number | undefined;
    if (isEarly) {
      assertEquals(await socket.readEarlyData(new Uint8Array(1024)), earlyData.length);
      early = since();
    }
    await socket.handshake();
    return { socket, took: since(), early };
  };
  const [client, server] = await Promise.all([near(), far()]);
  assertEquals(client.socket.sessionReused, savedSession !== undefined);
  assertEquals(client.socket.earlyDataAccepted, isEarly);
  await server.socket.write(new Uint8Array(1));
  await client.socket.read(new Uint8Array(1)); // with it, the tickets of TLS 1.3 have come
  const { session } = client.socket;
  client.socket.abort();
  server.socket.abort();
  const network = networkCost(events);
  const modelled = modelHandshake(network, link);
  const { roundTrips } = network;
  return { client: client.took, server: server.took, early: server.early, modelled, roundTrips, session };
}

/** Whether a model fits: nothing is faster, and what was least disturbed is not slower by a quarter of a round trip. */
function fits(times: readonly number[], modelled: number, { rtt }: Link): boolean {
  return Math.min(...times) > modelled - 1 && Math.min(...times) < modelled + rtt / 4;
}

for (const [name, scenario] of Object.entries(SCENARIOS)) {
  test(`modelHandshake: ${name} over a slow loopback takes as long as modelled, at both ends`, async () => {
    const { version, link = LINK, resumed = false } = scenario;
    using context = await SSLContext.create({
      ...{ ...CREDENTIAL, sslVersion: VERSIONS[version], ...scenario.server, serverSide: true },
    });
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using proxy = slowProxy(listener.addr.port, link);
    const connect = (session?: SSLSession) => connection(scenario, listener, proxy.port, context, session);

    let session = resumed ? (await connect()).session : undefined;
    const runs: Run[] = [];
    const good = () =>
      (["client", "server"] as const).every((end) =>
        fits(runs.map((run) => run[end]), runs[0]!.modelled[end], link)
      );
    for (let i = 0; i < ATTEMPTS && (i === 0 || !good()); i++) {
      const run = await connect(session);
      if (resumed) session = run.session;
      runs.push(run);
    }
    const [{ modelled, roundTrips }] = runs as [Run];
    assertEquals(roundTrips, scenario.roundTrips);
    assertEquals(modelled.connect, link.rtt);
    assert(modelled.client > link.rtt * roundTrips && modelled.server > link.rtt / 2);
    const bytes = scenario.server === BIG ? BIG_BYTES : 0;
    assert(modelled.client > link.rtt * roundTrips + bytes * 8 / link.kbpsDown!);
    for (const end of ["client", "server"] as const) {
      const times = runs.map((run) => run[end]);
      assert(fits(times, modelled[end], link), `${end} ${times.join(", ")} ms, modelled ${modelled[end]}`);
      for (const trips of [-1, -0.5, 0.5, 1]) { // this would notice
        assert(!fits(times, modelled[end] + trips * link.rtt, link), `${trips} round trips more fit, too`);
      }
    }
    if (scenario.earlyData !== undefined) { // half a round trip, and the bytes of the first flight
      const first = modelled.flights[0]!.arrives;
      assert(
        fits(runs.map(({ early }) => early!), first, link),
        `early data at ${runs[0]!.early}, not ${first}`,
      );
    }
  });
}
