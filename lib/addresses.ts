/** MicroPython's `getaddrinfo` and the numbers that go with addresses. */

import { typeName } from "./bytes.ts";
import { parseAddress } from "./ip_address.ts";
import { OSError } from "./os_error.ts";

/** IPv4. */
export const AF_INET = 2;
/** IPv6. */
export const AF_INET6 = 10;
/** TCP. */
export const SOCK_STREAM = 1;
/** The protocol of `SOCK_STREAM`, and the level of its options. */
export const IPPROTO_TCP = 6;

/** A socket's address: a host name or IP address, and a port. `""` is any address of the machine. */
export type Address = readonly [host: string, port: number];

/** One of {@linkcode getaddrinfo}'s answers; the address is the last. */
export type AddressInfo = readonly [
  family: number,
  type: number,
  proto: number,
  canonname: string,
  sockaddr: Address,
];

const FAMILIES: ReadonlyMap<number, number> = new Map([[0, 0], [AF_INET, 4], [AF_INET6, 6]]);

/**
 * The addresses of a host: the system's resolver, as `Deno.connect` uses it.
 *
 * @param host A host name or an IP address.
 * @param port The port, 0 to 65535.
 * @param af `AF_INET`, `AF_INET6`, or 0 for both. @default {0}
 * @param type `SOCK_STREAM`, or 0 for all that there is. @default {0}
 * @param proto `IPPROTO_TCP`, or 0. @default {0}
 * @returns At least one {@linkcode AddressInfo}.
 * @throws {OSError} `EAI_NONAME` (-2) if the host has no such address; `EPROTONOSUPPORT` for what is not TCP.
 *
 * @example Usage
 * ```ts
 * import { getaddrinfo } from "tlsio/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [info] = await getaddrinfo("127.0.0.1", 443);
 * assertEquals(info!.at(-1), ["127.0.0.1", 443]);
 * ```
 */
export async function getaddrinfo(
  host: string,
  port: number,
  af = 0,
  type = 0,
  proto = 0,
): Promise<AddressInfo[]> {
  assertAddress("getaddrinfo", [host, port]);
  const action = `Cannot getaddrinfo(${JSON.stringify(host)})`;
  const family = FAMILIES.get(af);
  if (family === undefined || ![0, SOCK_STREAM].includes(type) || ![0, IPPROTO_TCP].includes(proto)) {
    throw new OSError("EPROTONOSUPPORT", action, { text: "only TCP over IPv4 and IPv6 is supported" });
  }
  const found = literal(host, action) ?? await lookup(host, action);
  const infos = found.filter((one) => family === 0 || one.family === family).map((one): AddressInfo => [
    one.family === 6 ? AF_INET6 : AF_INET,
    SOCK_STREAM,
    IPPROTO_TCP,
    "",
    [one.address, port],
  ]);
  if (infos.length === 0) throw new OSError("EAI_NONAME", action);
  return infos;
}

interface Found {
  readonly address: string;
  readonly family: number;
}

/** An IP address is its own; the empty host is any address. */
function literal(host: string, action: string): Found[] | undefined {
  if (host === "") return [{ address: "0.0.0.0", family: 4 }, { address: "::", family: 6 }];
  try {
    const bytes = parseAddress(host);
    return bytes && [{ address: host, family: bytes.length === 4 ? 4 : 6 }];
  } catch (error) {
    throw new OSError("EAI_NONAME", action, { cause: error }); // it only looks like one: 1.2.3.04
  }
}

async function lookup(host: string, action: string): Promise<Found[]> {
  const dns = await import("node:dns/promises"); // when its turn comes: it takes some 10 ms to load
  try {
    return await dns.lookup(host, { all: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new OSError("EAI_NONAME", action, { cause: error });
  }
}

/** Throws unless `address` is a host and a port. */
export function assertAddress(method: string, address: unknown): asserts address is Address {
  if (!Array.isArray(address) || address.length < 2 || typeof address[0] !== "string") {
    throw new TypeError(`Cannot ${method}: expected an address [host, port], got ${typeName(address)}`);
  }
  const port: unknown = address[1];
  if (!Number.isInteger(port) || (port as number) < 0 || (port as number) > 65535) {
    throw new RangeError(`Cannot ${method}: expected a port of 0 to 65535, got ${String(port)}`);
  }
}
