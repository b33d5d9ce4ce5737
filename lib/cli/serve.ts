/** `tlsio serve`: a folder over HTTPS, or the book's temperature server. */

import { isIP } from "node:net";
import { CERT_REQUIRED } from "../policy.ts";
import { type HttpServer, type HttpServerStats, serve as serveHttp } from "../http.ts";
import { defaultAlpn, resolveProfile } from "../profile.ts";
import type { ContextOptions } from "../context_options.ts";
import { SSLContext } from "../ssl.ts";
import { assertSharing, WORKERS_MAX, type WorkerServer } from "../workers.ts";
import { DASHBOARD_FLAGS, dashboardAddress, openDashboard } from "./dashboard.ts";
import { type CertificateFacts, certificateFacts, firstCertificate, validity } from "./certificates.ts";
import { DEVICE_FLAGS, deviceOptions, openDevice } from "./device.ts";
import type { DeviceServer } from "./device_server.ts";
import { columns, CommandError, defineCommand, inFlags, type Row, UsageError, wholeNumber } from "./flags.ts";
import { localCertificate } from "./local_certificate.ts";
import { logFailure, serverError, siteHandler, siteModule } from "./site.ts";
import { ServeTrace, TRACE_FLAGS } from "./serve_trace.ts";
import { oneLine, outputStyle, printable, shellWord, terminalWidth } from "./terminal.ts";

const HOST = "127.0.0.1"; // nobody else's business until the user says so
const PORT = 8443;
const ABORTED = 130; // a shell's exit code for SIGINT
const ECHO = 500; // milliseconds: `deno task` passes on the Ctrl-C that the terminal has sent us itself

/** `tlsio serve`. */
export const serve = defineCommand({
  name: "serve",
  summary: "Serve a folder over HTTPS, or the demo: a thermometer, and the facts of your connection.",
  operands: "[dir]",
  arity: [0, 1],
  flags: {
    "demo": { help: "serve the demo (default without a folder)" },
    "host": { value: "<address>", help: `the address to listen on (default ${HOST}; 0.0.0.0 is every one)` },
    "port": { value: "<n>", help: `the port; 0 takes a free one (default ${PORT})` },
    "cert": { value: "<file>", help: "the certificate (default one made for this machine, and kept)" },
    "key": { value: "<file>", help: "its key" },
    "password": { value: "<text>", help: "opens an encrypted key" },
    "client-ca": { value: "<file>", help: "ask clients for a certificate that this authority has signed" },
    "profile": {
      value: "<name>",
      help: "which defaults of TLS to use, or which device to be (default default)",
    },
    ...DEVICE_FLAGS,
    "workers": {
      value: "<n>",
      help: "how many processors to use; needs deno run --unstable-net",
    },
    ...DASHBOARD_FLAGS,
    ...TRACE_FLAGS,
    "quiet": { help: "no line for each request" },
  },
  notes: `
The certificate that it makes is for localhost, this machine's name and --host. It is kept in the
cache folder (XDG_CACHE_HOME, or what the platform has) with the CA that clients trust, and made
anew when it is about to expire. A folder's files whose names start with a dot are not served.
--profile esp32 is the HTTPS server of an ESP32: its mbedTLS, its heap, what goes wrong when that is
full; each connection's line says what it cost and how long it would take there. See docs/esp32.md.
The dashboard is for this machine alone, unless it is given another address; there it has TLS, by
the same certificate, and everybody who reaches it can look. See docs/metrics.md.
Ctrl-C finishes the requests under way and ends; a second one ends at once.`,
  async run(values, [folder]) {
    const { host = HOST, cert, key, password, profile } = values;
    const started = Date.now();
    if (folder !== undefined && values.demo) throw new UsageError("--demo and a folder exclude each other");
    if ((cert === undefined) !== (key === undefined)) throw new UsageError("--cert and --key go together");
    if (password !== undefined && key === undefined) throw new UsageError("--password goes with --key");
    const port = wholeNumber("port", values.port ?? String(PORT), 0, 65535);
    checkProfile(profile);
    const deviceFlags = deviceOptions(values);
    const workers = values.workers && wholeNumber("workers", values.workers, 1, WORKERS_MAX);
    if (workers) checkSharing();
    await using trace = await ServeTrace.open(values);
    if (workers && trace) throw new UsageError("--workers and --trace exclude each other");
    const watched = dashboardAddress(values.dashboard);
    if (watched && deviceFlags) {
      throw new UsageError(
        `--dashboard is not for --profile ${profile}: each connection's line says what the device does`,
      );
    }

    const channel = watched && workers ? `tlsio ${crypto.randomUUID()}` : undefined;
    const site = { folder, quiet: values.quiet ?? false, channel };
    const handler = await siteHandler(site); // a folder that is missing fails here
    const local = cert === undefined ? await localCertificate(host) : undefined;
    const ssl: ContextOptions = {
      ...(local ? { certfile: local.certificate, keyfile: local.key } : { certfile: cert!, keyfile: key! }),
      ...(password !== undefined && { password }),
      ...(values["client-ca"] && { caCerts: values["client-ca"], certReqs: CERT_REQUIRED }),
      ...(profile !== undefined && { profile }),
    };
    using device = deviceFlags && await inFlagNames(openDevice(deviceFlags, ssl, site.quiet));
    using context = device === undefined ? await inFlagNames(createContext(ssl)) : undefined;
    const facts = certificateFacts(local?.certificate ?? firstCertificate(await Deno.readFile(cert!)));
    using stop = stopSignals();
    const options = { hostname: host, port, ...(!site.quiet && { onConnectionError: logFailure }) };
    const start = async (): Promise<HttpServer | WorkerServer<HttpServerStats> | DeviceServer> => {
      if (device !== undefined) {
        return device.start(
          handler,
          (tcpBacklog) => Deno.listen({ hostname: host, port, tcpBacklog }),
          trace,
        );
      }
      return workers
        ? await serveHttp(siteModule(site), { ...options, ssl, workers })
        : await serveHttp(handler, {
          ...options,
          ssl: context!,
          onError: serverError,
          ...(trace && { wrap: trace.wrap }),
        });
    };
    await using server = await listening(options, "--port", start);
    const { port: taken } = server.addr as Deno.NetAddr;
    const url = `https://${urlHost(host)}:${taken}/`;
    await using dashboard = watched &&
      await listening(watched, "--dashboard", () =>
        openDashboard(watched, {
          ssl: context!, // there is no device
          names: facts.names,
          counts: () => countsOf(server as Exclude<typeof server, DeviceServer>),
          about: { url, started },
          channel,
        }));
    announce({
      content: folder === undefined ? "the demo, a simulated thermometer" : printable(folder),
      url,
      dashboard: dashboard?.url,
      facts,
      trustFile: local?.caFile ?? (facts.subject === facts.issuer ? cert : undefined),
      asksClients: values["client-ca"] !== undefined,
      device: device?.rows ?? [],
    });
    await Promise.race([stop.first, server.finished]).catch((error) => {
      throw new CommandError(`${error.message}: ${oneLine(error.cause)}`, { cause: error });
    });
    console.log("Stopping; Ctrl-C again does not wait for requests under way");
    device?.hurry();
    await server.close();
    if (device !== undefined) console.log(device.summary());
    return 0;
  },
});

async function countsOf(server: HttpServer | WorkerServer<HttpServerStats>): Promise<HttpServerStats> {
  return typeof server.stats === "function" ? await server.stats() : server.stats;
}

function checkProfile(name: string | undefined): void {
  try {
    resolveProfile(name);
  } catch (error) {
    throw new UsageError((inFlags(error, { profile: "--profile" }) as Error).message);
  }
}

function checkSharing(): void {
  try {
    assertSharing();
  } catch (error) {
    throw new CommandError((error as Error).message, { cause: error });
  }
}

function createContext(options: ContextOptions): Promise<SSLContext> {
  return SSLContext.create({
    ...defaultAlpn(options.profile, ["http/1.1", "http/1.0"]),
    ...options,
    serverSide: true,
  });
}

async function inFlagNames<T>(made: Promise<T>): Promise<T> {
  try {
    return await made;
  } catch (error) {
    throw inFlags(error, { certfile: "--cert", keyfile: "--key", caCerts: "--client-ca" });
  }
}

async function listening<Server>(
  { hostname, port }: { hostname: string; port: number },
  flag: string,
  start: () => Promise<Server>,
): Promise<Server> {
  try {
    return await start();
  } catch (error) {
    const { AddrInUse, AddrNotAvailable, PermissionDenied } = Deno.errors;
    const problem = (state: string) =>
      new CommandError(`Cannot listen on ${hostname} port ${port}: ${state}`, { cause: error });
    if (error instanceof AddrInUse) throw problem(`the port is in use; ${flag} takes another`);
    if (error instanceof AddrNotAvailable) throw problem("this machine does not have the address");
    if (error instanceof PermissionDenied) {
      throw problem("permission denied; ports from 1024 are free for all");
    }
    if (error instanceof Error && /lookup address/.test(error.message)) throw problem("no such host");
    throw error;
  }
}

// ---- What it prints -------------------------------------------------------------------------------------

/** What the first lines say. */
interface Announcement {
  readonly content: string;
  readonly url: string;
  readonly dashboard: string | undefined;
  readonly facts: CertificateFacts;
  /** What a client must trust, when we know. */
  readonly trustFile: string | undefined;
  readonly asksClients: boolean;
  /** What the device is; nothing: it is none. */
  readonly device: readonly [label: string, text: string][];
}

function announce({ content, url, dashboard, facts, trustFile, asksClients, device }: Announcement): void {
  const rows: Row[] = [
    ["Serving", content],
    ["URL", outputStyle().bold(url)],
    ...(dashboard === undefined ? [] : [["Dashboard", outputStyle().bold(dashboard)] as const]),
    ["Certificate", `${facts.subject}, valid ${validity(facts)}`],
    ["SHA-256", facts.sha256],
    ...device,
  ];
  if (trustFile !== undefined) {
    const client = asksClients ? "--cert client.pem --key client.key " : "";
    // One that names no host, as the book's, is good for none: a client can only pass over that.
    const trust = facts.names.length === 0 ? "--insecure" : `--cacert ${shellWord(trustFile)}`;
    rows.push(["Try", `curl ${trust} ${client}${url}`, "whole"]);
  }
  console.log(`${columns(rows, terminalWidth())}\n`);
}

/** The host by which this machine's own clients reach `host`. */
function urlHost(host: string): string {
  if (["127.0.0.1", "0.0.0.0", "::"].includes(host)) return "localhost";
  return isIP(host) === 6 ? `[${host}]` : host;
}

// ---- Signals --------------------------------------------------------------------------------------------

/** `first` settles with the first request to stop; a second one ends the process. */
function stopSignals(): { first: Promise<void> } & Disposable {
  const { promise, resolve } = Promise.withResolvers<void>();
  let stopped = Infinity;
  const onSignal = () => {
    if (performance.now() - stopped > ECHO) Deno.exit(ABORTED);
    stopped = Math.min(stopped, performance.now());
    resolve();
  };
  const signals: Deno.Signal[] = Deno.build.os === "windows" ? ["SIGINT", "SIGBREAK"] : ["SIGINT", "SIGTERM"];
  for (const signal of signals) Deno.addSignalListener(signal, onSignal);
  return {
    first: promise,
    [Symbol.dispose]() {
      for (const signal of signals) Deno.removeSignalListener(signal, onSignal);
    },
  };
}
