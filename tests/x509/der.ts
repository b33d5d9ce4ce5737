/** DER by hand: what no honest library writes, too. */
import { type Bytes, concat, encodeText } from "../../lib/bytes.ts";

/** One value. */
export function tlv(tag: number, ...parts: Bytes[]): Bytes {
  const body = concat(parts);
  const { length } = body;
  const header = length < 128 ? [tag, length] : [tag, 0x83, length >> 16, (length >> 8) & 255, length & 255];
  if (length >= 128 && length < 256) header.splice(1, 3, 0x81);
  else if (length >= 256 && length < 65536) header.splice(1, 2, 0x82);
  return concat([Uint8Array.from(header), body]);
}

export const sequence = (...parts: Bytes[]): Bytes => tlv(0x30, ...parts);
export const set = (...parts: Bytes[]): Bytes => tlv(0x31, ...parts);
export const octets = (...parts: Bytes[]): Bytes => tlv(4, ...parts);
export const bits = (...parts: Bytes[]): Bytes => tlv(3, Uint8Array.of(0), ...parts);
export const boolean = (value: boolean): Bytes => tlv(1, Uint8Array.of(value ? 255 : 0));
export const NULL = tlv(5);

/** An INTEGER of these bytes, as they are. */
export function integer(bytes: Bytes | number): Bytes {
  if (typeof bytes !== "number") return tlv(2, bytes);
  const out: number[] = [];
  for (let rest = bytes; rest > 0 || out.length === 0; rest = Math.floor(rest / 256)) out.unshift(rest % 256);
  if (out[0]! > 127) out.unshift(0);
  return tlv(2, Uint8Array.from(out));
}

/** `"2.5.29.17"` */
export function oid(dotted: string): Bytes {
  const [first, second, ...rest] = dotted.split(".").map(Number);
  const out = [first! * 40 + second!];
  for (const part of rest) {
    const septets = [part % 128];
    for (let more = Math.floor(part / 128); more > 0; more = Math.floor(more / 128)) {
      septets.unshift(128 + more % 128);
    }
    out.push(...septets);
  }
  return tlv(6, Uint8Array.from(out));
}

/** Tags of strings. */
export const STRING = { utf8: 0x0c, printable: 0x13, t61: 0x14, ia5: 0x16, bmp: 0x1e } as const;

export function string(text: string, kind: keyof typeof STRING = "utf8"): Bytes {
  if (kind !== "bmp") return tlv(STRING[kind], encodeText(text));
  return tlv(
    STRING.bmp,
    Uint8Array.from([...text].flatMap((c) => [c.charCodeAt(0) >> 8, c.charCodeAt(0) & 255])),
  );
}

const ATTRIBUTES: Record<string, string> = {
  CN: "2.5.4.3",
  C: "2.5.4.6",
  O: "2.5.4.10",
  OU: "2.5.4.11",
  emailAddress: "1.2.840.113549.1.9.1",
};

/** `"O=Example,CN=x"`, the first RDN first; `kind` is the string type of all of them. */
export function name(text: string, kind: keyof typeof STRING = "utf8"): Bytes {
  const parts = text === "" ? [] : text.split(",").map((part) => {
    const at = part.indexOf("=");
    const type = part.slice(0, at);
    const value = string(part.slice(at + 1), type === "emailAddress" ? "ia5" : kind);
    return set(sequence(oid(ATTRIBUTES[type]!), value));
  });
  return sequence(...parts);
}

/** `"20300101000000Z"`; UTCTime until 2049. */
export function time(text: string): Bytes {
  const isShort = Number(text.slice(0, 4)) < 2050;
  return isShort ? tlv(0x17, encodeText(text.slice(2))) : tlv(0x18, encodeText(text));
}
