import { assert, assertEquals, assertNotEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { Core, CORE_EXPORTS, CORE_IMPORTS, DEVICE_EXPORTS, IO_SIZE } from "../lib/core.ts";
import { coreModule } from "../lib/core_module.js";
import { coreModule as esp32Module } from "../lib/esp32_module.js";
import { TLSEngine } from "../lib/engine.ts";
import { CODE, SSLError } from "../lib/errors.ts";
import { bytesFrom, clientOptions, configs, EnginePair, fixedCore, fixedRing, VERSIONS } from "./pair.ts";
import { randomFrom, serverOptions } from "./pair.ts";

/** The number of parameters of each imported function, from the bytes of the module itself. */
function importArity(module: Uint8Array): Record<string, number> {
  let at = 8; // behind the magic number and the version
  const number = () => { // unsigned LEB128
    let value = 0;
    for (let shift = 0;; shift += 7) {
      const byte = module[at++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  const skip = (n: number) => module.subarray(at, at += n);
  const name = () => new TextDecoder().decode(skip(number()));
  const parameters: number[] = [];
  const found: Record<string, number> = {};
  while (at < module.length) {
    const section = module[at++]!;
    const end = number() + at;
    if (section === 1) { // types
      for (let left = number(); left > 0; left--) {
        assertEquals(module[at++], 0x60, "a function type");
        const count = number();
        parameters.push(count);
        skip(count);
        skip(number()); // results
      }
    } else if (section === 2) { // imports
      for (let left = number(); left > 0; left--) {
        assertEquals(name(), "tlsio");
        const field = name();
        assertEquals(module[at++], 0, `${field} is a function`);
        found[field] = parameters[number()]!;
      }
    }
    at = end;
  }
  return found;
}

Deno.test("CORE_EXPORTS lists what the module exports, with the number of parameters", () => {
  const imports = Object.fromEntries(Object.keys(CORE_IMPORTS).map((name) => [name, () => 0]));
  for (
    const [module, table] of [
      [coreModule, CORE_EXPORTS],
      [esp32Module, { ...CORE_EXPORTS, ...DEVICE_EXPORTS }],
    ] as const
  ) {
    const { exports } = new WebAssembly.Instance(module, { tlsio: imports });
    const { memory, _initialize, ...functions } = exports;
    assert(memory instanceof WebAssembly.Memory);
    assert(typeof _initialize === "function");
    const arity = Object.entries(functions).map(([name, f]) => [name, (f as CallableFunction).length]);
    assertEquals(Object.fromEntries(arity), { ...table });
  }
});

Deno.test("CORE_IMPORTS lists what the module imports, with the number of parameters", async () => {
  const bytes = await Deno.readFile(new URL("../wasm/dist/core.wasm", import.meta.url));
  assertEquals(importArity(bytes), { ...CORE_IMPORTS });
});

Deno.test("Core.memory is the whole memory again after it has grown", () => {
  const core = fixedCore();
  const before = core.memory;
  const at = core.alloc(4 << 20);
  assertEquals(before.length, 0, "growth detaches the old view");
  assert(core.memory.length >= at + (4 << 20));
  assertStrictEquals(core.memory, core.memory, "one view as long as the memory is the same");
  core.free(at);
});

Deno.test("Core.with() keeps its inputs while the memory grows, and frees them", () => {
  const core = fixedCore();
  const start = core.allocated;
  const inputs = [1, 2, 3].map((seed) => bytesFrom(seed, 2 << 20));
  core.with([...inputs, null, new Uint16Array([0x0102])], (...at) => {
    inputs.forEach((input, i) => {
      assertEquals(core.memory.subarray(at[i]!, at[i]! + input.length), input);
      assertEquals(core.memory[at[i]! + input.length], 0, "a NUL follows");
    });
    assertEquals(at[3], 0, "null is a null pointer");
    assertEquals([...core.memory.subarray(at[4]!, at[4]! + 3)], [2, 1, 0]);
  });
  assertThrows(
    () =>
      core.with([inputs[0]!], () => {
        throw new Error("stop");
      }),
    Error,
    "stop",
  );
  assertEquals(core.allocated, start);
});

Deno.test("Core.collect() gives results of any length and leaves none behind", () => {
  const core = fixedCore();
  const start = core.allocated;
  for (const length of [0, 1, IO_SIZE, IO_SIZE + 1, 100_000]) {
    const result = bytesFrom(length, length);
    const got = core.collect("collect", (at, size) => {
      core.memory.set(result.subarray(0, size), at); // as much as there is room for, like mbedTLS
      return length;
    });
    assertEquals(got, result);
    const io = core.memory.subarray(core.io, core.io + IO_SIZE);
    assert(io.every((byte) => byte === 0), `${length} bytes: the buffer is wiped`);
  }
  assertEquals(core.allocated, start);
  assertThrows(() => core.collect("collect", () => CODE.BAD_INPUT_DATA), SSLError, "Cannot collect: ");
});

/** Makes the core trap: a handle whose magic number lies beyond the end of the memory. */
function trap(core: Core): SSLError {
  return assertThrows(() => core.call.connection_read(core.memory.length - 2, 0, 0), SSLError);
}

Deno.test("Core: a trap retires the instance, and Core.shared() is a fresh one", () => {
  const retired = Core.shared();
  using config = new TLSConfig(clientOptions());
  using server = new TLSConfig(serverOptions());
  using pair = new EnginePair(config, server);
  pair.connect();
  const session = pair.client.session();

  const first = trap(retired);
  assertEquals([first.kind, first.code], ["internal", CODE.INTERNAL_ERROR]);
  assert(first.cause instanceof WebAssembly.RuntimeError);
  assert(retired.retired);
  for (const call of [() => retired.version, () => retired.allocated, () => retired.alloc(1)]) {
    assertEquals(assertThrows(call, SSLError).kind, "internal");
  }
  retired.free(1); // nothing is left to free

  const failure = assertThrows(() => pair.client.write(encodeText("x")), SSLError);
  assertEquals([failure.kind, pair.client.state], ["internal", "failed"]);
  assertStrictEquals(assertThrows(() => pair.client.read(new Uint8Array(1)), SSLError), failure);
  assertEquals(pair.client.takeRecords().length, 0);
  assertEquals([pair.client.version, pair.client.verifyMessage], ["TLSv1.3", ""], "what was learned stays");
  assertStrictEquals(pair.client.session(), session);

  const fresh = Core.shared();
  assertNotEquals(fresh, retired);
  using next = new EnginePair(config, server, { savedSession: session }); // the configs are built again
  next.connect();
  assert(next.client.sessionReused, "in the new core, the ring opens its tickets");
});

Deno.test("Core: disposing of engines and configs of a retired core throws nothing", () => {
  const core = fixedCore();
  const both = configs(core);
  const pair = new EnginePair(both.client, both.server);
  pair.client.handshake();
  trap(core);
  pair[Symbol.dispose]();
  both[Symbol.dispose]();
  assertEquals(pair.client.state, "freed");
});

Deno.test("TLSConfig with a core of its own does not outlive it", () => {
  const core = fixedCore();
  using both = configs(core);
  trap(core);
  const error = assertThrows(() => new TLSEngine(both.client), SSLError);
  assertEquals(error.kind, "internal");
});

Deno.test("Core refuses calls from inside a callback", () => {
  const refused: unknown[] = [];
  const core: Core = new Core({ random: (bytes) => randomFrom(1)(bytes) });
  const keyLog = () => {
    try {
      refused.push(core.version);
    } catch (error) {
      refused.push(error);
    }
  };
  using both = configs(core, {}, { keyLog });
  using pair = new EnginePair(both.client, both.server);
  pair.connect();
  assert(refused.length > 0);
  for (const error of refused) {
    assert(error instanceof Error);
    assertEquals(error.message, "Cannot call core_version: the core is running");
  }
  assert(!core.retired);
  assertEquals(pair.send("client", encodeText("goes on")), encodeText("goes on"));
});

Deno.test("Core: randomness that throws fails the connection, not the core", () => {
  let broken = false;
  const random = randomFrom(1);
  const core = new Core({
    random(bytes) {
      if (broken) throw new Error("no randomness");
      random(bytes);
    },
  });
  using both = configs(core);
  broken = true;
  using pair = new EnginePair(both.client, both.server);
  const error = assertThrows(() => pair.client.handshake(), SSLError);
  assertEquals(error.kind, "internal");
  assert(!core.retired);
  broken = false;
  using next = new EnginePair(both.client, both.server);
  next.connect();
});

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`Core: the same clock and randomness give the same bytes (${version})`, () => {
    const bytes = (seed: number) => {
      using both = configs(fixedCore(seed), { sslVersion }, {}, { tickets: fixedRing() });
      using pair = new EnginePair(both.client, both.server);
      pair.connect();
      pair.send("client", encodeText("ping"));
      pair.close();
      return { client: pair.flight("client").toHex(), server: pair.flight("server").toHex() };
    };
    const first = bytes(7);
    assertEquals(bytes(7), first);
    assertNotEquals(bytes(8), first);
  });
}

Deno.test("Core.version names mbedTLS and what was compiled", () => {
  const { version } = fixedCore();
  assert(/^mbedtls-3\.6\.\d+\+[0-9a-f]{8}$/.test(version), version);
});
