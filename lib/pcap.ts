/**
 * PcapWriter: what passes on a connection, as a capture file (pcapng) that Wireshark opens. It sees the bytes where they are
 * read and written, so it needs no rights; addresses are the connection's own, and the packets are made up around the bytes:
 * one for each read or write, none lost, none sent again.
 *
 * @module
 */

import { type Bytes, concat, encodeText, typeName } from "./bytes.ts";
import { type Duplex, type DuplexLike, toDuplex } from "./duplex.ts";
import { parseAddress } from "./ip_address.ts";
import { type Endpoint, FLAG, packet, SEGMENT_MAX } from "./tcp_segment.ts";

/** Options of a {@linkcode PcapWriter}. */
export interface PcapWriterOptions {
  /** Bytes that it keeps, packets with their headers; what comes later is left out, and secrets with it. @default {67108864} */
  limit?: number;
  /** Milliseconds since the Unix epoch. @default {the clock of performance.now()} */
  now?: () => number;
}

/** What to know of a connection that is captured. */
export interface TapOptions {
  /** Whether the peer opened the connection. @default {false} */
  serverSide?: boolean;
}

const LIMIT = 1 << 26; // bytes; a capture is kept in memory
const SECTION = 0x0a0d0d0a; // block types, draft-ietf-opsawg-pcapng section 11
const INTERFACE = 1;
const PACKET = 6;
const SECRETS = 10;
const BYTE_ORDER = 0x1a2b3c4d;
const RAW_IP = 101; // LINKTYPE_RAW: packets begin with the IP header
const TLS_KEY_LOG = 0x544c534b; // the NSS key log
const HTTPS_PORT = 443;
const FIRST_PORT = 49152; // of those that are no service's (RFC 6335 section 6)
const NO_DATA: Bytes = new Uint8Array(0);

/**
 * Collects connections for one capture file.
 *
 * @example A handshake that Wireshark can decrypt
 * ```ts
 * import { createCertificate, wrapSocket } from "tlsio";
 * import { PcapWriter } from "tlsio/engine";
 * import { assertEquals } from "@std/assert";
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
 * const up = new TransformStream<Uint8Array, Uint8Array>();
 * const down = new TransformStream<Uint8Array, Uint8Array>();
 * const pcap = new PcapWriter();
 * const conn = pcap.tap({ readable: down.readable, writable: up.writable }); // or a Deno.Conn
 * const [client, server] = await Promise.all([
 *   wrapSocket(conn, { caCerts: certificate, serverHostname: "localhost", keyLog: pcap.keyLog }),
 *   wrapSocket({ readable: up.readable, writable: down.writable }, { serverSide: true, certfile: certificate, keyfile: key }),
 * ]);
 * await Promise.all([client.close(), server.close()]);
 * const file = pcap.toBytes(); // Deno.writeFile("handshake.pcapng", file)
 * assertEquals(file.subarray(0, 4).toHex(), "0a0d0d0a");
 * ```
 */
export class PcapWriter {
  readonly #limit: number;
  readonly #now: () => number;
  readonly #blocks: Bytes[] = [];
  readonly #secrets: string[] = [];
  #size = 0;
  #connections = 0;
  #truncated = false;

  /** Makes an empty capture. */
  constructor(options: PcapWriterOptions = {}) {
    const { limit = LIMIT, now = () => performance.timeOrigin + performance.now() } = options;
    if (typeof limit !== "number" || !(limit >= 0)) {
      throw new RangeError(`Cannot use limit: expected a number of bytes, got ${String(limit)}`);
    }
    if (typeof now !== "function") {
      throw new TypeError(`Cannot use now: expected a function, got ${typeName(now)}`);
    }
    this.#limit = limit;
    this.#now = now;
  }

  /** Whether packets were left out, because {@linkcode PcapWriterOptions.limit} was reached. */
  get truncated(): boolean {
    return this.#truncated;
  }

  /**
   * Takes lines of an NSS key log, as the option of that name gives them. They go into the file: **who has it can read the
   * traffic**.
   */
  readonly keyLog = (line: string): void => {
    if (!this.#truncated) this.#secrets.push(`${line}\n`);
  };

  /**
   * Puts the capture between a connection and who uses it.
   *
   * @param conn The connection; it is used through the result from now on.
   * @param options Which side we are.
   * @returns A connection to use in its place.
   */
  tap(conn: DuplexLike, options: TapOptions = {}): Duplex {
    const duplex = toDuplex(conn);
    const { local, remote } = endpoints(duplex, FIRST_PORT + this.#connections++ % (65536 - FIRST_PORT));
    const write = (bytes: Bytes) => this.#add(bytes);
    return tapped(duplex, new TcpCapture(local, remote, options.serverSide ?? false, write));
  }

  #add(packet: Bytes): void {
    if (this.#size + packet.length > this.#limit) this.#truncated = true;
    if (this.#truncated) return; // no gaps: what follows one could not be decrypted
    this.#size += packet.length;
    const time = Math.round(this.#now() * 1000); // microseconds, the file's default
    this.#blocks.push(
      block(PACKET, [0, Math.floor(time / 2 ** 32), time % 2 ** 32, packet.length, packet.length], packet),
    );
  }

  /** The file so far. Secrets come first: readers need them before what they decrypt. */
  toBytes(): Bytes {
    const secrets = encodeText(this.#secrets.join(""));
    return concat([
      block(SECTION, [BYTE_ORDER, 1, 0xffffffff, 0xffffffff]), // version 1.0, length unknown
      block(INTERFACE, [RAW_IP, 0]), // no limit to a packet's length
      ...(secrets.length > 0 ? [block(SECRETS, [TLS_KEY_LOG, secrets.length], secrets)] : []),
      ...this.#blocks,
    ]);
  }
}

/** A block: type, length, `numbers`, `data` up to a multiple of 4 bytes, length again. Little-endian. */
function block(type: number, numbers: readonly number[], data: Uint8Array = NO_DATA): Bytes {
  const length = 12 + 4 * numbers.length + Math.ceil(data.length / 4) * 4;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  [type, length, ...numbers].forEach((number, i) => view.setUint32(4 * i, number, true));
  bytes.set(data, 8 + 4 * numbers.length);
  view.setUint32(length - 4, length, true);
  return bytes;
}

/** The ends of a connection; for one without IP addresses, of the networks for documentation (RFC 5737). */
function endpoints(duplex: Duplex, port: number): { local: Endpoint; remote: Endpoint } {
  const local = endpoint(duplex.localAddr) ?? { address: Uint8Array.of(192, 0, 2, 1), port };
  const remote = endpoint(duplex.remoteAddr) ?? { address: Uint8Array.of(192, 0, 2, 2), port: HTTPS_PORT };
  const isMixed = local.address.length !== remote.address.length;
  return isMixed ? { local: mapped(local), remote: mapped(remote) } : { local, remote };
}

function endpoint(addr: Deno.Addr | undefined): Endpoint | undefined {
  if (addr === undefined || !("hostname" in addr) || !("port" in addr)) return undefined;
  const address = parseAddress(addr.hostname.replace(/%.*$/, "")); // without the zone
  return address && { address, port: addr.port };
}

/** With an IPv4 address as IPv6 writes it (RFC 4291 section 2.5.5.2). */
function mapped({ address, port }: Endpoint): Endpoint {
  if (address.length === 16) return { address, port };
  return { address: concat([new Uint8Array(10), Uint8Array.of(255, 255), address]), port };
}

/** One TCP connection: gives the packets of what happens on it. */
class TcpCapture {
  readonly #ends: readonly [local: Endpoint, remote: Endpoint];
  readonly #next = [0, 0]; // sequence numbers
  readonly #finished = [false, false];
  readonly #write: (packet: Bytes) => void;

  constructor(local: Endpoint, remote: Endpoint, serverSide: boolean, write: (packet: Bytes) => void) {
    this.#ends = [local, remote];
    this.#write = write;
    const client = serverSide ? REMOTE : LOCAL;
    this.#segment(client, FLAG.SYN);
    this.#segment(1 - client, FLAG.SYN | FLAG.ACK);
    this.#segment(client, FLAG.ACK);
  }

  data(from: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += SEGMENT_MAX) {
      this.#segment(from, FLAG.PSH | FLAG.ACK, bytes.subarray(at, at + SEGMENT_MAX));
    }
  }

  /** `from` sends no more. */
  finish(from: number, how: number = FLAG.FIN): void {
    if (this.#finished[from]) return;
    this.#finished[from] = true;
    this.#segment(from, how | FLAG.ACK);
  }

  #segment(from: number, flags: number, data: Uint8Array = NO_DATA): void {
    const to = 1 - from;
    const [sequence, acknowledged] = [this.#next[from]!, this.#next[to]!];
    this.#write(
      packet({ from: this.#ends[from]!, to: this.#ends[to]!, sequence, acknowledged, flags, data }),
    );
    this.#next[from] = (sequence + data.length + (flags & (FLAG.SYN | FLAG.FIN) ? 1 : 0)) >>> 0;
  }
}

const LOCAL = 0;
const REMOTE = 1;

/** `duplex`, with `capture` told of what passes. */
function tapped(duplex: Duplex, capture: TcpCapture): Duplex {
  let ahead = 0; // bytes that were captured and not yet taken: the answer to a write must not come before it
  return {
    async read(p) {
      const n = await duplex.read(p);
      if (n === null) capture.finish(REMOTE);
      else capture.data(REMOTE, p.subarray(0, n));
      return n;
    },
    async write(p) {
      capture.data(LOCAL, p.subarray(ahead));
      ahead = Math.max(ahead, p.length);
      const n = await duplex.write(p);
      ahead -= n;
      return n;
    },
    close() {
      capture.finish(LOCAL);
      return duplex.close();
    },
    ...(duplex.abort && {
      abort() {
        capture.finish(LOCAL, FLAG.RST);
        duplex.abort!();
      },
    }),
    ...(duplex.closeWrite && {
      closeWrite() {
        capture.finish(LOCAL);
        return duplex.closeWrite!();
      },
    }),
    ...(duplex.setNoDelay && { setNoDelay: (noDelay) => duplex.setNoDelay!(noDelay) }),
    ...(duplex.localAddr && { localAddr: duplex.localAddr }),
    ...(duplex.remoteAddr && { remoteAddr: duplex.remoteAddr }),
  };
}
