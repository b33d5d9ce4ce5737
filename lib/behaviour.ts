/** What a device's program does otherwise than tlsio: data of a profile, for sockets and servers. */

/** How a device goes about its connections. */
export interface Behaviour {
  /** The profile's name, for messages. */
  readonly profile: string;
  /** Whether `close()` says so to the peer, by a close_notify. */
  readonly closeNotify: boolean;
  /** Whether a client can resume a session. */
  readonly resumption: boolean;
  /** Server: connections that wait to be accepted. */
  readonly backlog: number;
  /** Server: TCP sockets at once. */
  readonly sockets: number;
  /** Server with all its sockets in use: what becomes of the next connection. */
  readonly whenFull: "wait" | "purge the least recently used";
  /** Server: who completes the handshake. */
  readonly handshake: "before the handler" | "in the handler's first read or write";
  /** Server: whose certificate and key a connection has. A key of its own is parsed for it, and RSA's blinding is made anew. */
  readonly key: "the server's" | "its own";
  /** Server: seconds for a handshake. */
  readonly handshakeTimeout?: number;
  /** HTTP server: seconds for each wait for a part of a request, or for room for the answer. */
  readonly transferTimeout?: number;
}
