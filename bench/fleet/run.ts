/**
 * A fleet on its worst day: three server processes behind HAProxy, keys in Redis; the keys rotate, Redis is killed and comes
 * back empty, and each server is killed and started again, one of them while Redis is away. Clients resume all the while; each
 * makes the same visits to a single server with keys of its own, to which none of this happens. Before that, while nobody is
 * killed, the files of the certificates are renewed, and no connection may break off. Beside them come some clients without
 * tickets, whose sessions by id are in Redis, too: what Redis has lost they have lost, as the single server's have with each
 * renewal.
 */
import {
  type ContextOptions,
  createCertificate,
  openConnection,
  saveSession,
  type SSLSession,
  type SSLSocket,
  TLSVersion,
} from "../../mod.ts";
import { onFreePort, Program, tempDir } from "../../tests/peers.ts";
import { haproxy, redisServer, type Server } from "../../tests/peers.ts";
import { type FleetFiles, lineOf, renewCertificates } from "./renew.ts";
import type { ServerCounts, ServerSettings } from "./server.ts";

/** How long it takes, in seconds. */
export interface FleetOptions {
  /** Redis is away for so long. */
  outage: number;
  /** Before, between and after what happens. */
  calm: number;
  /** Settings of the ticket keys. */
  lifetime: number;
  rotateEvery: number;
  refreshEvery: number;
  /** Clients; half of them speak TLS 1.2. */
  clients: number;
  /** Seconds between two visits of a client. */
  every: number;
  /** How often the certificates are renewed in their files. */
  renewals: number;
  /** Told what happens. */
  log?: (text: string) => void;
}

/** What a group of visits came to. */
export interface Visits {
  /** Visits that offered a session and came to an end. */
  offered: number;
  /** Those that resumed it. */
  resumed: number;
  /** Those whose session another server had given. */
  elsewhere: number;
  /** Those that broke off: their server was killed. They are made again. */
  broken: number;
}

/** What came of it. */
export interface FleetResult {
  fleet: Visits;
  single: Visits;
  /** Of the clients without tickets, a quarter as many. */
  fleetById: Visits;
  singleById: Visits;
  /** What part of the single server's resumptions the fleet granted, 0 to 1. */
  share: number;
  /** Why servers refused tickets. */
  refused: Record<string, number>;
  /** Writes of the fleet's keys. */
  sequence: number;
  /** Renewals of the certificates, each of which all three servers have shown. */
  renewals: number;
  /** Certificates that the clients of the fleet were shown. */
  certificates: number;
  /** Connections that were open through all renewals, and asked after each. */
  live: number;
  /** Connections and visits that broke off, and handshakes that failed, while the certificates were renewed. */
  lost: number;
  seconds: number;
}

const NAMES = ["a", "b", "c"];
const VISIT_TIMEOUT = 20; // seconds; more is a failure of the fleet

const sleep = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Runs a fleet, and ends it. */
export async function runFleet(options: FleetOptions): Promise<FleetResult> {
  const { outage, calm, clients, every, log = () => {}, lifetime, rotateEvery, refreshEvery } = options;
  const start = performance.now();
  await using stack = new AsyncDisposableStack();
  const dir = stack.use(await tempDir());
  const issuer = createCertificate({ subject: "CN=Fleet Root", isCA: true });
  const files: FleetFiles = { certfile: `${dir.path}/cert.pem`, keyfile: `${dir.path}/key.pem` };
  const first = createCertificate({ subject: "CN=localhost", hosts: ["localhost"], issuer });
  await Deno.writeTextFile(files.certfile, first.certificate);
  await Deno.writeTextFile(files.keyfile, first.key);
  const caCerts = issuer.certificate;

  let redis = await redisServer();
  stack.defer(() => redis[Symbol.asyncDispose]());
  const secret = crypto.getRandomValues(new Uint8Array(32)).toBase64();
  const startServer = async (name: string, port: number, isShared: boolean): Promise<Server> => {
    const settings: ServerSettings = {
      ...{ name, port, lifetime, rotateEvery, refreshEvery },
      ...files,
      ...(isShared && { store: `redis://127.0.0.1:${redis.port}`, cache: `${dir.path}/${name}.keys` }),
    };
    const path = new URL("server.ts", import.meta.url).href;
    const args = ["run", "-A", "--no-check", path, JSON.stringify(settings)];
    const program = new Program("deno", args, { env: { TLSIO_STORE_KEY: secret } });
    await program.waitFor(/^listening$/m);
    return { port, program, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
  };
  const servers = await Promise.all(
    NAMES.map((name) => onFreePort((port) => startServer(name, port, true))),
  );
  for (const i of NAMES.keys()) stack.defer(() => servers[i]![Symbol.asyncDispose]());
  const single = stack.use(await onFreePort((port) => startServer("single", port, false)));
  const balancer = stack.use(await haproxy(servers.map(({ port }) => port)));

  const refused: Record<string, number> = {};
  const ask = async ({ program }: Server): Promise<ServerCounts> => {
    const answer = (program.stdout.match(/^\{/gm)?.length ?? 0) + 1;
    await program.write("\n");
    return JSON.parse((await program.waitFor(new RegExp(`^\\{"answer":${answer},.*\\}$`, "m")))[0]);
  };
  const countRefused = async (server: Server): Promise<number> => {
    const counts = await ask(server);
    for (const [reason, n] of Object.entries(counts.refused)) refused[reason] = (refused[reason] ?? 0) + n;
    return counts.keys!.sequence;
  };
  const restart = async (i: number) => {
    log(`server ${NAMES[i]} is killed`);
    const { port, program } = servers[i]!;
    await countRefused(servers[i]!);
    program.kill("SIGKILL");
    await program[Symbol.asyncDispose]();
    servers[i] = await startServer(NAMES[i]!, port, true);
    log(`server ${NAMES[i]} is back`);
  };

  const visits = { fleet: none(), single: none(), fleetById: none(), singleById: none() };
  const ended = new AbortController();
  const groups = [[visits.fleet, balancer.port], [visits.single, single.port]] as const;
  const groupsById = [[visits.fleetById, balancer.port], [visits.singleById, single.port]] as const;
  const crowd = Promise.all(
    Array.from({ length: Math.ceil(1.25 * clients) }, async (_, i) => {
      const byId = i >= clients;
      const sslVersion = byId || i % 2 === 0 ? TLSVersion.TLSv1_2 : TLSVersion.TLSv1_3;
      const ssl = { caCerts, sslVersion, ...(byId && { tickets: false as const }) };
      await sleep(every * i / clients);
      const customers = (byId ? groupsById : groups).map(([count, port]) => customer(count, port, ssl));
      while (!ended.signal.aborted) {
        const due = sleep(every);
        await Promise.all(customers.map((visit) => visit()));
        await due;
      }
    }),
  );
  crowd.catch(() => {}); // told below
  let renewed = { certificates: 0, live: 0, lost: 0 };
  const renew = async () => {
    const before = visits.fleet.broken;
    const failed = async () =>
      (await Promise.all(servers.map(ask))).reduce((sum, { failed }) => sum + failed, 0);
    const failedBefore = await failed();
    const { certificates, live, lost } = await renewCertificates({
      ...options,
      issuer,
      files,
      servers,
      ask,
      log,
    });
    const broken = visits.fleet.broken - before + await failed() - failedBefore;
    renewed = { certificates, live, lost: lost + broken };
  };
  const script = async () => {
    await sleep(calm);
    await renew();
    await restart(0);
    await sleep(calm);
    log("Redis is killed");
    redis.program.kill("SIGKILL");
    await redis.program[Symbol.asyncDispose]();
    const back = sleep(outage);
    await sleep(outage / 2);
    await restart(1); // it has its copy of the keys alone
    await back;
    redis = await redisServer(redis.port);
    log("Redis is back, and empty");
    await sleep(calm);
    await restart(2);
    await sleep(calm);
  };
  try {
    await Promise.race([script(), crowd]);
  } finally {
    ended.abort();
  }
  await crowd;
  const sequences = await Promise.all(servers.map(countRefused));
  const share = visits.fleet.resumed / visits.fleet.offered / (visits.single.resumed / visits.single.offered);
  const seconds = (performance.now() - start) / 1000;
  return {
    ...visits,
    ...renewed,
    renewals: options.renewals,
    share,
    refused,
    sequence: Math.max(...sequences),
    seconds,
  };
}

function none(): Visits {
  return { offered: 0, resumed: 0, elsewhere: 0, broken: 0 };
}

/** A client: each visit offers the session of the one before. */
function customer(count: Visits, port: number, policy: ContextOptions): () => Promise<void> {
  let session: { saved: SSLSession; from: string } | undefined;
  const visit = async () => {
    const saved = session && { savedSession: session.saved };
    const ssl = { ...policy, ...saved };
    const address = { hostname: "127.0.0.1", port, serverHostname: "localhost" };
    const [reader, writer] = await openConnection({ ...address, ssl, sslHandshakeTimeout: VISIT_TIMEOUT });
    try {
      const name = await lineOf(reader, writer);
      const tls = writer.transport as SSLSocket;
      if (session !== undefined) {
        count.offered++;
        if (tls.sessionReused) count.resumed++;
        if (name !== session.from) count.elsewhere++;
      }
      const next = saveSession(tls);
      if (next === undefined) throw new Error("no session");
      session = { saved: next, from: name };
    } finally {
      writer.close();
      await writer.waitClosed().catch(() => {});
    }
  };
  return async () => {
    const deadline = performance.now() + VISIT_TIMEOUT * 1000;
    for (;;) {
      try {
        return await visit();
      } catch (error) {
        count.broken++;
        if (performance.now() > deadline) throw new Error("Cannot visit the fleet", { cause: error });
        await sleep(0.05);
      }
    }
  };
}
