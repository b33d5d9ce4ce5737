/** Host names as TLS needs them. */

import { parseAddress } from "./ip_address.ts";

const DNS_NAME_MAX = 253; // bytes; RFC 1035 section 2.3.4, without the dot of the root

/** Lower case, in ASCII (IDNA), without the dot of the root and the brackets of an IPv6 address. */
export function normalizeHostname(hostname: string): string {
  const bare = hostname.replace(/^\[(.*:.*)\]$/, "$1");
  try {
    if (parseAddress(bare) !== undefined) return bare;
    const ascii = new URL(`http://${bare}`).hostname.replace(/\.$/, ""); // IDNA has dots of its own
    const isName = ascii.length <= DNS_NAME_MAX && !/^$|^\.|\.\.|\.$/.test(ascii);
    // What means something else in a URL, and what URLs pass over.
    if (isName && !/[/?#@:%\\\s]/.test(bare)) return ascii;
  } catch {
    // told below
  }
  throw new TypeError(
    `Cannot use serverHostname: ${JSON.stringify(hostname)} is not a host name or IP address`,
  );
}
