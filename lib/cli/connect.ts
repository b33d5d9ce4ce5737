/** `tlsio connect`: who a server is, and what a handshake with it comes to. */

import { CERT_NONE, CERT_OPTIONAL } from "../policy.ts";
import { type CertificateFacts, validity } from "./certificates.ts";
import { CaptureFile } from "./capture_file.ts";
import { columns, defineCommand, UsageError } from "./flags.ts";
import { probe, type Report } from "./probe.ts";
import { clientContext, TARGET_FLAGS, TARGET_NOTES, targetOf } from "./target.ts";
import { milliseconds, outputStyle, type Style } from "./terminal.ts";

/** `tlsio connect`. */
export const connect = defineCommand({
  name: "connect",
  summary: "Show what a TLS server agrees to, its certificates, and whether it resumes.",
  operands: "<host[:port]>",
  arity: [1, 1],
  flags: {
    ...TARGET_FLAGS,
    "request": { help: "send GET / and show the status line of the answer" },
    "pcap": { value: "<file>", help: "write what passes to a capture file that Wireshark opens (pcapng)" },
    "pcap-secrets": { help: "with the keys in it: who has the file can read the traffic" },
    "json": { help: "print JSON; times are in milliseconds" },
  },
  notes: `
${TARGET_NOTES} Exit code: 0 when the certificate is
valid, trusted and for this name, or not checked; 1 when it is not, or when the connection failed.`,
  async run(values, [operand]) {
    const { alpn, context: options, ...target } = targetOf(values, operand!);
    if (values.request && alpn.length > 0 && !alpn.includes("http/1.1")) {
      throw new UsageError("--request needs http/1.1 among the protocols of --alpn");
    }
    if (values.request && target.starttls) {
      throw new UsageError("--request and --starttls exclude each other");
    }
    if (values["pcap-secrets"] && values.pcap === undefined) {
      throw new UsageError("--pcap-secrets needs --pcap");
    }
    const secrets = values["pcap-secrets"] ?? false;
    await using capture = values.pcap === undefined
      ? undefined
      : await CaptureFile.create(values.pcap, secrets);
    using context = await clientContext({
      ...options,
      certReqs: target.check ? CERT_OPTIONAL : CERT_NONE,
      ...(capture && secrets && { keyLog: capture.pcap.keyLog }),
    });
    const report = await probe({
      ...target,
      ...(capture && { tap: (conn) => capture.pcap.tap(conn) }),
      request: values.request ?? false,
    }, context);
    if (values.json) console.log(JSON.stringify(report, null, 2));
    else if (report.address !== undefined) console.log(render(report, alpn.length > 0, outputStyle()));
    const accepted = report.certificate?.valid || !target.check;
    if (report.error !== undefined && !values.json) console.error(`tlsio connect: ${report.error}`);
    return report.error === undefined && accepted ? 0 : 1;
  },
});

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
