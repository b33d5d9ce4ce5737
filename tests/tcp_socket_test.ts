/** MicroPython's socket, against CPython's and Deno's own. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import * as mp from "../socket.ts";
import { type Address, errno, type ErrorCode, getaddrinfo, OSError, type Socket, socket } from "../socket.ts";
import { Program } from "./peers.ts";
import { isPending, SHORT, test } from "./sockets.ts";
import { ECHO, failure, listen, pair, python, text } from "./tcp_sockets.ts";

// ---- Blocking ------------------------------------------------------------------------------------------

test("Socket.connect(), send() and recv(): a CPython server echoes", async () => {
  await using peer = await python(ECHO);
  await using sock = socket();
  await sock.connect(peer.address);
  assertEquals(await sock.send("hello"), 5);
  let got = "";
  while (got.length < 5) got += text(await sock.recv(2));
  assertEquals(got, "hello");
  assertEquals([sock.remoteAddr!.port, sock.localAddr!.hostname], [peer.address[1], "127.0.0.1"]);
  await sock.close();
  await peer.program.waitFor(/ECHOED 5\n/);
});

test("Socket.sendall() and read(): a megabyte goes to CPython and back", async () => {
  await using peer = await python(ECHO);
  await using sock = socket();
  await sock.connect(peer.address);
  const sent = new Uint8Array(1 << 20).map((_, i) => i * 7 + (i >> 8));
  const [back] = await Promise.all([sock.read(sent.length), sock.sendall(sent)]);
  assertEquals(back!.length, sent.length);
  assert(back!.every((byte, i) => byte === sent[i]));
});

test("Socket.accept(): a CPython client talks by lines, and its address is told", async () => {
  const [listener, address] = listen();
  await using _ = listener;
  await using client = new Program("python3", [
    "-B",
    "-c",
    `
import socket
s = socket.create_connection(("127.0.0.1", ${address[1]}))
s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
print("PORT", s.getsockname()[1], repr(s.makefile("rb").read()), flush=True)
`,
  ]);
  const [server, from] = await listener.accept();
  assertEquals(text(await server.readline()), "GET / HTTP/1.0\r\n");
  assertEquals(text(await server.readline()), "\r\n");
  assertEquals(await server.makefile("rwb", 0).write("HTTP/1.0 200 OK\r\n\r\n21"), 21);
  await server.close();
  const [, port, answer] = await client.waitFor(/PORT (\d+) (.*)\n/);
  assertEquals([...from], ["127.0.0.1", Number(port)]);
  assertEquals(answer, String.raw`b'HTTP/1.0 200 OK\r\n\r\n21'`);
});

test("Socket.read(): waits for all bytes that were asked for; fewer come only at the end", async () => {
  const [client, server, closer] = await pair();
  await using _ = closer;
  await client.send("abc");
  const six = server.read(6);
  assert(await isPending(six));
  await client.send("defgh");
  assertEquals(text(await six), "abcdef");
  await client.close();
  assertEquals(text(await server.read(6)), "gh");
  assertEquals(text(await server.read(6)), "");
  assertEquals(text(await server.read()), "");
  assertEquals((await server.recv(6)).length, 0);
});

test("Socket.readinto(): fills the buffer, or as much as is asked for", async () => {
  const [client, server, closer] = await pair();
  await using _ = closer;
  await client.sendall("abcdef");
  const buf = new Uint8Array(4).fill(0x2d);
  assertEquals([await server.readinto(buf, 3), text(buf)], [3, "abc-"]);
  await client.close();
  assertEquals([await server.readinto(buf), text(buf)], [3, "def-"]);
  assertEquals(await server.readinto(buf), 0);
});

test("Socket.readline(): a line in pieces, up to a size, and the rest at the end", async () => {
  const [client, server, closer] = await pair();
  await using _ = closer;
  await client.send("on");
  const line = server.readline();
  assert(await isPending(line));
  await client.send("e\ntwo\nthree");
  assertEquals(text(await line), "one\n");
  assertEquals(text(await server.readline(2)), "tw");
  assertEquals(text(await server.readline(2)), "o\n");
  await client.close();
  assertEquals(text(await server.readline()), "three");
  assertEquals(text(await server.readline()), "");
});

test("Socket.recv(0) and read(0): nothing, at once", async () => {
  const [client, , closer] = await pair();
  await using _ = closer;
  assertEquals([(await client.recv(0)).length, (await client.read(0))!.length, await client.send("")], [
    0,
    0,
    0,
  ]);
});

// ---- Timeouts ------------------------------------------------------------------------------------------

test("Socket.settimeout(): recv() and read() throw ETIMEDOUT, and nothing is lost", async () => {
  const [client, server, closer] = await pair();
  await using _ = closer;
  server.settimeout(SHORT);
  assertEquals(await failure(() => server.recv(10)), "ETIMEDOUT");
  await client.send("half");
  assertEquals(await failure(() => server.read(10)), "ETIMEDOUT");
  assertEquals(await failure(() => server.readline()), "ETIMEDOUT");
  assertEquals(text(await server.recv(10)), "half");
  server.settimeout(null);
  const waiting = server.recv(10);
  await client.send("more");
  assertEquals(text(await waiting), "more");
});

test("Socket.settimeout(): accept() throws ETIMEDOUT, and the next one has the connection that came late", async () => {
  const [listener, address] = listen();
  await using _ = listener;
  listener.settimeout(SHORT);
  assertEquals(await failure(() => listener.accept()), "ETIMEDOUT");
  await using client = socket();
  await client.connect(address);
  const [server] = await listener.accept();
  await server.close();
});

test("Socket.settimeout(): sendall() throws ETIMEDOUT when the peer does not read", async () => {
  const [client, , closer] = await pair();
  await using both = closer;
  client.settimeout(SHORT);
  assertEquals(await failure(() => client.sendall(new Uint8Array(64 << 20))), "ETIMEDOUT");
  client.duplex.abort!(); // else it waits for what was sent to leave
  void both;
});

test("Socket.settimeout(): connect() throws ETIMEDOUT while a CPython server's queue is full, and can be repeated", async () => {
  await using peer = await python(`
listener.listen(0)
sys.stdin.readline()
while True: listener.accept()
`);
  const clients = [socket()];
  await clients[0]!.connect(peer.address); // the queue takes one at least
  let late: Socket;
  do {
    late = socket();
    late.settimeout(SHORT);
    clients.push(late);
  } while (await late.connect(peer.address).then(() => true, (error) => error.errorcode !== "ETIMEDOUT"));
  await peer.program.write("go\n");
  late.settimeout(null);
  await late.connect(peer.address);
  await Promise.all(clients.map((client) => client.close()));
});

// ---- Non-blocking --------------------------------------------------------------------------------------

test("Socket.setblocking(false): EAGAIN from recv() and accept(), null from the methods of a stream", async () => {
  const [client, server, closer] = await pair();
  await using _ = closer;
  server.setblocking(false);
  const buf = new Uint8Array(4);
  assertEquals(await failure(() => server.recv(4)), "EAGAIN");
  assertEquals([await server.read(4), await server.read(), await server.readline()], [null, null, null]);
  assertEquals(await server.readinto(buf), null);
  await client.send("ab");
  while (await server.readinto(buf) !== 2) { /* as a polling program */ }
  await client.send("cd");
  let part: Uint8Array | null;
  while ((part = await server.readline()) === null) { /* as a polling program */ }
  assertEquals(text(part), "cd"); // MicroPython gives a part of a line
  await client.close();
  while (await server.read(1) === null) { /* as a polling program */ }
  assertEquals((await server.recv(1)).length, 0);
  const [listener] = listen();
  await using _listener = listener;
  listener.setblocking(false);
  assertEquals(await failure(() => listener.accept()), "EAGAIN");
});

test("Socket.setblocking(false): write() gives null and send() throws EAGAIN when no more is taken", async () => {
  const [client, server, closer] = await pair();
  await using _ = closer;
  client.setblocking(false);
  const chunk = new Uint8Array(100_000).fill(1);
  let sent = 0;
  for (let nulls = 0; nulls < 50;) { // many: a write that only needs a moment is not one that waits for the peer
    const n = await client.write(chunk);
    if (n === null) nulls++;
    else [sent, nulls] = [sent + n, 0];
  }
  assertEquals(await failure(() => client.send(chunk)), "EAGAIN");
  assertEquals(await failure(() => client.sendall(chunk)), "EAGAIN");
  const all = server.read(sent);
  assertEquals((await all)!.length, sent);
  assert(sent > 0 && sent < 1 << 26);
});

test("Socket.setblocking(false): connect() throws EINPROGRESS, then EISCONN", async () => {
  await using peer = await python(ECHO);
  await using sock = socket();
  sock.setblocking(false);
  const heard = new Set<string>();
  do heard.add(await failure(() => sock.connect(peer.address))); while (!heard.has("EISCONN"));
  assertEquals(heard.has("EINPROGRESS"), true);
  assertEquals([...heard].filter((code) => !["EINPROGRESS", "EALREADY", "EISCONN"].includes(code)), []);
});

test("Socket.setblocking(false): the book's server, which tries again and again, serves a CPython client", async () => {
  const [listener, address] = listen();
  await using _ = listener;
  listener.setblocking(false);
  await using client = new Program("python3", [
    "-B",
    "-c",
    `
import socket
s = socket.create_connection(("127.0.0.1", ${address[1]}))
s.sendall(b"hello")
print("GOT", s.recv(100), flush=True)
`,
  ]);
  let tries = 0;
  for (;; tries++) {
    try {
      const [server] = await listener.accept();
      server.setblocking(true);
      await server.send(await server.recv(512));
      await server.close();
      break;
    } catch (error) {
      assertEquals((error as OSError).errno, errno.EAGAIN);
    }
  }
  assert(tries > 0);
  await client.waitFor(/GOT b'hello'/);
});

// ---- Failures ------------------------------------------------------------------------------------------

test("Socket.connect(): ECONNREFUSED, and the socket can try again", async () => {
  const [listener, address] = listen();
  await listener.close();
  await using sock = socket();
  const error = await assertRejects(() => sock.connect(address), OSError);
  assertEquals([error.errno, error.errorcode, error.name], [111, "ECONNREFUSED", "OSError"]);
  assert(error.cause instanceof Deno.errors.ConnectionRefused);
  assertEquals(await failure(() => sock.recv(1)), "ECONNREFUSED");
  using peer = Deno.listen({ hostname: "127.0.0.1", port: address[1] });
  await sock.connect(address);
  (await peer.accept()).close();
});

test("Socket.recv(): ECONNRESET from a CPython server that resets; send() fails too", async () => {
  await using peer = await python(`
conn, _ = listener.accept()
conn.recv(1)
conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
conn.close()
sys.stdin.readline()
`);
  await using sock = socket();
  await sock.connect(peer.address);
  await sock.send("x");
  assertEquals(await failure(() => sock.recv(1)), "ECONNRESET");
  assertEquals(await failure(() => sock.recv(1)), "ECONNRESET");
  const error = await assertRejects(async () => {
    for (;;) await sock.send("x");
  }, OSError);
  assert(["EPIPE", "ECONNRESET"].includes(error.errorcode));
  const poller = mp.poll();
  poller.register(sock);
  assertEquals(await poller.poll(0), [[sock, mp.POLLIN | mp.POLLOUT | mp.POLLERR | mp.POLLHUP]]);
});

test("Socket.read() and readline(): ENOMEM for a peer that never comes to an end", async () => {
  for (const call of ["read", "readline"] as const) {
    const [client, server, closer] = await pair();
    await using _ = closer;
    const sending = client.sendall(new Uint8Array(80 << 20)).catch(() => {});
    assertEquals(await failure(() => server[call]()), "ENOMEM");
    client.duplex.abort!();
    await sending;
  }
});

test("Socket: calls in the wrong state say so by number", async () => {
  await using fresh = socket();
  assertEquals(await failure(() => fresh.recv(1)), "ENOTCONN");
  assertEquals(await failure(() => fresh.send("x")), "ENOTCONN");
  assertEquals(await failure(() => fresh.accept()), "EINVAL");
  const [listener, address] = listen();
  await using _ = listener;
  assertEquals(await failure(() => listener.connect(address)), "EINVAL");
  assertEquals(await failure(() => listener.recv(1)), "ENOTCONN");
  assertEquals(assertThrows(() => listener.bind(address), OSError).errorcode, "EINVAL");
  assertEquals(assertThrows(() => listener.listen(), OSError).errorcode, "EINVAL");
  const [client, , closer] = await pair();
  await using _pair = closer;
  assertEquals(await failure(() => client.connect(address)), "EISCONN");
});

test("Socket.listen(): EADDRINUSE for an address in use", async () => {
  const [listener, address] = listen();
  await using _ = listener;
  await using other = socket();
  other.bind(address);
  assertEquals(assertThrows(() => other.listen(), OSError).errorcode, "EADDRINUSE");
});

test("Socket.close(): what waits fails with EBADF, and so does every later call", async () => {
  const [client, server, closer] = await pair();
  await using _ = closer;
  const [listener] = listen();
  const waiting = [client.recv(1), client.read(), client.readline(), listener.accept()];
  const ends = Promise.allSettled(waiting);
  await Promise.all([client.close(), client.close(), listener.close()]);
  for (const end of await ends) assertEquals(end.status === "rejected" && end.reason.errorcode, "EBADF");
  assertEquals(await failure(() => client.send("x")), "EBADF");
  assertEquals(await failure(() => client.connect(["127.0.0.1", 1])), "EBADF");
  assertEquals(assertThrows(() => client.listen(), OSError).errorcode, "EBADF");
  assertEquals((await server.recv(1)).length, 0);
});

test("Socket.close(): ends a connect() that waits", async () => {
  await using peer = await python("listener.listen(0)\nsys.stdin.readline()\n");
  const clients = Array.from({ length: 4 }, () => socket()); // more than the queue takes
  const ends = Promise.allSettled(clients.map((client) => client.connect(peer.address)));
  await isPending(ends);
  await Promise.all(clients.map((client) => client.close()));
  for (const end of await ends) {
    if (end.status === "rejected") assertEquals(end.reason.errorcode, "EBADF");
  }
});

test("Socket.close(): what was sent still goes out", async () => {
  await using peer = await python(`
conn, _ = listener.accept()
sys.stdin.readline()
print("TOTAL", len(conn.makefile("rb").read()), flush=True)
`);
  const sock = socket();
  await sock.connect(peer.address);
  sock.setblocking(false);
  let sent = 0;
  for (let nulls = 0; nulls < 20;) {
    const n = await sock.write(new Uint8Array(60_000));
    if (n === null) nulls++;
    else [sent, nulls] = [sent + n, 0];
  }
  const closed = sock.close();
  assert(await isPending(closed));
  await peer.program.write("go\n");
  await closed;
  assertEquals((await peer.program.waitFor(/TOTAL (\d+)/))[1], String(sent));
});

test("Socket: what is no argument is a TypeError or RangeError", async () => {
  await using sock = socket();
  assertThrows(() => sock.settimeout(-1), RangeError);
  assertThrows(() => sock.settimeout("1" as unknown as number), RangeError);
  assertThrows(() => sock.bind("host" as unknown as Address), TypeError);
  assertThrows(() => sock.bind(["", 65536]), RangeError);
  assertThrows(() => sock.listen(1.5), TypeError);
  await assertRejects(() => sock.connect(["a", -1]), RangeError);
  await assertRejects(() => sock.recv(-1), RangeError);
  await assertRejects(() => sock.read(0.5), RangeError);
  await assertRejects(() => sock.send(5 as unknown as string), TypeError);
  assertEquals(assertThrows(() => sock.setsockopt(mp.SOL_SOCKET, 99, 1), OSError).errorcode, "ENOPROTOOPT");
  sock.setsockopt(mp.SOL_SOCKET, mp.SO_KEEPALIVE, 1);
  sock.setsockopt(mp.IPPROTO_TCP, mp.TCP_NODELAY, 1);
  assertEquals(assertThrows(() => socket(mp.AF_INET, 2), OSError).errorcode, "EPROTONOSUPPORT");
});

// ---- Addresses and numbers ------------------------------------------------------------------------------

test("getaddrinfo(): addresses as they are, names by the resolver, -2 for none", async () => {
  assertEquals(await getaddrinfo("127.0.0.1", 80), [[mp.AF_INET, mp.SOCK_STREAM, mp.IPPROTO_TCP, "", [
    "127.0.0.1",
    80,
  ]]]);
  assertEquals((await getaddrinfo("::1", 80))[0]![0], mp.AF_INET6);
  assertEquals((await getaddrinfo("", 80, mp.AF_INET))[0]![4], ["0.0.0.0", 80]);
  assertEquals((await getaddrinfo("localhost", 80, mp.AF_INET))[0]![4], ["127.0.0.1", 80]);
  const error = await assertRejects(() => getaddrinfo("::1", 80, mp.AF_INET), OSError);
  assertEquals([error.errno, error.errorcode], [-2, "EAI_NONAME"]);
  assertEquals(await failure(() => getaddrinfo("1.2.3.04", 80)), "EAI_NONAME");
  assertEquals(await failure(() => getaddrinfo("no.such.host.invalid", 80)), "EAI_NONAME");
  assertEquals(await failure(() => getaddrinfo("127.0.0.1", 80, 0, 2)), "EPROTONOSUPPORT");
});

test("errno: the numbers are those of CPython on Linux", async () => {
  const names = Object.keys(errno).filter((name) => name !== "EAI_NONAME");
  await using program = new Program("python3", [
    "-B",
    "-c",
    `
import errno
print("NUMBERS", *[getattr(errno, name) for name in "${names.join(" ")}".split()])
`,
  ]);
  const [, numbers] = await program.waitFor(/NUMBERS (.*)\n/);
  assertEquals(names.map((name) => errno[name as ErrorCode]), numbers!.split(" ").map(Number));
});
