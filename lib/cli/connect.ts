/** `tlsio connect`: who a server is, and what a handshake with it comes to. */

import { isIP } from "node:net";
import { CERT_NONE, CERT_OPTIONAL } from "../policy.ts";
import type { ContextOptions } from "../context_options.ts";
import { SSLContext } from "../ssl.ts";
import { TLSVersion } from "../suites.ts";
import { type CertificateFacts, validity } from "./certificates.ts";
import { CaptureFile } from "./capture_file.ts";
import { columns, defineCommand, inFlags, items, oneOf, UsageError } from "./flags.ts";
import { probe, type Report, type Target } from "./probe.ts";
import { milliseconds, outputStyle, type Style } from "./terminal.ts";

const HTTPS_PORT = 443;
const TIMEOUT = 10; // seconds; as wrapSocket()
const TIMEOUT_MAX = 3600; // seconds
const VERSIONS = { "1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3 } as const;

/** `tlsio connect`. */
export const connect = defineCommand({
  name: "connect",
  summary: "Show what a TLS server agrees to, its certificates, and whether it resumes.",
  operands: "<host[:port]>",
  arity: [1, 1],
  flags: {
    "servername": { value: "<name>", help: "the name to ask for and to check (default the host)" },
    "ca": { value: "<file>", help: "trust these certificates instead of the Mozilla roots" },
    "cert": { value: "<file>", help: "a certificate of our own to show to the server" },
    "key": { value: "<file>", help: "its key" },
    "alpn": { value: "<names>", many: true, help: "protocols to offer, best first, as in h2,http/1.1" },
    "tls": { value: "<version>", help: "1.2 or 1.3 (default the best of both)" },
    "timeout": { value: "<seconds>", help: `for connecting, and for a handshake (default ${TIMEOUT})` },
    "request": { help: "send GET / and show the status line of the answer" },
    "no-check": { help: "do not check the certificate" },
    "pcap": { value: "<file>", help: "write what passes to a capture file that Wireshark opens (pcapng)" },
    "pcap-secrets": { help: "with the keys in it: who has the file can read the traffic" },
    "json": { help: "print JSON; times are in milliseconds" },
  },
  notes: `
The port is ${HTTPS_PORT} when none is given. Exit code: 0 when the certificate is valid, trusted and for this
name, or not checked; 1 when it is not, or when the connection failed.`,
  async run(values, [operand]) {
    const check = !values["no-check"];
    const alpn = items(values.alpn ?? []);
    if ((values.cert === undefined) !== (values.key === undefined)) {
      throw new UsageError("--cert and --key go together");
    }
    if (values.request && alpn.length > 0 && !alpn.includes("http/1.1")) {
      throw new UsageError("--request needs http/1.1 among the protocols of --alpn");
    }
    if (values["pcap-secrets"] && values.pcap === undefined) {
      throw new UsageError("--pcap-secrets needs --pcap");
    }
    const tls = values.tls && oneOf("tls", values.tls, Object.keys(VERSIONS) as (keyof typeof VERSIONS)[]);
    const address = parseOperand(operand!);
    const secrets = values["pcap-secrets"] ?? false;
    await using capture = values.pcap === undefined
      ? undefined
      : await CaptureFile.create(values.pcap, secrets);
    const target: Target = {
      ...(capture && { tap: (conn) => capture.pcap.tap(conn) }),
      ...address,
      servername: values.servername ?? address.host,
      timeout: seconds(values.timeout ?? String(TIMEOUT)),
      check,
      request: values.request ?? false,
    };
    const options: ContextOptions = {
      certReqs: check ? CERT_OPTIONAL : CERT_NONE,
      ...(values.ca && check && { caCerts: values.ca }),
      ...(values.cert && values.key && { certfile: values.cert, keyfile: values.key }),
      ...(alpn.length > 0 && { alpnProtocols: alpn }),
      ...(tls && { sslVersion: VERSIONS[tls] }),
      ...(capture && secrets && { keyLog: capture.pcap.keyLog }),
    };
    using context = await SSLContext.create(options).catch((error) => {
      throw inFlags(error, { caCerts: "--ca", certfile: "--cert", keyfile: "--key" });
    });
    const report = await probe(target, context);
    if (values.json) console.log(JSON.stringify(report, null, 2));
    else if (report.address !== undefined) console.log(render(report, alpn.length > 0, outputStyle()));
    const accepted = report.certificate?.valid || !check;
    if (report.error !== undefined && !values.json) console.error(`tlsio connect: ${report.error}`);
    return report.error === undefined && accepted ? 0 : 1;
  },
});

/** Reads `host`, `host:port`, `[::1]:port`, `::1`. */
export function parseOperand(text: string): { host: string; port: number } {
  if (isIP(text) === 6) return { host: text, port: HTTPS_PORT };
  const [, literal, name, port = String(HTTPS_PORT)] =
    text.match(/^(?:\[([^\]]+)\]|([^:/\s]+))(?::(\d+))?$/) ?? [];
  const host = literal ?? name;
  if (
    host === undefined || (literal !== undefined && isIP(literal) !== 6) || !(+port >= 1 && +port <= 65535)
  ) {
    throw new UsageError(`cannot connect to "${text}": expected host:port, port from 1 to 65535`);
  }
  return { host, port: Number(port) };
}

function seconds(text: string): number {
  const number = Number(text);
  if (!(number > 0 && number <= TIMEOUT_MAX)) {
    throw new UsageError(`--timeout takes seconds, above 0 to ${TIMEOUT_MAX}, not "${text}"`);
  }
  return number;
}

// ---- For people -----------------------------------------------------------------------------------------

function render(report: Report, alpnOffered: boolean, style: Style): string {
  const { bold, dim } = style;
  const { address, version, chain = [] } = report;
  const rows: [string, string][] = [
    ["Address", `${address} port ${report.port}`],
    ["TCP", `${milliseconds(report.connectMs!)}${lookupNote(report)}`],
  ];
  if (version !== undefined) {
    rows.push(["Handshake", milliseconds(report.handshakeMs!)]);
    rows.push(["Version", bold(version)]);
    rows.push(["Suite", `${report.cipher}, ${report.cipherBits} bits`]);
    rows.push(["Group", report.group ?? "none"]);
    rows.push(["ALPN", report.alpn ?? (alpnOffered ? "none of ours" : "not offered")]);
    rows.push(["Certificate", verdict(report, style)]);
  }
  if (report.session !== undefined) {
    rows.push(["Ticket", report.session ? sessionWord(version!) : "none received"]);
  }
  if (report.resumption !== undefined) rows.push(["Resumption", resumption(report, style)]);
  if (report.statusLine !== undefined) rows.push(["GET /", report.statusLine]);
  const parts = [
    bold(report.host === report.servername ? report.host : `${report.host} as ${report.servername}`),
  ];
  parts.push(columns(rows));
  if (chain.length > 0) {
    parts.push("", bold("Certificates, as the server sent them"));
    parts.push(...chain.map((facts, i) => certificate(facts, i, dim)));
  }
  return parts.join("\n");
}

function lookupNote({ host, address, lookupMs }: Report): string {
  return host === address ? "" : `, after ${milliseconds(lookupMs!)} to find the address`;
}

function verdict({ certificate, servername }: Report, { good, bad }: Style): string {
  const { checked, valid, problem, trustedBy } = certificate!;
  if (!checked) return "not checked";
  if (valid) return `${good("valid")} for ${servername}, trusted by ${trustedBy ?? "an earlier check"}`;
  return `${bad("NOT VALID")}: ${problem || "for a reason unknown"}`;
}

/** TLS 1.2 may resume by the server's memory instead of a ticket. */
function sessionWord(version: string): string {
  return version === "TLSv1.3" ? "received" : "received, or a session id";
}

function resumption({ resumption, handshakeMs }: Report, { good }: Style): string {
  if ("error" in resumption!) return `failed: ${resumption.error}`;
  const times = `${milliseconds(resumption!.handshakeMs)}, against ${milliseconds(handshakeMs!)} in full`;
  return resumption!.reused ? `${good("yes")}, in ${times}` : "no: the server made a full handshake";
}

function certificate(facts: CertificateFacts, index: number, dim: Style["dim"]): string {
  const rows: [string, string][] = [
    ["issuer", facts.issuer],
    ["valid", validity(facts)],
    ["key", `${facts.key}, signed with ${facts.signature}`],
    ...(facts.names.length > 0 ? [["names", facts.names.join(", ")] as [string, string]] : []),
    ["SHA-256", facts.sha256],
  ];
  return `  ${index}  ${facts.subject}\n` +
    columns(rows).split("\n").map((line) => dim(`   ${line}`)).join("\n");
}
