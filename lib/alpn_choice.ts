/**
 * alpnCallback: a server chooses the application protocol for each client, once it has read the ClientHello.
 *
 * @module
 */

import { typeName } from "./bytes.ts";
import type { ClientHello } from "./client_hello.ts";
import { CODE, SSLError } from "./errors.ts";

/** What a client asks for, as Node's ALPNCallback is told it. */
export interface AlpnOffer {
  /** The host that the client asks for (SNI); `undefined`: none. */
  readonly serverName: string | undefined;
  /** The protocols that it speaks, its favourite first. */
  readonly protocols: readonly string[];
}

/**
 * Chooses one of the client's protocols; `undefined`: none of them will do, and the handshake ends with the alert
 * `no_application_protocol` (RFC 7301). It may wait, for no longer than the handshake may take. A client that names no
 * protocol is not asked about.
 */
export type AlpnCallback = (offer: AlpnOffer) => string | undefined | Promise<string | undefined>;

/** Asks `callback` about a client; `undefined`: the client has named no protocol. */
export async function chooseAlpn(
  callback: AlpnCallback,
  { serverName, alpnProtocols: protocols }: ClientHello,
): Promise<string | undefined> {
  if (protocols.length === 0) return undefined;
  const chosen: unknown = await callback({ serverName, protocols });
  if (chosen === undefined) {
    const offered = protocols.map((name) => JSON.stringify(name)).join(", ");
    throw new SSLError(`Cannot complete TLS handshake: none of the protocols ${offered} was chosen`, {
      kind: "protocol",
      code: CODE.NO_APPLICATION_PROTOCOL,
    });
  }
  if (typeof chosen === "string" && protocols.includes(chosen)) return chosen;
  const got = typeof chosen === "string" ? JSON.stringify(chosen) : typeName(chosen);
  throw new TypeError(`expected one of the client's protocols, got ${got}`);
}
