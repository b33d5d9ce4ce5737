/** What `tlsio connect` finds out: two connections to a server, the second with the session of the first. */

import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import type { Duplex } from "../duplex.ts";
import type { SSLSession } from "../session.ts";
import type { SSLSocket } from "../socket.ts";
import type { SSLContext } from "../ssl.ts";
import type { TraceEvent } from "../trace.ts";
import { type CertificateFacts, certificateFacts } from "./certificates.ts";
import { CommandError } from "./flags.ts";
import { askForTls, type StartTlsProtocol } from "./starttls.ts";
import { oneLine, printable, systemReason } from "./terminal.ts";
import { verifyWords } from "./verify_words.ts";

/** What to connect to, and how. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly servername: string;
  /** Seconds for each step. */
  readonly timeout: number;
  /** Whether the certificate is checked. */
  readonly check: boolean;
  /** Whether to send `GET /`. @default {false} */
  readonly request?: boolean;
  /** What is spoken before TLS. */
  readonly starttls?: StartTlsProtocol;
  /** Comes between each connection and us. */
  readonly tap?: (conn: Deno.TcpConn) => Duplex;
  /** Is told of each record and message. */
  readonly trace?: (event: TraceEvent) => void;
}

/** What came of the second connection. */
export type Resumption = { reused: boolean; handshakeMs: number } | { error: string };

/** What was found. Whatever is missing was not reached; `error` says why. Times are in milliseconds. */
export interface Report {
  readonly host: string;
  readonly port: number;
  readonly servername: string;
  address?: string;
  lookupMs?: number;
  connectMs?: number;
  handshakeMs?: number;
  version?: string;
  cipher?: string;
  cipherBits?: number;
  group?: string | null;
  alpn?: string | null;
  certificate?: { checked: boolean; valid: boolean; problem: string; trustedBy: string | null };
  /** As the server sent it. */
  chain?: CertificateFacts[];
  /** Whether the server gave something to resume. */
  session?: boolean;
  resumption?: Resumption;
  statusLine?: string;
  error?: string;
}

const TICKET_WAIT = 1; // seconds; a server that sends tickets does so with its last flight, or with its first data
const CLOSE_WAIT = 0.2; // seconds; we know all that we wanted, and some servers do not answer
const STATUS_LINE_MAX = 8192; // bytes; nginx's limit of a line

/** Connects twice, and reports. It does not throw for what the server does: that is in `error`. */
export async function probe(target: Target, context: SSLContext): Promise<Report> {
  const { host, port, servername } = target;
  const report: Report = { host, port, servername };
  try {
    const session = await firstConnection(target, context, report);
    if (session !== undefined) report.resumption = await resume(target, context, report.address!, session);
  } catch (error) {
    report.error = oneLine(error);
  }
  return report;
}

/** Milliseconds, to the microsecond. */
function since(start: number): number {
  return Math.round((performance.now() - start) * 1000) / 1000;
}

async function firstConnection(
  target: Target,
  context: SSLContext,
  report: Report,
): Promise<SSLSession | undefined> {
  const conn = await connectAny(target, report);
  await askForTls(conn, target.starttls, target.timeout);
  const started = performance.now();
  await using tls = await startTls(target, context, conn);
  report.handshakeMs = since(started);
  describe(tls, target.check, report);
  if (target.request) report.statusLine = await request(tls, target);
  else await waitForSession(tls);
  report.session = tls.session !== undefined;
  return tls.session;
}

/** Tries the host's addresses in the system's order; each gets its share of the time. Says in `report` how it went. */
export async function connectAny(
  { host, port, timeout }: Pick<Target, "host" | "port" | "timeout">,
  report: Pick<Report, "address" | "lookupMs" | "connectMs">,
): Promise<Deno.TcpConn> {
  const started = performance.now();
  const addresses = isIP(host) !== 0 ? [host] : await resolve(host);
  report.lookupMs = since(started);
  let failure: unknown;
  for (const [i, address] of addresses.entries()) {
    const start = performance.now();
    try {
      const conn = await connect(address, port, timeout / (addresses.length - i));
      report.address = address;
      report.connectMs = since(start);
      return conn;
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

async function resolve(host: string): Promise<string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch (error) {
    const notFound = (error as { code?: string }).code === "ENOTFOUND";
    throw notFound ? new CommandError(`Cannot find the address of "${host}"`) : error;
  }
}

/** Connects to an address. */
export async function connect(address: string, port: number, timeout: number): Promise<Deno.TcpConn> {
  try {
    return await Deno.connect({ hostname: address, port, signal: AbortSignal.timeout(timeout * 1000) });
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const late = error instanceof DOMException && error.name === "TimeoutError";
    const state = late ? `timed out after ${timeout} seconds` : systemReason(error);
    throw new CommandError(`Cannot connect to ${address} port ${port}: ${state}`, { cause: error });
  }
}

/** Makes a handshake. */
export function startTls(
  { servername, timeout, tap = (conn) => conn, trace }: Omit<Target, "host" | "port">,
  context: SSLContext,
  conn: Deno.TcpConn,
  session?: SSLSession,
): Promise<SSLSocket> {
  return context.wrapSocket(tap(conn), {
    serverHostname: servername,
    timeout,
    shutdownTimeout: CLOSE_WAIT,
    ...(session && { savedSession: session }),
    ...(trace && { trace }),
  });
}

function describe(tls: SSLSocket, checked: boolean, report: Report): void {
  const { name, bits } = tls.cipher()!;
  report.version = tls.version()!;
  report.cipher = name;
  report.cipherBits = bits;
  report.group = tls.group() ?? null;
  report.alpn = tls.selectedAlpnProtocol() ?? null;
  report.chain = tls.getUnverifiedChain().map(certificateFacts);
  const valid = checked && tls.verifyFlags === 0;
  const anchor = valid ? tls.getVerifiedChain().at(-1) : undefined;
  report.certificate = {
    checked,
    valid,
    problem: checked ? verifyWords(tls.verifyFlags, tls.verifyMessage, report.servername, report.chain) : "",
    trustedBy: anchor ? certificateFacts(anchor).subject : null,
  };
}

/** Waits a little for a TLS 1.3 ticket. A server that wants a client's certificate says so here, too. */
export async function waitForSession(tls: SSLSocket): Promise<void> {
  tls.setBlocking(false);
  const scratch = new Uint8Array(4096);
  const ends = performance.now() + TICKET_WAIT * 1000;
  for (;;) {
    const { state } = tls.tryRead(scratch);
    if (state === "eof" || tls.session !== undefined) return;
    const remaining = (ends - performance.now()) / 1000;
    if (remaining <= 0 || (state !== "ok" && !await tls.ready("read", remaining))) return;
  }
}

/** Sends `GET /` and reads the first line of the answer. */
async function request(tls: SSLSocket, { host, port, timeout }: Target): Promise<string> {
  const authority = `${host.includes(":") ? `[${host}]` : host}${port === 443 ? "" : `:${port}`}`;
  tls.setTimeout(timeout);
  await tls.write(
    new TextEncoder().encode(
      `GET / HTTP/1.1\r\nHost: ${authority}\r\nUser-Agent: tlsio\r\nAccept: */*\r\nConnection: close\r\n\r\n`,
    ),
  );
  const answer = new Uint8Array(STATUS_LINE_MAX);
  for (let length = 0; length < answer.length;) {
    const n = await tls.read(answer.subarray(length));
    const lineEnd = answer.indexOf(10);
    if (lineEnd !== -1) return printable(new TextDecoder().decode(answer.subarray(0, lineEnd)).trimEnd());
    if (n === null) break;
    length += n;
  }
  throw new CommandError("Cannot read the answer to GET /: it is not HTTP/1.1");
}

async function resume(
  target: Target,
  context: SSLContext,
  address: string,
  session: SSLSession,
): Promise<Resumption> {
  try {
    const conn = await connect(address, target.port, target.timeout);
    await askForTls(conn, target.starttls, target.timeout);
    const started = performance.now();
    await using tls = await startTls(target, context, conn, session);
    return { reused: tls.sessionReused, handshakeMs: since(started) };
  } catch (error) {
    return { error: oneLine(error) };
  }
}
