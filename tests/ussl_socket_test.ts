/** The SSL socket of tlsio/ussl: wrapping before and after connecting, and all the methods of the socket that it wraps. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Core } from "../lib/core.ts";
import { wrapSocket } from "../lib/ssl.ts";
import * as mp from "../socket.ts";
import { socket } from "../socket.ts";
import {
  CERT_REQUIRED,
  OSError,
  save_session,
  SSL_TIMEOUT,
  SSLSession,
  type SSLSocket,
  wrap_socket,
} from "../ussl.ts";
import { certFile, identity, opensslServer, pythonClient } from "./peers.ts";
import { pipe } from "./pipe.ts";
import { assertTook, CLIENT as OUR_CLIENT, isPending, seconds, SHORT, tcp, test } from "./sockets.ts";
import { listen, text } from "./tcp_sockets.ts";
import { CLIENT, DEFER, pair, SERVER, serving, thrown } from "./ussl_helpers.ts";

const TLS12 = { ssl_version: 0x0303 } as const;
const TLS13 = { ssl_version: 0x0304 } as const;

/** Both ends, the handshake done. */
async function open(...options: Parameters<typeof pair>): ReturnType<typeof pair> {
  const made = await pair(...options);
  await Promise.all([made[0].do_handshake(), made[1].do_handshake()]);
  return made;
}

const closeAll = (...all: { close(): Promise<void> }[]) => Promise.all(all.map((one) => one.close()));

// ---- Wrapping and connecting ----------------------------------------------------------------------------

test("wrap_socket(): of a connected socket completes the handshake", async () => {
  const [listener, address] = await serving();
  await using _ = listener;
  const sock = socket();
  await sock.connect(address);
  const [[server], client] = await Promise.all([listener.accept(), wrap_socket(sock, CLIENT)]);
  assertEquals([client.version(), server.version()], ["TLSv1.3", "TLSv1.3"]);
  assertEquals(client.cipher(), ["TLS1-3-CHACHA20-POLY1305-SHA256", "TLSv1.3"]);
  await closeAll(client, server);
  assertEquals(await thrown(() => sock.recv(1)), [9, "EBADF"]); // closing TLS closes the socket
});

test("SSLSocket.connect(): Pycom's order: wrapped first, the handshake inside connect()", async () => {
  const [listener, address] = await serving();
  await using _ = listener;
  const client = await wrap_socket(socket(), CLIENT);
  assertEquals([client.connected, client.version(), client.cipher(), client.getpeercert()], [
    false,
    null,
    null,
    null,
  ]);
  assertEquals(await thrown(() => client.write("x")), [107, "ENOTCONN"]);
  const [[server, from]] = await Promise.all([listener.accept(), client.connect(address)]);
  assertEquals([client.connected, client.version()], [true, "TLSv1.3"]);
  assertEquals(from[1], (client.localAddr as Deno.NetAddr).port);
  assertEquals((client.remoteAddr as Deno.NetAddr).port, address[1]);
  assertEquals(await thrown(() => client.connect(address)), [106, "EISCONN"]);
  await closeAll(client, server);
});

test("SSLSocket.connect(): after one that failed, another, with a new handshake", async () => {
  const [nobody, unused] = listen();
  await nobody.close();
  const client = await wrap_socket(socket(), CLIENT);
  assertEquals(await thrown(() => client.connect(unused as [string, number])), [111, "ECONNREFUSED"]);
  assertEquals(await thrown(() => client.recv(1)), [111, "ECONNREFUSED"]);
  const [listener, address] = await serving();
  await using _ = listener;
  const [[server]] = await Promise.all([listener.accept(), client.connect(address)]);
  await client.write("again");
  assertEquals(text(await server.recv(9)), "again");
  await closeAll(client, server);
});

test("do_handshake: false: the socket below may be connected later, the first call completes the handshake", async () => {
  const [listener, address] = await serving(DEFER);
  await using _ = listener;
  const sock = socket();
  const client = await wrap_socket(sock, { ...CLIENT, ...DEFER });
  await sock.connect(address);
  const [server] = await listener.accept();
  assertEquals([client.version(), server.version()], [null, null]);
  const reading = server.readline();
  assert(await isPending(reading));
  assertEquals(await client.write("first use\n"), 10);
  assertEquals(text(await reading), "first use\n");
  await closeAll(client, server);
});

test("SSLSocket.do_handshake(): explicitly, for both versions; again is nothing", async () => {
  for (const options of [TLS12, TLS13]) {
    const [client, server, closer] = await open(options);
    await using _ = closer;
    assertEquals(client.version(), server.version());
    await client.do_handshake();
  }
});

test("SSLSocket.do_handshake(): in non-blocking mode EAGAIN while it is under way", async () => {
  const [client, server, closer] = await pair();
  await using _ = closer;
  for (const end of [client, server]) end.setblocking(false);
  const heard = new Set<string>();
  const step = (end: SSLSocket) =>
    end.do_handshake().then(() => "done", (error: OSError) => error.errorcode).then((what) =>
      heard.add(what)
    );
  while (client.version() === null || server.version() === null) {
    await Promise.all([step(client), step(server)]);
  }
  assertEquals(heard.has("EAGAIN"), true);
  await Promise.all([client.do_handshake(), server.do_handshake()]);
  assertEquals([...heard].filter((what) => !["EAGAIN", "done"].includes(what)), []);
});

test("SSLSocket.accept(): a bad client fails its accept() alone; without server_side EINVAL", async () => {
  const [listener, address] = await serving();
  await using _ = listener;
  const bad = socket();
  await bad.connect(address);
  await bad.sendall("not TLS at all");
  assertEquals(await thrown(() => listener.accept()), [-29184, "MBEDTLS_ERR_SSL_INVALID_RECORD"]);
  await bad.close();
  const good = await wrap_socket(socket(), CLIENT);
  const [[server]] = await Promise.all([listener.accept(), good.connect(address)]);
  await closeAll(good, server);
  assertEquals(await thrown(() => good.accept()), [22, "EINVAL"]);
  listener.settimeout(SHORT);
  assertEquals(await thrown(() => listener.accept()), [110, "ETIMEDOUT"]);
});

test("SSLSocket.accept(): CPython's client, and what its certificate says", async () => {
  const [listener, [, port]] = await serving({ cert_reqs: CERT_REQUIRED, ca_certs: certFile("root.pem") });
  await using _ = listener;
  const { cert, key } = identity("client");
  const theirs = pythonClient({ port, ca: certFile("root.pem"), cert, key, steps: ["LINE hello"] });
  const [server] = await listener.accept();
  const line = await server.readline();
  await server.sendall(line!);
  const { subject } = server.getpeercert()!;
  await Promise.all([server.close(), theirs]);
  assertEquals(text(line), "hello\n");
  assertEquals(subject!.at(-1), [["commonName", "EC client"]]);
});

// ---- Streams --------------------------------------------------------------------------------------------

test("wrap_socket(): of a Deno.Conn, a Duplex, a pair of streams, and an SSL socket", async () => {
  const [conn, other] = await tcp();
  const [near, far] = pipe();
  const up = new TransformStream<Uint8Array, Uint8Array>();
  const down = new TransformStream<Uint8Array, Uint8Array>();
  for (
    const [a, b] of [
      [conn, other],
      [near, far],
      [{ readable: down.readable, writable: up.writable }, {
        readable: up.readable,
        writable: down.writable,
      }],
    ] as const
  ) {
    const [outer, host] = await Promise.all([wrap_socket(a, CLIENT), wrap_socket(b, SERVER)]);
    const [client, server] = await Promise.all([wrap_socket(outer, CLIENT), wrap_socket(host, SERVER)]);
    await client.sendall("in two layers\n");
    assertEquals(text(await server.readline()), "in two layers\n");
    assertEquals(client.connected, true);
    for (const call of [() => client.connect(["127.0.0.1", 1]), () => client.accept()]) {
      assertEquals(await thrown(call), [95, "EOPNOTSUPP"]);
    }
    assertThrows(() => client.listen(), OSError, "what was wrapped is a stream, not a socket");
    client.setsockopt(mp.IPPROTO_TCP, mp.TCP_NODELAY, 1);
    await closeAll(client, server);
  }
});

test("wrapSocket(): of a socket of tlsio/ussl, by its duplex", async () => {
  const [client, server, closer] = await open();
  await using _ = closer;
  const [inner, host] = await Promise.all([wrapSocket(client, OUR_CLIENT), wrap_socket(server, SERVER)]);
  await inner.write(new Uint8Array(100_000));
  let total = 0;
  while (total < 100_000) total += (await host.recv(70_000)).length;
  assertEquals(total, 100_000);
  await Promise.all([inner.close(), host.close()]);
});

// ---- The methods of a socket ----------------------------------------------------------------------------

test("SSLSocket.recv(), read(), readinto(), readline(): as a plain socket's", async () => {
  const [client, server, closer] = await open();
  await using _ = closer;
  await client.sendall("one\ntwo\nabcdefgh");
  assertEquals(text(await server.readline()), "one\n");
  assertEquals(text(await server.readline(2)), "tw");
  assertEquals(text(await server.recv(100)), "o\nabcdefgh");
  await client.sendall("abcdefgh");
  assertEquals(text(await server.read(3)), "abc");
  const buffer = new Uint8Array(4);
  assertEquals([await server.readinto(buffer, 2), text(buffer)], [2, "de\0\0"]);
  await client.write("the rest");
  const closing = client.close();
  assertEquals(text(await server.read()), "fghthe rest");
  assertEquals([(await server.read(1))!.length, (await server.recv(1)).length], [0, 0]);
  await Promise.all([server.close(), closing]);
});

test("SSLSocket.sendall() and read(): megabytes both ways at once", async () => {
  const [client, server, closer] = await open();
  await using _ = closer;
  const data = new Uint8Array(3 << 20).map((_, i) => i * 7 + (i >> 9));
  const there = new Uint8Array(await new Blob([data]).arrayBuffer());
  const [got, back] = await Promise.all([
    server.read(data.length),
    client.read(data.length),
    client.sendall(data),
    server.makefile("rwb").write(there),
  ]);
  assertEquals(got!.length, data.length);
  assert(got!.every((byte, i) => byte === data[i]) && back!.every((byte, i) => byte === data[i]));
});

test("SSLSocket.readline(): a long line is found over many records", async () => {
  const [client, server, closer] = await open();
  await using _ = closer;
  const sending = client.sendall("x".repeat(200_000) + "\nnext\n");
  assertEquals((await server.readline())!.length, 200_001);
  assertEquals(text(await server.readline()), "next\n");
  await sending;
});

test("SSLSocket.settimeout(): recv() throws ETIMEDOUT, loses nothing, and the socket goes on", async () => {
  const sock = socket();
  sock.settimeout(SHORT); // of the socket below, set before
  const [listener, address] = await serving();
  await using _ = listener;
  const client = await wrap_socket(sock, CLIENT);
  const [[server]] = await Promise.all([listener.accept(), client.connect(address)]);
  assertEquals(client.gettimeout(), SHORT);
  await server.write("abc");
  const six = client.read(6);
  assertTook(await seconds(six), SHORT);
  assertEquals(await thrown(() => six), [110, "ETIMEDOUT"]);
  client.settimeout(null);
  assertEquals(sock.gettimeout(), null);
  const all = client.read(6);
  await server.write("def");
  assertEquals(text(await all), "abcdef");
  await closeAll(client, server);
});

test("SSLSocket.settimeout(): bounds the wait for a handshake that the call began, which goes on", async () => {
  const [client, server, closer] = await pair({ timeout: 10 });
  await using _ = closer;
  client.settimeout(SHORT);
  const reading = client.recv(9);
  assertTook(await seconds(reading), SHORT);
  await assertRejects(() => reading, OSError, `timed out after ${SHORT} seconds`);
  await server.write("served\n");
  assertEquals(text(await client.readline()), "served\n");
  const sending = client.sendall(new Uint8Array(32 << 20)); // nobody reads it
  assertTook(await seconds(sending), SHORT);
  await assertRejects(() => sending, OSError, `Cannot sendall(): timed out after ${SHORT} seconds`);
});

test("SSLSocket.setblocking(false): null, EAGAIN, and what there is", async () => {
  const [client, server, closer] = await open(TLS12);
  await using _ = closer;
  client.setblocking(false);
  assertEquals([await client.read(1), await client.readline(), await client.readinto(new Uint8Array(1))], [
    null,
    null,
    null,
  ]);
  assertEquals(await thrown(() => client.recv(1)), [11, "EAGAIN"]);
  await server.write("part of a line");
  let got: Uint8Array | null = null;
  while (got === null) got = await client.readline();
  assertEquals(text(got), "part of a line");
  assertEquals(await client.send("x"), 1);
});

test("SSLSocket.close(): calls that wait fail with EBADF, and so do all later ones", async () => {
  const [client, server, closer] = await open();
  await using _ = closer;
  const reading = thrown(() => client.recv(1));
  assert(await isPending(reading));
  const closing = client.close();
  assertEquals(await reading, [9, "EBADF"]);
  assertEquals(text(await server.read()), ""); // a goodbye
  await Promise.all([closing, server.close()]);
  for (
    const call of [
      () => client.recv(1),
      () => client.write("x"),
      () => client.write(""),
      () => client.do_handshake(),
      () => client.read(),
    ]
  ) {
    assertEquals(await thrown(call), [9, "EBADF"]);
  }
  assertThrows(() => client.getpeercert(true), OSError, "the connection is closed");
  await client.close();
});

test("SSLSocket.close(): before connect(), in a handshake, and with a peer that says nothing", async () => {
  await (await wrap_socket(socket(), CLIENT)).close();
  const [near, far] = pipe();
  const client = await wrap_socket(near, { ...CLIENT, ...DEFER });
  const handshake = thrown(() => client.do_handshake());
  assert(await isPending(handshake));
  const closing = client.close();
  assertEquals(await handshake, [9, "EBADF"]);
  await closing;
  assertEquals(near.closed, true);
  far.close();

  const [mine, theirs, closer] = await open();
  await using _ = closer;
  await mine.write("what was sent arrives");
  assertTook(await seconds(mine.close()), 1);
  assertEquals(text(await theirs.recv(99)), "what was sent arrives");
});

// ---- Timeouts -------------------------------------------------------------------------------------------

test("timeout: wall-clock, in wrap_socket(), connect(), do_handshake() and the first read(): SSL_TIMEOUT", async () => {
  assertEquals(SSL_TIMEOUT, -26624);
  const expected = [SSL_TIMEOUT, "MBEDTLS_ERR_SSL_TIMEOUT"] as const;
  const [silent, address] = listen(9); // its backlog takes connections that nobody serves
  await using _ = silent;
  const options = { ...CLIENT, timeout: SHORT };
  const calls: ((sock: SSLSocket) => Promise<unknown>)[] = [
    (sock) => sock.do_handshake(),
    (sock) => sock.read(1),
    (sock) => sock.write("x"),
  ];
  for (const call of calls) {
    const sock = socket();
    await sock.connect(address);
    const ss = await wrap_socket(sock, { ...options, ...DEFER });
    const failing = call(ss);
    assertTook(await seconds(failing), SHORT);
    assertEquals(await thrown(() => failing), expected);
    await ss.close();
  }
  const ss = await wrap_socket(socket(), options);
  const connecting = ss.connect(address as [string, number]);
  assertTook(await seconds(connecting), SHORT);
  assertEquals(await thrown(() => connecting), expected);
  const sock = socket();
  await sock.connect(address);
  assertEquals(await thrown(() => wrap_socket(sock, options)), expected);
  assertEquals(await thrown(() => sock.recv(1)), [9, "EBADF"]); // it was taken over
});

test("timeout: a peer that trickles a byte now and then does not prolong it", async () => {
  const [near, far] = pipe();
  const handshake = wrap_socket(near, { ...SERVER, timeout: SHORT });
  const trickling = setInterval(() => far.write(new Uint8Array([0x16])).catch(() => {}), 20);
  assertTook(await seconds(handshake), SHORT);
  clearInterval(trickling);
  far.close();
  const [code] = await thrown(() => handshake);
  assert(code === SSL_TIMEOUT || code === -29184, String(code)); // or it noticed that this is no record
});

// ---- Sessions -------------------------------------------------------------------------------------------

for (const [name, version] of Object.entries({ "TLS 1.2": TLS12, "TLS 1.3": TLS13 })) {
  test(`save_session(): Pycom's: save, close, connect again and resume, ${name}`, async () => {
    const [listener, address] = await serving(version);
    await using _ = listener;
    const connect = async (saved_session?: SSLSession | Uint8Array) => {
      const ss = await wrap_socket(socket(), { ...CLIENT, ...(saved_session && { saved_session }) });
      const [[server]] = await Promise.all([listener.accept(), ss.connect(address)]);
      return [ss, server] as const;
    };
    const [first, one] = await connect();
    assertEquals(first.session_reused, false);
    const saving = save_session(first); // right after the handshake, before any data
    assert(await seconds(saving) < 2, "it waited longer than for the ticket");
    const session = await saving;
    assert(session instanceof SSLSession);
    await one.write("data is not lost by that");
    assertEquals(text(await first.recv(99)), "data is not lost by that");
    const later = await save_session(first);
    await closeAll(first, one);
    assert(await save_session(first) instanceof SSLSession); // of a closed socket, too
    for (const saved of [session, later.toBytes()]) {
      const [again, two] = await connect(saved);
      assertEquals(again.session_reused, true);
      await closeAll(again, two);
    }
  });
}

test("save_session(): a server that gives no session is an SSLError, and what is no SSL socket a TypeError", async () => {
  await using server = await opensslServer({ ...identity("ec"), tls: "1.3", args: ["-num_tickets", "0"] });
  const ss = await wrap_socket(socket(), CLIENT);
  await ss.connect(["127.0.0.1", server.port]);
  const saving = save_session(ss);
  assertTook(await seconds(saving), 2);
  assertEquals(await thrown(() => saving), [-28928, "MBEDTLS_ERR_SSL_BAD_INPUT_DATA"]);
  await ss.close();
  const [, ours, closer] = await open();
  await using _ = closer;
  assert(!await isPending(save_session(ours))); // a server's socket has none to wait for
  await assertRejects(
    () => save_session(socket() as unknown as SSLSocket),
    TypeError,
    "expected an SSL socket",
  );
});

// ---- Leaks ----------------------------------------------------------------------------------------------

test("wrap_socket(): connections that end in all ways leave nothing in the core", async () => {
  const core = Core.shared();
  const once = async (how: number) => {
    const [mine, theirs] = await pair(
      how % 2 ? TLS12 : {},
      how === 5 ? { certfile: identity("expired").cert } : {},
    );
    if (how !== 4) await Promise.allSettled([mine.do_handshake(), theirs.do_handshake()]); // 4: never used
    if (how < 4) {
      await mine.write("data\n");
      if (how !== 2) await theirs.readline();
    }
    if (how === 3) await mine.close(); // before the other
    await closeAll(mine, theirs);
  };
  for (let how = 0; how < 6; how++) await once(how); // what mbedTLS allocates once for all
  const before = core.allocated;
  for (let i = 0; i < 60; i++) await once(i % 6);
  assertEquals(core.allocated, before);
});
