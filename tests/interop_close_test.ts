/** How a connection ends, as the other end sees it: in order, cut off, by halves, or back to plain bytes. */
import { assertEquals, assertRejects } from "@std/assert";
import { type Duplex, SSLEOFError, wrapSocket } from "tlsio";
import { clientOptions, closeInOrder, receive, ROOTS, send, tlsioClient, tlsioServer } from "./interop.ts";
import {
  certFile,
  identity,
  nodeServer,
  PATIENCE,
  pattern,
  Program,
  pythonClient,
  pythonServer,
  runSteps,
  within,
} from "./peers.ts";

const VERSIONS = ["1.2", "1.3"] as const;
const SERVERS = {
  "python ssl": pythonServer,
  "python asyncio": (options: Parameters<typeof pythonServer>[0]) =>
    pythonServer({ ...options, style: "asyncio" }),
  "node tls": nodeServer,
};

for (const tls of VERSIONS) {
  for (const [name, start] of Object.entries(SERVERS)) {
    Deno.test(`interop tlsio -> ${name} TLSv${tls} that drops the connection: SSLEOFError, or its end if asked`, async () => {
      await using server = await start({ ...identity("ec"), tls });
      const strict = await tlsioClient(server.port);
      await send(strict, "DROP\n");
      const error = await assertRejects(() => receive(strict), SSLEOFError);
      assertEquals(error.kind, "eof");
      await strict.close();
      const lenient = await tlsioClient(server.port, { suppressRaggedEofs: true });
      await send(lenient, "DROP\n");
      assertEquals(await receive(lenient), "");
      await lenient.close();
    });

    Deno.test(`interop tlsio -> ${name} TLSv${tls} that closes first: end of the stream, then closed in order`, async () => {
      await using server = await start({ ...identity("ec"), tls });
      const socket = await tlsioClient(server.port);
      assertEquals((await runSteps(socket, ["ECHO 1000 1", "QUIT"])).map(({ ok }) => ok), [true, true]);
      await socket.close();
      assertEquals((await server.event("closed")).clean, true);
    });
  }

  Deno.test(`interop python ssl -> tlsio TLSv${tls} that closes first, and that drops: clean, and truncated`, async () => {
    await using server = await tlsioServer();
    const at = { port: server.port, ca: ROOTS, tls };
    const quit = await pythonClient({ ...at, steps: ["ECHO 1000 1", "QUIT"] });
    assertEquals(quit.connections[0]?.closed, "clean");
    const drop = await pythonClient({ ...at, steps: ["ECHO 1000 1", "DROP"] });
    assertEquals(drop.connections[0]?.closed, "truncated");
    assertEquals((await server.served(2)).map(({ ended }) => ended), ["quit", "drop"]);
  });

  Deno.test(`interop tlsio -> python ssl TLSv${tls} closeWrite(): what the peer still sends arrives`, async () => {
    await using server = await pythonServer({ ...identity("ec"), tls });
    const socket = await tlsioClient(server.port);
    const length = 50_000;
    await send(socket, `SOURCE ${length} 1\n`);
    await socket.closeWrite();
    const got = new Uint8Array(length + 1);
    let at = 0;
    const untilEnd = async () => {
      for (let n; (n = await socket.read(got.subarray(at))) !== null;) at += n;
    };
    await within(untilEnd(), PATIENCE, "read to the end");
    assertEquals(got.subarray(0, at), pattern(1, 0, length));
    await socket.close();
    assertEquals((await server.event("closed")).clean, true);
  });

  Deno.test(`interop tlsio <-> python ssl TLSv${tls} unwrap(): plain bytes before, between, and after`, async () => {
    const script = `import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_${tls.at(-1)}
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
raw = listener.accept()[0]
raw.settimeout(20)
for turn in range(2):
    raw.sendall(b"plain %d\\n" % turn)
    tls = context.wrap_socket(raw, server_side=True, suppress_ragged_eofs=False)
    tls.sendall(tls.recv(100).upper())
    raw = tls.unwrap()
raw.sendall(b"plain for good\\n")
raw.close()
`;
    await using program = new Program("python3", [
      ...["-c", script, certFile("ec.pem"), certFile("ec.key")],
    ]);
    const [, port] = await program.waitFor(/^(\d+)\n/);
    let below: Duplex = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
    const plain = async () => {
      const line = new Uint8Array(100);
      const n = await within(below.read(line), PATIENCE, "read plain bytes");
      return new TextDecoder().decode(line.subarray(0, n ?? 0));
    };
    for (const turn of [0, 1]) {
      assertEquals(await plain(), `plain ${turn}\n`);
      const socket = await wrapSocket(below, clientOptions());
      await send(socket, "in tls");
      assertEquals(await receive(socket, /TLS/), "IN TLS");
      below = await socket.unwrap();
    }
    assertEquals(await plain(), "plain for good\n");
    await below.close();
  });
}

Deno.test("interop clients that vanish in the handshake, then python -> tlsio: each costs itself only", async () => {
  await using server = await tlsioServer();
  for (let i = 0; i < 3; i++) {
    using conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    await conn.write(new Uint8Array([22, 3, 1, 2, 0, 1])); // the start of a ClientHello
  }
  const error = await server.failed(3);
  assertEquals(error instanceof SSLEOFError, true);
  const { connections } = await pythonClient({ port: server.port, ca: ROOTS });
  assertEquals(connections[0]?.closed, "clean");
  const socket = await tlsioClient(server.port);
  await closeInOrder(socket);
  await server.served(2);
  const { accepted, handshakeFailures, failures } = server.server.stats;
  assertEquals([accepted, handshakeFailures, failures], [5, 3, { MBEDTLS_ERR_SSL_CONN_EOF: 3 }]);
});
