/** The floods. */

/** What an attacker does, and what with: connections at once. */
export const FLOODS = {
  /** Nothing but to take the attackers' processor: what of the rest is not the server's fault. */
  "none": { lanes: 0, what: "a busy loop in the attackers' place" },
  "half-open": { lanes: 1200, what: "part of a ClientHello, then silence" },
  "silent": { lanes: 1200, what: "a whole ClientHello, then silence" },
  "hello": { lanes: 64, what: "a ClientHello, closed at the answer" },
  "ticket": { lanes: 64, what: "a ClientHello with a foreign ticket, closed at the answer" },
  "handshake": { lanes: 64, what: "a whole handshake with a foreign ticket, then closed" },
  "rsa-client": { lanes: 64, what: "a handshake with an RSA-4096 client certificate and a false signature" },
} as const;

/** One of them. */
export type Flood = keyof typeof FLOODS;
