/** setContext(): the certificate of a running server is renewed, and no connection is dropped. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { createCertificate } from "../lib/certificate.ts";
import { Core } from "../lib/core.ts";
import { SSLError } from "../lib/errors.ts";
import { type HttpServeOptions, serve } from "../lib/http.ts";
import { peerCertificate } from "../lib/peer_certificate.ts";
import { TicketKeyRing } from "../lib/tickets.ts";
import { saveSession, SSLContext, wrapSocket } from "../lib/ssl.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { curl, tempDir } from "./peers.ts";
import { dial, eventually, LONG, readText, serving, test, VERSIONS } from "./sockets.ts";

const ROOT = createCertificate({ subject: "CN=Swap Root", isCA: true });
const CLIENT = { caCerts: ROOT.certificate, serverHostname: "localhost", timeout: LONG };

function renewed(host = "localhost") {
  const { certificate, key } = createCertificate({ subject: `CN=${host}`, hosts: [host], issuer: ROOT });
  return { certfile: certificate, keyfile: key };
}

function serialOf(pem: string): string | undefined {
  return peerCertificate(encodeText(pem)).serialNumber;
}

function serialShown(client: SSLSocket): string | undefined {
  return client.getpeercert()?.serialNumber;
}

/** A server that sends back each line. */
function echoing(ssl: SSLContext | ReturnType<typeof renewed>) {
  return serving(async (reader, writer) => {
    for await (const line of reader) {
      writer.write(line);
      await writer.drain();
    }
    writer.close();
  }, { ssl });
}

async function echo(client: SSLSocket, text: string): Promise<void> {
  await client.write(encodeText(`${text}\n`));
  assertEquals(await readText(client), `${text}\n`);
}

for (const [name, sslVersion] of Object.entries(VERSIONS)) {
  test(`Server.setContext(): ${name}, new connections have it, live ones go on, sessions are resumed`, async () => {
    const [first, second] = [renewed(), renewed()];
    await using server = await echoing(first);
    const client = await wrapSocket(await dial(server), { ...CLIENT, sslVersion });
    await echo(client, "before");
    const savedSession = saveSession(client)!;

    await server.setContext(second);
    await echo(client, "still there");
    const fresh = await wrapSocket(await dial(server), { ...CLIENT, sslVersion });
    assertEquals([client, fresh].map(serialShown), [first, second].map(({ certfile }) => serialOf(certfile)));
    const again = await wrapSocket(await dial(server), { ...CLIENT, sslVersion, savedSession });
    assert(again.sessionReused);
    await echo(again, "resumed");

    await server.setContext(renewed("other.test")); // another identity: its sessions are another's
    await assertRejects(
      async () => await wrapSocket(await dial(server), { ...CLIENT, sslVersion, savedSession }),
      SSLError,
      'the certificate is not for "localhost"',
    );
    await Promise.all([client, fresh, again].map((socket) => socket.close()));
  });
}

test("Server.setContext(): under load no connection is dropped", async () => {
  const SWAPS = 25;
  const known = new Set<string | undefined>();
  const next = () => {
    const files = renewed();
    known.add(serialOf(files.certfile));
    return files;
  };
  await using server = await echoing(next());
  using trusting = await SSLContext.create({ caCerts: ROOT.certificate });
  let swapping = true;
  const shown = new Set<string | undefined>();
  let connections = 0;
  const load = async () => {
    while (swapping) {
      const client = await trusting.wrapSocket(await dial(server), {
        serverHostname: "localhost",
        timeout: LONG,
      });
      for (let i = 0; i < 3; i++) await echo(client, `${i}`);
      shown.add(serialShown(client));
      await client.close();
      connections++;
    }
  };
  const loads = Array.from({ length: 8 }, load);
  for (let i = 0; i < SWAPS; i++) {
    const before = connections;
    await server.setContext(next());
    await eventually(() => connections > before);
  }
  swapping = false;
  await Promise.all(loads);
  assertEquals(server.stats.handshakeFailures, 0);
  assert([...shown].every((serial) => known.has(serial)));
  assert(shown.size > SWAPS / 2, `${shown.size} certificates were seen`);
});

test("Server.setContext(): while getCertificate is asked, the handshake goes on by the context that it began with", async () => {
  const { promise: asked, resolve: isAsked } = Promise.withResolvers<void>();
  const { promise: decided, resolve: decide } = Promise.withResolvers<void>();
  const { Certificate } = await import("../lib/own_certificate.ts");
  const chosen = renewed();
  const certificate = await Certificate.load(chosen);
  await using server = await serving(async (reader, writer) => {
    writer.write(await reader.readline());
    await writer.drain();
  }, {
    ssl: {
      ...renewed(),
      getCertificate: async () => {
        isAsked();
        await decided;
        return certificate;
      },
    },
  });
  const connecting = wrapSocket(await dial(server), CLIENT);
  await asked;
  await server.setContext(renewed());
  decide();
  const client = await connecting;
  assertEquals(serialShown(client), serialOf(chosen.certfile));
  await echo(client, "hello");
  await client.close();
});

test("Server.setContext(): the old context is freed with its last connection, unless it is yours", async () => {
  const core = Core.shared();
  const given = await SSLContext.create({ serverSide: true, ...renewed() });
  await using server = await echoing(given);
  await server.setContext(renewed());
  const before = core.allocated;
  for (let i = 0; i < 5; i++) await server.setContext(renewed());
  assert(core.allocated < before + 4096, `${core.allocated - before} bytes more`);
  await server.setContext(given); // was not disposed of
  const client = await wrapSocket(await dial(server), CLIENT);
  await echo(client, "hello");
  await client.close();
  given[Symbol.dispose]();
});

test("Server.setContext(): options that are wrong change nothing; calls take effect in their order", async () => {
  const first = renewed();
  const server = await echoing(first);
  await assertRejects(
    () => server.setContext({ certfile: "no such.pem", keyfile: "x" }),
    Deno.errors.NotFound,
  );
  await assertRejects(
    () => server.setContext({ ...first, keyfile: renewed().keyfile }),
    SSLError,
    "does not match",
  );
  for (const [wrong, got] of [[undefined, "undefined"], [null, "null"], ["a.pem", "string"]] as const) {
    const setting = () => server.setContext(wrong as unknown as SSLContext);
    await assertRejects(setting, TypeError, `expected an SSLContext or the options of one, got ${got}`);
  }
  using client = await SSLContext.create({ caCerts: ROOT.certificate });
  await assertRejects(() => server.setContext(client), TypeError, "the context is a client's");
  const show = async () => {
    const socket = await wrapSocket(await dial(server), CLIENT);
    const serial = serialShown(socket);
    await socket.close();
    return serial;
  };
  assertEquals(await show(), serialOf(first.certfile));
  using dir = { path: await Deno.makeTempDir(), [Symbol.dispose]: () => {} };
  const slow = renewed();
  await Deno.writeTextFile(`${dir.path}/cert.pem`, slow.certfile);
  const last = renewed();
  await Promise.all([
    server.setContext({ certfile: `${dir.path}/cert.pem`, keyfile: slow.keyfile }),
    server.setContext(last),
  ]);
  assertEquals(await show(), serialOf(last.certfile));
  await Deno.remove(dir.path, { recursive: true });
  await server[Symbol.asyncDispose]();
  await assertRejects(() => server.setContext(first), TypeError, "the server is closed");
  await using plain = await serving(() => {}, { ssl: null });
  await assertRejects(() => plain.setContext(first), TypeError, "the server was started without");
});

test("HttpServer.setContext(): curl is shown the new certificate, keep-alive connections go on", async () => {
  const [first, second] = [renewed(), renewed()];
  await using dir = await tempDir();
  await Deno.writeTextFile(`${dir.path}/ca.pem`, ROOT.certificate);
  await using server = await serve(() => new Response("hello"), {
    hostname: "127.0.0.1",
    port: 0,
    ssl: first,
  });
  const { port } = server.addr as Deno.NetAddr;
  using client = Deno.createHttpClient({ caCerts: [ROOT.certificate] });
  const get = async () => await (await fetch(`https://localhost:${port}/`, { client })).text();
  assertEquals(await get(), "hello");
  const { accepted } = server.stats;
  await server.setContext(second);
  assertEquals([await get(), server.stats.accepted], ["hello", accepted]); // on the same connection
  const { code, stderr } = await curl(`https://localhost:${port}/`, `${dir.path}/ca.pem`, ["-v"]);
  assertEquals(code, 0, stderr);
  assertStringIncludes(stderr, "http/1.1"); // by ALPN, as before
  const socket = await wrapSocket(await Deno.connect({ hostname: "127.0.0.1", port }), CLIENT);
  assertEquals(serialShown(socket), serialOf(second.certfile));
  await socket.close();
});

const HTTP = new URL("./workers/http.ts", import.meta.url);
const OWN_CONTEXT = new URL("./workers/own_context.ts", import.meta.url);

test("WorkerServer.setContext(): every worker has it, under load; what cannot cross is named", async () => {
  const [first, second] = [renewed(), renewed()];
  const options: HttpServeOptions = { hostname: "127.0.0.1", port: 0 };
  let crashes = 0;
  await using server = await serve(HTTP, {
    ...options,
    workers: 2,
    ssl: { certificates: [first] },
    onConnectionError: (_, { phase }) => void (phase === "worker" && crashes++),
  });
  const show = async () => {
    const socket = await wrapSocket(await dial(server), CLIENT);
    const serial = serialShown(socket);
    await socket.close();
    return serial;
  };
  assertEquals(await show(), serialOf(first.certfile));
  let swapping = true;
  const load = (async () => {
    const seen = [];
    while (swapping) seen.push(await show());
    return seen;
  })();
  await server.setContext({ ...second });
  const after = await Promise.all(Array.from({ length: 24 }, show));
  swapping = false;
  await load;
  assertEquals(new Set(after), new Set([serialOf(second.certfile)]));
  assertEquals((await server.stats()).handshakeFailures, 0);

  // A worker that is started in place of one that has crashed has it, too.
  using http = Deno.createHttpClient({ caCerts: [ROOT.certificate] });
  await fetch(`https://localhost:${server.addr.port}/crash`, { client: http }).catch(() => {});
  for (;;) {
    const { restarts, workers } = await server.stats();
    if (restarts === 1 && workers === 2) break;
  }
  assertEquals(crashes, 1);
  assertEquals(
    new Set(await Promise.all(Array.from({ length: 24 }, show))),
    new Set([serialOf(second.certfile)]),
  );

  using ring = new TicketKeyRing();
  using context = await SSLContext.create({ serverSide: true, ...first });
  for (
    const [ssl, words] of [
      [context, "an SSLContext"],
      [{ ...first, getCertificate: () => undefined }, "ssl.getCertificate"],
      [{ certificates: [{ certfile: first.certfile, sign: () => new Uint8Array() }] }, "signs elsewhere"],
      [{ ...first, tickets: ring }, "Cannot use tickets: the workers keep the ring"],
    ] as const
  ) {
    await assertRejects(() => server.setContext(ssl), TypeError, words);
  }
  const none = undefined as unknown as SSLContext;
  await assertRejects(() => server.setContext(none), TypeError, "options of one, got undefined");
  await using own = await serve(OWN_CONTEXT, { ...options, workers: 1, ssl: first });
  await assertRejects(() => own.setContext(second), TypeError, "the handler's module exports its own");
});
