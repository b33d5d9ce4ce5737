/**
 * tlsio: TLS for Deno on a WebAssembly build of mbedTLS, with MicroPython's `wrapSocket`, Pycom's session resume, and
 * asyncio's `startServer` and `openConnection`.
 *
 * | you want | begin with |
 * |---|---|
 * | TLS on a connection that you have, on either side | {@linkcode wrapSocket}; {@linkcode SSLContext} for many; {@linkcode SSLSocket} is what you get |
 * | a server, or a connection with buffered reading | {@linkcode startServer}, {@linkcode openConnection} |
 * | certificates | {@linkcode createCertificate}, {@linkcode Certificate}, {@linkcode getServerCertificate} |
 * | to say whom to let in | {@linkcode ContextOptions}, {@linkcode PeerPolicyOptions} |
 * | to resume sessions | {@linkcode saveSession}, {@linkcode MemorySessionStore}, {@linkcode TicketKeyRing} |
 * | to know what was negotiated | {@linkcode SSLObject}, {@linkcode TraceEvent} |
 * | to understand a failure | {@linkcode SSLError} |
 *
 * HTTPS is `tlsio/http`; what a handshake costs, `tlsio/cost`; records without I/O, `tlsio/engine`; DTLS, `tlsio/dtls`; MicroPython's own names, `tlsio/ussl` and
 * `tlsio/socket`.
 *
 * @example A client
 * ```ts no-assert ignore
 * import { wrapSocket } from "tlsio";
 *
 * const conn = await Deno.connect({ hostname: "example.com", port: 443 });
 * const tls = await wrapSocket(conn, { serverHostname: "example.com" });
 * ```
 *
 * @module
 */

// TLS on a connection
export { saveSession, SSLContext, wrapSocket, type WrapSocketOptions } from "./lib/ssl.ts";
export type { HeapLimits } from "./lib/device_heap.ts";
export type { ContextOptions, GetCertificate, GetConfigForClient } from "./lib/context_options.ts";
export type { SocketOptions } from "./lib/socket_options.ts";
export { SSLSocket } from "./lib/socket.ts";
export type { TryOutcome } from "./lib/nonblocking.ts";
export { createDefaultContext, Purpose } from "./lib/default_context.ts";
export { type Duplex, type DuplexLike, type HasDuplex, type StreamPair, toDuplex } from "./lib/duplex.ts";

// asyncio
export {
  type ClientConnected,
  type ListenOptions,
  openConnection,
  type OpenConnectionOptions,
  type OpenOptions,
  openUnixConnection,
  type OpenUnixConnectionOptions,
  startServer,
  type StartServerOptions,
  type StartTlsOptions,
  startUnixServer,
  type StartUnixServerOptions,
  type Writer,
} from "./lib/net.ts";
export { type ConnectionFailure, type ConnectionHandler, type ServeOptions, Server } from "./lib/server.ts";
export type { LimitOptions } from "./lib/gate.ts";
export type { Histogram, ServerStats } from "./lib/server_stats.ts";
export { type WorkerOptions, WorkerServer, type WorkerStats } from "./lib/workers.ts";
export {
  IncompleteReadError,
  LimitOverrunError,
  openStreams,
  type StreamOptions,
  StreamReader,
  StreamWriter,
} from "./lib/streams.ts";

// Certificates and keys
export {
  type CertificateOptions,
  createCertificate,
  type Credential,
  type KeyType,
} from "./lib/certificate.ts";
export { Certificate, type CertificateFiles } from "./lib/own_certificate.ts";
export type { FileOrData } from "./lib/files.ts";
export { certTimeToSeconds, derToPem, pemToDer } from "./lib/pem.ts";
export {
  type CertificateWatch,
  type HasContext,
  watchCertificates,
  type WatchCertificatesOptions,
} from "./lib/certificate_watch.ts";
export { getServerCertificate, type ServerCertificateOptions } from "./lib/server_certificate.ts";

// Whom to let in, and how
export {
  CERT_NONE,
  CERT_OPTIONAL,
  CERT_REQUIRED,
  type CertReqs,
  type OwnCredential,
  type PolicyOptions,
  type PskCallback,
  type SignHash,
  type TLSConfigOptions,
} from "./lib/policy.ts";
export {
  type ConnectionState,
  type OnUnknownPeer,
  type PeerPolicyOptions,
  publicKeyPin,
  type VerifyCallback,
  type VerifyConnection,
} from "./lib/peer_policy.ts";
export type { ClientInfo } from "./lib/client_choice.ts";
export { ClientHello } from "./lib/client_hello.ts";
export type { TLSNumber } from "./lib/tls_numbers.ts";
export type { AlpnCallback, AlpnOffer } from "./lib/alpn_choice.ts";
export { type Suite, TLSVersion } from "./lib/suites.ts";
export type { CipherInfo } from "./lib/ciphers.ts";
export { TLSConfig } from "./lib/config.ts";
export type { Source } from "./lib/credentials.ts";

// Sessions
export { type SessionFacts, SSLSession } from "./lib/session.ts";
export {
  MemorySessionStore,
  type MemorySessionStoreOptions,
  type SessionStore,
  type Stored,
} from "./lib/session_store.ts";
export type { SessionCache } from "./lib/session_cache.ts";
export { TicketKeyRing, type TicketKeyRingOptions } from "./lib/tickets.ts";
export type { SessionStats, TicketEvent, TicketRefusal } from "./lib/tally.ts";

// What is known of a connection
export { type ChannelBindingType, type EphemeralKeyInfo, SSLObject } from "./lib/object.ts";
export type { Cipher } from "./lib/engine_state.ts";
export { type NameAttribute, type PeerCertificate, peerCertificate } from "./lib/peer_certificate.ts";
export type { CertificateAddresses } from "./lib/certificate_addresses.ts";
export { MemoryBIO, SSLBio } from "./lib/memory_bio.ts";
export type { TraceContent, TraceEvent } from "./lib/trace.ts";

// Errors
export {
  type Alert,
  SSLCertVerificationError,
  SSLEOFError,
  SSLError,
  type SSLErrorInit,
  type SSLErrorKind,
} from "./lib/errors.ts";
export type { Bytes } from "./lib/bytes.ts";
