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
  /** The protocols that it speaks, its favourite first; without those whose names are not text (RFC 8701 has some). */
  readonly protocols: readonly string[];
}

/**
 * Chooses one of the client's protocols; `undefined`: none of them will do, and the handshake ends with the alert
 * `no_application_protocol` (RFC 7301). It may wait, for no longer than the handshake may take. A client that names no
 * protocol is not asked about.
 */
export type AlpnCallback = (offer: AlpnOffer) => string | undefined | Promise<string | undefined>;

/** Whether its bytes come out of a name as they went in: what is no UTF-8 became U+FFFD, and the core's names end at a NUL. */
function isText(name: string): boolean {
  return !/[\0\ufffd]/.test(name);
}

/** Asks `callback` about a client; `undefined`: the client has named no protocol. */
export async function chooseAlpn(
  callback: AlpnCallback,
  { serverName, alpnProtocols }: ClientHello,
): Promise<string | undefined> {
  if (alpnProtocols.length === 0) return undefined;
  const protocols = alpnProtocols.filter(isText);
  const chosen: unknown = await callback({ serverName, protocols });
  if (chosen === undefined) {
    const offered = alpnProtocols.map((name) => JSON.stringify(name)).join(", ");
    throw new SSLError(`Cannot complete TLS handshake: none of the protocols ${offered} was chosen`, {
      kind: "protocol",
      code: CODE.NO_APPLICATION_PROTOCOL,
    });
  }
  if (typeof chosen === "string" && protocols.includes(chosen)) return chosen;
  const got = typeof chosen === "string" ? JSON.stringify(chosen) : typeName(chosen);
  throw new TypeError(`expected one of the client's protocols, got ${got}`);
}
