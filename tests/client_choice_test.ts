/** getConfigForClient: a server's context chosen by the ClientHello. */
import { assert, assertEquals, assertInstanceOf, assertRejects, assertStringIncludes } from "@std/assert";
import { createCertificate } from "../lib/certificate.ts";
import type { ClientHello } from "../lib/client_hello.ts";
import { encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { CERT_REQUIRED } from "../lib/policy.ts";
import { SSLEOFError, SSLError } from "../lib/errors.ts";
import type { GetConfigForClient } from "../lib/context_options.ts";
import { saveSession, SSLContext, wrapSocket } from "../lib/ssl.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { source } from "./pair.ts";
import { certFile } from "./peers.ts";
import { pipe } from "./pipe.ts";
import {
  assertKind,
  assertTalk,
  CLIENT,
  closeBoth,
  dial,
  LONG,
  pair,
  readText,
  seconds,
  SERVER,
  serving,
  SHORT,
  test,
  VERSIONS,
} from "./sockets.ts";

const ROOT = createCertificate({ subject: "CN=Choice Root", isCA: true });

/** A server's context with a certificate for `hosts`. */
function contextFor(...hosts: string[]): Promise<SSLContext> {
  const { certificate, key } = createCertificate({ subject: `CN=${hosts[0]}`, hosts, issuer: ROOT });
  return SSLContext.create({ serverSide: true, certfile: certificate, keyfile: key });
}

/** The CN of the certificate that a client was shown. */
function shownTo(client: SSLSocket): string | undefined {
  return client.getpeercert()?.subject?.flat().find(([name]) => name === "commonName")?.[1];
}

function clientOf(host: string) {
  return { caCerts: ROOT.certificate, serverHostname: host };
}

for (const [name, sslVersion] of Object.entries(VERSIONS)) {
  test(`getConfigForClient: ${name}, the certificate of the name that the client asks for`, async () => {
    using a = await contextFor("a.test");
    using b = await contextFor("b.test");
    const byName = new Map([["a.test", a], ["b.test", b]]);
    for (const host of byName.keys()) {
      const { client, server } = await pair({
        client: { ...clientOf(host), sslVersion },
        server: { getConfigForClient: ({ serverName }) => byName.get(serverName!) },
      });
      assertEquals([shownTo(client), client.version(), server.serverHostname], [host, name, host]);
      await assertTalk(client, server);
      await closeBoth(client, server);
    }
  });
}

test("getConfigForClient: undefined is the context that asks, and a TLSConfig will do", async () => {
  const config = new TLSConfig({
    serverSide: true,
    credential: { chain: source("ec.pem"), key: source("ec.key") },
    alpnProtocols: ["chosen"],
  });
  for (const [chosen, protocol] of [[undefined, undefined], [config, "chosen"]] as const) {
    const { client, server } = await pair({
      client: { alpnProtocols: ["chosen"] },
      server: { getConfigForClient: () => Promise.resolve(chosen) },
    });
    assertEquals(client.selectedAlpnProtocol(), protocol);
    await closeBoth(client, server);
  }
  config[Symbol.dispose]();
});

test("getConfigForClient: it is told what the client offers, once", async () => {
  const hellos: ClientHello[] = [];
  const { client, server } = await pair({
    client: { alpnProtocols: ["h2", "http/1.1"] },
    server: { getConfigForClient: (hello) => void hellos.push(hello) },
  });
  assertEquals(hellos.map(({ serverName, alpnProtocols }) => [serverName, alpnProtocols]), [
    ["localhost", ["h2", "http/1.1"]],
  ]);
  assert(hellos[0]!.cipherSuites.some(({ name }) => name === client.cipher()!.name));
  await closeBoth(client, server);
});

test("getConfigForClient: a hello that comes byte by byte, or partly before", async () => {
  const seen: unknown[] = [];
  const getConfigForClient = ({ serverName }: ClientHello) => void seen.push(serverName);
  const slow = await pair({ server: { getConfigForClient }, pipe: { chunkSize: 1 } });
  await assertTalk(slow.client, slow.server);
  await closeBoth(slow.client, slow.server);

  const [near, far] = pipe();
  const connecting = wrapSocket(near, CLIENT);
  const first = new Uint8Array(100);
  const n = await far.read(first);
  const server = await wrapSocket(far, {
    ...SERVER,
    getConfigForClient,
    initialData: first.subarray(0, n!),
  });
  await closeBoth(await connecting, server);
  assertEquals(seen, ["localhost", "localhost"]);
});

test("getConfigForClient: the chosen context's demand for a certificate counts", async () => {
  using strict = await SSLContext.create({
    ...SERVER,
    certReqs: CERT_REQUIRED,
    caCerts: certFile("root.pem"),
  });
  const getConfigForClient = () => strict;
  const own = { certfile: certFile("client.pem"), keyfile: certFile("client.key") };
  const { client, server } = await pair({ client: own, server: { getConfigForClient } });
  assertEquals(server.getpeercert()?.subject !== undefined, true);
  await closeBoth(client, server);

  const [near, far] = pipe();
  const refused = wrapSocket(far, { ...SERVER, getConfigForClient });
  const client12 = wrapSocket(near, { ...CLIENT, sslVersion: VERSIONS["TLSv1.2"] });
  client12.catch(() => {});
  await assertKind(refused, "verify");
  await assertKind(client12, "alert");
});

test("getConfigForClient: a session resumes where the certificate is for the same names, and not elsewhere", async () => {
  using a = await contextFor("a.test");
  using renewed = await contextFor("a.test");
  using b = await contextFor("b.test", "a.test");
  const connect = async (chosen: SSLContext, savedSession?: Uint8Array) => {
    const { client, server } = await pair({
      client: { ...clientOf("a.test"), ...(savedSession && { savedSession }) },
      server: { getConfigForClient: () => chosen },
    });
    await assertTalk(client, server);
    const saved = saveSession(client)!.toBytes();
    const { sessionReused } = client;
    await closeBoth(client, server);
    return { saved, sessionReused };
  };
  const { saved } = await connect(a);
  assertEquals((await connect(a, saved)).sessionReused, true);
  assertEquals((await connect(renewed, saved)).sessionReused, true);
  assertEquals((await connect(b, saved)).sessionReused, false);
});

/** Both ends of a handshake that the server's chooser ends. */
async function refusal(getConfigForClient: GetConfigForClient): Promise<[SSLError, SSLError]> {
  const [near, far] = pipe();
  const [server, client] = await Promise.allSettled([
    wrapSocket(far, { ...SERVER, getConfigForClient }),
    wrapSocket(near, CLIENT),
  ]);
  assert(server.status === "rejected" && client.status === "rejected", "the handshake is done");
  assertInstanceOf(server.reason, SSLError);
  assertInstanceOf(client.reason, SSLError);
  return [server.reason, client.reason];
}

test("getConfigForClient: what it throws is the cause, and the client is told internal_error", async () => {
  const cause = new Error("the database is away");
  for (
    const fail of [() => {
      throw cause;
    }, () => Promise.reject(cause)]
  ) {
    const [server, client] = await refusal(fail);
    assertEquals([server.kind, server.cause], ["config", cause]);
    assertStringIncludes(server.message, "getConfigForClient failed: the database is away");
    assertEquals([client.kind, client.alert?.name], ["alert", "internal_error"]);
  }
});

test("getConfigForClient: the alert of an SSLError that it throws is what the client is told", async () => {
  const alert = { description: 112, name: "unrecognized_name" };
  const thrown = new SSLError("Cannot serve this name", { kind: "protocol", alert });
  const [server, client] = await refusal(() => Promise.reject(thrown));
  assertEquals(server, thrown);
  assertEquals(client.alert, alert);
});

test("getConfigForClient: whatever kind of SSLError it throws, the alert has its time to arrive", async () => {
  for (const kind of ["alert", "eof", "config"] as const) {
    const [near, far] = pipe();
    const order: string[] = [];
    const slow = {
      read: (p: Uint8Array<ArrayBuffer>) => far.read(p),
      write: async (p: Uint8Array<ArrayBuffer>) => {
        await new Promise((resolve) => setTimeout(resolve, 10));
        order.push("written");
        return await far.write(p);
      },
      closeWrite: () => far.closeWrite(),
      close: () => {
        order.push("closed");
        far.close();
      },
    };
    const alert = { description: 112, name: "unrecognized_name" };
    const getConfigForClient = () => Promise.reject(new SSLError("Cannot serve this name", { kind, alert }));
    const [error] = await Promise.all([
      assertRejects(() => wrapSocket(near, CLIENT), SSLError),
      assertRejects(() => wrapSocket(slow, { ...SERVER, getConfigForClient }), SSLError, "this name"),
    ]);
    assertEquals([error.alert, order], [alert, ["written", "closed"]], kind);
  }
});

test("getConfigForClient: a client's context, a disposed one, or no context at all ends the handshake", async () => {
  const { caCerts } = CLIENT;
  using clients = await SSLContext.create(caCerts ? { caCerts } : {});
  const disposed = await SSLContext.create(SERVER);
  disposed[Symbol.dispose]();
  const wrong: [unknown, string][] = [
    [clients, "a client's"],
    [disposed, "disposed"],
    ["ec.pem", "got string"],
    [null, "got null"],
  ];
  for (const [chosen, expected] of wrong) {
    const [server, client] = await refusal(() => chosen as SSLContext);
    assertEquals(server.kind, "config");
    assertStringIncludes(server.message, expected);
    assertEquals(client.alert?.name, "internal_error");
  }
});

test("getConfigForClient: one that never answers ends with the handshake's timeout", async () => {
  const [near, far] = pipe();
  const getConfigForClient = () => new Promise<undefined>(() => {});
  const connecting = wrapSocket(near, CLIENT);
  connecting.catch(() => {});
  const accepting = wrapSocket(far, { ...SERVER, getConfigForClient, timeout: SHORT });
  assert(await seconds(accepting) < LONG / 2);
  await assertKind(accepting, "timeout");
  await assertKind(connecting, "eof");
});

test("getConfigForClient: an answer that comes after the timeout, or after abort(), changes nothing", async () => {
  for (const end of ["timeout", "abort"] as const) {
    const [near, far] = pipe();
    const asked = Promise.withResolvers<void>();
    const answer = Promise.withResolvers<undefined>();
    const getConfigForClient = () => {
      asked.resolve();
      return answer.promise;
    };
    const connecting = wrapSocket(near, CLIENT);
    connecting.catch(() => {});
    const server = await wrapSocket(far, {
      ...SERVER,
      getConfigForClient,
      doHandshake: false,
      timeout: end === "timeout" ? SHORT : LONG,
    });
    const handshake = server.handshake();
    handshake.catch(() => {});
    await asked.promise;
    if (end === "abort") server.abort();
    else await assertKind(handshake, "timeout");
    answer.resolve(undefined);
    await assertKind(handshake, "timeout", "closed");
    await assertKind(connecting, "eof", "closed");
  }
});

test("getConfigForClient: what is no ClientHello is an SSLError, and an alert is the answer", async () => {
  const [near, far] = pipe();
  let asked = false;
  const accepting = wrapSocket(far, { ...SERVER, getConfigForClient: () => void (asked = true) });
  accepting.catch(() => {});
  await near.write(encodeText("GET / HTTP/1.1\r\n\r\n"));
  const answer = new Uint8Array(16);
  const n = await near.read(answer);
  assertEquals([n, answer[0], answer[5], answer[6]], [7, 21, 2, 10], "a fatal unexpected_message");
  near.close();
  const error = await assertKind(accepting, "protocol");
  assertStringIncludes(error.message, "Cannot read ClientHello");
  assertEquals(asked, false);
});

test("getConfigForClient: a client that goes away before its hello is whole is an SSLEOFError", async () => {
  const [near, far] = pipe();
  const accepting = wrapSocket(far, { ...SERVER, getConfigForClient: () => undefined });
  accepting.catch(() => {});
  await near.write(Uint8Array.of(22, 3, 1));
  near.close();
  await assertRejects(() => accepting, SSLEOFError);
});

test("getConfigForClient: in non-blocking mode, ready() waits for it without spinning", async () => {
  const [near, far] = pipe();
  const connecting = wrapSocket(near, clientOf("a.test"));
  using a = await contextFor("a.test");
  const server = await wrapSocket(far, {
    ...SERVER,
    doHandshake: false,
    getConfigForClient: async () => {
      await new Promise((resolve) => setTimeout(resolve, 50));
      return a;
    },
  });
  server.setBlocking(false);
  let calls = 0;
  while (server.tryHandshake().state !== "ok") {
    assert(++calls < 50, "it spins");
    assert(await server.ready("read", LONG), "it is never ready");
  }
  server.setBlocking(true);
  const client = await connecting;
  assertEquals(shownTo(client), "a.test");
  await assertTalk(client, server);
  await closeBoth(client, server);
});

test("getConfigForClient: in non-blocking mode, what it throws is thrown by the next call", async () => {
  const [near, far] = pipe();
  const connecting = wrapSocket(near, CLIENT);
  connecting.catch(() => {});
  const server = await wrapSocket(far, {
    ...SERVER,
    doHandshake: false,
    getConfigForClient: () => Promise.reject(new Error("no")),
  });
  server.setBlocking(false);
  assertEquals(server.tryRead(new Uint8Array(1)).state, "want-read");
  const error = await assertRejects(async () => {
    while (await server.ready("read", LONG)) server.tryHandshake();
  }, SSLError);
  assertEquals(error.kind, "config");
  await server.close();
  assertEquals((await assertKind(connecting, "alert")).alert?.name, "internal_error");
});

test("getConfigForClient: it is a server's, and a function", async () => {
  const getConfigForClient = () => undefined;
  await assertRejects(() => SSLContext.create({ getConfigForClient }), TypeError, "for servers");
  const text = "ec.pem" as unknown as GetConfigForClient;
  await assertRejects(
    () => SSLContext.create({ ...SERVER, getConfigForClient: text }),
    TypeError,
    "expected a function",
  );
});

test("getConfigForClient: 200 clients at once, each is shown the certificate of its name", async () => {
  const hosts = Array.from({ length: 8 }, (_, i) => `host${i}.test`);
  const contexts = new Map(
    await Promise.all(hosts.map(async (host) => [host, await contextFor(host)] as const)),
  );
  let waiting = 0;
  let most = 0;
  await using server = await serving(async (reader, writer) => {
    const line = await reader.readline();
    writer.write(line);
    await writer.drain();
    writer.close();
  }, {
    ssl: {
      ...SERVER,
      // The later ones are often answered first.
      getConfigForClient: async ({ serverName }: ClientHello) => {
        most = Math.max(most, ++waiting);
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 50));
        waiting--;
        return contexts.get(serverName!);
      },
    },
  });
  using trusting = await SSLContext.create({ caCerts: ROOT.certificate });
  const shown = await Promise.all(Array.from({ length: 200 }, async (_, i) => {
    const host = hosts[i % hosts.length]!;
    const client = await trusting.wrapSocket(await dial(server), { serverHostname: host, timeout: LONG });
    await client.write(encodeText(`${i}\n`));
    const found = [shownTo(client), await readText(client)];
    await client.close();
    return found;
  }));
  assertEquals(shown, Array.from(shown, (_, i) => [hosts[i % hosts.length], `${i}\n`]));
  assert(most > 20, `only ${most} were chosen for at once`);
  for (const context of contexts.values()) context[Symbol.dispose]();
});

test("getConfigForClient: a certificate that is renewed under load drops no connection, old or new", async () => {
  const WAVES = 6;
  let current = await contextFor("a.test");
  await using server = await serving(async (reader, writer) => {
    writer.write(await reader.readline());
    await writer.drain();
    writer.close();
  }, { ssl: { ...SERVER, getConfigForClient: () => current } });
  using trusting = await SSLContext.create({ caCerts: ROOT.certificate });
  const connect = async () =>
    await trusting.wrapSocket(await dial(server), { serverHostname: "a.test", timeout: LONG });
  const connecting: Promise<SSLSocket>[] = [];
  for (let wave = 0; wave < WAVES; wave++) {
    const clients = Array.from({ length: 10 }, connect);
    connecting.push(...clients);
    const [renewed] = await Promise.all([contextFor("a.test"), clients[0]]);
    current[Symbol.dispose](); // some of its connections are open, others still shake hands
    current = renewed;
  }
  const shown = await Promise.all(connecting.map(async (connected, i) => {
    const client = await connected;
    await client.write(encodeText(`${i}\n`));
    const { serialNumber } = client.getpeercert()!;
    const echo = await readText(client);
    await client.close();
    return { echo, serialNumber };
  }));
  current[Symbol.dispose]();
  assertEquals(shown.map(({ echo }) => echo), shown.map((_, i) => `${i}\n`));
  const certificates = new Set(shown.map(({ serialNumber }) => serialNumber));
  assert(certificates.size >= WAVES, `${certificates.size} certificates`); // the first of each wave had its own
  assertEquals(server.stats.handshakeFailures, 0);
});
