/** The public names: what is added or taken away shows here, and in the change log. */
import { assertEquals } from "@std/assert";
import * as cost from "../cost.ts";
import * as dtls from "../dtls.ts";
import * as engine from "../engine.ts";
import * as http from "../http.ts";
import * as metrics from "../metrics.ts";
import * as tlsio from "../mod.ts";
import * as socket from "../socket.ts";
import * as stores from "../stores.ts";
import * as ussl from "../ussl.ts";

/** Names that exist at run time. */
const VALUES = `
  CERT_NONE CERT_OPTIONAL CERT_REQUIRED Certificate ClientHello IncompleteReadError LimitOverrunError MemoryBIO MemorySessionStore Purpose SSLBio
  SSLCertVerificationError SSLContext SSLEOFError SSLError SSLObject SSLSession SSLSocket Server StreamReader StreamWriter
  TLSConfig TLSVersion TicketKeyRing WorkerServer certTimeToSeconds createCertificate createDefaultContext derToPem getServerCertificate
  openConnection openStreams openUnixConnection
  peerCertificate pemToDer publicKeyPin saveSession startServer startUnixServer toDuplex watchCertificates wrapSocket`;

/** Names of types alone. */
const TYPES = `
  Alert AlpnCallback AlpnOffer Bytes CertReqs CertificateAddresses CertificateFiles CertificateOptions CertificateWatch ChannelBindingType Cipher CipherInfo ClientConnected ClientInfo ConnectionFailure ConnectionHandler
  ConnectionState ContextOptions Credential Duplex DuplexLike EphemeralKeyInfo FileOrData GetCertificate GetConfigForClient HasContext HasDuplex HeapLimits Histogram
  KeyType LimitOptions ListenOptions MemorySessionStoreOptions NameAttribute OnUnknownPeer OpenConnectionOptions OpenOptions
  OpenUnixConnectionOptions OwnCredential PeerCertificate PeerPolicyOptions PolicyOptions PskCallback SSLErrorInit SSLErrorKind ServeOptions
  ServerCertificateOptions ServerStats SessionCache SessionFacts SessionStats SessionStore SignHash SocketOptions Source StartServerOptions StartTlsOptions StartUnixServerOptions
  Stored StreamOptions StreamPair Suite TLSConfigOptions TLSNumber TicketEvent TicketKeyRingOptions TicketRefusal TraceContent TraceEvent TryOutcome VerifyCallback VerifyConnection
  WatchCertificatesOptions WorkerOptions
  WorkerStats WrapSocketOptions Writer`;

/** Names that `./engine` exports, with its types. */
const ENGINE_VALUES = `
  BaseEngine CERT_NONE CERT_OPTIONAL CERT_REQUIRED CORE_EXPORTS CORE_IMPORTS ClientHello Core PcapWriter TLSConfig TLSEngine readClientHello`;
const ENGINE_TYPES = `
  Bytes CertReqs Cipher ClientHelloOutcome ConnectionIO ConnectionState CoreCallbacks CoreExports CoreOptions CoreTable EngineState HandshakeOutcome
  OnUnknownPeer OwnCredential PcapWriterOptions PeerPolicyOptions PolicyOptions PskCallback ReadOutcome SessionCache SignHash Source TLSConfigOptions
  TLSEngineOptions TapOptions TraceContent TraceEvent Tracer VerifyCallback VerifyConnection`;

/** Names that `./cost` exports, with its types. */
const COST_VALUES = `
  HandshakeBudgetError NetworkCounter RELIABILITY assertHandshakeCost deviceNames estimate linkNames modelHandshake networkCost
  resolveDevice resolveLink resumptionReport`;
const COST_TYPES = `
  BudgetExcess Bulk ConnectionCost Curve Device EngineState Estimate EstimateGroup EstimateOptions EstimatePart Figure Flight
  FlightMessage HandshakeBudget HandshakeCost HandshakeCostSource HandshakeLimit HeapCost Link ModelledFlight ModelledHandshake
  NetworkCost NetworkCostOptions Operation Range ReconnectPlan Reliability ResumptionReport Saving TotalCost TraceContent
  TraceEvent Traffic Way WorkCost`;

/** Names that `./dtls` exports, with its types. */
const DTLS_VALUES = `
  DTLSContext DTLSEngine DTLSServer DTLSSocket PROTOCOL_DTLS_CLIENT PROTOCOL_DTLS_SERVER connectDtls greet listenDtls
  toDatagrams`;
const DTLS_TYPES = `
  ConnectDtlsOptions DTLSContextOptions DTLSEngineOptions DTLSServerOptions DTLSServerStats DTLSSocketOptions DatagramHost
  DatagramLike DatagramLink DatagramPolicy DatagramSocketOptions GreetOptions Greeting ListenDtlsOptions`;

/** Names that `./http` exports, with its types. */
const HTTP_VALUES = "HttpServer serve";
const HTTP_TYPES = "HttpHandler HttpServeOptions HttpServerStats ServeInfo ServeTlsInfo";

/** Names that `./socket` exports, with its types. */
const SOCKET_VALUES = `
  AF_INET AF_INET6 IPPROTO_TCP OSError POLLERR POLLHUP POLLIN POLLNVAL POLLOUT Poll SOCK_STREAM SOL_SOCKET SO_KEEPALIVE
  SO_REUSEADDR Socket StreamSocket TCP_NODELAY errno getaddrinfo poll select socket`;
const SOCKET_TYPES = "Address AddressInfo Duplex ErrorCode HasDuplex Pollable TLSErrorCode";

/** Names that `./metrics` exports, with its types. */
const METRICS_VALUES = "metricsText observeServer";
const METRICS_TYPES = "AnyStats HasStats InstrumentOptions Labels MeterLike ObserveServerOptions";

/** Names that `./stores` exports, with its types. */
const STORES_VALUES =
  "KvStore MemoryStore RedisStore SealError SharedSessionCache SharedSessionStore SharedTicketKeys StoreKey VALUE_MAX";
const STORES_TYPES = `
  KvAtomic KvLike MemoryStoreOptions RedisStoreOptions SharedEntry SharedSessionCacheOptions SharedSessionCacheStatus
  SharedSessionStoreOptions SharedStore SharedTicketKeysOptions SharedTicketKeysStatus`;

/** Names that `./ussl` exports, with its types. */
const USSL_VALUES = `
  CERT_NONE CERT_OPTIONAL CERT_REQUIRED OSError PROTOCOL_TLS_CLIENT PROTOCOL_TLS_SERVER SSLContext SSLError SSLSession SSLSocket SSL_TIMEOUT StreamSocket save_session wrap_socket`;
const USSL_TYPES =
  "ConnectionOptions DeviceOptions EcdsaSignCallback HeapLimits PskKeys VerifyCallback VerifyLocations WrapOptions";

/** The members of the classes that users hold: their own and the inherited ones; \`static\` ones with a dot. */
const MEMBERS: Record<string, string> = {
  ClientHello:
    "cipherSuites extensions groups ja3 ja3Hash ja4 keyShareGroups pskModes signatureSchemes versions",
  MemoryBIO: "eof pending read write writeEof",
  MemorySessionStore: "delete put size take",
  SSLContext:
    ".behaviour .check .create .getCiphers .refuseEarlyData .start getCiphers serverSide sessionStats wrapBio wrapSocket",
  SSLSession: ".from .state hasTicket id ticketLifetimeHint time timeout toBytes",
  SSLSocket:
    `.closedLate .drop .handshakeFailure .lastUse .nonBlocking .outcome .traffic abort cipher clientSigalg close closeWrite cost earlyDataAccepted exportKeyingMaterial
    getCertificate getChannelBinding getEphemeralKeyInfo getUnverifiedChain getVerifiedChain getpeercert
    group handshake localAddr pending read readEarlyData readable ready remoteAddr selectedAlpnProtocol
    serverHostname serverSigalg session sessionReused setBlocking setTimeout sharedCiphers sharedSigalgs
    tryHandshake tryRead tryWrite unwrap verifyFlags verifyMessage version writable write`,
  DTLSContext: ".check .create listen serverSide wrapSocket",
  DTLSEngine:
    `accept alpnProtocol assertUsable chooseAlpn cipher closeNotify config connectionState cost device distrust
    earlyDataAccepted earlyState error exportKeyingMaterial extendedMasterSecret fail forgetSession giveSession group
    handshake handshakeDone handshakeStep hasDatagrams maxDatagram maxWrite nextTimeout offered opened outcome peerCertificates
    pending read receive refuse run serverName session sessionReused setState signatureSchemes state
    takeDatagrams useConfig verifiedChain verifyFlags verifyMessage version wire write`,
  DTLSServer: ".check accept addr close stats",
  DTLSSocket:
    `.deliver .lose abort cipher clientSigalg close earlyDataAccepted exportKeyingMaterial getCertificate
    getChannelBinding getEphemeralKeyInfo getUnverifiedChain getVerifiedChain getpeercert group
    handshake localAddr maxDatagram pending read recv recvInto remoteAddr selectedAlpnProtocol send
    serverHostname serverSigalg session sessionReused setTimeout sharedCiphers sharedSigalgs verifyFlags
    verifyMessage version write`,
  NetworkCounter: "add cost",
  TLSConfig:
    "acquire assertHost cacheLifetime checkCookie release speaks stats suites tally withCertificate writeCookie",
  TLSEngine:
    `accept alpnProtocol assertUsable canAnswerEarly chooseAlpn cipher closeNotify config connectionState cost device
    distrust dropEarlyData earlyDataAccepted earlyState error exportKeyingMaterial extendedMasterSecret
    fail forgetSession giveSession group handshake handshakeDone handshakeStep hasRecords maxWrite offered opened outcome peerCertificates
    pending read readEarlyData receive receiveEof refuse run serverName session sessionReused setState
    signatureSchemes state takeRecords takeUnread updateKey useConfig verifiedChain verifyFlags
    verifyMessage version wantsRecords wire write`,
  KvStore: ".open delete get replace",
  MemoryStore: "delete get replace size",
  RedisStore: ".open delete get replace",
  SharedSessionCache: "find forget keep status",
  SharedSessionStore: "delete put take",
  SharedTicketKeys: ".open rotate status",
  StoreKey: ".from .fromEnv .fromFile open seal",
  TicketKeyRing: ".from .share .shared generation keys load rotate size toBytes watch",
  PcapWriter: "tap toBytes truncated",
  Core:
    `.idle .shared alloc allocated check collect connect defaultTrust disconnect free int32s memory retired sha256 text verifyText whenIdle
    version with`,
  Server:
    ".start abortClients abortHandshakes close closeClients isServing serveForever setContext sockets waitClosed",
  WorkerServer: ".start abort close isServing serveForever setContext stats",
  Socket:
    `accept bind close connect connected duplex gettimeout listen localAddr makefile pollEvents read readinto readline recv remoteAddr send sendall
    setblocking setsockopt settimeout subscribe write`,
  "ussl.SSLContext":
    `ecdsa_sign_callback get_ciphers load_cert_chain load_verify_locations psk_identity psk_key server_psk_keys set_ciphers
    verify_callback verify_mode wrap_socket`,
  "ussl.SSLSocket":
    `accept bind cipher close connect connected cost do_handshake duplex getpeercert gettimeout listen localAddr makefile
    pollEvents read readinto readline recv remoteAddr send sendall session_reused setblocking setsockopt settimeout subscribe version
    write`,
  Poll: "ipoll modify poll register unregister",
};

function words(text: string): string[] {
  return text.trim().split(/\s+/).sort();
}

for (
  const [file, module, values, allTypes] of [
    ["mod.ts", tlsio, VALUES, TYPES],
    ["cost.ts", cost, COST_VALUES, COST_TYPES],
    ["dtls.ts", dtls, DTLS_VALUES, DTLS_TYPES],
    ["engine.ts", engine, ENGINE_VALUES, ENGINE_TYPES],
    ["http.ts", http, HTTP_VALUES, HTTP_TYPES],
    ["metrics.ts", metrics, METRICS_VALUES, METRICS_TYPES],
    ["socket.ts", socket, SOCKET_VALUES, SOCKET_TYPES],
    ["stores.ts", stores, STORES_VALUES, STORES_TYPES],
    ["ussl.ts", ussl, USSL_VALUES, USSL_TYPES],
  ] as const
) {
  Deno.test(`${file} exports these names`, () => {
    assertEquals(Object.keys(module).sort(), words(values));
  });

  Deno.test(`${file} exports these types, and nothing of its own`, async () => {
    const text = await Deno.readTextFile(new URL(`../${file}`, import.meta.url));
    const code = text.replaceAll(/\/\*[^]*?\*\/|^\/\/.*$/gm, "").trim();
    const exports = [...code.matchAll(/export (type )?\{([^}]*)\} from "\.\/lib\/[a-z_/]+\.ts";\s*/g)];
    assertEquals(
      code.length,
      exports.reduce((sum, [statement]) => sum + statement.length, 0),
      "re-exports only",
    );
    const types = exports.flatMap(([, isType, names]) =>
      names!.split(",").map((name) => name.trim()).filter((name) =>
        isType ? name !== "" : name.startsWith("type ")
      )
        .map((name) => name.replace(/^type /, ""))
    );
    assertEquals(types.sort(), words(allTypes));
  });
}

for (const [name, members] of Object.entries(MEMBERS)) {
  Deno.test(`${name} has these members`, () => {
    const found: string[] = [];
    const type = {
      ...socket,
      ...stores,
      ...http,
      ...cost,
      ...engine,
      ...dtls,
      ...tlsio,
      "ussl.SSLContext": ussl.SSLContext,
      "ussl.SSLSocket": ussl.SSLSocket,
    }[name] as CallableFunction;
    for (let proto = type.prototype; proto !== Object.prototype; proto = Object.getPrototypeOf(proto)) {
      found.push(...Object.getOwnPropertyNames(proto));
    }
    const statics = Object.getOwnPropertyNames(type).filter((member) =>
      !/^(length|name|prototype)$/.test(member)
    );
    const all = [
      ...new Set(found.filter((member) => member !== "constructor")),
      ...statics.map((member) => `.${member}`),
    ];
    assertEquals([...new Set(all)].sort(), words(members)); // an override is there twice
  });
}
