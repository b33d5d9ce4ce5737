/** The layers of DESIGN.md: who may import whom, who may say `Deno.`, who may call the core. */
import { assertEquals } from "@std/assert";
import { CORE_EXPORTS, DEVICE_EXPORTS } from "../lib/core.ts";

/** The files of lib/ from the bottom up: a file imports from its own layer and from those below. */
const LAYERS: readonly string[][] = [
  [
    "_std",
    "errors",
    "os_error",
    "bytes",
    "ip_address",
    "hostname",
    "deadline",
    "md5",
    "tell",
    "pem",
    "certificate_addresses",
  ],
  [
    "duplex",
    "byte_queue",
    "tickets",
    "session_cache",
    "tally",
    "strikes",
    "engine_state",
    "core_module",
    "trace",
    "tcp_segment",
  ],
  ["core", "device_heap", "cost", "counts", "device"],
  ["session", "suites", "ciphers", "credentials", "certificate", "peer_certificate"],
  ["tls_numbers", "hello_fields", "fingerprint", "client_hello"],
  ["behaviour", "peer_policy", "policy", "configure", "config", "files", "key_log"],
  [
    "byte_pool",
    "callbacks",
    "wire",
    "datagram_wire",
    "facts",
    "connection",
    "early_data",
    "base_engine",
    "engine",
    "dtls_engine",
    "dtls_greeting",
  ],
  [
    "turns",
    "turnstile",
    "changes",
    "web_streams",
    "pump",
    "pcap",
    "tcp_link",
    "goodbye",
    "own_certificate",
    "stage",
    "session_lookup",
    "stages",
    "alpn_choice",
    "client_choice",
    "peer_check",
    "nonblocking",
    "early_reader",
    "object",
  ],
  ["_alarm", "datagram", "dtls_socket"],
  [
    "socket",
    "socket_options",
    "session_store",
    "memory_bio",
    "poll",
    "streams",
    "stream_reader",
    "stream_writer",
    "stream_socket",
  ],
  ["esp32_module", "esp32", "device_profiles", "profile"],
  ["stores"],
  ["ssl", "context_options"],
  ["default_context"],
  ["ussl_errors", "tls_endpoint"],
  [
    "metered",
    "server_stats",
    "gate",
    "accept",
    "server",
    "metrics",
    "worker_messages",
    "worker_context",
    "worker_link",
    "workers",
    "net",
    "server_certificate",
    "certificate_watch",
    "addresses",
    "tcp_endpoint",
    "tcp_socket",
  ],
  ["ussl", "ussl_context", "ussl_options", "ussl_socket"],
  ["dtls_server", "dtls"],
  [
    "_node_duplex",
    "_fetch_adapter",
    "_http_connection",
    "_http_exchange",
    "_http_host",
    "http",
    "worker",
  ],
  ["cli"],
];

/** Who uses the platform at run time: who listens and connects, who reads files, and the command line. */
const MAY_SAY_DENO = [
  "net",
  "addresses",
  "tcp_endpoint",
  "accept",
  "server",
  "workers",
  "worker_messages",
  "dtls",
  "http",
  "ussl_options",
  "files",
  "key_log",
  "stores",
  "certificate_watch",
  "cli",
];
/** Who calls the core's functions, with the numbers that they take and give. */
const MAY_CALL_CORE = [
  "core",
  "device_heap",
  "counts",
  "device",
  "suites",
  "credentials",
  "certificate",
  "peer_certificate",
  "configure",
  "peer_policy",
  "config",
  "connection",
];

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
  /** Whether it is loaded when its turn comes, not with the file. */
  readonly later: boolean;
}

interface File {
  /** The name in {@linkcode LAYERS}: without its extension; a folder's files have the folder's. */
  readonly name: string;
  readonly path: string;
  /** The text without its comments. */
  readonly code: string;
}

const ROOT = new URL("../", import.meta.url);

function filesOf(folder: string): File[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))].flatMap((entry) => {
    const path = `${folder}${entry.name}`;
    if (entry.isDirectory) return filesOf(`${path}/`);
    const text = Deno.readTextFileSync(new URL(path, ROOT));
    const code = text.replaceAll(/\/\*[^]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");
    return /\.(ts|js)$/.test(path) && !path.endsWith(".d.ts") ? [{ name: nameOf(path), path, code }] : [];
  });
}

function nameOf(path: string): string {
  return path.replace(/^lib\//, "").replace(/\/.*|\.(ts|js)$/g, "");
}

/** What a file imports or re-exports: specifiers, and whether only types. */
function importsOf({ code }: File): Import[] {
  const statements = code.matchAll(
    /^(?:import(?=[\s{*])|export)\s+([^"';=(]*?)(?:\sfrom\s+|(?<=^import\s+))"([^"\n]+)"/gm,
  );
  const dynamic = code.matchAll(/\bimport\(\s*"([^"\n]+)"/g);
  return [
    ...[...statements].map(([, clause, specifier]) => ({
      specifier: specifier!,
      typeOnly: isTypeOnly(clause!),
      later: false,
    })),
    ...[...dynamic].map(([, specifier]) => ({ specifier: specifier!, typeOnly: false, later: true })),
  ];
}

function isTypeOnly(clause: string): boolean {
  if (/^type\s/.test(clause)) return true;
  const names = clause.match(/^\{([^}]*)\}/)?.[1]?.split(",").map((name) => name.trim()).filter((name) =>
    name !== ""
  );
  return names !== undefined && names.every((name) => name.startsWith("type "));
}

/** The file of lib/ that `specifier` in `path` means; `undefined` for one from elsewhere. */
function target(path: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const url = new URL(specifier, new URL(path, ROOT)).href.slice(ROOT.href.length);
  return url.startsWith("lib/") ? url : undefined;
}

const FILES = filesOf("lib/");

Deno.test("layering: this test finds the imports", () => {
  const socket = importsOf(FILES.find(({ path }) => path === "lib/socket.ts")!);
  assertEquals(socket.find(({ specifier }) => specifier === "./engine.ts"), {
    specifier: "./engine.ts",
    typeOnly: false,
    later: false,
  });
  assertEquals(socket.find(({ specifier }) => specifier === "./session.ts")?.typeOnly, true);
  assertEquals(FILES.filter((file) => importsOf(file).length > 0).length > FILES.length / 2, true);
});

const layerOf = (name: string) => LAYERS.findIndex((layer) => layer.includes(name));

Deno.test("layering: the table lists the files that are there, each once", () => {
  const there = new Set(FILES.map(({ name }) => name));
  assertEquals(LAYERS.flat().sort(), [...there].sort());
});

Deno.test("layering: a file imports from its own layer and from those below", () => {
  const wrong = FILES.flatMap((file) =>
    importsOf(file).flatMap(({ specifier }) => {
      const to = target(file.path, specifier);
      return to !== undefined && layerOf(nameOf(to)) > layerOf(file.name)
        ? [`${file.path} imports ${to}`]
        : [];
    })
  );
  assertEquals(wrong, []);
});

Deno.test("layering: no two files import each other, by whatever way, but for types", () => {
  const edges = new Map(FILES.map((file) => [
    file.path,
    importsOf(file).filter(({ typeOnly }) => !typeOnly).map(({ specifier }) => target(file.path, specifier))
      .filter((path) => path !== undefined),
  ]));
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, way: readonly string[]) => {
    if (way.includes(path)) cycles.push([...way.slice(way.indexOf(path)), path].join(" > "));
    if (way.includes(path) || done.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...way, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  assertEquals(cycles, []);
});

Deno.test("layering: what a URL import loads needs no import map", () => {
  const entry = { name: "mod", path: "mod.ts", code: Deno.readTextFileSync(new URL("mod.ts", ROOT)) };
  const bare = [...FILES, entry].flatMap((file) =>
    importsOf(file).filter(({ specifier }) => !/^(\.\.?\/|node:|npm:)/.test(specifier))
      .map(({ specifier }) => `${file.path} imports ${specifier}`)
  );
  assertEquals(bare, []);
});

/** The files that importing `path` loads, and the imports from Node among theirs. */
function loadedBy(path: string): { loaded: ReadonlySet<string>; found: string[] } {
  const entry = { name: nameOf(path), path, code: Deno.readTextFileSync(new URL(path, ROOT)) };
  const found: string[] = [];
  const loaded = new Set([path]);
  const load = (file: File) => {
    for (const { specifier } of importsOf(file).filter(({ typeOnly, later }) => !typeOnly && !later)) {
      if (specifier.startsWith("node:")) found.push(`${file.path} imports ${specifier}`);
      const next = FILES.find(({ path }) => path === target(file.path, specifier));
      if (next === undefined || loaded.has(next.path)) continue;
      loaded.add(next.path);
      load(next);
    }
  };
  load(entry);
  return { loaded, found };
}

Deno.test("layering: importing mod.ts loads nothing of Node, which takes longer than a handshake", () => {
  const { loaded, found } = loadedBy("mod.ts");
  assertEquals(found, []);
  assertEquals(loaded.has("lib/socket.ts"), true);
});

Deno.test("layering: importing mod.ts loads of lib/cost what cost() takes, and no tables of devices", () => {
  const { loaded } = loadedBy("mod.ts");
  const ofCost = [...loaded].filter((path) => path.startsWith("lib/cost/"));
  assertEquals(ofCost.sort(), ["lib/cost/meter.ts", "lib/cost/network_cost.ts"]);
  assertEquals(loadedBy("cost.ts").loaded.has("lib/core_module.js"), false, "nor does cost.ts load the core");
});

Deno.test("layering: importing socket.ts loads neither Node nor the core: plain sockets need no TLS", () => {
  const { loaded, found } = loadedBy("socket.ts");
  assertEquals(found, []);
  assertEquals(loaded.has("lib/core_module.js"), false);
  assertEquals(loaded.has("lib/tcp_socket.ts"), true);
});

Deno.test("layering: importing stores.ts loads neither Node nor the client of Redis", () => {
  const { loaded, found } = loadedBy("stores.ts");
  assertEquals(found, []);
  assertEquals([loaded.has("lib/stores/ticket_keys.ts"), loaded.has("lib/stores/_redis.ts")], [true, false]);
});

Deno.test("layering: importing metrics.ts loads neither OpenTelemetry nor the core", () => {
  const { loaded } = loadedBy("metrics.ts");
  const paths = ["lib/metrics/opentelemetry.ts", "lib/metrics/_opentelemetry.ts", "lib/core.ts"];
  assertEquals(paths.map((path) => loaded.has(path)), [true, false, false]);
});

Deno.test("layering: importing cli.ts loads none of what draws the reports and the dashboard", () => {
  const { loaded } = loadedBy("cli.ts");
  assertEquals([...loaded].filter((path) => /^lib\/cli\/(report|dashboard)\//.test(path)), []);
  assertEquals(loaded.has("lib/cli/serve.ts"), true);
});

Deno.test("layering: only the outer layers say Deno. at run time", () => {
  const isAllowed = (name: string) => MAY_SAY_DENO.includes(name);
  const users = FILES.filter(({ code }) => /\bDeno\.[a-z]/.test(withoutText(code))).map(({ name }) => name);
  assertEquals([...new Set(users)].filter((name) => !isAllowed(name)), []);
});

/** The code without what is between quotes. */
function withoutText(code: string): string {
  return code.replaceAll(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g, '""');
}

Deno.test("layering: only the core's own layers call its functions", () => {
  const calls = new RegExp(`\\b(${Object.keys({ ...CORE_EXPORTS, ...DEVICE_EXPORTS }).join("|")})\\b`);
  const callers = new Set(FILES.filter(({ code }) => calls.test(withoutText(code))).map(({ name }) => name));
  assertEquals([...callers].sort(), [...MAY_CALL_CORE].sort());
});

Deno.test("layering: below the socket, nothing waits", () => {
  const synchronous = LAYERS.slice(0, LAYERS.findIndex((layer) => layer.includes("pump"))).flat();
  // duplex is an interface with an adapter for streams, deadline is the wait itself, files reads them, and core_module
  // chooses the core while it loads.
  const exceptions = ["_std", "duplex", "deadline", "files", "core_module"];
  const waits = FILES.filter(({ name, code }) =>
    synchronous.includes(name) && !exceptions.includes(name) && /\bawait\b|\basync\b/.test(withoutText(code))
  );
  assertEquals(waits.map(({ path }) => path), []);
});
