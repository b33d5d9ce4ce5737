/** Wireshark's reader: what it finds in the first bytes of a connection. */
import { run } from "./process.ts";
import { tempDir } from "./server.ts";

/** A ClientHello as `tshark` reads it: each field's values in order, numbers in decimal. */
export interface TsharkHello {
  readonly ja3: string;
  readonly ja3Hash: string;
  readonly random: string;
  readonly serverName: string[];
  readonly alpnProtocols: string[];
  readonly cipherSuites: number[];
  readonly extensions: number[];
  readonly versions: number[];
  readonly groups: number[];
  readonly keyShareGroups: number[];
  readonly signatureSchemes: number[];
  readonly pskModes: number[];
}

const FIELDS = [
  "handshake.ja3_full",
  "handshake.ja3",
  "handshake.random",
  "handshake.extensions_server_name",
  "handshake.extensions_alpn_str",
  "handshake.ciphersuite",
  "handshake.extension.type",
  "handshake.extensions.supported_version",
  "handshake.extensions_supported_group",
  "handshake.extensions_key_share_group",
  "handshake.sig_hash_alg",
  "extension.psk_ke_mode",
] as const;

/** Shows `tshark` a connection of which `bytes` have come. */
export async function tsharkHello(bytes: Uint8Array): Promise<TsharkHello> {
  await using dir = await tempDir();
  const file = `${dir.path}/hello.pcap`;
  await Deno.writeFile(file, capture({ fromClient: true, bytes }));
  const names = FIELDS.map((name) => `tls.${name}`);
  const args = ["-r", file, "-T", "fields", "-E", "separator=;", ...names.flatMap((name) => ["-e", name])];
  const { code, stdout, stderr } = await run("tshark", args);
  if (code !== 0) throw new Error(`Cannot read a capture with tshark: ${stderr}`);
  const columns = stdout.replace(/\n$/, "").split(";");
  if (columns.length !== FIELDS.length) throw new Error(`Cannot read what tshark says: ${stdout}${stderr}`);
  const list = (name: (typeof FIELDS)[number]) => {
    const column = columns[FIELDS.indexOf(name)]!;
    return column === "" ? [] : column.split(",");
  };
  const numbers = (name: (typeof FIELDS)[number]) => list(name).map(Number);
  return {
    ja3: columns[0]!,
    ja3Hash: columns[1]!,
    random: columns[2]!,
    serverName: list("handshake.extensions_server_name"),
    alpnProtocols: list("handshake.extensions_alpn_str"),
    cipherSuites: numbers("handshake.ciphersuite"),
    extensions: numbers("handshake.extension.type"),
    versions: numbers("handshake.extensions.supported_version"),
    groups: numbers("handshake.extensions_supported_group"),
    keyShareGroups: numbers("handshake.extensions_key_share_group"),
    signatureSchemes: numbers("handshake.sig_hash_alg"),
    pskModes: numbers("extension.psk_ke_mode"),
  };
}

/** What one end of a connection sent at once. */
export interface Segment {
  readonly fromClient: boolean;
  readonly bytes: Uint8Array;
}

/**
 * Shows `tshark` a connection and the file of a key log. Returns the fields `names` of each HTTP message that it can read
 * in it; none without the right keys.
 */
export async function tsharkHttp(
  segments: readonly Segment[],
  keyLog: string,
  names: readonly string[],
): Promise<string[][]> {
  await using dir = await tempDir();
  const file = `${dir.path}/talk.pcap`;
  await Deno.writeFile(file, capture(...segments));
  const fields = [
    "-Y",
    "http",
    "-T",
    "fields",
    "-E",
    "separator=;",
    ...names.flatMap((name) => ["-e", name]),
  ];
  const { code, stdout, stderr } = await run("tshark", [
    "-r",
    file,
    "-o",
    `tls.keylog_file:${keyLog}`,
    ...fields,
  ]);
  if (code !== 0) throw new Error(`Cannot read a capture with tshark: ${stderr}`);
  return stdout.split("\n").filter((line) => line !== "").map((line) => line.split(";"));
}

/** What `tshark` finds in a capture of TLS on TCP, packet by packet. */
export interface TsharkPacket {
  readonly sourcePort: number;
  /** SYN 2, FIN 1, RST 4, PSH 8, ACK 16. */
  readonly flags: number;
  /** Complaints about sequence numbers and checksums. */
  readonly problems: string[];
  /** The content types of its records, decrypted where there is a key. */
  readonly contentTypes: number[];
  /** Bytes of each record, without its header. */
  readonly recordLengths: number[];
  readonly handshakeTypes: number[];
  /** Bytes of each handshake message, without its header. */
  readonly handshakeLengths: number[];
  readonly alerts: number[];
  /** The paths of requests and the status codes of responses. */
  readonly http: string[];
}

const PACKET_FIELDS = [
  "tcp.srcport",
  "tcp.flags",
  "tcp.checksum.status",
  "ip.checksum.status",
  "tcp.analysis.flags",
  "tls.record.content_type",
  "tls.record.length",
  "tls.handshake.type",
  "tls.handshake.length",
  "tls.alert_message.desc",
  "http.request.uri",
  "http.response.code",
] as const;

/** Reads a capture file once from its begin to its end, checksums checked. */
export async function tsharkPackets(file: string): Promise<TsharkPacket[]> {
  const fields = PACKET_FIELDS.flatMap((name) => ["-e", name]);
  const prefs = ["tcp.check_checksum", "ip.check_checksum"].flatMap((name) => ["-o", `${name}:TRUE`]);
  const args = ["-r", file, ...prefs, "-T", "fields", "-E", "separator=;", ...fields];
  const { code, stdout, stderr } = await run("tshark", args);
  if (code !== 0) throw new Error(`Cannot read a capture with tshark: ${stderr}`);
  return stdout.trimEnd().split("\n").map((line) => {
    const columns = line.split(";");
    const list = (name: (typeof PACKET_FIELDS)[number]) => {
      const column = columns[PACKET_FIELDS.indexOf(name)]!;
      return column === "" ? [] : column.split(",");
    };
    const numbers = (name: (typeof PACKET_FIELDS)[number]) => list(name).map(Number);
    const bad = ["tcp.checksum.status", "ip.checksum.status"] as const;
    return {
      sourcePort: numbers("tcp.srcport")[0]!,
      flags: numbers("tcp.flags")[0]!,
      problems: [
        ...bad.filter((name) => numbers(name).some((status) => status !== 1)), // 1: good
        ...list("tcp.analysis.flags"),
      ],
      contentTypes: numbers("tls.record.content_type"),
      recordLengths: numbers("tls.record.length"),
      handshakeTypes: numbers("tls.handshake.type"),
      handshakeLengths: numbers("tls.handshake.length"),
      alerts: numbers("tls.alert_message.desc"),
      http: [...list("http.request.uri"), ...list("http.response.code")],
    };
  });
}

/** A capture file of TCP segments between a client and port 443. Wireshark checks no checksums. */
function capture(...segments: Segment[]): Uint8Array {
  const RAW_IP = 101; // a link type
  const header = new DataView(new ArrayBuffer(24));
  [0xa1b2c3d4, 0x00020004, 0, 0, 0x40000, RAW_IP].forEach((word, i) => header.setUint32(i * 4, word));
  const sent = [1, 1]; // the next sequence number of the client and of the server
  const packets = segments.map(({ fromClient, bytes }) => {
    const from = fromClient ? 0 : 1;
    const length = 20 + 20 + bytes.length;
    const view = new DataView(new ArrayBuffer(16 + 40));
    [0, 0, length, length].forEach((word, i) => view.setUint32(i * 4, word));
    const ip = [0x4500_0000 | length, 0x0001_4000, 0x4006_0000, 0x7f000001, 0x7f000001];
    const ports = fromClient ? 50000 << 16 | 443 : 443 << 16 | 50000;
    const tcp = [ports, sent[from]!, sent[1 - from]!, 0x5018_ffff, 0];
    [...ip, ...tcp].forEach((word, i) => view.setUint32(16 + i * 4, word));
    sent[from]! += bytes.length;
    return [new Uint8Array(view.buffer), bytes];
  });
  return new Uint8Array([header.buffer, ...packets.flat()].flatMap((part) => [...new Uint8Array(part)]));
}
