/**
 * SSLSession: what a client keeps of one connection to resume it in the next, by a TLS 1.2 session id or
 * ticket or a TLS 1.3 ticket.
 *
 * @module
 */

import { assertBytes, type Bytes, concat, copyOf, decodeText, encodeText, equalBytes } from "./bytes.ts";
import { Core } from "./core.ts";

/** What an {@linkcode SSLSession} knows besides its secrets. */
export interface SessionFacts {
  /** The host it belongs to; `""`: none was named. */
  readonly serverHostname: string;
  /** A hash of the trust under which the peer was accepted, hexadecimal. */
  readonly trust: string;
  /** `"TLSv1.2"`, `"TLSv1.3"` or `"DTLSv1.2"`. */
  readonly version: string;
  /** `MBEDTLS_X509_BADCERT_*` bits of the check that the full handshake made. */
  readonly verifyFlags: number;
  /** When it was saved: milliseconds since the Unix epoch. */
  readonly created: number;
  /** The peer's certificate, DER, base64; `""`: it sent none. A TLS 1.3 ticket does not hold it. */
  readonly peer: string;
  /** TLS 1.2: the session id, hexadecimal; `""`: none. */
  readonly id: string;
  /** Seconds for which the server says that it keeps it; 0: it did not say. */
  readonly lifetime: number;
  /** Whether it is a ticket, which the server need not keep. */
  readonly ticket: boolean;
  /** The ALPN protocol of the connection; `""`: none. */
  readonly alpn: string;
}

const MAGIC = encodeText("TLSIO\x02");
const CHECKSUM = 8; // bytes; against damage, not against forgery: a session is as secret as a key
const HEADER = MAGIC.length + 4;
const UNPROMISED = 24 * 3600; // seconds; RFC 5246 appendix F.1.4: the most that a session without a promise should live

/**
 * A saved session. It holds secrets: keep its bytes as you would keep a key. Printing it shows none of them.
 *
 * It is offered only to the host that it came from, and only under the same trust: a session that was made without
 * checking the certificate never stands in for a check.
 *
 * @example Save and restore
 * ```ts no-assert
 * import { saveSession, SSLSession, wrapSocket } from "tlsio";
 *
 * async function fetchTwice(connect: () => Promise<Deno.Conn>) {
 *   const first = await wrapSocket(await connect(), { serverHostname: "example.com" });
 *   await first.read(new Uint8Array(1024)); // a TLS 1.3 ticket comes with the first data
 *   const bytes = saveSession(first)?.toBytes();
 *   await first.close();
 *   const again = bytes && { savedSession: SSLSession.from(bytes) };
 *   return await wrapSocket(await connect(), { serverHostname: "example.com", ...again });
 * }
 * ```
 */
export class SSLSession {
  /** What is known of it besides its secrets. */
  readonly facts: SessionFacts;
  readonly #state: Bytes;

  /** For the engine: `state` is mbedTLS's own form. */
  constructor(facts: SessionFacts, state: Bytes) {
    this.facts = facts;
    this.#state = state;
  }

  /**
   * Reads what {@linkcode SSLSession.toBytes} wrote.
   *
   * @param bytes The bytes.
   * @returns The session.
   * @throws {SyntaxError} If they are damaged, cut short, or of another version of the format.
   */
  static from(bytes: Uint8Array): SSLSession {
    assertBytes("savedSession", bytes);
    if (bytes.length < HEADER + CHECKSUM || !equalBytes(bytes.subarray(0, MAGIC.length), MAGIC)) {
      throw new SyntaxError("Cannot read savedSession: these are not the bytes of an SSLSession");
    }
    const body = bytes.subarray(0, -CHECKSUM);
    if (!equalBytes(checksum(body), bytes.subarray(-CHECKSUM))) {
      throw new SyntaxError("Cannot read savedSession: the bytes are damaged or cut short");
    }
    const factsEnd = HEADER + new DataView(body.buffer, body.byteOffset).getUint32(MAGIC.length);
    return new SSLSession(readFacts(body.subarray(HEADER, factsEnd)), copyOf(body.subarray(factsEnd)));
  }

  /**
   * Makes bytes that another process can resume from. They are secret.
   *
   * @returns The bytes.
   */
  toBytes(): Bytes {
    const facts = encodeText(JSON.stringify(this.facts));
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, facts.length);
    const body = concat([MAGIC, length, facts, this.#state]);
    return concat([body, checksum(body)]);
  }

  /** The session id that the server gave; empty in TLS 1.3, and where it gave a ticket alone. CPython's `id`. */
  get id(): Bytes {
    return Uint8Array.fromHex(this.facts.id);
  }

  /** When it was saved, in seconds since the Unix epoch. CPython's `time`. */
  get time(): number {
    return Math.floor(this.facts.created / 1000);
  }

  /** Seconds from {@linkcode SSLSession.time} on for which it is worth to be offered. CPython's `timeout`. */
  get timeout(): number {
    return this.facts.lifetime || UNPROMISED;
  }

  /** Seconds for which the server says that the ticket can be used; 0: it did not say. CPython's `ticket_lifetime_hint`. */
  get ticketLifetimeHint(): number {
    return this.facts.ticket ? this.facts.lifetime : 0;
  }

  /** Whether it is a ticket. CPython's `has_ticket`. */
  get hasTicket(): boolean {
    return this.facts.ticket;
  }

  /** For the engine: mbedTLS's own form. */
  static state(session: SSLSession): Bytes {
    return session.#state;
  }

  /** Shows what it is, never its contents. */
  [Symbol.for("Deno.customInspect")](): string {
    return `SSLSession { serverHostname: ${
      JSON.stringify(this.facts.serverHostname)
    }, version: "${this.facts.version}" }`;
  }
}

/** The facts in `json`, each of the type that it has in {@linkcode SessionFacts}. */
function readFacts(json: Bytes): SessionFacts {
  try {
    const facts = JSON.parse(decodeText(json));
    const { serverHostname, trust, version, verifyFlags, created, peer, alpn, id, lifetime, ticket } = facts;
    const texts = [serverHostname, trust, version, peer, alpn, id];
    const areTexts = texts.every((value) => typeof value === "string");
    const areNumbers = [verifyFlags, created, lifetime].every((value) => typeof value === "number");
    if (areTexts && areNumbers && typeof ticket === "boolean") {
      Uint8Array.fromBase64(peer);
      Uint8Array.fromHex(id);
      return { serverHostname, trust, version, verifyFlags, peer, created, id, lifetime, ticket, alpn };
    }
  } catch {
    // told below
  }
  throw new SyntaxError("Cannot read savedSession: what it says of itself cannot be read");
}

function checksum(bytes: Bytes): Bytes {
  return Core.shared().sha256(bytes).subarray(0, CHECKSUM);
}

/**
 * Whether a client of `hostname` may offer a session: one that was accepted under other trust, or by another host, must not
 * stand in for this check; and mbedTLS offers the session's version alone.
 */
export function mayOffer(
  { facts: { trust, serverHostname, version } }: SSLSession,
  config: { readonly trustId: string; speaks(version: string): boolean },
  hostname: string | undefined,
): boolean {
  return trust === config.trustId && serverHostname === (hostname ?? "") && config.speaks(version);
}
