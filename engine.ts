/**
 * TLS without I/O: records in, records out. For a transport of your own, for tests that must be exact, for measurements.
 *
 * {@linkcode TLSConfig} is built once and shared; a {@linkcode TLSEngine} is one end of one connection;
 * {@linkcode readClientHello} reads what a client offers before there is an engine; a {@linkcode Core} of your own has its
 * own clock, randomness and heap.
 *
 * @example A handshake between two engines
 * ```ts
 * import { TLSConfig, TLSEngine } from "tlsio/engine";
 * import { createCertificate } from "tlsio";
 * import { assertEquals } from "@std/assert";
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
 * const source = (bytes: Uint8Array<ArrayBuffer>) => ({ name: "example", bytes });
 * const pem = (text: string) => source(new TextEncoder().encode(text));
 * using trusting = new TLSConfig({ trust: [pem(certificate)] });
 * using serving = new TLSConfig({ serverSide: true, credential: { chain: pem(certificate), key: pem(key) } });
 *
 * using client = new TLSEngine(trusting, { serverHostname: "localhost" });
 * using server = new TLSEngine(serving);
 * while (client.handshake().state !== "done" || server.handshake().state !== "done") {
 *   server.receive(client.takeRecords());
 *   server.handshake();
 *   client.receive(server.takeRecords());
 * }
 * assertEquals(client.version, "TLSv1.3");
 * ```
 *
 * @module
 */
export {
  type ConnectionIO,
  Core,
  CORE_EXPORTS,
  CORE_IMPORTS,
  type CoreCallbacks,
  type CoreExports,
  type CoreOptions,
  type CoreTable,
} from "./lib/core.ts";
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
export type {
  ConnectionState,
  OnUnknownPeer,
  PeerPolicyOptions,
  VerifyCallback,
  VerifyConnection,
} from "./lib/peer_policy.ts";
export type { SessionCache } from "./lib/session_cache.ts";
export { TLSConfig } from "./lib/config.ts";
export { BaseEngine } from "./lib/base_engine.ts";
export { TLSEngine, type TLSEngineOptions } from "./lib/engine.ts";
export type { Cipher, EngineState, HandshakeOutcome, ReadOutcome } from "./lib/engine_state.ts";
export { ClientHello, type ClientHelloOutcome, readClientHello } from "./lib/client_hello.ts";
export type { Source } from "./lib/credentials.ts";
export { PcapWriter, type PcapWriterOptions, type TapOptions } from "./lib/pcap.ts";
export type { TraceContent, TraceEvent, Tracer } from "./lib/trace.ts";
export type { Bytes } from "./lib/bytes.ts";
