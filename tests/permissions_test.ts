// The permissions that each use needs: the table in SECURITY.md, row by row. Each runs with exactly those flags, and
// fails without any one of them, or of the values that a flag lists.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { fileURLToPath } from "node:url";
import { createCertificate, Purpose, startServer } from "../mod.ts";
import { redisServer } from "./peers/redis.ts";

const PACKAGE = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");

/** What runs for a row. */
interface Use {
  /** The program, which imports from `$tlsio`; or the arguments of the command line, `$port` being a server's. */
  run: string | string[];
  /** What a run says that has the permissions. */
  says: RegExp;
  env?: Record<string, string>;
}

const STORE_KEY = new Uint8Array(32).toBase64();

const OWN = `
const [certfile, keyfile] = [\`$certificate\`, \`$key\`];`;

const ECHO = `
const server = await startServer(async (reader, writer) => {
  writer.write(await reader.readline());
  await writer.drain();
}, { hostname: "127.0.0.1", port: 0, ssl: { certfile, keyfile } });
console.log("listens");
await server.close();`;

const MEMORY = `
const [up, down] = [new MemoryBIO(), new MemoryBIO()];
using near = trusting.wrapBio(down, up, { serverHostname: "localhost" });
using far = serving.wrapBio(up, down);
for (let i = 0; i < 8; i++) [near.handshake().state, far.handshake().state];`;

const USES: Readonly<Record<string, Use>> = {
  "TLS over bytes or a stream of your own; `tlsio/cost`, `measure`": {
    run: `import { MemoryBIO, Purpose, SSLContext } from "$tlsio/mod.ts";
import { assertHandshakeCost } from "$tlsio/cost.ts";${OWN}
using trusting = await SSLContext.create({ caCerts: certfile, measure: true });
using serving = await SSLContext.create({ serverSide: true, certfile, keyfile, measure: true });${MEMORY}
console.log(near.version(), typeof assertHandshakeCost);`,
    says: /^TLSv1.3 function/,
  },
  "a client: `openConnection()`": {
    run: `import { openConnection } from "$tlsio/mod.ts";${OWN}
const [, writer] = await openConnection({ hostname: "127.0.0.1", port: $port, ssl: { caCerts: certfile } });
console.log(writer.getExtraInfo("cipher").version);
writer.close();
await writer.waitClosed();`,
    says: /^TLSv1.3/,
  },
  "a server: `startServer()`, `serve()`": {
    run: `import { startServer } from "$tlsio/mod.ts";${OWN}${ECHO}`,
    says: /^listens/,
  },
  "`tlsio/socket`, `tlsio/ussl`": {
    run: `import { socket } from "$tlsio/socket.ts";
import { wrap_socket } from "$tlsio/ussl.ts";
const plain = new socket();
await plain.connect(["127.0.0.1", $port]);
const s = await wrap_socket(plain, { server_hostname: "localhost" });
console.log("wrapped");
await s.close();`,
    says: /^wrapped/m,
  },
  "a client that trusts the Mozilla roots: no `caCerts`": {
    run: `import { createDefaultContext } from "$tlsio/mod.ts";
using context = await createDefaultContext();
console.log("roots");`,
    says: /^roots/,
  },
  "`certfile`, `keyfile`, `caCerts` as paths": {
    run: `import { SSLContext } from "$tlsio/mod.ts";
using context = await SSLContext.create({ serverSide: true, certfile: "server.pem", keyfile: "server.key" });
console.log("loaded");`,
    says: /^loaded/,
  },
  "`keylogFilename`": {
    run: `import { MemoryBIO, SSLContext } from "$tlsio/mod.ts";${OWN}
using trusting = await SSLContext.create({ caCerts: certfile, keylogFilename: "keys.log" });
using serving = await SSLContext.create({ serverSide: true, certfile, keyfile });${MEMORY}
console.log(near.version());`,
    says: /^TLSv1.3/,
  },
  "`createDefaultContext()` that heeds `SSLKEYLOGFILE`": {
    run: `import { createDefaultContext, MemoryBIO, SSLContext } from "$tlsio/mod.ts";${OWN}
using trusting = await createDefaultContext(undefined, { caCerts: certfile });
using serving = await SSLContext.create({ serverSide: true, certfile, keyfile });${MEMORY}
using log = Deno.openSync("keys.log", { write: true }); // Deno itself makes the file
if (log.seekSync(0, Deno.SeekMode.End) === 0) throw new Error("no secrets");
console.log(near.version());`,
    says: /^TLSv1.3/,
    env: { SSLKEYLOGFILE: "keys.log" },
  },
  "DTLS: `connectDtls()`, `listenDtls()`": {
    run: `import { listenDtls } from "$tlsio/dtls.ts";${OWN}
const server = await listenDtls({ hostname: "127.0.0.1", port: 0, certfile, keyfile });
console.log("listens");
await server.close();`,
    says: /^listens/,
  },
  "`reusePort`": {
    run: `import { startServer } from "$tlsio/mod.ts";${OWN}
const server = await startServer(() => {}, { hostname: "127.0.0.1", port: 0, reusePort: true, ssl: { certfile, keyfile } });
console.log("listens");
await server.close();`,
    says: /^listens/,
  },
  "`workers`, of a package and a handler that are files": {
    run: `import { startServer } from "$tlsio/mod.ts";${OWN}
const handler = new URL("handler.ts", import.meta.url);
const server = await startServer(handler, { workers: 1, hostname: "127.0.0.1", port: 0, ssl: { certfile, keyfile } });
console.log("listens");
await server.close();`,
    says: /^listens/,
  },
  "a device's `profile`, of a package that is files": {
    run: `import { SSLContext } from "$tlsio/mod.ts";
using context = await SSLContext.create({ profile: "esp32", certReqs: 0 });
console.log("a device");`,
    says: /^a device/,
  },
  "a fleet's key: `StoreKey.fromEnv()`": {
    run: `import { StoreKey } from "$tlsio/stores.ts";
console.log(await StoreKey.fromEnv());`,
    says: /^StoreKey \{ keys: 1/,
    env: { TLSIO_STORE_KEY: STORE_KEY },
  },
  "a fleet's key: `StoreKey.fromFile()`": {
    run: `import { StoreKey } from "$tlsio/stores.ts";
console.log(await StoreKey.fromFile("store.key"));`,
    says: /^StoreKey \{ keys: 1/,
  },
  "`SharedTicketKeys` with a `cache`": {
    run: `import { MemoryStore, SharedTicketKeys, StoreKey } from "$tlsio/stores.ts";
const storeKey = await StoreKey.from(new Uint8Array(32));
const onError = (error) => console.log("error", error.message);
await using store = new MemoryStore();
{
  await using keys = await SharedTicketKeys.open({ store, storeKey, cache: "kept/keys", onError });
}
const down = () => Promise.reject(new Error("down"));
const none = { get: down, replace: down, delete: down };
await using keys = await SharedTicketKeys.open({ store: none, storeKey, cache: "kept/keys", onError });
console.log("state", keys.status.state);`,
    says: /^error down\nstate stale/,
  },
  "`KvStore` of a file": {
    run: `import { KvStore } from "$tlsio/stores.ts";
await using store = await KvStore.open("kept/keys.db");
console.log(await store.replace("key", undefined, new Uint8Array(1), 60));`,
    says: /^true/,
  },
  "`RedisStore`": {
    run: `import { RedisStore } from "$tlsio/stores.ts";
await using store = await RedisStore.open("redis://127.0.0.1:$redis");
for (let i = 0; i < 20; i++) {
  await new Promise((resolve) => setTimeout(resolve, 100));
  if (await store.replace("key", undefined, new Uint8Array(1), 60).catch(() => false)) {
    console.log("written");
    break;
  }
}
await store.delete("key").catch(() => {});`,
    says: /^written/,
  },
  "`watchCertificates()`, of files in `tls`": {
    run: `import { startServer, watchCertificates } from "$tlsio/mod.ts";
const ssl = { certfile: "tls/server.pem", keyfile: "tls/server.key" };
await using server = await startServer(() => {}, { hostname: "127.0.0.1", port: 0, ssl });
await using watch = await watchCertificates(server, ssl, { onError: (error) => console.log("error", error.message) });
await watch.check();
console.log("watches");`,
    says: /^watches/,
  },
  "`tlsio/metrics`: `metricsText()`, `observeServer()`": {
    run: `import { metricsText, observeServer } from "$tlsio/metrics.ts";
using _observed = await observeServer({ stats: {} });
console.log(typeof metricsText);`,
    says: /^function/,
  },
  "importing tlsio from a URL": {
    run: `import { Purpose } from "http://127.0.0.1:$web/mod.ts";
console.log(Purpose.SERVER_AUTH);`,
    says: new RegExp(`^${Purpose.SERVER_AUTH}`),
    env: { DENO_DIR: "$folder/deno" }, // what comes by URL is fetched anew
  },
  "`tlsio cert --out certs`": { run: ["cert", "--out", "certs"], says: /SHA-256/ },
  "`tlsio connect <host>`": { run: ["connect", "127.0.0.1:$port"], says: /TLSv1\.3|not trusted|self-signed/ },
  "`tlsio connect --ca server.pem <host>`": {
    run: ["connect", "--ca", "server.pem", "127.0.0.1:$port"],
    says: /TLSv1\.3/,
  },
  "`tlsio trace --ca server.pem --keylog keys.log <host>`": {
    run: ["trace", "--ca", "server.pem", "--keylog", "keys.log", "127.0.0.1:$port"],
    says: /ServerHello/,
  },
  "`tlsio serve site --cert server.pem --key server.key`": {
    run: ["serve", "site", "--port", "0", "--cert", "server.pem", "--key", "server.key"],
    says: /URL +https:/,
  },
  "`tlsio serve site --dashboard --cert server.pem --key server.key`": {
    run: ["serve", "site", "--dashboard=0", "--port", "0", "--cert", "server.pem", "--key", "server.key"],
    says: /Dashboard +http:/,
  },
  "`tlsio serve --profile esp32 --cert server.pem --key server.key`": {
    run: ["serve", "--profile", "esp32", "--port", "0", "--cert", "server.pem", "--key", "server.key"],
    says: /URL +https:/,
  },
  "`tlsio serve`, which keeps a certificate in `<cache>`": {
    run: ["serve", "--port", "0"],
    says: /URL +https:/,
    env: { XDG_CACHE_HOME: "$folder/cache" },
  },
  "`tlsio bench handshake`": {
    run: ["bench", "handshake", "--scenario", "1.3/P-256/full", "--runs", "1"],
    says: /^1\.3\/P-256\/full +\d/m,
  },
};

/** The rows of the table: use and flags. */
async function table(): Promise<Map<string, string[]>> {
  const text = await Deno.readTextFile(`${PACKAGE}/SECURITY.md`);
  const section = text.slice(text.indexOf("## Permissions")).split(/\n## /)[0]!;
  const rows = [...section.matchAll(/^\| (.+?) +\| (.+?) +\|$/gm)].slice(2).map(([, use, flags]) => {
    const words = flags === "none" ? [] : flags!.split(" ").map((flag) => flag.replaceAll("`", ""));
    return [use!, words] as const;
  });
  return new Map(rows);
}

/** All that can be left out: a flag, or one of its values. */
function* lacking(flags: readonly string[]): Generator<string[]> {
  for (const [at, flag] of flags.entries()) {
    const [name, values] = flag.split("=");
    const list = values?.split(",") ?? [];
    const others = flags.toSpliced(at, 1);
    if (list.length < 2) yield others;
    else for (const value of list) yield [...others, `${name}=${list.filter((other) => other !== value)}`];
  }
}

/** Where Deno keeps what it has fetched: it would follow XDG_CACHE_HOME. */
const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
const { denoDir, npmCache }: Record<string, string> = JSON.parse(new TextDecoder().decode(stdout));

/** Runs a program until it has said what it should, or is over. */
async function attempt(
  folder: string,
  { run, says, env = {} }: Use,
  program: string[],
  flags: readonly string[],
): Promise<string> {
  // A folder of its own: what one run has written is not there for the next.
  for (const name of ["certs", "cache", "kept", "keys.log"]) {
    await Deno.remove(`${folder}/${name}`, { recursive: true }).catch(() => {});
  }
  await Deno.mkdir(`${folder}/kept`);
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--no-check", "--no-config", "--no-lock", ...flags, ...program],
    cwd: folder,
    env: { NO_COLOR: "1", NO_PROXY: "*", DENO_DIR: denoDir!, ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const end = () => {
    try {
      child.kill("SIGINT");
    } catch {
      // over already
    }
  };
  const late = setTimeout(() => child.kill("SIGKILL"), 120_000);
  let said = "";
  const listen = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      said += text;
      if (says.test(said) && typeof run !== "string") end(); // a server goes on
    }
  };
  await Promise.all([listen(child.stdout), listen(child.stderr), child.status]);
  clearTimeout(late);
  return said;
}

const TYPES: Record<string, string> = {
  ts: "application/typescript",
  js: "text/javascript",
  json: "application/json",
  wasm: "application/wasm",
};

/** Runs a row with its flags, and with each that can be left out. */
async function check(use: Use, row: readonly string[]): Promise<void> {
  const folder = await Deno.makeTempDir();
  const { certificate, key } = createCertificate({
    subject: "CN=localhost",
    hosts: ["localhost", "127.0.0.1"],
  });
  await using server = await startServer(async (reader, writer) => {
    await reader.read();
    writer.close();
  }, { hostname: "127.0.0.1", port: 0, ssl: { certfile: certificate, keyfile: key } });
  await using web = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const path = new URL(request.url).pathname;
    const headers = { "content-type": TYPES[path.split(".").at(-1)!] ?? "text/plain" };
    return new Response(await Deno.readFile(PACKAGE + path), { headers });
  });
  await using redis = use.run.includes("$redis") ? await redisServer() : undefined;
  const values: Record<string, string> = {
    $redis: String(redis?.port),
    $folder: folder,
    $tlsio: `file://${PACKAGE}`,
    $certificate: certificate,
    $key: key,
    $port: String((server.addr as Deno.NetAddr).port),
    $web: String(web.addr.port),
  };
  const fill = (text: string) => text.replaceAll(/\$[a-z]+/g, (name) => values[name] ?? name);
  const words: Record<string, string> = {
    host: "127.0.0.1",
    package: PACKAGE,
    cache: `${folder}/cache/tlsio`,
  };
  const flags = row.map((flag) => flag.replaceAll(/<([a-z]+)>/g, (_, word) => words[word]!));
  try {
    await Deno.mkdir(`${folder}/site`);
    await Deno.mkdir(`${folder}/deno`);
    await Deno.mkdir(`${folder}/tls`);
    await Deno.symlink(npmCache!, `${folder}/deno/npm`);
    for (const at of [folder, `${folder}/tls`]) {
      await Deno.writeTextFile(`${at}/server.pem`, certificate);
      await Deno.writeTextFile(`${at}/server.key`, key);
    }
    await Deno.writeTextFile(`${folder}/store.key`, STORE_KEY);
    await Deno.writeTextFile(`${folder}/handler.ts`, "export default () => {};");
    const env = Object.fromEntries(Object.entries(use.env ?? {}).map(([name, value]) => [name, fill(value)]));
    const isProgram = typeof use.run === "string";
    if (isProgram) await Deno.writeTextFile(`${folder}/main.ts`, fill(use.run as string));
    const program = isProgram ? ["main.ts"] : [`${PACKAGE}/cli.ts`, ...(use.run as string[]).map(fill)];
    assertMatch(await attempt(folder, { ...use, env }, program, flags), use.says, flags.join(" "));
    for (const fewer of lacking(flags)) {
      const said = await attempt(folder, { ...use, env }, program, fewer);
      assert(!use.says.test(said), `it runs with ${fewer.join(" ") || "nothing"} alone: ${said}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const ROWS = await table();

Deno.test("permissions: SECURITY.md's table has every use, and no other", () => {
  assertEquals([...ROWS.keys()].sort(), Object.keys(USES).sort());
});

for (const [name, use] of Object.entries(USES)) {
  Deno.test(`permissions: ${name}: the flags of SECURITY.md do, and none of them less`, async () => {
    await check(use, ROWS.get(name)!);
  });
}
