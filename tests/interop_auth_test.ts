/** Client certificates, in both directions. */
import { assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import { CERT_OPTIONAL, CERT_REQUIRED, SSLCertVerificationError, SSLError } from "tlsio";
import {
  closeInOrder,
  httpHandler,
  type HttpOptions,
  receive,
  ROOTS,
  send,
  tlsioClient,
  tlsioServer,
  VERSION,
} from "./interop.ts";
import {
  certFile,
  curl,
  denoClient,
  gnutlsClient,
  gnutlsServer,
  identity,
  nginx,
  nodeClient,
  nodeServer,
  opensslClient,
  opensslServer,
  pythonClient,
  pythonServer,
  runSteps,
} from "./peers.ts";

const BADCERT_NOT_TRUSTED = 0x08;
const BADCERT_MISSING = 0x40;
const BADCERT_EXT_KEY_USAGE = 0x1000;

/** A certificate of ours with its key, as `wrapSocket` wants it. */
function own(name: string) {
  return { certfile: certFile(`${name}.pem`), keyfile: certFile(`${name}.key`) };
}

const VERSIONS = ["1.2", "1.3"] as const;
const CLIENTS = { client: "EC client", "client-rsa": "RSA client" } as const;
const SCRIPT_SERVERS = { "python ssl": pythonServer, "node tls": nodeServer };
const SCRIPT_CLIENTS = { "python ssl": pythonClient, "node tls": nodeClient };
const REQUIRED = { clientAuth: "required", clientCa: ROOTS } as const;

for (const tls of VERSIONS) {
  for (const [certificate, name] of Object.entries(CLIENTS)) {
    for (const [peer, start] of Object.entries(SCRIPT_SERVERS)) {
      Deno.test(`interop tlsio -> ${peer} TLSv${tls} client certificate "${name}": accepted, and again when resumed`, async () => {
        await using server = await start({ ...identity("ec"), ...REQUIRED, tls });
        const context = own(certificate);
        const first = await tlsioClient(server.port, context);
        const [told] = await runSteps(first, ["INFO"]);
        const savedSession = first.session!;
        await closeInOrder(first);
        const again = await tlsioClient(server.port, { ...context, savedSession });
        const [toldAgain] = await runSteps(again, ["INFO"]);
        await closeInOrder(again);
        assertEquals([told?.info?.client, told?.info?.resumed], [name, false]);
        assertEquals([toldAgain?.info?.client, toldAgain?.info?.resumed, again.sessionReused], [
          name,
          true,
          true,
        ]);
      });
    }

    Deno.test(`interop tlsio -> openssl s_server -Verify TLSv${tls} client certificate "${name}": accepted`, async () => {
      await using server = await opensslServer({ ...identity("rsa"), ...REQUIRED, tls, mode: "www" });
      const socket = await tlsioClient(server.port, own(certificate));
      await send(socket, "GET / HTTP/1.0\r\n\r\n");
      const page = await receive(socket);
      assertMatch(page, new RegExp(`Subject: O=tlsio tests, CN=${name}`));
      assertMatch(page, /Verify return code: 0 \(ok\)/);
      await socket.close();
    });

    Deno.test(`interop tlsio -> nginx TLSv${tls} client certificate "${name}": accepted`, async () => {
      await using server = await nginx({ ...identity("ec"), ...REQUIRED, tls });
      const socket = await tlsioClient(server.port, own(certificate));
      await send(socket, "GET /info HTTP/1.0\r\n\r\n");
      assertMatch(await receive(socket), new RegExp(`client_verify=SUCCESS\nclient_s_dn=CN=${name},`));
      await socket.close();
    });

    Deno.test(`interop tlsio -> gnutls-serv TLSv${tls} client certificate "${name}": accepted`, async () => {
      await using server = await gnutlsServer({ ...identity("ec"), ...REQUIRED, tls });
      const socket = await tlsioClient(server.port, own(certificate));
      await send(socket, "hello\n");
      assertEquals(await receive(socket, /\n/), "hello\n");
      await closeInOrder(socket);
      assertMatch(server.program.stdout, new RegExp(`Subject: CN=${name},`));
    });
  }

  for (const certificate of [undefined, "self"]) {
    const which = certificate === undefined ? "no certificate" : "a certificate of nobody's";
    // Of all servers the blocking one of python alone is sure not to let a reset overtake its alert.
    Deno.test(`interop tlsio -> python ssl TLSv${tls} with ${which}: the server's alert is the error`, async () => {
      await using server = await pythonServer({ ...identity("ec"), ...REQUIRED, tls });
      const error = await assertRejects(async () => {
        await using socket = await tlsioClient(
          server.port,
          certificate === undefined ? {} : own(certificate),
        );
        await runSteps(socket, ["INFO"]); // TLS 1.3: the client is done before the server has looked
      }, SSLError);
      const missing = tls === "1.3" ? "certificate_required" : "handshake_failure";
      const expected = certificate === undefined ? missing : "unknown_ca";
      assertEquals([error.kind, error.alert?.name], ["alert", expected]);
      assertEquals((await server.event("failed")).event, "failed");
    });
  }

  for (const [peer, connect] of Object.entries(SCRIPT_CLIENTS)) {
    for (const [certificate, name] of Object.entries(CLIENTS)) {
      Deno.test(`interop ${peer} -> tlsio CERT_REQUIRED TLSv${tls} "${name}": known, and again when resumed`, async () => {
        await using server = await tlsioServer({ certReqs: CERT_REQUIRED, caCerts: ROOTS });
        const at = { port: server.port, ca: ROOTS, tls, ...identity(certificate) };
        const { connections } = await connect({ ...at, connections: 2 });
        assertEquals(connections.map(({ steps }) => steps[0]?.info?.client), [name, name]);
        assertEquals(connections.map(({ resumed }) => resumed), [false, true]);
        const served = await server.served(2);
        assertEquals(served.map(({ client, resumed }) => [client, resumed]), [[name, false], [name, true]]);
      });
    }

    Deno.test(`interop ${peer} -> tlsio CERT_REQUIRED TLSv${tls} without: refused, and the alert says why`, async () => {
      await using server = await tlsioServer({ certReqs: CERT_REQUIRED, caCerts: ROOTS });
      const { connections } = await connect({ port: server.port, ca: ROOTS, tls });
      const error = await server.failed() as SSLError;
      assertEquals([error.kind, error.reason], ["verify", "MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE"]);
      assertEquals(connections[0]?.steps, []);
      const alert = tls === "1.3" ? /alert certificate required|alert number 116/ : /alert handshake failure/;
      assertMatch(connections[0]?.error ?? "no alert", alert);
    });

    Deno.test(`interop ${peer} -> tlsio CERT_REQUIRED TLSv${tls} of another authority: alert unknown_ca`, async () => {
      await using server = await tlsioServer({
        certReqs: CERT_REQUIRED,
        caCerts: certFile("root-rsa.pem"),
      });
      const { connections } = await connect({ port: server.port, ca: ROOTS, tls, ...identity("client") });
      const error = await server.failed();
      assertInstanceOf(error, SSLCertVerificationError);
      assertEquals([error.kind, error.verifyFlags], ["verify", BADCERT_NOT_TRUSTED]);
      assertMatch(connections[0]?.error ?? "no alert", /alert unknown ca/);
    });

    Deno.test(`interop ${peer} -> tlsio CERT_REQUIRED TLSv${tls} with a server's certificate: refused, kind verify`, async () => {
      await using server = await tlsioServer({ certReqs: CERT_REQUIRED, caCerts: ROOTS });
      const { connections } = await connect({ port: server.port, ca: ROOTS, tls, ...identity("ec") });
      const error = await server.failed();
      assertMatch(connections[0]?.error ?? "no alert", /alert (unsupported|bad) certificate/);
      assertInstanceOf(error, SSLCertVerificationError, `${error}`);
      assertEquals([error.kind, error.verifyFlags], ["verify", BADCERT_EXT_KEY_USAGE]);
    });

    Deno.test(`interop ${peer} -> tlsio CERT_OPTIONAL TLSv${tls} with, without, and wrong: all served`, async () => {
      const flags: number[] = [];
      await using server = await tlsioServer({
        certReqs: CERT_OPTIONAL,
        caCerts: certFile("root-rsa.pem"),
        handler: async (_reader, writer, socket) => {
          flags.push(socket.verifyFlags);
          const name = socket.getpeercert()?.subject?.flat().find(([name]) => name === "commonName")?.[1];
          writer.write(`${name}, ${socket.getUnverifiedChain().length > 0}\n`);
          await writer.drain();
        },
      });
      const at = { port: server.port, ca: ROOTS, tls, steps: ["LINE hello"] };
      const lines: (string | undefined)[] = [];
      for (const certificate of ["client-rsa", undefined, "client"]) {
        const { connections } = await connect({ ...at, ...(certificate && identity(certificate)) });
        lines.push(connections[0]?.steps[0]?.line);
      }
      assertEquals(lines, ["RSA client, true", "undefined, false", "undefined, true"]);
      assertEquals(flags, [0, BADCERT_MISSING, BADCERT_NOT_TRUSTED]);
    });
  }

  Deno.test(`interop openssl s_client -> tlsio CERT_REQUIRED TLSv${tls}: with, without, and wrong`, async () => {
    await using server = await tlsioServer({ certReqs: CERT_REQUIRED, caCerts: ROOTS });
    const at = { port: server.port, ca: ROOTS, tls, input: "INFO\n", until: /"client":.*\n/ };
    const known = await opensslClient({ ...at, ...identity("client") });
    assertMatch(known.stdout, /"client":"EC client"/);
    // RFC 8446's certificate_authorities is optional; mbedTLS does not send it.
    const names = /^Acceptable client certificate CA names\n.*CN = EC root\n.*CN = RSA root\n/m;
    assertEquals(names.test(known.stdout), tls === "1.2");
    const unknown = await opensslClient(at);
    assertEquals([unknown.code, (await server.failed(1) as SSLError).kind], [1, "verify"]);
    const wrong = await opensslClient({ ...at, ...identity("self") });
    assertEquals([wrong.code, (await server.failed(2) as SSLError).kind], [1, "verify"]);
  });

  Deno.test(`interop curl, gnutls-cli, Deno -> tlsio CERT_REQUIRED TLSv${tls}: client certificates accepted`, async () => {
    const options = { certReqs: CERT_REQUIRED, caCerts: ROOTS, sslVersion: VERSION[tls] } as const;
    const mine = identity("client-rsa");
    await using server = await tlsioServer(options);
    const input = { input: "INFO\n", until: /"client":.*\n/ };
    const gnutls = await gnutlsClient({ port: server.port, ca: ROOTS, ...mine, ...input });
    assertMatch(gnutls.stdout, /"client":"RSA client"/);
    const { steps } = await denoClient({ port: server.port, ca: ROOTS, ...mine, steps: ["INFO"] });
    assertEquals(steps[0]?.info?.client, "RSA client");
    const answer: HttpOptions["answer"] = (_path, _body, { verifyFlags }) => `flags ${verifyFlags}`;
    await using web = await tlsioServer({ ...options, handler: httpHandler({ answer }) });
    const args = ["--cert", mine.cert, "--key", mine.key];
    assertEquals((await curl(`https://localhost:${web.port}/`, ROOTS, args)).stdout, "flags 0");
  });
}
