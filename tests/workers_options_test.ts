/** Servers of several workers: what cannot cross to a Worker, modules that are wrong, flags and permissions. */

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { decodeText } from "../lib/bytes.ts";
import { startServer, type StartServerOptions } from "../lib/net.ts";
import { SSLContext } from "../lib/ssl.ts";
import { tempDir } from "./peers.ts";
import { CREDENTIAL, LONG, test } from "./sockets.ts";
import { STREAMS, working } from "./workers/working.ts";

// ---- What cannot cross ----------------------------------------------------------------------------------

test("startServer() with workers refuses what is not the URL of a module, and says what to do", async () => {
  const options = { port: 0, hostname: "127.0.0.1", workers: 2 };
  const refuse = async (handler: unknown, message: string) => {
    const error = await assertRejects(() => startServer(handler as URL, options), TypeError, message);
    assertStringIncludes(error.message, 'new URL("./handler.ts", import.meta.url)');
  };
  await refuse(() => {}, "Cannot use workers with a function");
  await refuse(undefined, "Cannot use a handler of type undefined");
  await refuse("./handler.ts", '"./handler.ts" as the handler\'s module: it is not a whole URL');
  for (const workers of [0, 1.5, 257, "2" as unknown as number]) {
    await assertRejects(() => startServer(STREAMS, { ...options, workers }), RangeError, "workers");
  }
  await assertRejects(
    () => startServer(STREAMS as unknown as () => void, { port: 0 }),
    TypeError,
    "expected a function without workers, got URL",
  );
});

test("startServer() with workers names an option that cannot cross, before any Worker", async () => {
  const refuse = async (ssl: StartServerOptions["ssl"], name: string) => {
    const error = await assertRejects(
      () => working({ ssl: ssl! }),
      TypeError,
      `Cannot use ${name} with workers`,
    );
    assertStringIncludes(error.message, "export const options");
  };
  await refuse({ ...CREDENTIAL, keyLog: () => {} }, "ssl.keyLog");
  using context = await SSLContext.create({ serverSide: true, ...CREDENTIAL });
  await refuse(context, "ssl");
  await assertRejects(() => working({ ssl: { ...CREDENTIAL, ciphers: ["none"] } }), TypeError, "none");
  await assertRejects(
    () => working({ ssl: { ...CREDENTIAL, certfile: "missing.pem" } }),
    Deno.errors.NotFound,
    'certfile "missing.pem"',
  );
});

test("startServer() with workers leaves nothing open when a Worker cannot be made", async () => {
  const { Worker } = globalThis;
  globalThis.Worker = class {
    constructor() {
      throw new Error("no thread is left");
    }
  } as unknown as typeof Worker;
  try {
    await assertRejects(() => working(), Error, "no thread is left");
  } finally {
    globalThis.Worker = Worker;
  }
});

const MODULES: Record<string, [name: string, message: string]> = {
  "does not exist": ["missing.ts", "Module not found"],
  "throws": ["throwing.ts", "this module throws"],
  "does not parse": ["data:text/javascript,export default (=>", "SyntaxError"],
  "has no default export": ["data:text/javascript,export const handler = () => {}", "got undefined"],
  "exports something else": ["data:text/javascript,export default {}", "got Object"],
  "has options that are none": [
    "data:text/javascript,export default () => {}; export const options = 1",
    "got number",
  ],
};

for (const [what, [name, message]] of Object.entries(MODULES)) {
  test(`startServer() with workers rejects, naming a module that ${what}`, async () => {
    const module = new URL(name, new URL("./workers/", import.meta.url)).href;
    const error = await assertRejects(
      () => working({}, module),
      TypeError,
      `the handler's module "${module}"`,
    );
    assertStringIncludes(error.message, message);
  });
}

test("startServer() with workers rejects with the error of a worker that cannot listen", async () => {
  const module = "data:text/javascript,export default () => {}; export const options = { maxConnections: 0 }";
  await assertRejects(() => working({}, module), RangeError, "maxConnections");
  await assertRejects(() => working({ hostname: "192.0.2.1" }), Deno.errors.AddrNotAvailable);
});

// ---- Flags and permissions ------------------------------------------------------------------------------

/** Runs a program outside of this project, whose settings have the flag. Returns what it printed. */
async function runProgram(...flags: string[]): Promise<{ code: number; text: string }> {
  await using dir = await tempDir();
  const handler = "data:text/javascript,export default (reader, writer) => writer.close()";
  await Deno.writeTextFile(
    `${dir.path}/main.ts`,
    `import { startServer } from ${JSON.stringify(new URL("../mod.ts", import.meta.url).href)};
try {
  await using alone = await startServer(() => {}, { hostname: "127.0.0.1", port: 0, reusePort: true });
  console.log("sharing");
} catch (error) {
  console.log(String(error));
}
try {
  const server = await startServer(${
      JSON.stringify(handler)
    }, { hostname: "127.0.0.1", port: 0, workers: 2 });
  console.log("serving");
  await server.close();
} catch (error) {
  console.log(String(error));
}`,
  );
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-lock", "--no-prompt", ...flags, "main.ts"],
    cwd: dir.path,
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(LONG * 1000),
  }).output();
  return { code, text: decodeText(stdout) + decodeText(stderr) };
}

test("startServer() with workers names the flag and the permissions that are missing", async () => {
  const library = `--allow-read=${new URL("..", import.meta.url).pathname}`;
  const cases: [flags: string[], said: string][] = [
    [
      ["--allow-net", library],
      "NotSupported: Cannot share a port: start Deno with --unstable-net",
    ],
    [["--unstable-net", library], "NotCapable: Requires net access"],
    [["--unstable-net", "--allow-net"], "--allow-read"],
    [["--unstable-net", "--allow-net", library], "sharing\nserving\n"],
  ];
  for (const [flags, said] of cases) {
    const { code, text } = await runProgram(...flags);
    assertEquals(code, 0, text);
    assertStringIncludes(text, said, flags.join(" "));
  }
});
