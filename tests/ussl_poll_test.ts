/**
 * Deferred handshakes and poll(), in the scenes of MicroPython's own test of them (tests/extmod/ssl_poll.py): a pipe whose ends
 * can be blocked, and what poll() says at each point.
 */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { poll, POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, select, socket } from "../socket.ts";
import { SSL_TIMEOUT, SSLError, type SSLSocket, wrap_socket, type WrapOptions } from "../ussl.ts";
import { pipe, type PipeEnd, type PipeOptions } from "./pipe.ts";
import { assertTook, idle, isPending, seconds, SHORT, test } from "./sockets.ts";
import { listen, text } from "./tcp_sockets.ts";
import { CLIENT, DEFER, events, pair, pollLine, SERVER, serving, thrown, WAIT } from "./ussl_helpers.ts";

const BOTH = POLLIN | POLLOUT;

/** Both ends over a pipe, non-blocking, the handshake deferred. */
async function polling(options?: PipeOptions): Promise<
  { client: SSLSocket; server: SSLSocket; near: PipeEnd; far: PipeEnd }
> {
  const [near, far] = pipe(options);
  const client = await wrap_socket(near, { ...CLIENT, ...DEFER });
  const server = await wrap_socket(far, { ...SERVER, ...DEFER });
  for (const end of [client, server]) end.setblocking(false);
  return { client, server, near, far };
}

/** The same, with the handshake done and a TLS 1.3 server's tickets read. */
async function polled() {
  const made = await polling();
  const { client, server } = made;
  while (client.version() === null || server.version() === null) {
    for (const end of [client, server]) assertEquals(await end.read(128), null);
  }
  for (let turn = 0; turn < 3; turn++) assertEquals(await client.read(128), null);
  return made;
}

test("SSLSocket.read(): the first starts the handshake, which wants to write, so poll() asks for that", async () => {
  const { client, near } = await polling();
  near.blockReads();
  near.blockWrites();
  assertEquals(await client.read(128), null); // the ClientHello is not out
  assertEquals(await events(client, POLLIN, 0), 0);
  assertEquals(await events(client, POLLOUT, 0), 0);
  near.unblockWrites();
  assertEquals(await events(client, POLLIN), POLLIN); // so that the caller reads again
  assertEquals(await client.read(128), null);
  assertEquals(near.writes.length, 1);
  assertEquals(await events(client, POLLIN, 0), 0); // now it wants to read
});

test("SSLSocket.write(): during the handshake poll() for writing waits until it has read", async () => {
  const { client, server, near } = await polling();
  near.blockReads();
  assertEquals(await client.write("foo"), null); // the ClientHello
  assertEquals(await client.write("foo"), null);
  assertEquals(await events(client, BOTH, 0), 0);
  for (let turn = 0; turn < 3; turn++) assertEquals(await server.read(128), null); // the server's flight
  assertEquals(await events(client, POLLOUT, 0), 0);
  near.unblockReads();
  assertEquals(await events(client, POLLOUT), POLLOUT);
  for (let sent: number | null = null; sent === null;) sent = await client.write("foo");
  let got: string | null = null;
  while (got === null) got = text(await server.read(3));
  assertEquals(got, "foo");
});

test("SSLSocket.pollEvents(): decrypted bytes are POLLIN without the connection below", async () => {
  const { client, server, far } = await polled();
  assertEquals(await client.write("foobar"), 6);
  assertEquals(await events(server, POLLIN), POLLIN);
  assertEquals(text(await server.read(3)), "foo");
  far.blockReads();
  const { length } = far.reads;
  assertEquals(await events(server, POLLIN, 0), POLLIN);
  assertEquals(text(await server.read(3)), "bar");
  assertEquals(far.reads.length, length);
  assertEquals(await events(server, POLLIN, 0), 0);
});

test("SSLSocket.pollEvents(): a closed socket is POLLNVAL, before and after its handshake", async () => {
  const { client, server, near } = await polling();
  await client.close();
  assertEquals(await events(client, POLLIN, 0), POLLNVAL);
  assertEquals(near.reads, []);
  const after = await polled();
  await Promise.all([after.client.close(), after.server.close()]);
  assertEquals(await events(after.client, BOTH, 0), POLLNVAL);
  await server.close();
});

test("SSLSocket.pollEvents(): after a failure that read() has thrown, POLLNVAL", async () => {
  const { client, far } = await polling();
  await far.write(encodeText("fooba"));
  assertEquals(await events(client, POLLIN), POLLIN);
  let error: unknown;
  for (let turn = 0; error === undefined && turn < 10; turn++) await client.read(128).catch((e) => error = e);
  assert(error instanceof SSLError);
  assertEquals(error.args, [-29184, "MBEDTLS_ERR_SSL_INVALID_RECORD"]);
  assertEquals(await events(client, BOTH, 0), POLLNVAL);
  for (const call of [() => client.read(1), () => client.write("x"), () => client.do_handshake()]) {
    assertEquals((await assertRejects(call, SSLError)).args, error.args); // it stays
  }
});

test("SSLSocket.pollEvents(): a failure that no call has thrown yet is POLLERR, for the call to come", async () => {
  const { client, near } = await polled();
  near.failReads(new Deno.errors.ConnectionReset("reset"));
  assertEquals(await events(client, POLLIN), POLLIN | POLLERR);
  assertEquals(await thrown(() => client.read(1)), [104, "ECONNRESET"]);
  assertEquals(await events(client, POLLIN), POLLNVAL);
});

test("SSLSocket.pollEvents(): writing is ready again when the connection below has taken what was written", async () => {
  const { client, near } = await polled();
  near.blockWrites();
  assertEquals(await client.write("one"), 3);
  assertEquals(await client.write("two"), null);
  assertEquals(await events(client, BOTH, 0), 0);
  near.unblockWrites();
  assertEquals(await events(client, BOTH), POLLOUT);
  assertEquals(await client.write("two"), 3);
});

test("SSLSocket.read() and poll(): wait through writes that go out, and end with one that fails", async () => {
  const { client, near } = await polled();
  client.setblocking(true);
  near.blockWrites();
  assertEquals(await client.write("one"), 3);
  const [reading, polling] = [client.read(1), events(client, POLLIN)];
  near.unblockWrites();
  assert(await isPending(reading) && await isPending(polling));
  near.blockWrites();
  assertEquals(await client.write("two"), 3);
  near.failWrites(new Deno.errors.ConnectionReset("reset"));
  assertEquals(await thrown(() => reading), [104, "ECONNRESET"]);
  assert(await polling !== 0); // POLLNVAL, if the read was the first to tell
});

test("SSLSocket.pollEvents(): the end of the stream is POLLIN, and stays", async () => {
  const { client, server } = await polled();
  assertEquals(await server.write("last"), 4);
  const closing = server.close();
  assertEquals(await events(client, POLLIN), POLLIN);
  let got = "";
  while (!got.endsWith("last")) got += text(await client.read(2)) ?? "";
  while (await client.read(2) === null);
  assertEquals(got, "last");
  assertEquals([await events(client, POLLIN), (await client.read(1))!.length], [POLLIN, 0]);
  await Promise.all([client.close(), closing]);
});

for (const chunkSize of [1, 7, Infinity]) {
  test(`Poll.poll(): both ends in one poll, lines both ways, ${chunkSize} bytes at a time`, async () => {
    const { client, server } = await polling({ chunkSize });
    const lines = await Promise.all([
      pollLine(client, "from the client\n"),
      pollLine(server, "from the server\n"),
    ]);
    assertEquals(lines, ["from the server\n", "from the client\n"]);
    await Promise.all([client.close(), server.close()]);
  });
}

test("Poll.poll(): a non-blocking connect(), then the handshake, then a line", async () => {
  const [listener, address] = await serving(DEFER);
  await using _ = listener;
  await using client = await wrap_socket(socket(), { ...CLIENT, ...DEFER });
  assertEquals(await events(client, BOTH, 0), POLLHUP); // as a plain socket: not connected
  client.setblocking(false);
  assertEquals(await thrown(() => client.connect(address)), [115, "EINPROGRESS"]);
  assertEquals(await events(listener, POLLIN), POLLIN);
  const [server] = await listener.accept();
  server.setblocking(false);
  const lines = await Promise.all([pollLine(client, "a\n"), pollLine(server, "b\n")]);
  assertEquals(lines, ["b\n", "a\n"]);
  await Promise.all([client.close(), server.close()]);
});

test("Poll.poll(): waits for an idle connection, and no longer than its time", async () => {
  const { client, server } = await polled();
  const poller = poll<SSLSocket>();
  poller.register(client, POLLIN);
  assertTook(await seconds(poller.poll(SHORT * 1000)), SHORT);
  const waiting = poller.poll(WAIT);
  assert(await isPending(waiting));
  const closing = client.close(); // wakes it
  assertEquals(await waiting, [[client, POLLNVAL]]);
  await Promise.all([closing, server.close()]);
});

test("Poll.poll(): a hung peer's handshake becomes ready when its time is over, and the call says so", async () => {
  for (const options of [CLIENT, SERVER] satisfies WrapOptions[]) {
    const [near, far] = pipe();
    await using sock = await wrap_socket(near, { ...options, ...DEFER, timeout: SHORT });
    sock.setblocking(false);
    assertEquals(await sock.read(1), null);
    await idle();
    assertEquals(await sock.read(1), null);
    const waiting = events(sock, POLLIN);
    assertTook(await seconds(waiting), SHORT);
    assertEquals(await waiting & POLLIN, POLLIN);
    assertEquals(await thrown(() => sock.read(1)), [SSL_TIMEOUT, "MBEDTLS_ERR_SSL_TIMEOUT"]);
    far.close();
  }
});

test("select(): SSL sockets, plain sockets and listeners together", async () => {
  const [mine, theirs, closer] = await pair();
  await using _ = closer;
  const [plain, address] = listen();
  await using __ = plain;
  await Promise.all([mine.do_handshake(), theirs.do_handshake()]);
  await mine.write("x");
  assertEquals(await select([theirs, plain], [], [], WAIT / 1000), [[theirs], [], []]);
  assertEquals((await theirs.recv(1)).length, 1);
  const other = socket();
  await other.connect(address);
  assertEquals(await select([theirs, plain], [], [], WAIT / 1000), [[plain], [], []]);
  assertEquals(await select([theirs], [theirs], [theirs], 0), [[], [theirs], []]);
  const [accepted] = await plain.accept();
  for (const one of [other, accepted]) await one.close();
});
