// Users import tlsio from a URL, with no import map, no lock file, and no permission but the network's.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { createCertificate } from "../mod.ts";

const ROOT = new URL("../", import.meta.url);
const TYPES: Record<string, string> = {
  ts: "application/typescript",
  js: "text/javascript",
  json: "application/json",
  wasm: "application/wasm",
};

/** The files that `deno publish` would publish. */
async function publishable(): Promise<Set<string>> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty", "--no-check"],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  });
  const { stderr } = await command.output();
  const lines = new TextDecoder().decode(stderr).matchAll(/^\s+(\S*file:\S+) \([\d.]+\s*[kKM]?B\)$/gm);
  return new Set([...lines].map(([, url]) => url!.slice(ROOT.href.length)));
}

function serveTree(files: Set<string>, requested: Set<string>): Deno.HttpServer<Deno.NetAddr> {
  return Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const path = new URL(request.url).pathname.slice(1);
    requested.add(path);
    if (!files.has(path)) return new Response("not published", { status: 404 });
    const type = TYPES[path.split(".").pop()!] ?? "text/plain";
    return new Response(await Deno.readFile(new URL(path, ROOT)), { headers: { "content-type": type } });
  });
}

const PROGRAM = (base: string, certificate: string, key: string) => `
import { openConnection, saveSession, startServer, wrapSocket } from "${base}/mod.ts";
const certificate = ${JSON.stringify(certificate)};
const server = await startServer(async (reader, writer) => {
  writer.write(await reader.readline());
  await writer.drain();
}, { hostname: "127.0.0.1", port: 0, ssl: { certfile: certificate, keyfile: ${JSON.stringify(key)} } });
const { port } = server.addr as Deno.NetAddr;
const [reader, writer] = await openConnection({ hostname: "127.0.0.1", port, ssl: { caCerts: certificate } });
writer.write("hello\\n");
console.log(new TextDecoder().decode(await reader.readline()).trim(), writer.getExtraInfo("cipher")!.version);
writer.close();
await writer.waitClosed();
server.close();
await server.waitClosed();
`;

const PROFILE_PROGRAM = (base: string, certificate: string, key: string) => `
import { openConnection, startServer } from "${base}/mod.ts";
const server = await startServer(async (reader, writer) => {
  writer.write(await reader.readline());
  await writer.drain();
}, {
  hostname: "127.0.0.1", port: 0,
  ssl: { profile: "esp32", certfile: ${JSON.stringify(certificate)}, keyfile: ${JSON.stringify(key)} },
});
const { port } = server.addr as Deno.NetAddr;
const [reader, writer] = await openConnection({ hostname: "127.0.0.1", port, ssl: { certReqs: 0 } });
writer.write("hello\\n");
console.log(new TextDecoder().decode(await reader.readline()).trim(), JSON.stringify(writer.getExtraInfo("cipher")));
writer.close();
await writer.waitClosed();
server.close();
await server.waitClosed();
`;

const WORKERS_PROGRAM = (base: string, certificate: string, key: string) => `
import { openConnection, startServer } from "${base}/mod.ts";
const certificate = ${JSON.stringify(certificate)};
const module = "data:text/javascript," + encodeURIComponent(\`
  export default async (reader, writer) => {
    writer.write(await reader.readline());
    await writer.drain();
  };
\`);
await using server = await startServer(module, {
  workers: 2, hostname: "127.0.0.1", port: 0, ssl: { certfile: certificate, keyfile: ${JSON.stringify(key)} },
});
for (let i = 0; i < 8; i++) {
  const [reader, writer] = await openConnection({ hostname: "127.0.0.1", port: server.addr.port, ssl: { caCerts: certificate } });
  writer.write("hello\\n");
  if (new TextDecoder().decode(await reader.readline()) !== "hello\\n") throw new Error("no answer");
  writer.close();
  await writer.waitClosed();
}
const { workers, accepted, restarts } = await server.stats();
console.log(workers, "workers", accepted, "connections", restarts, "restarts");
`;

const REPORT_PROGRAM = (base: string) => `
const { tracePage } = await import("${base}/lib/cli/report/trace_page.ts");
const { handshakeReport } = await import("${base}/lib/cli/report/handshake_report.ts");
const event = { time: 0, direction: "sent", contentType: "handshake", encrypted: false, state: "handshake" };
const trace = await tracePage({
  title: "example.com",
  connections: [{
    name: "full",
    role: "client",
    events: [
      { ...event, layer: "message", name: "client_hello", length: 131 },
      { ...event, layer: "record", length: 136 },
    ],
  }],
});
const report = await handshakeReport({
  bench: "handshake", format: 1, interrupted: true, scenarios: [], skipped: [], resumption: [],
  environment: { date: "2026-11-21", version: "0", core: "", deno: "", v8: "", os: "", arch: "", cpus: 1, timerStepMs: 1, notes: [] },
  plan: { target: "memory", runs: 0, warmUp: 0, devices: [], links: [] },
});
console.log(trace.split("<svg").length - 1, "drawings", report.includes("ended before anything was measured"));
`;

const FLEET_PROGRAM = (base: string) => `
const { MemoryStore, RedisStore, SharedTicketKeys, StoreKey } = await import("${base}/stores.ts");
const { observeServer } = await import("${base}/metrics.ts");
await using store = new MemoryStore();
const storeKey = await StoreKey.from(crypto.getRandomValues(new Uint8Array(32)));
await using keys = await SharedTicketKeys.open({ store, storeKey });
await using redis = await RedisStore.open("redis://127.0.0.1:1");
const refused = await redis.get("key").catch((error) => error.message);
using _metrics = await observeServer({ stats: {} });
console.log(keys.status.state, refused);
`;

const DASHBOARD_PROGRAM = (base: string) => `
const { Dashboard } = await import("${base}/lib/cli/dashboard/server.ts");
await using dashboard = await Dashboard.start({
  hostname: "127.0.0.1", port: 0, names: [], counts: () => { throw new Error("nobody asks"); },
  about: { url: "https://localhost/", started: 0 },
});
const page = await (await fetch(dashboard.url)).text();
for (const [, path] of page.matchAll(/(?:src|href)="(\\/[^"]+)"/g)) {
  const file = await fetch(new URL(path, dashboard.url));
  console.log(path, file.status, (await file.text()).length > 1000);
}
`;

Deno.test({
  name:
    "mod.ts imported from a URL into a fresh cache completes a handshake with --allow-import and --allow-net alone",
  async fn() {
    const files = await publishable();
    for (
      const needed of [
        "mod.ts",
        "engine.ts",
        "http.ts",
        "socket.ts",
        "cli.ts",
        "lib/core_module.js",
        "lib/esp32_module.js",
        "lib/worker.ts",
        "lib/cli/site_worker.ts",
        "wasm/dist/core.wasm",
        "wasm/dist/core.simd.wasm",
        "wasm/dist/core.esp32.wasm",
        "README.md",
        "LICENSE",
      ]
    ) {
      assertEquals(files.has(needed), true, `${needed} is not published: ${[...files].join(" ")}`);
    }
    const { text, requested } = await runFrom(files, PROGRAM, ["--allow-import", "--allow-net"]);
    assertStringIncludes(text, "hello TLSv1.3");
    assertEquals(requested.has("wasm/dist/core.wasm"), true);
    assertEquals(
      requested.has("wasm/dist/core.esp32.wasm"),
      false,
      "nobody pays for a profile that is not used",
    );
  },
});

Deno.test("profile: mod.ts imported from a URL loads the core of esp32 with --allow-import and --allow-net alone", async () => {
  const flags = ["--allow-import", "--allow-net"];
  const { text, requested } = await runFrom(await publishable(), PROFILE_PROGRAM, flags);
  assertStringIncludes(text, "hello ");
  assertStringIncludes(text, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
  assertEquals(requested.has("wasm/dist/core.esp32.wasm"), true);
});

Deno.test("mod.ts imported from a URL starts workers with --unstable-net, --allow-import and --allow-net alone", async () => {
  const flags = ["--unstable-net", "--allow-import", "--allow-net"];
  const { text } = await runFrom(await publishable(), WORKERS_PROGRAM, flags);
  assertStringIncludes(text, "2 workers 8 connections 0 restarts");
});

Deno.test("stores, metrics: imported from a URL they find their packages, with --allow-import and --allow-net alone", async () => {
  const flags = ["--allow-import", "--allow-net"];
  const { text, requested } = await runFrom(await publishable(), FLEET_PROGRAM, flags);
  assertStringIncludes(text, "shared Cannot reach Redis");
  assertEquals(requested.has("lib/stores/redis_store.ts"), true);
});

Deno.test("report: the pages are drawn from a URL, without the import map, and need no permission but --allow-import", async () => {
  const { text, requested } = await runFrom(await publishable(), REPORT_PROGRAM, ["--allow-import"]);
  assertStringIncludes(text, "4 drawings true"); // two, each for wide and for narrow screens
  assertEquals(requested.has("wasm/dist/core.wasm"), false, "a page needs no TLS");
});

Deno.test("report: tlsio from a URL fetches what draws when a page is asked for, not before", async () => {
  const program = (args: string[]) => (base: string) => `
const { main } = await import("${base}/cli.ts");
console.log("exit code", await main(${JSON.stringify(args)}));
`;
  const flags = ["--allow-import", "--allow-net", "--allow-sys", "--allow-read", "--allow-write"];
  const drawn = (requested: Set<string>) => [...requested].filter((path) => path.includes("/report/_plot"));
  const help = await runFrom(await publishable(), program(["serve", "--help"]), flags);
  assertStringIncludes(help.text, "exit code 0");
  assertEquals(drawn(help.requested), []);
  const args = ["bench", "handshake", "--runs", "1", "--scenario", "1.2/psk", "--html", "report.html"];
  const report = await runFrom(await publishable(), program(args), flags);
  assertStringIncludes(report.text, "exit code 0");
  assertEquals(drawn(report.requested), ["lib/cli/report/_plot.ts"]);
});

Deno.test("serve --dashboard: tlsio from a URL fetches its files and uPlot when it is used, not before", async () => {
  const help = (base: string) => `
const { main } = await import("${base}/cli.ts");
console.log("exit code", await main(["serve", "--help"]));
`;
  const flags = ["--allow-import", "--allow-net"];
  const used = (requested: Set<string>) =>
    [...requested].filter((path) => path.startsWith("lib/cli/dashboard/"));
  const asked = await runFrom(await publishable(), help, flags);
  assertStringIncludes(asked.text, "exit code 0");
  assertEquals(used(asked.requested), []);
  const shown = await runFrom(await publishable(), DASHBOARD_PROGRAM, flags);
  assertEquals(shown.text.trim().split("\n"), [
    ...["/page.css 200 true", "/uplot.js 200 true", "/page.js 200 true"],
  ]);
  assertEquals(used(shown.requested).includes("lib/cli/dashboard/_uplot.ts"), true);
});

/** Runs a program that imports the library from a server; asserts that it ends well. */
async function runFrom(
  files: Set<string>,
  program: typeof PROGRAM,
  flags: readonly string[],
): Promise<{ text: string; requested: Set<string> }> {
  const requested = new Set<string>();
  await using server = serveTree(files, requested);
  const folder = await Deno.makeTempDir();
  try {
    const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["127.0.0.1"] });
    await Deno.writeTextFile(
      `${folder}/main.ts`,
      program(`http://127.0.0.1:${server.addr.port}`, certificate, key),
    );
    // Packages of npm are those that the tests have; what comes by URL is fetched anew.
    await Deno.mkdir(`${folder}/cache`);
    await Deno.symlink(`${await denoDir()}/npm`, `${folder}/cache/npm`);
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-lock", "--no-prompt", ...flags, "main.ts"],
      cwd: folder,
      env: { NO_COLOR: "1", DENO_DIR: `${folder}/cache` },
      signal: AbortSignal.timeout(120_000),
    });
    const { code, stdout, stderr } = await command.output();
    const text = new TextDecoder().decode(stdout);
    assertEquals(code, 0, `${text}${new TextDecoder().decode(stderr)}`);
    return { text, requested };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Where Deno keeps what it has fetched. */
async function denoDir(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}
