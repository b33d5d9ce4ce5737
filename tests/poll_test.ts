/** MicroPython's select: what poll() says of a socket at each point of its life. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  OSError,
  poll,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  select,
  type Socket,
  socket,
} from "../socket.ts";
import { isPending, LONG, test } from "./sockets.ts";

const WAIT = LONG * 1000; // milliseconds
const BOTH = POLLIN | POLLOUT;

/** The events of one socket, waited for. */
async function events(sock: Socket, mask: number, timeout = WAIT): Promise<number> {
  const poller = poll();
  poller.register(sock, mask);
  const ready = await poller.poll(timeout);
  return ready[0]?.[1] ?? 0;
}

function listen(): Socket {
  const listener = socket();
  listener.bind(["127.0.0.1", 0]);
  listener.listen(5);
  return listener;
}

const addressOf = (listener: Socket) => ["127.0.0.1", listener.localAddr!.port] as const;

test("Poll.poll(): a socket from new to closed", async () => {
  await using listener = listen();
  const client = socket();
  assertEquals(await events(client, BOTH), POLLHUP); // as MicroPython: not connected
  assertEquals(await events(listener, BOTH, 0), 0);
  client.setblocking(false);
  await assertRejects(() => client.connect(addressOf(listener)), OSError);
  assertEquals(await events(client, BOTH), POLLOUT);
  assertEquals(await events(listener, BOTH), POLLIN);
  const [server] = await listener.accept();
  assertEquals(await events(listener, BOTH, 0), 0);
  assertEquals(await events(server, POLLIN, 0), 0);
  await client.send("x");
  assertEquals(await events(server, POLLIN), POLLIN);
  assertEquals(await events(server, BOTH), BOTH);
  await server.recv(1);
  assertEquals(await events(server, POLLIN, 0), 0);
  await client.close();
  assertEquals(await events(server, POLLIN), POLLIN); // the end
  assertEquals((await server.recv(1)).length, 0);
  await server.close();
  assertEquals(await events(server, BOTH), POLLNVAL);
});

test("Poll.poll(): a connect() that was refused is POLLERR and POLLHUP whatever the mask", async () => {
  const listener = listen();
  const address = addressOf(listener);
  await listener.close();
  await using client = socket();
  client.setblocking(false);
  await assertRejects(() => client.connect(address), OSError, "in progress");
  assertEquals(await events(client, 0), POLLERR | POLLHUP);
  assertEquals(await events(client, BOTH), BOTH | POLLERR | POLLHUP);
  const error = await assertRejects(() => client.send("x"), OSError);
  assertEquals(error.errorcode, "ECONNREFUSED");
});

test("Poll.poll(): waits no longer than the timeout, and wakes for any of its sockets", async () => {
  await using one = listen();
  await using two = listen();
  const poller = poll();
  poller.register(one, POLLIN);
  poller.register(two, POLLIN);
  assertEquals(await poller.poll(0), []);
  assertEquals(await poller.poll(50), []);
  const waiting = poller.poll();
  assertEquals(await isPending(waiting), true);
  await using client = socket();
  await client.connect(addressOf(two));
  assertEquals(await waiting, [[two, POLLIN]]);
  const [server] = await two.accept();
  await server.close();
});

test("Poll.poll(): a socket that can always send does not keep others from receiving", async () => {
  await using listener = listen();
  await using client = socket();
  await client.connect(addressOf(listener));
  const [server] = await listener.accept();
  await using _ = server;
  const poller = poll<Socket>();
  poller.register(client, POLLOUT);
  poller.register(server, POLLIN);
  await client.send("x");
  for (let found = false; !found;) {
    const ready = await poller.poll();
    assertEquals(ready.length > 0, true);
    found = ready.some(([sock]) => sock === server);
  }
});

test("Poll.modify() and unregister(): other events, none, and ENOENT", async () => {
  await using listener = listen();
  await using client = socket();
  await client.connect(addressOf(listener));
  const poller = poll();
  assertEquals(assertThrows(() => poller.modify(client, POLLIN), OSError).errorcode, "ENOENT");
  poller.register(client);
  assertEquals(await poller.poll(0), [[client, POLLOUT]]);
  poller.modify(client, POLLIN);
  assertEquals(await poller.poll(0), []);
  poller.unregister(client);
  poller.unregister(client);
  assertEquals(assertThrows(() => poller.modify(client, POLLIN), OSError).errorcode, "ENOENT");
  assertThrows(() => poller.register({} as Socket), TypeError);
  assertThrows(() => poller.register(client, 2), RangeError);
  await assertRejects(() => poller.poll(NaN), TypeError);
});

test("Poll.ipoll(): one by one; with flags 1 a socket has its events once", async () => {
  await using listener = listen();
  await using client = socket();
  await client.connect(addressOf(listener));
  const poller = poll();
  poller.register(client, POLLOUT);
  const seen = [];
  for await (const [sock, what] of poller.ipoll(WAIT, 1)) seen.push([sock === client, what]);
  for await (const _ of poller.ipoll(0, 1)) seen.push("again");
  poller.modify(client, POLLOUT);
  for await (const [sock, what] of poller.ipoll(WAIT)) seen.push([sock === client, what]);
  assertEquals(seen, [[true, POLLOUT], [true, POLLOUT]]);
});

test("select(): those that are ready of each list", async () => {
  await using listener = listen();
  await using client = socket();
  await client.connect(addressOf(listener));
  assertEquals(await select([listener, client], [client], [client], LONG), [[listener], [client], []]);
  const [server] = await listener.accept();
  await server.close();
  assertEquals(await select([client], [], [], null), [[client], [], []]);
  assertEquals(await select([], [], [client], 0), [[], [], []]);
});
