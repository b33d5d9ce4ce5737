/** A device's heap over real sockets: what fails as on the board, what goes on, and that nothing stays behind. */
import { assert, assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { concat, encodeText } from "../lib/bytes.ts";
import type { Core } from "../lib/core.ts";
import { deviceOf } from "../lib/esp32.ts";
import { SSLError } from "../lib/errors.ts";
import { SSLContext } from "../lib/ssl.ts";
import { wrap_socket } from "../ussl.ts";
import { source } from "./pair.ts";
import {
  assertKind,
  CLIENT,
  CREDENTIAL,
  dialTls,
  eventually,
  readText,
  serving,
  tcp,
  test,
} from "./sockets.ts";
import { SERVER as SEED_SERVER, thrown } from "./ussl_helpers.ts";

const KIB = 1024;
const NO_MEMORY = "MBEDTLS_ERR_SSL_ALLOC_FAILED";
const ESP32 = { profile: "esp32", certReqs: 0 } as const;
const ECHO: Parameters<typeof serving>[0] = async (reader, writer) => {
  for (let line = await reader.readline(); line.length > 0; line = await reader.readline()) {
    writer.write(line);
    await writer.drain();
  }
};

/** The ends of connections are not what these tests are about. */
const QUIET = { onError: () => {} };

/** The device of this process. */
async function esp32(): Promise<Core> {
  return (await deviceOf("esp32", {})).core();
}

/** Sends a line, and takes it back. */
async function echo(socket: Awaited<ReturnType<typeof dialTls>>, line = "hello\n"): Promise<void> {
  await socket.write(encodeText(line));
  assertEquals(await readText(socket), line);
}

for (
  const { budget, perSocket = 0, fits } of [
    { budget: 40, fits: 1 },
    { budget: 60, fits: 2 },
    { budget: 60, perSocket: 6, fits: 1 }, // what lwIP takes: on the board one connection is safe, a second one is luck
    { budget: 110, fits: 4 },
  ]
) {
  Deno.test(`heap: over sockets, ${budget} KiB with ${perSocket} for TCP are ${fits} connections; the next fails, the others go on`, async () => {
    const heap = { budget: budget * KIB, perSocket: perSocket * KIB };
    const core = await esp32();
    const empty = core.device!.heap_used();
    {
      await using server = await serving(ECHO, { ssl: { ...CREDENTIAL, profile: "esp32", heap } });
      const idle = core.device!.heap_used();
      const clients = [];
      for (let i = 0; i < fits; i++) {
        const client = await dialTls(server);
        await echo(client);
        clients.push(client);
      }
      for (let i = 1; i <= 2; i++) {
        await assertKind(dialTls(server), "eof", "alert", "closed");
        await eventually(() => server.stats.failures[NO_MEMORY] === i);
      }
      for (const client of clients) await echo(client);
      for (const client of clients) await client.close();
      await eventually(() => core.device!.heap_used() === idle);
      const again = await dialTls(server);
      await echo(again);
      await again.close();
    }
    await eventually(() => core.device!.heap_used() === empty);
  });
}

test("heap: wrap_socket() of what does not fit is OSError 12, ENOMEM", async () => {
  const heap = { budget: 40 * KIB };
  const device = { profile: "esp32", heap } as const;
  const pairs = await Promise.all([tcp(), tcp()]);
  const [[near, far], [other, second]] = pairs;
  const [client, server] = await Promise.all([
    dialOver(near),
    wrap_socket(far, { ...SEED_SERVER, ...device }),
  ]);
  assertEquals(await thrown(() => wrap_socket(second, { ...SEED_SERVER, ...device })), [12, "ENOMEM"]);
  assertEquals(
    await other.read(new Uint8Array(1)),
    null,
    "the peer sees the end, as of a board that gives up",
  );
  other.close();
  await server.write("still here\n");
  assertEquals(await readText(client), "still here\n");
  await Promise.all([client.close(), server.close()]);
});

async function dialOver(conn: Deno.Conn) {
  using context = await SSLContext.create({ caCerts: CLIENT.caCerts! });
  return await context.wrapSocket(conn, { serverHostname: "localhost" });
}

test("heap: a client of 40 KiB has no room for a chain of 16 KiB; the next server is fine", async () => {
  const [leaf, extra] = [source("ec.pem").bytes, source("rsa.pem").bytes];
  const chain = concat([leaf, ...Array.from({ length: 16 }, () => extra)]);
  const heap = { budget: 40 * KIB };
  await using long = await serving(ECHO, { ssl: { ...CREDENTIAL, certfile: chain }, ...QUIET });
  await using plain = await serving(ECHO, QUIET);
  const error = await assertRejects(() => dialTls(long, { ...ESP32, heap }), SSLError);
  assertEquals([error.reason, error.kind], [NO_MEMORY, "internal"]);
  const client = await dialTls(plain, { ...ESP32, heap });
  await echo(client);
  await client.close();
});

test("heap: the process is one device: other limits are refused until nothing is live", async () => {
  const options = { ...CREDENTIAL, serverSide: true, profile: "esp32" } as const;
  {
    using first = await SSLContext.create({ ...options, heap: { budget: 50 * KIB } });
    assertEquals(first.serverSide, true);
    (await SSLContext.create({ ...options, heap: { budget: 50 * KIB } }))[Symbol.dispose]();
    (await SSLContext.create(options))[Symbol.dispose](); // takes what there is
    await assertRejects(
      () => SSLContext.create({ ...options, heap: { budget: 60 * KIB } }),
      TypeError,
      'Cannot use heap: the device of the profile "esp32" has one of 51200 bytes (blocks to 34816), with',
    );
  }
  (await SSLContext.create({ ...options, heap: { budget: 60 * KIB } }))[Symbol.dispose]();
});

test("heap: limits that are wrong, and those of no device, are refused by name", async () => {
  const refused = (options: object, error: typeof TypeError | typeof RangeError, text: string) =>
    assertRejects(() => SSLContext.create({ certReqs: 0, ...options }), error, text);
  await refused({ heap: {} }, TypeError, 'Cannot use heap: the profile "default" is no device\'s');
  const device = (heap: unknown) => ({ profile: "esp32", heap });
  await refused(
    device(60),
    TypeError,
    "Cannot use heap: expected { budget, largestBlock, perSocket }, got number",
  );
  await refused(device({ size: 1 }), TypeError, "Cannot use heap.size: known are budget, largestBlock and");
  await refused(
    device({ budget: 39 * KIB }),
    RangeError,
    "Cannot use heap.budget: expected 40960 to 112640 bytes",
  );
  await refused(device({ budget: "60" }), RangeError, "Cannot use heap.budget: ");
  await refused(
    device({ largestBlock: 0 }),
    RangeError,
    "Cannot use heap.largestBlock: expected 1024 to 112640",
  );
  await refused(
    device({ perSocket: -1 }),
    RangeError,
    "Cannot use heap.perSocket: expected 0 to 16384 bytes",
  );
});

test("heap: a trap in the core is the board's crash: its connections fail, and the server goes on after the restart", async () => {
  await using server = await serving(ECHO, { ssl: { ...CREDENTIAL, profile: "esp32" }, ...QUIET });
  using context = await SSLContext.create({ ...ESP32, caCerts: CLIENT.caCerts! });
  const before = await dialTls(server);
  await echo(before);
  const core = await esp32();
  try {
    core.call.connection_facts(0x7ffffff0);
  } catch (error) {
    assertInstanceOf(error, SSLError);
  }
  assert(core.retired);

  await before.write(encodeText("lost\n"));
  await assertKind(readText(before), "eof", "closed");
  await before.close();
  const after = await dialTls(server);
  await echo(after);
  await after.close();
  await using plain = await serving(ECHO, QUIET);
  const { port, hostname } = plain.addr as Deno.NetAddr;
  const client = await context.wrapSocket(await Deno.connect({ hostname, port })); // a context of before the crash
  await echo(client);
  await client.close();
  assert((await esp32()) !== core);
});
