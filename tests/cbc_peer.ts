/**
 * A TLS 1.2 server by hand, with a pre-shared key and CBC, that MACs first: it does not know encrypt-then-MAC (RFC 7366),
 * and seals whatever it is told to, also what is wrong. mbedTLS on both ends always agrees on encrypt-then-MAC.
 */
import { createCipheriv, createHash, createHmac } from "node:crypto";
import { type Bytes, concat, encodeText } from "../lib/bytes.ts";
import type { TLSEngine } from "../lib/engine.ts";
import { MESSAGE, message, record, recordsOf, TYPE } from "./records.ts";

/** The suites that it speaks, by name: number, hash of the MAC and of the PRF, bytes of the MAC and of the key. */
export const CBC_SUITES = {
  TLS_PSK_WITH_AES_128_CBC_SHA: { id: 0x008c, mac: "sha1", prf: "sha256", macSize: 20, keySize: 16 },
  TLS_PSK_WITH_AES_256_CBC_SHA: { id: 0x008d, mac: "sha1", prf: "sha256", macSize: 20, keySize: 32 },
  TLS_PSK_WITH_AES_128_CBC_SHA256: { id: 0x00ae, mac: "sha256", prf: "sha256", macSize: 32, keySize: 16 },
  TLS_PSK_WITH_AES_256_CBC_SHA384: { id: 0x00af, mac: "sha384", prf: "sha384", macSize: 48, keySize: 32 },
} as const;

/** One of {@linkcode CBC_SUITES}. */
export type CbcSuite = keyof typeof CBC_SUITES;

const FINISHED_SIZE = 12;
const BLOCK = 16;

const hmac = (hash: string, key: Uint8Array, data: Uint8Array) =>
  new Uint8Array(createHmac(hash, key).update(data).digest());

/** RFC 5246 section 5. */
function prf(hash: string, secret: Bytes, label: string, seed: Bytes, length: number): Bytes {
  const start = concat([encodeText(label), seed]);
  const blocks: Bytes[] = [];
  for (let a = hmac(hash, secret, start), size = 0; size < length; a = hmac(hash, secret, a)) {
    blocks.push(hmac(hash, secret, concat([a, start])));
    size += blocks[0]!.length;
  }
  return concat(blocks).subarray(0, length);
}

/** The server's side of one connection. */
export class CbcServer {
  readonly #suite: (typeof CBC_SUITES)[CbcSuite];
  readonly #macKey: Bytes;
  readonly #key: Bytes;
  #sequence = 0;

  /** Shakes hands with a client that has this pre-shared key and offers this suite. */
  constructor(client: TLSEngine, name: CbcSuite, psk: Bytes) {
    const suite = this.#suite = CBC_SUITES[name];
    client.handshake();
    const hello = client.takeRecords().subarray(5);
    const [clientRandom, serverRandom] = [hello.subarray(6, 38), new Uint8Array(32).fill(9) as Bytes];
    const chosen = Uint8Array.of(0, suite.id >> 8, suite.id & 255, 0); // no session id, no compression
    const serverHello = message(
      MESSAGE.serverHello,
      concat([Uint8Array.of(3, 3), serverRandom, chosen]),
    );
    const done = message(MESSAGE.serverHelloDone);
    client.receive(concat([record(TYPE.handshake, serverHello), record(TYPE.handshake, done)]));
    client.handshake();
    const keyExchange = recordsOf(client.takeRecords())[0]!.subarray(5);

    const zeros = new Uint8Array(2 + psk.length) as Bytes;
    zeros[1] = psk.length;
    const secret = concat([zeros, zeros.subarray(0, 2), psk]); // RFC 4279 section 2
    const randoms = concat([clientRandom, serverRandom]);
    const master = prf(suite.prf, secret, "master secret", randoms, 48);
    const { macSize, keySize } = suite;
    const swapped = concat([serverRandom, clientRandom]);
    const keys = prf(suite.prf, master, "key expansion", swapped, 2 * (macSize + keySize));
    this.#macKey = keys.subarray(macSize, 2 * macSize);
    this.#key = keys.subarray(2 * macSize + keySize);

    const finished = (label: string, messages: Bytes[]) => {
      const hash = new Uint8Array(createHash(suite.prf).update(concat(messages)).digest()) as Bytes;
      return message(MESSAGE.finished, prf(suite.prf, master, label, hash, FINISHED_SIZE));
    };
    const sofar = [hello, serverHello, done, keyExchange];
    sofar.push(finished("client finished", sofar));
    client.receive(record(TYPE.changeCipherSpec, Uint8Array.of(1)));
    client.receive(this.seal(TYPE.handshake, finished("server finished", sofar)));
    if (client.handshake().state !== "done") throw new Error("The handshake is stuck");
    client.takeRecords();
  }

  /** Seals a record with `padding` bytes, the one that counts them not counted; `change` spoils what gets encrypted. */
  seal(
    type: number,
    content: Bytes,
    padding: number = BLOCK - 1 - (content.length + this.#suite.macSize) % BLOCK,
    change: (plain: Bytes) => void = () => {},
  ): Bytes {
    const { macSize, mac, keySize } = this.#suite;
    const header = new Uint8Array(13) as Bytes; // sequence number, type, version, length
    new DataView(header.buffer).setBigUint64(0, BigInt(this.#sequence++));
    header.set([type, 3, 3, content.length >> 8, content.length & 255], 8);
    const plain = new Uint8Array(content.length + macSize + padding + 1).fill(padding) as Bytes;
    plain.set(content);
    plain.set(hmac(mac, this.#macKey, concat([header, content])), content.length);
    change(plain);
    const iv = new Uint8Array(BLOCK).fill(this.#sequence) as Bytes;
    const cipher = createCipheriv(`aes-${8 * keySize}-cbc`, this.#key, iv).setAutoPadding(false);
    return record(type, concat([iv, new Uint8Array(cipher.update(plain)), new Uint8Array(cipher.final())]));
  }
}
