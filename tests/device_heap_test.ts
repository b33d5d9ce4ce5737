// The heap of the profile "esp32": what does not fit fails as on the board, and nothing stays behind.
import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { type Bytes, concat } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import type { Core } from "../lib/core.ts";
import { DeviceHeap, type HeapLimits } from "../lib/device_heap.ts";
import { TLSEngine } from "../lib/engine.ts";
import { CODE, SSLError } from "../lib/errors.ts";
import { newEsp32Core } from "../lib/esp32.ts";
import type { TLSConfigOptions } from "../lib/policy.ts";
import { applyProfile } from "../lib/profile.ts";
import { SSLContext } from "../lib/ssl.ts";
import { toSeedError } from "../lib/ussl_errors.ts";
import {
  clientOptions,
  credential,
  EnginePair,
  fixedCore,
  randomFrom,
  serverOptions,
  source,
} from "./pair.ts";
import { FixedClock } from "./pair.ts";

const KIB = 1024;

/** A device of its own, without a clock and without chance. */
async function newDevice(limits: HeapLimits = {}): Promise<{ core: Core; heap: DeviceHeap }> {
  const core = await newEsp32Core({ now: new FixedClock().now, random: randomFrom(1) });
  return { core, heap: new DeviceHeap(core, limits) };
}

async function deviceConfig(core: Core, options: TLSConfigOptions): Promise<TLSConfig> {
  const { policy } = await applyProfile("esp32", options);
  return new TLSConfig(policy, core);
}

async function deviceServer(core: Core, options: TLSConfigOptions = {}): Promise<TLSConfig> {
  return await deviceConfig(core, serverOptions(options));
}

/** Asserts that the device says what MicroPython does: MBEDTLS_ERR_SSL_ALLOC_FAILED, which is ENOMEM unless mbedTLS says more. */
function assertNoMemory(error: unknown, errno = 12): void {
  assertInstanceOf(error, SSLError);
  assertEquals([error.code, error.reason], [CODE.ALLOC_FAILED, "MBEDTLS_ERR_SSL_ALLOC_FAILED"]);
  const seed = toSeedError("wrap_socket", error) as { errno?: number };
  assertEquals(seed.errno, errno);
}

/** What `connect` throws; nothing may be left of it but `extra` bytes of the blinding of an RSA key. */
function failureOf(heap: DeviceHeap, core: Core, connect: () => Disposable, extra = 0): unknown {
  const before = [heap.used, core.allocated];
  try {
    connect()[Symbol.dispose]();
  } catch (error) {
    const left = [heap.used, core.allocated].map((bytes, i) => bytes - before[i]!);
    if (extra === 0) assertEquals(left, [0, 0], "a connection that failed leaves nothing");
    else assert(Math.abs(left[0]!) <= extra, `${left}`);
    return error;
  }
  return undefined;
}

/** A pair that is disposed of when its handshake fails. Throws what failed first, at the end that is asked for if there. */
function connect(client: TLSConfig, server: TLSConfig, end?: "client" | "server"): EnginePair {
  const pair = new EnginePair(client, server);
  try {
    return pair.connect();
  } catch (error) {
    pair[Symbol.dispose]();
    throw (end && pair.errors[end]) ?? error;
  }
}

for (const [key, budget, fits] of [["ec", 60, 2], ["rsa", 60, 2], ["ec", 40, 1], ["ec", 110, 4]] as const) {
  Deno.test(`heap: a device with ${budget} KiB and ${key}.pem serves ${fits} connections, and the next one gets ENOMEM`, async () => {
    const { core, heap } = await newDevice({ budget: budget * KIB });
    const empty = [heap.used, core.allocated];
    const server = await deviceServer(core, { credential: credential(key) });
    using client = new TLSConfig(clientOptions(), fixedCore(2));
    const idle = heap.used;
    const pairs = Array.from({ length: fits }, () => connect(client, server));
    for (let i = 0; i < 3; i++) {
      assertNoMemory(failureOf(heap, core, () => connect(client, server)));
    }
    assert(heap.refused >= 3);
    for (const pair of pairs) assertEquals(pair.send("client", new Uint8Array(9000)).length, 9000);
    pairs.pop()![Symbol.dispose]();
    pairs.push(connect(client, server)); // there is room again
    for (const pair of pairs) pair[Symbol.dispose]();
    assert(heap.used - idle <= 2048, "but for the blinding of an RSA key, which stays with it");
    server[Symbol.dispose]();
    assertEquals([heap.used, core.allocated], empty);
  });
}

Deno.test("heap: record buffers larger than the largest free block cannot be had", async () => {
  const { core, heap } = await newDevice({ budget: 110 * KIB, largestBlock: 16 * KIB });
  using server = await deviceServer(core);
  assertNoMemory(failureOf(heap, core, () => new TLSEngine(server)));
  new DeviceHeap(core, { budget: 110 * KIB, largestBlock: 16717 });
  assertEquals(failureOf(heap, core, () => new TLSEngine(server)), undefined);
});

/** A chain of about 16 KiB: the leaf, and more than a client asks for. */
function longChain(): Bytes {
  const [leaf, extra] = [source("ec.pem").bytes, source("rsa.pem").bytes];
  const size = (pem: Bytes) => pem.length * 3 / 4;
  const count = Math.floor((15.5 * KIB - size(leaf)) / size(extra));
  return concat([leaf, ...Array.from({ length: count }, () => extra)]);
}

Deno.test("heap: a client with 40 KiB has no room for a chain of 16 KiB, and goes on after that", async () => {
  const { core, heap } = await newDevice({ budget: 40 * KIB });
  const { key } = credential("ec") as { key: ReturnType<typeof source> };
  const chain = { name: "long", bytes: longChain() };
  using server = new TLSConfig(serverOptions({ credential: { chain, key } }), fixedCore(2));
  using plain = new TLSConfig(serverOptions(), fixedCore(3));
  using client = await deviceConfig(core, clientOptions({ certReqs: 0 }));
  assertNoMemory(failureOf(heap, core, () => connect(client, server)));
  assertEquals(failureOf(heap, core, () => connect(client, plain)), undefined);
});

Deno.test("heap: a device's server cannot send a chain that is larger than its records", async () => {
  const { core } = await newDevice({ budget: 110 * KIB });
  const { key } = credential("ec") as { key: ReturnType<typeof source> };
  using server = await deviceServer(core, {
    credential: { chain: { name: "long", bytes: longChain() }, key },
  });
  using client = new TLSConfig(clientOptions(), fixedCore(2));
  using pair = new EnginePair(client, server);
  pair.run();
  assertEquals(pair.errors.server?.reason, "MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL");
});

/** The device's end of a handshake, by whose heap it ends. */
const ENDS: Readonly<
  Record<string, { end: "client" | "server"; device?: TLSConfigOptions; peer?: TLSConfigOptions }>
> = {
  "a server with an ECDSA key": { end: "server" },
  "a server with an RSA key": { end: "server", device: { credential: credential("rsa") } },
  "a server that asks for a certificate": {
    end: "server",
    device: { certReqs: 2, trust: [source("root.pem")] },
    peer: { credential: credential("client") },
  },
  "a client that checks the server": { end: "client", device: { certReqs: 2 } },
  "a client that checks an RSA server": {
    end: "client",
    device: { certReqs: 2 },
    peer: { credential: credential("rsa") },
  },
};

for (const [name, { end, device = {}, peer = {} }] of Object.entries(ENDS)) {
  Deno.test(`heap: whichever allocation of ${name} fails, the handshake ends with ENOMEM and nothing stays`, async () => {
    const { core, heap } = await newDevice({ budget: 110 * KIB });
    const { heap_limit } = core.device!;
    using other = new TLSConfig(end === "server" ? clientOptions(peer) : serverOptions(peer), fixedCore(2));
    const empty = [heap.used, core.allocated];
    let [failures, successes] = [0, 0];
    for (let room = 20 * KIB; successes < 3; room += 96) {
      const own = await deviceConfig(core, end === "server" ? serverOptions(device) : clientOptions(device));
      const [client, server] = end === "server" ? [other, own] : [own, other];
      const { refused } = heap;
      heap_limit(heap.used + room, 110 * KIB, 0);
      try {
        connect(client, server, end)[Symbol.dispose]();
        successes++;
      } catch (error) {
        assertInstanceOf(error, SSLError);
        assertEquals([error.reason, heap.refused > refused], ["MBEDTLS_ERR_SSL_ALLOC_FAILED", true]);
        failures++;
      }
      heap_limit(110 * KIB, 110 * KIB, 0);
      own[Symbol.dispose]();
      assertEquals([heap.used, core.allocated], empty);
    }
    assert(failures > 20, `${failures}`);
  });
}

Deno.test("heap: an RSA key that had no memory to renew its blinding is spoilt for its context, as on the board", async () => {
  // mbedTLS squares one of two numbers, then the other. Users of ESP-IDF have met it: Mbed-TLS/mbedtls#7833.
  const { core, heap } = await newDevice({ budget: 110 * KIB });
  using client = new TLSConfig(clientOptions(), fixedCore(2));
  const options = { credential: credential("rsa") };
  using server = await deviceServer(core, options);
  connect(client, server)[Symbol.dispose](); // it has its blinding from here on
  const handshake = (budget: number) => {
    core.device!.heap_limit(budget, 110 * KIB, 0);
    return failureOf(heap, core, () => connect(client, server, "server"), 1024);
  };
  const idle = heap.used;
  let [noMemory, spoilt]: unknown[] = [];
  for (let room = 25 * KIB; spoilt === undefined && room < 27 * KIB; room += 32) {
    noMemory = handshake(idle + room);
    spoilt = handshake(110 * KIB);
  }
  assertNoMemory(noMemory, -17168); // MBEDTLS_ERR_RSA_PRIVATE_FAILED+MBEDTLS_ERR_MPI_ALLOC_FAILED
  for (const error of [spoilt, handshake(110 * KIB)]) {
    assertEquals((error as SSLError | undefined)?.reason, "MBEDTLS_ERR_RSA_PRIVATE_FAILED");
  }
  using next = await deviceServer(core, options);
  connect(client, next)[Symbol.dispose]();
});

Deno.test("heap: a client without room never takes a server that it would refuse", async () => {
  const { core, heap } = await newDevice({ budget: 110 * KIB });
  using server = new TLSConfig(serverOptions(), fixedCore(2));
  using stranger = await deviceConfig(core, clientOptions({ certReqs: 2, trust: [source("rsa.pem")] }));
  const idle = heap.used;
  const reasons = new Set<string>();
  for (let room = 20 * KIB; room < 32 * KIB; room += 64) {
    core.device!.heap_limit(idle + room, 110 * KIB, 0);
    const error = failureOf(heap, core, () => connect(stranger, server));
    assertInstanceOf(error, SSLError, `${room} bytes`);
    reasons.add(error.reason);
  }
  assertEquals(reasons, new Set(["MBEDTLS_ERR_SSL_ALLOC_FAILED", "MBEDTLS_ERR_X509_CERT_VERIFY_FAILED"]));
});

Deno.test("heap: of 1000 handshakes that fail in every way nothing stays", async () => {
  const { core, heap } = await newDevice();
  using server = await deviceServer(core);
  using client = new TLSConfig(clientOptions(), fixedCore(2));
  using stranger = new TLSConfig(clientOptions({ trust: [source("rsa.pem")] }), fixedCore(3));
  const before = [heap.used, core.allocated];
  const random = randomFrom(7);
  const noise = (size: number) => {
    const bytes = new Uint8Array(size);
    random(bytes);
    return bytes;
  };
  const ways: ((pair: EnginePair) => void)[] = [
    ({ server }) => server.receive(noise(300)),
    ({ server }) => server.receiveEof(),
    ({ client, server }) => { // its hello ends early
      client.handshake();
      server.receive(client.takeRecords().slice(0, 40));
      server.handshake();
      server.receiveEof();
    },
    ({ client, server }) => { // its share of the key is another
      client.handshake();
      server.receive(client.takeRecords());
      server.handshake();
      client.receive(server.takeRecords());
      client.handshake();
      const flight = client.takeRecords().slice();
      flight[20 + noise(1)[0]! % 50]! ^= 1; // behind three headers
      server.receive(flight);
    },
    (pair) => pair.run(),
  ];
  for (let i = 0; i < 1000; i++) {
    const pair = new EnginePair(i % 5 === 4 ? stranger : client, server);
    ways[i % 5]!(pair);
    assertThrows(() => {
      for (let step = 0; step < 4; step++) pair.server.handshake();
      throw new TypeError("it goes on");
    }, SSLError);
    pair[Symbol.dispose]();
  }
  assertEquals([heap.used, core.allocated], before);
  assertEquals(heap.refused, 0);
});

Deno.test("heap: a connection's bytes are counted, in all and by phase", async () => {
  const { core, heap } = await newDevice();
  using server = await deviceServer(core);
  using client = new TLSConfig(clientOptions(), fixedCore(2));
  const idle = heap.used;
  using pair = connect(client, server);
  const { live, peak, phases } = pair.server.device!.heap;
  assertEquals(live, heap.used - idle);
  assertEquals(peak, Math.max(...Object.values(phases!)));
  assertEquals(phases!.setup! >= 16717 + 4429, true);
  assertEquals(pair.client.device, undefined, "the other core is no device's");
});

Deno.test("heap: limits out of range are refused", async () => {
  const { core } = await newDevice();
  for (const limits of [{ budget: 39 * KIB }, { budget: 111 * KIB }, { budget: NaN }, { largestBlock: 0 }]) {
    assertThrows(
      () => new DeviceHeap(core, limits),
      RangeError,
      `Cannot use heap.${Object.keys(limits)[0]}: `,
    );
  }
  assertThrows(() => new DeviceHeap(fixedCore()), TypeError, "the core is no device's");
});

Deno.test("heap: the Mozilla roots do not fit a device, as they would not on the board", async () => {
  await assertRejects(() => SSLContext.create({ profile: "esp32", certReqs: 2 }), SSLError, "Cannot ");
});
