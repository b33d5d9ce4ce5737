// The parts of `tlsio serve --profile`: the board, the processor of --slow, the names of errors.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { boardFacts } from "../lib/cli/device_board.ts";
import { mbedtlsError, micropythonError } from "../lib/cli/device_errors.ts";
import { deviceOptions, openDevice } from "../lib/cli/device.ts";
import { Pace, Processor } from "../lib/cli/device_pace.ts";
import { errorFromCode, SSLError } from "../lib/errors.ts";
import { deviceOf } from "../lib/esp32.ts";
import { certFile, curl, identity } from "./peers.ts";

const NEVER = new AbortController().signal;

Deno.test("serve --profile: failures have the names that MicroPython and ESP-IDF give them", () => {
  const names = (code: number) => {
    const error = errorFromCode("complete TLS handshake", code);
    return [micropythonError(error), mbedtlsError(error)];
  };
  assertEquals(names(-0x7f00), [
    "OSError: [Errno 12] ENOMEM (MBEDTLS_ERR_SSL_ALLOC_FAILED)",
    "-0x7F00 MBEDTLS_ERR_SSL_ALLOC_FAILED",
  ]);
  assertEquals(names(-0x6e00), [
    "OSError: (-28160, 'MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE')",
    "-0x6E00 MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE",
  ]);
  assertEquals(
    names(-0x4300)[0],
    "OSError: (-17152, 'MBEDTLS_ERR_RSA_PRIVATE_FAILED'), " +
      "the key has lost its blinding for want of memory: restart, as the board must",
  );
  assertEquals(names(-0x10)[0], "OSError: [Errno 16] EBUSY (MBEDTLS_ERR_MPI_ALLOC_FAILED)");
  assertEquals(micropythonError(new Deno.errors.ConnectionReset("gone")), "OSError: [Errno 104] ECONNRESET");
  const alert = { description: 48, name: "unknown_ca" };
  const refused = new SSLError("Cannot handshake: no", { kind: "alert", code: -0x7780, alert });
  assertEquals(
    [micropythonError(refused), mbedtlsError(refused)],
    [
      "OSError: (-30592, 'MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE'), the client says unknown_ca",
      "-0x7780 MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, the client says unknown_ca",
    ],
  );
});

Deno.test("serve --slow: the processor does one thing at a time, and stops when it is told to", async () => {
  const processor = new Processor();
  const ends: string[] = [];
  const start = performance.now();
  const run = (name: string, ms: number) => processor.run(ms, NEVER).then(() => ends.push(name));
  await Promise.all([run("first", 60), run("second", 60), run("nothing to do", 0)]);
  assertEquals(ends, ["nothing to do", "first", "second"]);
  assert(performance.now() - start >= 118); // a timer may fire a millisecond early

  const closed = new AbortController();
  const waiting = processor.run(3_600_000, closed.signal); // no wait is longer than a minute; the test does not wait for that
  closed.abort(new Deno.errors.Interrupted("closed"));
  await assertRejects(() => waiting, Deno.errors.Interrupted);
  const hurried = Promise.all([processor.run(3_600_000, NEVER), processor.run(3_600_000, NEVER)]);
  processor.hurry();
  await hurried;
  await processor.run(3_600_000, NEVER);
});

Deno.test("serve --slow: a connection pays once for what it computed, for its bytes, and for being there", async () => {
  const paid: number[] = [];
  const processor = new class extends Processor {
    override run(milliseconds: number): Promise<void> {
      paid.push(milliseconds);
      return Promise.resolve();
    }
  }();
  let computed = 0;
  const pace = new Pace(processor, { computed: () => computed, perKib: 10, fixed: 100 });
  await pace.spend(512, NEVER);
  computed = 300;
  assertEquals(pace.total, 405);
  await pace.spend(1024, NEVER);
  await pace.spend(0, NEVER);
  assertEquals([paid, pace.total], [[105, 310, 0], 415]);
});

Deno.test("serve --profile: a board that has crashed starts again with the next client", async () => {
  const { cert, key } = identity("ec");
  const ssl = { certfile: cert, keyfile: key, profile: "esp32" };
  const flags = deviceOptions({ profile: "esp32" })!;
  using device = await openDevice(flags, ssl, true);
  await using server = device.start(
    () => new Response("hello"),
    (tcpBacklog) => Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog }),
  );
  const { port } = server.addr as Deno.NetAddr;
  const ask = async () => (await curl(`https://localhost:${port}/`, certFile("roots.pem"))).stdout;
  assertEquals(await ask(), "hello");
  const core = (await deviceOf("esp32", {})).core();
  assertThrows(() => core.call.connection_read(core.memory.length - 2, 0, 0), SSLError);
  assert(core.retired);
  assertEquals(device.summary().includes("the board has crashed"), true);
  assertEquals(await ask(), "hello");
  assertEquals(device.summary().includes("the board has crashed"), false);
});

Deno.test("serve --profile: what is known of each device", () => {
  assertEquals(boardFacts(undefined), undefined);
  assertEquals(boardFacts("default"), undefined);
  const tables = ["esp32", "esp32-idf", "rp2", "pycom"].map((name) => boardFacts(name)!.device?.name);
  assertEquals(tables, ["esp32", "esp32", "rp2040", undefined]);
});
