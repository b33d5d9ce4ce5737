/**
 * What every implementation under test looks like to the bench: something that listens, and something that dials.
 *
 * The files that Node runs too (agent.ts, workload.ts, peers_node.ts and this one) use nothing but `node:` modules, and
 * only TypeScript that can be erased.
 *
 * @module
 */

/** A version of TLS, as a row's name says it. */
export type Version = "1.2" | "1.3";
/** The key of the server's certificate. */
export type Key = "P-256" | "RSA-2048";
/** An implementation. */
export type PeerName =
  | "tlsio"
  | "tlsio streams"
  | "Deno"
  | "Deno connectTls"
  | "node:tls in Deno"
  | "node:tls in Node"
  | "CPython asyncio"
  | "nginx"
  | "C client"
  | "TCP";

/** A server's certificate, its key, and whom a client must trust; PEM. */
export interface Identity {
  certificate: string;
  key: string;
  ca: string;
  /** The same as files, for programs that read no other. */
  files?: Record<"certificate" | "key" | "ca", string>;
}

/** What is fixed for both ends of a row. Nothing given: what the two agree on by themselves. */
export interface Terms {
  identity: Identity;
  version?: Version;
  /** IANA name. */
  suite?: string;
  /** Whether sessions are to be resumed: a client that need not, does not keep any. */
  resume?: boolean;
  /** Threads of the server; none: its own. */
  workers?: number;
  /** Milliseconds that each of them computes for a connection. */
  work?: number;
}

/** One end of a connection. */
export interface Conn {
  read(p: Uint8Array<ArrayBuffer>): Promise<number | null>;
  write(p: Uint8Array<ArrayBuffer>): Promise<number>;
  close(): void | Promise<void>;
}

/** What a client knows of its new connection. What its implementation does not tell is `undefined`. */
export interface Dialed {
  conn: Conn;
  version: string | undefined;
  suite: string | undefined;
  reused: boolean | undefined;
  /** What to resume later. */
  session(): unknown;
}

/** Connects to a port of this machine and completes the handshake. */
export type Dial = (port: number, session?: unknown) => Promise<Dialed>;

/** An implementation of TLS. */
export interface Peer {
  /** Listens on a free port of 127.0.0.1 until the process ends, and runs `serve` for each connection. */
  listen(terms: Terms, serve: (conn: Conn) => Promise<void>): Promise<number>;
  /** The same over HTTPS: answers every request with {@linkcode ANSWER}. */
  listenHttp?(terms: Terms): Promise<number>;
  /** Prepares a client: what many connections share is made here. */
  dialer(terms: Terms): Promise<Dial>;
}

/** The address of everything in the bench. By number: Deno's TLS stalls when it connects by name in bulk. */
export const LOOPBACK = "127.0.0.1";
/** What an HTTPS server says: 64 bytes. */
export const ANSWER = "e".repeat(64);
/** A name in every certificate of the bench. */
export const HOST = "localhost";
