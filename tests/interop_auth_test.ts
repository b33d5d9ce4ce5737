/** Client certificates, in both directions. */
import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import { CERT_OPTIONAL, CERT_REQUIRED, SSLCertVerificationError, SSLError } from "tlsio";
import { closeInOrder, httpHandler, receive, ROOTS, send, tlsioClient, tlsioServer, VERSION } from "./interop.ts";
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
        assertEquals([toldAgain?.info?.client, toldAgain?.info?.resumed, again.sessionReused], [name, true, true]);
      });
    }

    Deno.test(`interop tlsio -> openssl s_server -Verify TLSv${tls} client certificate "${name}": accepted`, async () => {
      await using server = await opensslServer({ ...identity("rsa"), ...REQUIRED, tls, mode: "www" });
      const socket = await tlsioClient(server.port, own(certificate));
      await send(socket, "GET / HTTP/1.0\r\n\r\n");
      const page = await receive(socket);
      assertMatch(page, new RegExp(`Subject: CN ?= ?${name}`));
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
      assertMatch(server.program.stdout, new RegExp(`subject .CN=${name},`));
    });
  }

  for (const [peer, start] of Object.entries(SCRIPT_SERVERS)) {
    for (const certificate of [undefined, "self"]) {
      const which = certificate === undefined ? "no certificate" : "a certificate of nobody's";
      Deno.test(`interop tlsio -> ${peer} TLSv${tls} with ${which}: the server's alert is the error`, async () => {
        await using server = await start({ ...identity("ec"), ...REQUIRED, tls });
        const error = await assertRejects(async () => {
          const socket = await tlsioClient(server.port, certificate === undefined ? {} : own(certificate));
          await using _ = socket;
          await runSteps(socket, ["INFO"]); // TLS 1.3: the client is done before the server has looked
        }, SSLError);
        const missing = tls === "1.3" ? "certificate_required" : "handshake_failure";
        const expected = certificate === undefined ? missing : "unknown_ca";
        assertEquals([error.kind, error.alert?.name], ["alert", expected]);
        assertEquals((await server.event("failed")).event, "failed");
      });
    }
  }
}
