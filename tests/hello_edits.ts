/**
 * Hellos taken apart and put together again with other extensions, for attacks.
 *
 * @module
 */
import { type Bytes, concat } from "../lib/bytes.ts";
import type { AttackOptions, Change } from "./attack.ts";
import { uint16s, vector } from "./hellos.ts";
import type { End } from "./pair.ts";
import { MESSAGE } from "./records.ts";

/** Numbers of extensions. */
export const EXTENSION = { alpn: 16, extendedMasterSecret: 23, supportedVersions: 43, keyShare: 51 } as const;

/** A hello, in parts. */
export interface Hello {
  /** All before the extensions. */
  readonly head: Bytes;
  readonly extensions: Bytes[];
}

/** Reads the body of a hello. */
export function readHello(body: Bytes, from: End): Hello {
  let at = 34;
  at += 1 + body[at]!;
  if (from === "server") at += 3;
  else {
    at += 2 + (body[at]! << 8 | body[at + 1]!);
    at += 1 + body[at]!;
  }
  return { head: body.slice(0, at), extensions: extensionsOf(body.slice(at + 2)) };
}

/** Each of a list of extensions. */
export function extensionsOf(bytes: Bytes): Bytes[] {
  const found: Bytes[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = 4 + (bytes[at + 2]! << 8 | bytes[at + 3]!);
    found.push(bytes.slice(at, at + length));
    at += length;
  }
  return found;
}

/** Its number. */
export const typeOf = (extension: Bytes) => extension[0]! << 8 | extension[1]!;
/** An extension. */
export const extension = (type: number, ...content: Bytes[]) =>
  concat([uint16s(type), vector(2, ...content)]);
/** The body of a hello. */
export const writeHello = ({ head, extensions }: Hello) => concat([head, vector(2, ...extensions)]);

/** An attack that changes the hello of `from`. */
export function onHello(
  from: End,
  change: (hello: Hello) => Hello,
): Pick<AttackOptions, "from" | "messages"> {
  const edit: Change = (body) => writeHello(change(readHello(body, from)));
  return { from, messages: { [from === "client" ? MESSAGE.clientHello : MESSAGE.serverHello]: edit } };
}
