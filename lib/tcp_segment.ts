/** The IP packets of a TCP connection, for a capture: headers as a network card would have seen them. */

import type { Bytes } from "./bytes.ts";

/** One end of a connection. */
export interface Endpoint {
  /** 4 or 16 bytes; both ends have as many. */
  readonly address: Bytes;
  readonly port: number;
}

/** The flags of a segment that we use (RFC 9293 section 3.1). */
export const FLAG = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16 } as const;

/** Bytes of data that fit an IPv4 packet behind both headers. */
export const SEGMENT_MAX = 65535 - 40;

const TCP = 6; // IANA's number of the protocol
const TCP_HEADER = 20; // bytes; without options
const WINDOW = 65535;
const HOPS = 64; // RFC 1700's default

/** What a segment carries; sequence numbers are taken modulo 2^32. */
export interface Segment {
  readonly from: Endpoint;
  readonly to: Endpoint;
  readonly sequence: number;
  /** The next byte that is expected from the other end. */
  readonly acknowledged: number;
  readonly flags: number;
  readonly data: Uint8Array;
}

/** The IP packet of a segment, with both checksums. */
export function packet(segment: Segment): Bytes {
  const isV4 = segment.from.address.length === 4;
  const header = isV4 ? 20 : 40;
  const bytes = new Uint8Array(header + TCP_HEADER + segment.data.length);
  const tcp = bytes.subarray(header);
  writeTcp(tcp, segment);
  if (isV4) writeV4(bytes, segment);
  else writeV6(bytes, segment);
  return bytes;
}

function writeV4(bytes: Bytes, { from, to }: Segment): void {
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 4 << 4 | 5); // version, and words of this header
  view.setUint16(2, bytes.length);
  view.setUint16(6, 0x4000); // don't fragment
  view.setUint8(8, HOPS);
  view.setUint8(9, TCP);
  bytes.set(from.address, 12);
  bytes.set(to.address, 16);
  view.setUint16(10, checksum(bytes.subarray(0, 20)));
}

function writeV6(bytes: Bytes, { from, to }: Segment): void {
  const view = new DataView(bytes.buffer);
  view.setUint8(0, 6 << 4);
  view.setUint16(4, bytes.length - 40);
  view.setUint8(6, TCP);
  view.setUint8(7, HOPS);
  bytes.set(from.address, 8);
  bytes.set(to.address, 24);
}

function writeTcp(tcp: Bytes, { from, to, sequence, acknowledged, flags, data }: Segment): void {
  const view = new DataView(tcp.buffer, tcp.byteOffset);
  view.setUint16(0, from.port);
  view.setUint16(2, to.port);
  view.setUint32(4, sequence);
  view.setUint32(8, flags & FLAG.ACK ? acknowledged : 0);
  view.setUint8(12, TCP_HEADER / 4 << 4);
  view.setUint8(13, flags);
  view.setUint16(14, WINDOW);
  tcp.set(data, TCP_HEADER);
  const pseudo = sum(from.address) + sum(to.address) + TCP + tcp.length; // RFC 9293 section 3.1, RFC 8200 section 8.1
  view.setUint16(16, checksum(tcp, pseudo));
}

/** The Internet checksum (RFC 1071). */
function checksum(bytes: Bytes, start = 0): number {
  let total = start + sum(bytes);
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
  return ~total & 0xffff;
}

function sum(bytes: Bytes): number {
  let total = 0; // of 32768 words at most
  for (let i = 0; i < bytes.length; i += 2) total += bytes[i]! << 8 | (bytes[i + 1] ?? 0);
  return total;
}
