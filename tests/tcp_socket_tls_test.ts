/** TLS over MicroPython's socket, connected before or afterwards. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { wrapSocket } from "../lib/ssl.ts";
import { socket } from "../socket.ts";
import { CLIENT, isPending, SERVER, test } from "./sockets.ts";
import { failure, listen, pair, text } from "./tcp_sockets.ts";

for (const blocking of [true, false]) {
  test(`wrapSocket(socket): TLS over a connected socket, ${blocking ? "blocking" : "non-blocking"}`, async () => {
    const [client, server, closer] = await pair();
    await using _ = closer;
    client.setblocking(blocking);
    const [mine, theirs] = await Promise.all([wrapSocket(client, CLIENT), wrapSocket(server, SERVER)]);
    await mine.write(encodeText("over tls") as Uint8Array<ArrayBuffer>);
    const p = new Uint8Array(100);
    const n = await theirs.read(p);
    assertEquals(text(p.subarray(0, n!)), "over tls");
    assertEquals((mine.remoteAddr as Deno.NetAddr).port, client.remoteAddr!.port);
    await Promise.all([mine.close(), theirs.close()]);
    assertEquals(await failure(() => client.recv(1)), "EBADF"); // closing TLS closes the socket
  });
}

test("Socket.duplex: takes up where recv() was left, without a byte lost or moved", async () => {
  const [client, server, closer] = await pair();
  await using _ = closer;
  const sent = new Uint8Array(1 << 20).map((_, i) => i * 13 + (i >> 8));
  const sending = client.sendall(sent);
  const got: Uint8Array[] = [];
  const p = new Uint8Array(5000);
  for (let total = 0; total < sent.length;) {
    if (got.length % 3 === 0) {
      server.setblocking(false);
      got.push(await server.read(3000) ?? new Uint8Array(0)); // leaves a read under way
    } else got.push(p.slice(0, await server.duplex.read(p) ?? 0));
    total += got.at(-1)!.length;
  }
  await sending;
  assertEquals(new Uint8Array(await new Blob(got as Uint8Array<ArrayBuffer>[]).arrayBuffer()), sent);
});

test("wrapSocket(socket): wrapped first, connected afterwards", async () => {
  const [listener, address] = listen();
  await using _ = listener;
  const client = socket();
  const wrapping = wrapSocket(client, CLIENT);
  assert(await isPending(wrapping));
  await client.connect(address);
  const [server] = await listener.accept();
  const [mine, theirs] = await Promise.all([wrapping, wrapSocket(server, SERVER)]);
  assertEquals(mine.version(), "TLSv1.3");
  await Promise.all([mine.close(), theirs.close()]);
});

test("wrapSocket(socket): wrapped first, a connect() that fails fails the handshake", async () => {
  const [listener, address] = listen();
  await listener.close();
  const client = socket();
  const wrapping = assertRejects(() => wrapSocket(client, CLIENT), Error, "refused");
  assertEquals(await failure(() => client.connect(address)), "ECONNREFUSED");
  await wrapping;
});

test("wrapSocket(socket): wrapped first and closed without connect() ends", async () => {
  const client = socket();
  const tls = await wrapSocket(client, { ...CLIENT, doHandshake: false });
  const reading = assertRejects(() => tls.read(new Uint8Array(1)));
  await isPending(reading);
  await tls.close();
  await reading;
});
