// What the Node peers share: arguments, TLS options, the pattern and the reader of the protocol (protocol.ts).
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

const CHUNK = 50_000;
const PERIOD = 65_521;
const tables = new Map();

/** The first `length` bytes of the pattern of `seed`, in pieces. */
export function* pattern(seed, length) {
  let table = tables.get(seed);
  if (table === undefined) {
    table = Buffer.alloc(PERIOD + CHUNK);
    let x = (Math.imul(seed, 2654435761) + 1) >>> 0 || 1;
    for (let i = 0; i < PERIOD; i++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      table[i] = x >>> 24;
    }
    table.copyWithin(PERIOD, 0, CHUNK);
    tables.set(seed, table);
  }
  for (let at = 0; at < length; at += CHUNK) {
    const start = at % PERIOD;
    yield table.subarray(start, start + Math.min(CHUNK, length - at));
  }
}

export function patternDigest(seed, length) {
  const hash = createHash("sha256");
  for (const piece of pattern(seed, length)) hash.update(piece);
  return hash.digest("hex");
}

export function parseStep(line) {
  const [verb, n, seed] = line.split(" ");
  return { verb, n: Number(n ?? 0), seed: Number(seed ?? 0) };
}

/** Writes to a socket, at the socket's pace. A socket whose peer has ended it does not say "drain" any more. */
export async function write(socket, data) {
  if (socket.write(data)) return;
  const found = new AbortController();
  const events = ["drain", "close"].map((event) => once(socket, event, { signal: found.signal }));
  await Promise.race(events).finally(() => found.abort());
}

/** Reads lines and counted bytes from a socket. */
export class Reader {
  #chunks;
  #rest = Buffer.alloc(0);

  constructor(socket) {
    // The end of the input must not destroy the socket: its output may still be wanted.
    this.#chunks = socket.iterator({ destroyOnReturn: false });
  }

  async #more() {
    const { value, done } = await this.#chunks.next();
    if (!done) this.#rest = this.#rest.length === 0 ? value : Buffer.concat([this.#rest, value]);
    return !done;
  }

  async line() {
    let lf;
    while ((lf = this.#rest.indexOf(10)) === -1) {
      if (!(await this.#more())) return null;
    }
    const line = this.#rest.toString("utf8", 0, lf);
    this.#rest = this.#rest.subarray(lf + 1);
    return line;
  }

  async *bytes(n) {
    while (n > 0) {
      if (this.#rest.length === 0 && !(await this.#more())) throw new Error("end of stream in counted bytes");
      const piece = this.#rest.subarray(0, n);
      this.#rest = this.#rest.subarray(piece.length);
      n -= piece.length;
      yield piece;
    }
  }
}

const text = { type: "string" };

/** Arguments of server and client, and the options of node:tls that they mean. */
export function options(more = {}) {
  const { values, positionals } = parseArgs({
    options: { cert: text, key: text, ca: text, tls: text, alpn: text, ciphers: text, ...more },
    allowPositionals: true,
  });
  const read = (path) => path === undefined ? undefined : readFileSync(path);
  return {
    values,
    positionals,
    tls: {
      cert: read(values.cert),
      key: read(values.key),
      ca: read(values.ca),
      minVersion: values.tls === "1.3" ? "TLSv1.3" : "TLSv1.2",
      maxVersion: values.tls === "1.2" ? "TLSv1.2" : "TLSv1.3",
      ALPNProtocols: values.alpn?.split(","),
      ciphers: values.ciphers,
    },
  };
}

/** One line of JSON for the test to read. */
export function say(event, more = {}) {
  console.log(JSON.stringify({ event, ...more }));
}
