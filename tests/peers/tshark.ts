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
  await Deno.writeFile(file, capture(bytes));
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

/** A capture file of one TCP segment from a client to port 443. Wireshark checks no checksums. */
function capture(payload: Uint8Array): Uint8Array {
  const RAW_IP = 101; // a link type
  const length = 20 + 20 + payload.length;
  const view = new DataView(new ArrayBuffer(24 + 16 + length));
  [0xa1b2c3d4, 0x00020004, 0, 0, 0x40000, RAW_IP].forEach((word, i) => view.setUint32(i * 4, word));
  [0, 0, length, length].forEach((word, i) => view.setUint32(24 + i * 4, word));
  const ip = [0x4500_0000 | length, 0x0001_4000, 0x4006_0000, 0x7f000001, 0x7f000001];
  const tcp = [50000 << 16 | 443, 1, 1, 0x5018_ffff, 0];
  [...ip, ...tcp].forEach((word, i) => view.setUint32(40 + i * 4, word));
  const bytes = new Uint8Array(view.buffer);
  bytes.set(payload, 80);
  return bytes;
}
