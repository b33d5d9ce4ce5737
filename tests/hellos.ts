/**
 * ClientHellos for tests: by hand, of our own engine, and of programs that nobody here wrote.
 *
 * @module
 */
import { type Bytes, concat, encodeText } from "../lib/bytes.ts";
import { type ClientHello, readClientHello } from "../lib/client_hello.ts";
import { PATIENCE, within } from "./peers.ts";
import { MESSAGE, message, record, TYPE } from "./records.ts";

/** A vector: its length in `width` bytes, then `parts`. */
export function vector(width: 1 | 2 | 3, ...parts: Uint8Array[]): Bytes {
  const content = concat(parts.map((part) => new Uint8Array(part)));
  const { length } = content;
  const header = [length >> 16, (length >> 8) & 255, length & 255].slice(3 - width);
  return concat([new Uint8Array(header), content]);
}

/** Numbers of two bytes. */
export function uint16s(...numbers: number[]): Bytes {
  return new Uint8Array(numbers.flatMap((number) => [number >> 8, number & 255]));
}

/** The parts of {@linkcode helloBody}. */
export interface HelloParts {
  legacyVersion?: number;
  sessionId?: Uint8Array;
  cipherSuites?: readonly number[];
  /** Type and content of each. `null`: not even an empty list. */
  extensions?: readonly (readonly [number, Uint8Array])[] | null;
}

/** The body of a ClientHello. */
export function helloBody(parts: HelloParts = {}): Bytes {
  const { legacyVersion = 0x0303, sessionId = new Uint8Array(0), cipherSuites = [0x1301] } = parts;
  const { extensions = [] } = parts;
  return concat([
    uint16s(legacyVersion),
    new Uint8Array(32).fill(7),
    vector(1, sessionId),
    vector(2, uint16s(...cipherSuites)),
    vector(1, Uint8Array.of(0)),
    ...(extensions === null
      ? []
      : [vector(2, ...extensions.flatMap(([type, content]) => [uint16s(type), vector(2, content)]))]),
  ]);
}

/** The body in records, each of no more than `size` bytes. */
export function helloRecords(body: Uint8Array, size = 16384): Bytes {
  const whole = message(MESSAGE.clientHello, body);
  const count = Math.ceil(whole.length / size);
  return concat(
    Array.from(
      { length: count },
      (_, i) => record(TYPE.handshake, whole.subarray(i * size, (i + 1) * size), 0x0301),
    ),
  );
}

/** A hello by hand, in one record. */
export function hello(parts: HelloParts = {}): Bytes {
  return helloRecords(helloBody(parts));
}

/** The content of server_name. */
export function serverName(...names: string[]): [number, Bytes] {
  return [0, vector(2, ...names.flatMap((name) => [Uint8Array.of(0), vector(2, encodeText(name))]))];
}

/** The ClientHello in `bytes`, which must hold all of one. */
export function readAll(bytes: Uint8Array): ClientHello {
  const outcome = readClientHello(bytes);
  if (outcome.state !== "done") throw new Error(`Cannot read all: ${outcome.bytes} bytes are missing`);
  return outcome.hello;
}

/** What a program sends first to a server on `port`, which then goes away. */
export async function caughtHello(client: (port: number) => Promise<unknown>): Promise<Bytes> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const caught = Promise.withResolvers<Bytes>();
  const accept = async () => {
    for await (const conn of listener) { // a browser connects again
      try {
        caught.resolve(await firstBytes(conn));
      } catch (error) {
        caught.reject(error);
      } finally {
        conn.close();
      }
    }
  };
  const accepting = accept();
  const running = client(listener.addr.port).catch(() => {}); // that its handshake fails is what we did
  try {
    return await within(
      Promise.race([caught.promise, accepting.then(() => caught.promise)]),
      3 * PATIENCE,
      "get a ClientHello",
    );
  } finally {
    await running;
    listener.close();
    await accepting;
  }
}

/** Reads until there is a whole ClientHello. */
async function firstBytes(conn: Deno.Conn): Promise<Bytes> {
  let bytes: Bytes = new Uint8Array(0);
  const buffer = new Uint8Array(4096);
  while (readClientHello(bytes).state !== "done") {
    const n = await conn.read(buffer);
    if (n === null) throw new Error(`Cannot get a ClientHello: the client sent ${bytes.length} bytes`);
    bytes = concat([bytes, buffer.slice(0, n)]);
  }
  return bytes;
}
