/** `tlsio trace`: a handshake with a server, message by message. */

import { CERT_NONE, CERT_REQUIRED } from "../policy.ts";
import type { SSLSession } from "../session.ts";
import type { SSLContext } from "../ssl.ts";
import { CaptureFile } from "./capture_file.ts";
import { defineCommand, UsageError } from "./flags.ts";
import { assertDistinct, openToAppend, OutputFile } from "./output_file.ts";
import { connect, connectAny, type Report, startTls, type Target, waitForSession } from "./probe.ts";
import { askForTls } from "./starttls.ts";
import { clientContext, TARGET_FLAGS, TARGET_NOTES, targetOf } from "./target.ts";
import { systemReason } from "./terminal.ts";
import { renderPage, type Traced } from "./trace_page.ts";
import { TraceRecorder } from "./trace_recorder.ts";
import type { TraceResult } from "./trace_result.ts";
import { renderTrace } from "./trace_text.ts";
import { warmUp } from "./warm_up.ts";

/** `tlsio trace`. */
export const trace = defineCommand({
  name: "trace",
  summary: "Show a handshake with a TLS server, message by message: sizes, times, round trips.",
  operands: "<host[:port]>",
  arity: [1, 1],
  flags: {
    ...TARGET_FLAGS,
    "psk-identity": { value: "<text>", help: "who we are, to a server with pre-shared keys" },
    "psk": { value: "<hex>", help: "the pre-shared key of that identity" },
    "resume": { help: "connect again with the session of the first connection, and show both" },
    "json": { help: "print JSON; times are in milliseconds" },
    "html": { value: "<file>", help: "draw it, too: a page that needs nothing else" },
    "keylog": { value: "<file>", help: "add the secrets to this file (NSS's format), and nowhere else" },
    "pcap": { value: "<file>", help: "write what passes to a capture file that Wireshark opens (pcapng)" },
  },
  notes: `
${TARGET_NOTES} A double line is encrypted; "same": it
is in the record of the message before. A message's bytes have its header of 4, a flight's are those
on the wire. Exit code: 0 when the handshake was completed; 1 when it was not, or the server has
ended the connection with an alert. See docs/trace.md.`,
  async run(values, [operand]) {
    const { context: options, alpn: _, ...target } = targetOf(values, operand!);
    const psk = pskOf(values["psk-identity"], values.psk);
    await using files = new AsyncDisposableStack();
    assertDistinct({ html: values.html, keylog: values.keylog, pcap: values.pcap });
    const html = values.html === undefined ? undefined : files.use(await OutputFile.open(values.html));
    const keyLog = values.keylog === undefined
      ? undefined
      : files.use(await openToAppend(values.keylog, { secret: true }));
    const capture = values.pcap === undefined
      ? undefined
      : files.use(await CaptureFile.create(values.pcap, false));
    using context = await clientContext({
      ...options,
      ...(psk && { psk }),
      certReqs: target.check ? CERT_REQUIRED : CERT_NONE,
      ...(keyLog && { keyLog: lineWriter(keyLog) }),
    });
    await warmUp();
    const tap: Target["tap"] = (conn) => capture?.pcap.tap(conn) ?? conn;
    const traced = await traceTwice({ ...target, tap }, context, values.resume ?? false);
    const { host, port, servername } = target;
    const result: TraceResult = {
      ...{ format: 1, host, port, servername },
      connections: traced.map(({ connection }) => connection),
    };
    if (values.json) console.log(JSON.stringify(result, null, 2));
    else if (traced[0]!.connection.address === null) {
      console.error(`tlsio trace: ${traced[0]!.connection.error}`);
    } else console.log(renderTrace(result));
    await html?.write(await renderPage(`${host} port ${port}`, traced));
    if (values.resume && traced.length < 2 && traced[0]!.connection.complete) {
      console.error("tlsio trace: the server gave nothing to resume");
    }
    return traced.every(({ connection }) => connection.complete && connection.error === null) ? 0 : 1;
  },
});

function pskOf(identity: string | undefined, hex: string | undefined) {
  if ((identity === undefined) !== (hex === undefined)) {
    throw new UsageError("--psk-identity and --psk go together");
  }
  if (identity === undefined) return undefined;
  if (!/^([0-9a-f]{2})+$/i.test(hex!)) throw new UsageError("--psk takes a key in hexadecimal, as in 00ff");
  return { identity, key: Uint8Array.fromHex(hex!) };
}

/** Each line is in the file before the next message. A file that is full is said, and the handshake goes on. */
function lineWriter(file: Deno.FsFile): (line: string) => void {
  let failed = false;
  return (line) => {
    const bytes = new TextEncoder().encode(`${line}\n`);
    try {
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    } catch (error) {
      if (!failed) console.error(`tlsio trace: Cannot write --keylog: ${systemReason(error)}`);
      failed = true;
    }
  };
}

/** One connection, and with `resume` a second one with what the first was given. */
async function traceTwice(target: Target, context: SSLContext, resume: boolean): Promise<Traced[]> {
  const first = await traceOnce(target, context);
  const { session, address } = first;
  if (!resume || session === undefined || first.connection.error !== null) return [first];
  return [first, await traceOnce(target, context, { address: address!, session })];
}

/** It does not throw for what the server does: that is in `error`. */
async function traceOnce(
  target: Target,
  context: SSLContext,
  again?: { address: string; session: SSLSession },
): Promise<Traced & { session?: SSLSession | undefined; address: string | undefined }> {
  const recorder = new TraceRecorder("client");
  const report: Pick<Report, "address" | "lookupMs" | "connectMs"> = {};
  let session: SSLSession | undefined;
  try {
    const conn = again ? await reconnect(again.address, target, report) : await connectAny(target, report);
    await askForTls(conn, target.starttls, target.timeout);
    const watched: Target = {
      ...target,
      tap: (conn) => recorder.tap(target.tap?.(conn) ?? conn),
      trace: recorder.trace,
    };
    await using tls = await startTls(watched, context, conn, again?.session);
    recorder.agreed(tls);
    await waitForSession(tls);
    session = tls.session;
  } catch (error) {
    recorder.fail(error);
  }
  const { address, lookupMs, connectMs } = report;
  const connection = recorder.result({
    ...{ address: address ?? null, port: address === undefined ? null : target.port },
    ...{ lookupMs: lookupMs ?? null, connectMs: connectMs ?? null },
  });
  return { connection, recorder, session, address };
}

async function reconnect(
  address: string,
  { port, timeout }: Target,
  report: Pick<Report, "address" | "connectMs">,
): Promise<Deno.TcpConn> {
  const start = performance.now();
  const conn = await connect(address, port, timeout);
  report.connectMs = performance.now() - start;
  report.address = address;
  return conn;
}
