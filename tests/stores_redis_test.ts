/** RedisStore with what is no good Redis: another certificate, another password, garbage, silence, too much. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { createCertificate } from "tlsio";
import { RedisStore } from "../stores.ts";
import { onFreePort, redisServer, tempDir, within } from "./peers.ts";

const PASSWORD = "hunter2/%";
const URL_PASSWORD = encodeURIComponent(PASSWORD);

/** Everything that an error shows, to who looks closely. */
function shown(error: unknown): string {
  return `${Deno.inspect(error, { depth: 20, showHidden: true })}${JSON.stringify(error)}`;
}

/** A server that answers each connection's first bytes with `answer`, once; `undefined`: never. */
function impostor(answer: string | ((request: string) => string) | undefined) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conns = new Set<Deno.Conn>();
  const serve = async (conn: Deno.Conn) => {
    const buffer = new Uint8Array(65536);
    for (let n = await conn.read(buffer); n !== null; n = await conn.read(buffer)) {
      const request = new TextDecoder().decode(buffer.subarray(0, n));
      const text = typeof answer === "function" ? answer(request) : answer;
      if (text !== undefined) await conn.write(new TextEncoder().encode(text));
    }
  };
  const accepting = (async () => {
    for await (const conn of listener) {
      conns.add(conn);
      serve(conn).catch(() => {});
    }
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const conn of conns) {
        try {
          conn.close();
        } catch { /* it has ended */ }
      }
      await accepting;
    },
  };
}

Deno.test("stores: RedisStore: rediss:// is for the named host with a trusted certificate alone", async () => {
  await using dir = await tempDir();
  const root = createCertificate({ subject: "CN=Store Root", isCA: true });
  for (const [name, host] of [["right", "localhost"], ["wrong", "redis.test"]] as const) {
    const { certificate, key } = createCertificate({ subject: `CN=${host}`, hosts: [host], issuer: root });
    await Deno.writeTextFile(`${dir.path}/${name}.pem`, certificate);
    await Deno.writeTextFile(`${dir.path}/${name}.key`, key);
  }
  const start = (name: string) =>
    onFreePort(async (port) => {
      const files = ["cert", "key"].flatMap((what) => [
        `--tls-${what}-file`,
        `${dir.path}/${name}.${what === "cert" ? "pem" : "key"}`,
      ]);
      const tls = ["--tls-port", String(port), "--tls-auth-clients", "no", "--tls-ca-cert-dir", dir.path];
      return await redisServer(port, ["--port", "0", "--requirepass", PASSWORD, ...tls, ...files]);
    });
  await using right = await start("right");
  await using wrong = await start("wrong");
  const ask = async (port: number, password: string, caCerts?: string) => {
    const url = `rediss://:${password}@localhost:${port}`;
    await using store = await RedisStore.open(url, { ...(caCerts !== undefined && { caCerts }) });
    return await store.replace("key", undefined, Uint8Array.of(1), 60);
  };
  assertEquals(await ask(right.port, URL_PASSWORD, root.certificate), true);
  const cases: [() => Promise<boolean>, string][] = [
    [() => ask(right.port, URL_PASSWORD), "certificate"],
    [() => ask(wrong.port, URL_PASSWORD, root.certificate), "does not match certificate's altnames"],
    [() => ask(right.port, "wrong", root.certificate), "WRONGPASS"],
  ];
  for (const [asked, reason] of cases) {
    const error = await assertRejects(asked, Error, reason);
    assert(error.message.startsWith("Cannot reach Redis: "), error.message);
    assert(!shown(error).includes("hunter2"));
  }
});

Deno.test("stores: RedisStore: no error shows the password, not of a server that repeats what it does not know", async () => {
  // So does Redis 5, which has no HELLO.
  const echo = (request: string) =>
    `-ERR unknown command, with args beginning with: ${request.replaceAll(/\r\n/g, " ")}\r\n`;
  await using server = impostor(echo);
  await using store = await RedisStore.open(`redis://user:${URL_PASSWORD}@127.0.0.1:${server.port}`);
  const error = await assertRejects(() => store.get("key"), Error, "unknown command");
  assert(!shown(error).includes(PASSWORD) && !shown(error).includes(URL_PASSWORD), shown(error));
  assert(!Deno.inspect(store, { depth: 20, showHidden: true }).includes("hunter2"));
  for (const path of ["/zero", "/1/2"]) {
    const url = `redis://user:${URL_PASSWORD}@127.0.0.1:1${path}`;
    const error = await assertRejects(() => RedisStore.open(url), TypeError, "Cannot use url");
    assert(!shown(error).includes("hunter2"));
  }
  const given = { caCerts: "PEM" };
  await assertRejects(() => RedisStore.open("redis://127.0.0.1:1", given), TypeError, "Cannot use caCerts");
  const unencoded = "redis://user:100%@127.0.0.1:1";
  await assertRejects(() => RedisStore.open(unencoded), TypeError, "not percent-encoded");
});

const IMPOSTORS = {
  "answers with garbage": "HTTP/1.1 400 Bad Request\r\n\r\n",
  "never answers": undefined,
  "answers with too much at once": "$999999999999999\r\n" + "x".repeat(10_000),
};
for (const [what, answer] of Object.entries(IMPOSTORS)) {
  Deno.test(`stores: RedisStore: what ${what} fails each call in time`, async () => {
    await using server = impostor(answer);
    await using store = await RedisStore.open(`redis://127.0.0.1:${server.port}`);
    const calls = Array.from(
      { length: 50 },
      () => store.get("key").then(() => "answered", (error) => String(error)),
    );
    const answers = await within(Promise.all(calls), 10_000, "fail");
    assert(answers.every((answer) => answer.startsWith("Error: Cannot reach Redis: ")), answers.join("\n"));
  });
}

Deno.test("stores: RedisStore: a value of another's, or too large, is not taken over the network", async () => {
  await using server = await redisServer();
  const url = `redis://127.0.0.1:${server.port}`;
  await using store = await RedisStore.open(url, { prefix: "" });
  await using conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const answers = conn.readable.pipeThrough(new TextDecoderStream()).getReader();
  await conn.write(new TextEncoder().encode("SETRANGE giant 100000000 x\r\nRPUSH list a\r\n"));
  for (let text = ""; !/:1\r\n$/.test(text);) text += (await answers.read()).value ?? "";
  await assertRejects(
    () => store.get("giant"),
    RangeError,
    'Cannot read "giant" from Redis: it has more than 60000',
  );
  await assertRejects(() => store.get("list"), Error, "Cannot use Redis: ");
  assertEquals(await store.get("nothing"), undefined);
  await conn.write(new TextEncoder().encode("INFO commandstats\r\n"));
  let stats = "";
  while (!stats.includes("cmdstat_getrange")) stats += (await answers.read()).value ?? "";
  assert(!stats.includes("cmdstat_get:"), "the 100 MB were never asked for");
});

Deno.test("stores: RedisStore: a storm of calls while it is away fails at once, and says nothing on its own", async () => {
  const server = impostor(undefined);
  const { port } = server;
  await server[Symbol.asyncDispose]();
  const warnings: unknown[] = [];
  const warned = (event: unknown) => void warnings.push(event);
  const { default: process } = await import("node:process");
  process.on("warning", warned);
  try {
    await using store = await RedisStore.open(`redis://127.0.0.1:${port}`);
    const calls = Array.from(
      { length: 200 },
      () => assertRejects(() => store.get("key"), Error, "ECONNREFUSED"),
    );
    await within(Promise.all(calls), 10_000, "fail");
    const left = assertRejects(() => store.get("key"), Error);
    await store[Symbol.asyncDispose]();
    await left;
    await assertRejects(() => store.get("key"), TypeError, "Cannot use Redis: the store is closed");
  } finally {
    process.off("warning", warned);
  }
  assertEquals(warnings, []);
});
