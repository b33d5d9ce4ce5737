/** Sessions that outlive their process, and those that must not be resumed. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { delay } from "@std/async";
import { CERT_NONE, CERT_OPTIONAL, type SSLSession, TicketKeyRing, type WrapSocketOptions } from "tlsio";
import {
  cipherFamily,
  closeInOrder,
  ROOTS,
  type Served,
  tlsioClient,
  type TlsioServer,
  tlsioServer,
  VERSION,
} from "./interop.ts";
import {
  certFile,
  denoServer,
  identity,
  opensslClient,
  type OpensslClientResult,
  opensslServer,
  pythonServer,
  run,
  runSteps,
  scriptFile,
  tempDir,
  type Version,
} from "./peers.ts";
import { MemoryStore, SharedSessionCache, StoreKey } from "../stores.ts";

const VERSIONS = ["1.2", "1.3"] as const;
const ECHO = { input: "ECHO 6 0\nhello\n", until: /^hello$/m };

// ---- tlsio as the client --------------------------------------------------------------------------------

for (const tls of VERSIONS) {
  Deno.test(`interop tlsio TLSv${tls} session bytes of one process -> python ssl from another: resumed`, async () => {
    await using dir = await tempDir();
    await using server = await pythonServer({ ...identity("rsa"), tls });
    const file = `${dir.path}/session`;
    await Deno.writeFile(file, new Uint8Array());
    const visits: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      const args = ["run", "-A", scriptFile("resume.ts"), String(server.port), file];
      const { stdout, stderr } = await run("deno", args);
      assert(stdout !== "", stderr);
      visits.push(JSON.parse(stdout));
    }
    const version = `TLSv${tls}`;
    assertEquals(visits, [false, true, true].map((resumed) => ({ version, resumed, ok: true })));
    assertEquals((await server.event("open", 3)).resumed, true);
  });

  /** One visit; returns whether it resumed, and its session. */
  const visit = async (port: number, options: WrapSocketOptions = {}) => {
    const socket = await tlsioClient(port, options);
    assertEquals((await runSteps(socket, ["LINE hello"]))[0]?.line, "olleh");
    const { session, sessionReused } = socket;
    await closeInOrder(socket);
    return { session: session!, sessionReused };
  };

  const OTHER: Record<string, WrapSocketOptions> = {
    "another host": { serverHostname: "example.test" },
    "an address instead of a name": { serverHostname: "127.0.0.1" },
    "other trust": { caCerts: certFile("root.pem") },
    "no trust": { certReqs: CERT_NONE },
    "an unchecked name": { checkHostname: false },
    "another version": { sslVersion: VERSION[tls === "1.2" ? "1.3" : "1.2"] },
  };

  for (const [what, options] of Object.entries(OTHER)) {
    Deno.test(`interop tlsio -> openssl s_server TLSv${tls} session made under ${what}: full handshake`, async () => {
      await using server = await opensslServer({ ...identity("ec"), tls: "both" });
      const own = { sslVersion: VERSION[tls] };
      const { caCerts, ...rest } = { caCerts: ROOTS, ...own, ...options };
      const trust = options.certReqs === CERT_NONE ? {} : { caCerts };
      const other = await visit(server.port, { ...trust, ...rest });
      const first = await visit(server.port, { ...own, savedSession: other.session });
      const again = await visit(server.port, { ...own, savedSession: first.session });
      assertEquals([other, first, again].map(({ sessionReused }) => sessionReused), [false, false, true]);
    });
  }

  Deno.test(`interop tlsio -> openssl s_server TLSv${tls} that has restarted: full handshake`, async () => {
    let savedSession: SSLSession;
    {
      await using server = await opensslServer({ ...identity("ec"), tls });
      savedSession = (await visit(server.port)).session;
    }
    await using server = await opensslServer({ ...identity("ec"), tls });
    assertEquals((await visit(server.port, { savedSession })).sessionReused, false);
  });
}

Deno.test("interop tlsio tickets: false -> openssl s_server TLSv1.2: resumed by session id", async () => {
  await using server = await opensslServer({ ...identity("ec"), tls: "1.2", args: ["-no_ticket"] });
  const first = await tlsioClient(server.port, { tickets: false });
  const savedSession = first.session!;
  await closeInOrder(first);
  const again = await tlsioClient(server.port, { tickets: false, savedSession });
  assertEquals(again.sessionReused, true);
  await closeInOrder(again);
});

Deno.test("interop tlsio -> Deno.listenTls TLSv1.3, a session used twice: the second time is a full handshake", async () => {
  await using server = denoServer(identity("ec")); // rustls takes each ticket once
  const reused: boolean[] = [];
  let saved = {};
  for (let i = 0; i < 3; i++) {
    const socket = await tlsioClient(server.port, saved);
    assertEquals((await runSteps(socket, ["ECHO 10 1"]))[0]?.ok, true);
    reused.push(socket.sessionReused);
    if (i === 0) saved = { savedSession: socket.session! };
    await closeInOrder(socket);
  }
  assertEquals(reused, [false, true, false]);
});

// ---- tlsio as the server --------------------------------------------------------------------------------

/** `openssl s_client` at two servers, one after the other, with the session of the first. */
async function resumeAt(
  first: TlsioServer,
  second: TlsioServer,
  tls: Version,
  options: { args?: string[]; cert?: string; key?: string } = {},
  between = () => Promise.resolve(),
): Promise<{ theirs: OpensslClientResult; ours: Served }> {
  await using dir = await tempDir();
  const session = `${dir.path}/session`;
  const at = { ca: ROOTS, tls, ...options };
  const before = await opensslClient({ ...at, port: first.port, sessionOut: session, ...ECHO });
  assertEquals([before.code, before.resumed], [0, false], before.stderr);
  const ended = (await second.served(first === second ? 1 : 0)).length;
  await between();
  const theirs = await opensslClient({ ...at, port: second.port, sessionIn: session, ...ECHO });
  assertEquals(theirs.code, 0, theirs.stderr);
  assertMatch(theirs.stdout, /^hello$/m);
  const ours = (await second.served(ended + 1))[ended]!;
  assertEquals(ours.resumed, theirs.resumed);
  return { theirs, ours };
}

const REQUIRED = { certReqs: CERT_OPTIONAL, caCerts: ROOTS } as const;

for (const tls of VERSIONS) {
  Deno.test(`interop openssl s_client -> two tlsio servers TLSv${tls} with one ring's bytes: resumed at the other`, async () => {
    const tickets = new TicketKeyRing();
    await using first = await tlsioServer({ tickets, ...REQUIRED });
    await using second = await tlsioServer({ tickets: TicketKeyRing.from(tickets.toBytes()), ...REQUIRED });
    const { ours } = await resumeAt(first, second, tls, identity("client"));
    assertEquals([ours.resumed, ours.client], [true, "EC client"]);
  });

  Deno.test(`interop openssl s_client -> tlsio TLSv${tls} whose ring has rotated: resumed`, async () => {
    const tickets = new TicketKeyRing();
    await using first = await tlsioServer({ tickets });
    const copy = TicketKeyRing.from(tickets.toBytes());
    copy.rotate();
    await using second = await tlsioServer({ tickets: copy });
    assertEquals((await resumeAt(first, second, tls)).ours.resumed, true);
  });

  const NOT_RESUMED = {
    "restarted with a fresh ring": { first: {}, second: { tickets: new TicketKeyRing() } },
    "that trusts other clients": {
      first: REQUIRED,
      second: { ...REQUIRED, caCerts: certFile("root-rsa.pem") },
    },
    "that asks for certificates": { first: {}, second: REQUIRED },
    "with tickets: false and no cache": { first: {}, second: { tickets: false, sessionCacheSize: 0 } },
    "for other names": {
      first: {},
      second: { certfile: certFile("cn-only.pem"), keyfile: certFile("ec.key") },
    },
  } as const;
  for (const [what, options] of Object.entries(NOT_RESUMED)) {
    Deno.test(`interop openssl s_client -> tlsio TLSv${tls} ${what}: full handshake`, async () => {
      const tickets = new TicketKeyRing();
      await using first = await tlsioServer({ tickets, ...options.first });
      await using second = await tlsioServer({ tickets, ...options.second });
      assertEquals((await resumeAt(first, second, tls)).ours.resumed, false);
    });
  }
}

Deno.test("interop openssl s_client -> tlsio TLS 1.2 and 1.3 whose ticket has expired: full handshake", async () => {
  const tickets = new TicketKeyRing({ lifetime: 1, rotateEvery: 1 });
  const visit = async (tls: Version) => {
    await using first = await tlsioServer({ tickets });
    await using second = await tlsioServer({ tickets });
    return (await resumeAt(first, second, tls, {}, () => delay(2500))).ours.resumed;
  };
  assertEquals(await Promise.all(VERSIONS.map(visit)), [false, false]);
});

Deno.test("interop openssl s_client -no_ticket -> tlsio TLSv1.2: resumed by session id", async () => {
  await using server = await tlsioServer();
  const { theirs } = await resumeAt(server, server, "1.2", { args: ["-no_ticket"] });
  assertEquals(theirs.resumed, true);
  assertNotEquals(theirs.stdout.match(/Session-ID: (\w*)/)?.[1], "");
  assert(!theirs.stdout.includes("TLS session ticket:"));
});

Deno.test("interop openssl s_client -no_ticket -> two tlsio servers TLSv1.2 with one sessionCache: resumed at the other", async () => {
  await using store = new MemoryStore();
  const storeKey = await StoreKey.from(new Uint8Array(32).fill(7));
  await using one = new SharedSessionCache({ store, storeKey, timeout: 5 });
  await using other = new SharedSessionCache({ store, storeKey, timeout: 5 });
  await using first = await tlsioServer({ sessionCache: one, ...REQUIRED });
  await using second = await tlsioServer({ sessionCache: other, ...REQUIRED });
  const written = async () => {
    while (one.status.written === 0) await delay(10);
  };
  const options = { args: ["-no_ticket"], ...identity("client") };
  const { ours } = await resumeAt(first, second, "1.2", options, written);
  assertEquals([ours.resumed, ours.client, other.status.found], [true, "EC client", 1]);
  await using strangers = await tlsioServer({
    sessionCache: other,
    ...REQUIRED,
    caCerts: certFile("root-rsa.pem"),
  });
  assertEquals((await resumeAt(first, strangers, "1.2", { args: ["-no_ticket"] })).ours.resumed, false);
  assertEquals(other.status.lookups, 1, "it is not looked up under another trust");
});

Deno.test("interop openssl s_client -no_ticket -> tlsio TLSv1.2 sessionCacheSize: 0: full handshake", async () => {
  await using server = await tlsioServer({ sessionCacheSize: 0 });
  const { theirs } = await resumeAt(server, server, "1.2", { args: ["-no_ticket"] });
  assertEquals(theirs.resumed, false);
});

Deno.test("interop openssl s_client -> tlsio TLSv1.2 whose ciphers have changed since: a full handshake, then resumed", async () => {
  await using dir = await tempDir();
  using tickets = new TicketKeyRing();
  const session = `${dir.path}/session`;
  const before = ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"];
  const after = ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", ...before];
  for (const [ciphers, resumed] of [[before, [false, true]], [after, [false, true]]] as const) {
    await using server = await tlsioServer({ tickets, ciphers, preferClientOrder: false });
    const at = { port: server.port, ca: ROOTS, tls: "1.2", sessionOut: session } as const;
    for (const isResumed of resumed) {
      const saved = await Deno.stat(session).then(() => ({ sessionIn: session }), () => ({}));
      const client = await opensslClient({ ...at, ...saved });
      assertEquals([client.code, client.resumed], [0, isResumed], client.stderr);
      assertEquals(cipherFamily(client.cipher), cipherFamily(ciphers[0]));
    }
  }
});
