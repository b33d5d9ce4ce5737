/**
 * The byte protocol of all our echo servers (python, node, Deno, and tlsio's own in tests). A client sends
 * lines, each ended by one LF; the server serves them in order, on one connection, until the client ends it.
 *
 * | line | then, client to server | then, server to client |
 * |---|---|---|
 * | `ECHO n seed` | n bytes of the pattern of seed | the same n bytes, as they come |
 * | `SINK n seed` | n bytes of the pattern of seed | their SHA-256, 64 hex digits and LF |
 * | `SOURCE n seed` | | n bytes of the pattern of seed |
 * | `INFO` | | one line: {@linkcode PeerInfo} as JSON: what the server sees of the connection |
 * | `QUIT` | | close_notify, then the end of the connection |
 * | `DROP` | | the end of the connection without close_notify |
 *
 * Anything else gets `ERROR` and LF, and the end. n goes up to 2^31; a server never holds more than a few
 * records of it. A client's list of steps is a list of these lines; one step more, `LINE text`, is for programs
 * that answer lines in their own way (`openssl s_server -rev`): it sends `text` and LF and reports the line that
 * comes back.
 *
 * The pattern repeats 65521 bytes. That is a prime, so bytes that are lost, doubled or exchanged by the buffer,
 * the record or the page never fit. The bytes are the top bytes of xorshift32 (13, 17, 5), started at
 * `seed * 2654435761 + 1` mod 2^32 (0: 1).
 */
import { createHash } from "node:crypto";
import { within } from "./process.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Bytes of one write; not a multiple of any record size. */
const CHUNK = 50_000;
const PERIOD = 65_521;
const LONGEST_LINE = 4096; // INFO with a long subject stays far below
/** Default for one list of steps, in milliseconds: 64 MB each way through the slowest peer takes under ten. */
const STEPS_TIMEOUT = 60_000;

/** What a server says about a connection. */
export interface PeerInfo {
  version: "TLSv1.2" | "TLSv1.3";
  /** OpenSSL's name of the cipher suite. */
  cipher: string;
  resumed: boolean;
  alpn: string | null;
  /** Node: `null` when a TLS 1.2 session is resumed. */
  sni: string | null;
  /** CN of the client's certificate, when it sent one that the server accepted. */
  client: string | null;
}

/** What one step of a client found. */
export interface StepResult {
  step: string;
  /** The bytes, digest or answer are the expected ones. */
  ok: boolean;
  /** SHA-256 of the bytes that were sent (`SINK`) or came back (`ECHO`, `SOURCE`). */
  sha256?: string;
  info?: PeerInfo;
  line?: string;
}

/** The part of a connection that the protocol needs. `Deno.Conn` and `SSLSocket` have it. */
export interface Stream {
  read(p: Uint8Array<ArrayBuffer>): Promise<number | null>;
  write(p: Uint8Array<ArrayBuffer>): Promise<number>;
}

const tables = new Map<number, Uint8Array<ArrayBuffer>>();

/** `length` bytes of the pattern of `seed`, from `offset` on (a view: do not change it). */
export function pattern(seed: number, offset: number, length: number): Uint8Array<ArrayBuffer> {
  let table = tables.get(seed);
  if (table === undefined) {
    table = new Uint8Array(PERIOD + CHUNK);
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
  if (length > CHUNK) throw new RangeError(`Cannot take ${length} bytes of a pattern: at most ${CHUNK}`);
  const start = offset % PERIOD;
  return table.subarray(start, start + length);
}

/** SHA-256 of the first `length` bytes of a pattern, in hex. */
export function patternDigest(seed: number, length: number): string {
  const hash = createHash("sha256");
  for (let at = 0; at < length; at += CHUNK) hash.update(pattern(seed, at, Math.min(CHUNK, length - at)));
  return hash.digest("hex");
}

/** Reads lines and counted bytes from a stream. */
class Reader {
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(65_536);
  #start = 0;
  #end = 0;

  constructor(readonly stream: Stream) {}

  async #fill(): Promise<boolean> {
    if (this.#start === this.#end) this.#start = this.#end = 0;
    const n = await this.stream.read(this.#buffer.subarray(this.#end));
    if (n === null) return false;
    this.#end += n;
    return true;
  }

  /** The next line, or `null` at the end of the stream. */
  async line(): Promise<string | null> {
    let line = "";
    while (true) {
      const lf = this.#buffer.subarray(this.#start, this.#end).indexOf(10);
      const stop = lf === -1 ? this.#end : this.#start + lf;
      line += decoder.decode(this.#buffer.subarray(this.#start, stop));
      if (line.length > LONGEST_LINE) throw new Error("Cannot read a line: it is too long");
      this.#start = lf === -1 ? stop : stop + 1;
      if (lf !== -1) return line;
      if (!(await this.#fill())) {
        if (line === "") return null;
        throw new Error(`Cannot read a line: the stream ends in ${JSON.stringify(line)}`);
      }
    }
  }

  /** The next `n` bytes, in pieces; each is valid until the next. */
  async *bytes(n: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    while (n > 0) {
      if (this.#start === this.#end && !(await this.#fill())) {
        throw new Error(`Cannot read ${n} more bytes: the stream has ended`);
      }
      const piece = this.#buffer.subarray(this.#start, Math.min(this.#end, this.#start + n));
      this.#start += piece.length;
      n -= piece.length;
      yield piece;
    }
  }
}

async function writeAll(stream: Stream, data: Uint8Array<ArrayBuffer> | string): Promise<void> {
  let bytes = typeof data === "string" ? encoder.encode(data) : data;
  while (bytes.length > 0) bytes = bytes.subarray(await stream.write(bytes));
}

async function writePattern(stream: Stream, seed: number, length: number): Promise<void> {
  for (let at = 0; at < length; at += CHUNK) {
    await writeAll(stream, pattern(seed, at, Math.min(CHUNK, length - at)));
  }
}

function parse(line: string): { verb: string; n: number; seed: number } {
  const [verb = "", n, seed] = line.split(" ");
  return { verb, n: Number(n ?? 0), seed: Number(seed ?? 0) };
}

/**
 * The server's side, for one connection.
 *
 * @param stream A connection whose handshake is done, or will be by the first read.
 * @param info What `INFO` answers.
 * @returns Why it ended. `"eof"` and `"quit"`: the caller closes the connection in order. `"drop"`: without
 * close_notify.
 */
export async function handleProtocol(
  stream: Stream,
  info?: () => PeerInfo | Promise<PeerInfo>,
): Promise<"eof" | "quit" | "drop"> {
  const reader = new Reader(stream);
  while (true) {
    const line = await reader.line();
    if (line === null) return "eof";
    const { verb, n, seed } = parse(line);
    if (verb === "ECHO") {
      for await (const piece of reader.bytes(n)) await writeAll(stream, piece);
    } else if (verb === "SINK") {
      const hash = createHash("sha256");
      for await (const piece of reader.bytes(n)) hash.update(piece);
      await writeAll(stream, hash.digest("hex") + "\n");
    } else if (verb === "SOURCE") {
      await writePattern(stream, seed, n);
    } else if (verb === "INFO" && info !== undefined) {
      await writeAll(stream, JSON.stringify(await info()) + "\n");
    } else if (verb === "QUIT" || verb === "DROP") {
      return verb === "QUIT" ? "quit" : "drop";
    } else {
      await writeAll(stream, "ERROR\n");
      return "quit";
    }
  }
}

async function runStep(stream: Stream, reader: Reader, step: string): Promise<StepResult> {
  const { verb, n, seed } = parse(step);
  if (verb === "LINE") {
    await writeAll(stream, step.slice("LINE ".length) + "\n");
    const line = await reader.line();
    return line === null ? { step, ok: false } : { step, ok: true, line };
  }
  await writeAll(stream, step + "\n");
  if (verb === "INFO") {
    return { step, ok: true, info: JSON.parse(await reader.line() ?? "null") };
  } else if (verb === "SINK") {
    await writePattern(stream, seed, n);
    const sha256 = await reader.line() ?? "";
    return { step, ok: sha256 === patternDigest(seed, n), sha256 };
  } else if (verb === "ECHO" || verb === "SOURCE") {
    const hash = createHash("sha256");
    const receive = async () => {
      for await (const piece of reader.bytes(n)) hash.update(piece);
    };
    // Both directions at once, as far as the stream lets them.
    await Promise.all([receive(), verb === "ECHO" ? writePattern(stream, seed, n) : undefined]);
    const sha256 = hash.digest("hex");
    return { step, ok: sha256 === patternDigest(seed, n), sha256 };
  }
  return { step, ok: await reader.line() === null }; // QUIT, DROP
}

/**
 * The client's side: a list of steps on one connection. `ECHO` reads and writes at the same time.
 *
 * @param stream A connection whose handshake is done, or will be by the first write.
 * @returns One result for each step.
 * @throws What the stream throws, and `Error` after `timeoutMs` (default 60 s).
 */
export async function runSteps(
  stream: Stream,
  steps: readonly string[],
  timeoutMs: number = STEPS_TIMEOUT,
): Promise<StepResult[]> {
  const reader = new Reader(stream);
  const all = async () => {
    const results: StepResult[] = [];
    for (const step of steps) results.push(await runStep(stream, reader, step));
    return results;
  };
  return await within(all(), timeoutMs, `run the steps ${steps.join(", ")}`);
}
