/** IP addresses as hosts. */

import type { Bytes } from "./bytes.ts";

/** The bytes of an IP address; `undefined` for a DNS name. Throws a `TypeError` for what only looks like an address. */
export function parseAddress(host: string): Bytes | undefined {
  const isV4 = /^\d+\.\d+\.\d+\.\d+$/.test(host);
  if (!isV4 && !host.includes(":")) return undefined;
  const url = isV4 ? `http://${host}` : `http://[${host}]`;
  const fits = isV4 || /^[\da-f:.]+$/i.test(host); // "@x:/" would be a URL, too
  if (!fits || !URL.canParse(url) || (isV4 && new URL(url).hostname !== host)) { // 1.2.3.04 is octal to some
    throw new TypeError(`Cannot use host: ${JSON.stringify(host)} is not an IP address`);
  }
  if (isV4) return Uint8Array.from(host.split("."), Number);
  const [head = "", tail] = new URL(url).hostname.slice(1, -1).split("::");
  const groups = (text = "") => text === "" ? [] : text.split(":").map((group) => parseInt(group, 16));
  const before = groups(head);
  const after = groups(tail);
  const all = [...before, ...Array(8 - before.length - after.length).fill(0), ...after];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 255]));
}

/**
 * Whom a peer counts for where each host has a share: its IPv4 address, also one in IPv6's form; or its IPv6 network of 64 bits,
 * since a host has a whole one at least (RFC 6177). `""`: it has no address.
 */
export function hostOf(addr: Deno.Addr | undefined): string {
  if (addr === undefined || !("hostname" in addr)) return "";
  const { hostname } = addr;
  if (!hostname.includes(":")) return hostname;
  let bytes: Bytes | undefined;
  try {
    bytes = parseAddress(hostname.split("%", 1)[0]!); // without its zone
  } catch {
    // a program's own name for a peer
  }
  if (bytes === undefined) return hostname;
  const isMapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 255 &&
    bytes[11] === 255;
  return isMapped ? bytes.subarray(12).join(".") : `${bytes.subarray(0, 8).toHex()}::/64`;
}
