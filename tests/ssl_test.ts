/** SSLContext and the options of wrapSocket(): what is shared, what is checked, what is made of a host name. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { CERT_NONE, CERT_REQUIRED } from "../lib/policy.ts";
import { SSLCertVerificationError } from "../lib/errors.ts";
import { saveSession, SSLContext, wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import { TicketKeyRing } from "../lib/tickets.ts";
import { certFile, identity } from "./peers.ts";
import { pipe } from "./pipe.ts";
import { assertKind, assertTalk, CLIENT, closeBoth, pair, SERVER, test, VERSIONS } from "./sockets.ts";

/** Shakes hands between two contexts. */
async function connect(
  client: SSLContext,
  server: SSLContext,
  options: WrapSocketOptions = { serverHostname: "localhost" },
) {
  const [near, far] = pipe();
  const [ours, theirs] = await Promise.all([client.wrapSocket(near, options), server.wrapSocket(far)]);
  return { client: ours, server: theirs };
}

test("SSLContext: a connection that is being made keeps what it uses", async () => {
  const client = await SSLContext.create({ caCerts: certFile("root.pem") });
  const server = await SSLContext.create(SERVER);
  const connecting = connect(client, server);
  for (const context of [client, server]) context[Symbol.dispose]();
  const ends = await connecting;
  await assertTalk(ends.client, ends.server);
  await closeBoth(ends.client, ends.server);
});

test("SSLContext serves many connections, and those that live outlive it", async () => {
  const client = await SSLContext.create({ caCerts: certFile("root.pem") });
  const server = await SSLContext.create(SERVER);
  assertEquals([client.serverSide, server.serverSide], [false, true]);
  const open = await Promise.all(Array.from({ length: 5 }, () => connect(client, server)));
  client[Symbol.dispose]();
  server[Symbol.dispose]();
  client[Symbol.dispose]();
  for (const pair of open) {
    await assertTalk(pair.client, pair.server);
    await closeBoth(pair.client, pair.server);
  }
  await assertRejects(
    () => client.wrapSocket(pipe()[0], { serverHostname: "localhost" }),
    TypeError,
    "Cannot use TLSConfig: it is disposed",
  );
});

test("wrapSocket({ context }) takes the options of the connection", async () => {
  using context = await SSLContext.create({ caCerts: certFile("root.pem") });
  const [near, far] = pipe();
  const [client, server] = await Promise.all([
    wrapSocket(near, { context, serverHostname: "example.test", timeout: 5, shutdownTimeout: 5 }),
    wrapSocket(far, SERVER),
  ]);
  assertEquals(client.serverHostname, "example.test");
  await closeBoth(client, server);
});

test("wrapSocket() takes an option that is undefined for one that is not given", async () => {
  const [near, far] = pipe();
  const options = (given: WrapSocketOptions): WrapSocketOptions => ({
    certfile: undefined,
    sslVersion: undefined,
    ciphers: undefined,
    password: undefined,
    profile: undefined,
    savedSession: undefined,
    initialData: undefined,
    doHandshake: undefined,
    timeout: undefined,
    shutdownTimeout: undefined,
    signal: undefined,
    context: undefined,
    suppressRaggedEofs: undefined,
    ...given,
  } as WrapSocketOptions);
  const [client, server] = await Promise.all([
    wrapSocket(near, options(CLIENT)),
    wrapSocket(far, options(SERVER)),
  ]);
  assertEquals(client.version(), "TLSv1.3");
  await closeBoth(client, server);
});

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`SSLContext of a server resumes the sessions of another with the same ring in ${version}`, async () => {
    using client = await SSLContext.create({ caCerts: certFile("root.pem"), sslVersion });
    const tickets = new TicketKeyRing();
    using one = await SSLContext.create({ ...SERVER, tickets });
    using two = await SSLContext.create({ ...SERVER, tickets });
    using stranger = await SSLContext.create({ ...SERVER, tickets: new TicketKeyRing() });
    const first = await connect(client, one);
    await assertTalk(first.client, first.server);
    await closeBoth(first.client, first.server);
    const options = { serverHostname: "localhost", savedSession: saveSession(first.client)! };
    for (const [server, resumes] of [[two, true], [stranger, false]] as const) {
      const again = await connect(client, server, options);
      assertEquals(again.client.sessionReused, resumes);
      await closeBoth(again.client, again.server);
    }
  });
}

// ---- serverHostname -------------------------------------------------------------------------------------

const HOSTS: Record<string, string> = {
  "localhost": "localhost",
  "LocalHost": "localhost",
  "localhost.": "localhost",
  "127.0.0.1": "127.0.0.1",
  "::1": "::1",
  "[::1]": "::1",
  "a.wild.test": "a.wild.test",
};

for (const [given, host] of Object.entries(HOSTS)) {
  test(`wrapSocket({ serverHostname: "${given}" }) expects a certificate for ${host}`, async () => {
    const { client, server } = await pair({ client: { serverHostname: given } });
    assertEquals([client.serverHostname, client.verifyFlags], [host, 0]);
    await closeBoth(client, server);
  });
}

test("wrapSocket({ serverHostname }) writes an international name in ASCII", async () => {
  const [near] = pipe();
  const socket = await wrapSocket(near, {
    ...CLIENT,
    serverHostname: "B\u00dcCHER.example",
    doHandshake: false,
  });
  assertEquals(socket.serverHostname, "xn--bcher-kva.example");
  await socket.close();
});

for (const host of ["other.test", "127.0.0.2", "::2", "test", "wild.test", "a.b.wild.test"]) {
  test(`wrapSocket({ serverHostname: "${host}" }) does not accept a certificate for others`, async () => {
    const [near, far] = pipe();
    const server = wrapSocket(far, SERVER).then((socket) => socket.read(new Uint8Array(1)));
    const [error] = await Promise.all([
      assertRejects(() => wrapSocket(near, { ...CLIENT, serverHostname: host }), SSLCertVerificationError),
      assertKind(server, "alert"),
    ]);
    assertEquals(
      error.message,
      `Cannot complete TLS handshake with "${host}": the certificate is not for "${host}"`,
    );
  });
}

for (
  const host of [
    "",
    " ",
    "a b",
    "a/b",
    "user@host",
    "host:443",
    "https://host",
    "[::1",
    "%41",
    "a?b",
    "a#b",
    "a\0b",
  ]
) {
  test(`wrapSocket({ serverHostname: ${JSON.stringify(host)} }) is refused`, async () => {
    const [near] = pipe();
    const call = () => wrapSocket(near, { ...CLIENT, serverHostname: host });
    await assertRejects(call, TypeError, "Cannot use serverHostname: ");
    assertEquals(near.writes, []);
  });
}

const HOSTLESS: Record<string, WrapSocketOptions> = {
  "CERT_NONE": { certReqs: CERT_NONE },
  "checkHostname: false": { caCerts: certFile("root.pem"), checkHostname: false },
};

for (const [what, options] of Object.entries(HOSTLESS)) {
  test(`wrapSocket() needs no serverHostname with ${what}`, async () => {
    const [near, far] = pipe();
    const [client, server] = await Promise.all([wrapSocket(near, options), wrapSocket(far, SERVER)]);
    assertEquals(client.serverHostname, undefined);
    await closeBoth(client, server);
  });
}

test("wrapSocket({ checkHostname: false }) still wants a certificate that is trusted", async () => {
  const [near, far] = pipe();
  const server = wrapSocket(far, { ...SERVER, ...files("self") }).then((socket) =>
    socket.read(new Uint8Array(1))
  );
  const call = () => wrapSocket(near, { ...CLIENT, serverHostname: "other.test", checkHostname: false });
  await Promise.all([assertRejects(call, SSLCertVerificationError), assertKind(server, "alert")]);
});

test("wrapSocket() as a client trusts the Mozilla roots and nobody else by default", async () => {
  const [near, far] = pipe();
  const server = wrapSocket(far, SERVER).then((socket) => socket.read(new Uint8Array(1)));
  const [error] = await Promise.all([
    assertRejects(() => wrapSocket(near, { serverHostname: "localhost" }), SSLCertVerificationError),
    assertKind(server, "alert"),
  ]);
  assertEquals(error.verifyFlags, 8); // not trusted
});

test("wrapSocket({ serverSide: true }) passes its own serverHostname over for the client's", async () => {
  const server = { serverHostname: "not a name" };
  for (const [client, asked] of [[{}, "localhost"], [{ serverHostname: "127.0.0.1" }, undefined]] as const) {
    const made = await pair({ client, server });
    assertEquals(made.server.serverHostname, asked); // RFC 6066 section 3: no addresses in SNI
    await closeBoth(made.client, made.server);
  }
});

// ---- Certificates of clients ----------------------------------------------------------------------------

function files(name: string): WrapSocketOptions {
  const { cert, key } = identity(name);
  return { certfile: cert, keyfile: key };
}

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`wrapSocket({ certReqs: CERT_REQUIRED }) as ${version} server turns a client without one away`, async () => {
    const [near, far] = pipe();
    const asking = { ...SERVER, certReqs: CERT_REQUIRED, caCerts: certFile("root.pem") } as const;
    const client = wrapSocket(near, { ...CLIENT, sslVersion }).then((socket) =>
      socket.read(new Uint8Array(1))
    );
    const [error, told] = await Promise.all([
      assertKind(wrapSocket(far, asking), "verify", "protocol"),
      assertKind(client, "alert"),
    ]);
    assertEquals(error.reason, "MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE");
    assert(["certificate_required", "handshake_failure"].includes(told.alert!.name), told.alert!.name);
  });
}
