/** verifyConnection, pins, onUnknownPeer: what programs that no one here wrote are told. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { type ConnectionState, publicKeyPin, SSLError, type WrapSocketOptions } from "tlsio";
import { closeInOrder, httpHandler, ROOTS, tlsioClient, tlsioServer } from "./interop.ts";
import { certFile, curl, identity, opensslClient, opensslServer, runSteps } from "./peers.ts";

const CLIENT = identity("client");
const refuse = () => Promise.reject(new Error("not today"));

for (const tls of ["1.2", "1.3"] as const) {
  Deno.test(`verifyConnection: openssl TLSv${tls} as the client is told bad_certificate, and accepted otherwise`, async () => {
    const seen: ConnectionState[] = [];
    await using server = await tlsioServer({
      certReqs: 2,
      caCerts: ROOTS,
      verifyConnection: (state) => seen.push(state) === 1 ? undefined : refuse(),
    });
    const at = { port: server.port, ca: ROOTS, tls, ...CLIENT };
    const first = await opensslClient({ ...at, input: "INFO\n", until: /^\{.*\}$/m });
    assertEquals([first.code, first.version], [0, `TLSv${tls}`], first.stderr);
    // In TLS 1.3 its handshake is over before ours: the alert comes with what it reads.
    const second = await opensslClient({ ...at, input: "INFO\n", until: /^\{.*\}$/m });
    assertMatch(second.stdout + second.stderr, /alert bad certificate/);
    assertEquals((await server.failed() as SSLError).kind, "verify");
    const pin = publicKeyPin(await Deno.readTextFile(CLIENT.cert));
    assertEquals(seen.map((state) => state.pin), [pin, pin]);
  });

  Deno.test(`verifyConnection: openssl TLSv${tls} as the server is told bad_certificate before a certificate of ours`, async () => {
    await using server = await opensslServer({
      ...identity("ec"),
      tls,
      clientAuth: "required",
      clientCa: ROOTS,
    });
    const own = { certfile: CLIENT.cert, keyfile: CLIENT.key };
    const accepted = await tlsioClient(server.port, { ...own, verifyConnection: () => {} });
    assertEquals((await runSteps(accepted, ["LINE hello"]))[0]?.line, "olleh");
    await closeInOrder(accepted);
    const before = server.program.stderr.length;
    await assertRejects(
      () => tlsioClient(server.port, { ...own, verifyConnection: refuse }),
      SSLError,
      "not today",
    );
    await server.program.waitFor(/alert bad certificate/);
    assertEquals(server.program.stderr.slice(before).includes("depth=0"), false); // it has verified none
  });

  Deno.test(`pins, onUnknownPeer: openssl TLSv${tls} as the server, by its key`, async () => {
    await using server = await opensslServer({ ...identity("self"), tls });
    const pin = publicKeyPin(await Deno.readTextFile(certFile("self.pem")));
    const asked: unknown[] = [];
    const onUnknownPeer = (state: ConnectionState) => asked.push([state.pin, state.serverHostname]) > 0;
    for (const options of [{ certReqs: 0, pins: [pin] }, { onUnknownPeer }] as WrapSocketOptions[]) {
      const socket = await tlsioClient(server.port, options);
      assertEquals((await runSteps(socket, ["LINE hello"]))[0]?.line, "olleh");
      await closeInOrder(socket);
    }
    assertEquals(asked, [[pin, "localhost"]]);
  });
}

Deno.test("publicKeyPin: curl takes it for --pinnedpubkey, and no other", async () => {
  await using server = await tlsioServer({ handler: httpHandler() });
  for (const [name, code] of [["ec", 0], ["rsa", 90]] as const) { // CURLE_SSL_PINNEDPUBKEYNOTMATCH
    const pin = publicKeyPin(await Deno.readTextFile(certFile(`${name}.pem`)));
    const result = await curl(`https://localhost:${server.port}/`, ROOTS, ["--pinnedpubkey", pin]);
    assertEquals(result.code, code, result.stderr);
  }
});
