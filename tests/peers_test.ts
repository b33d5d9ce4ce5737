/** The peers among themselves: what the interop tests stand on works before anything of ours joins. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  certFile,
  chromium,
  type ClientOptions,
  curl,
  denoClient,
  denoServer,
  gnutlsClient,
  gnutlsServer,
  identity,
  need,
  nginx,
  nodeClient,
  nodeServer,
  opensslClient,
  opensslServer,
  pattern,
  Program,
  pythonClient,
  pythonServer,
  run,
  runSteps,
  scriptFile,
  type ScriptServer,
  type ServerOptions,
  type StepResult,
  tempDir,
} from "./peers.ts";

const ROOT = certFile("root.pem");
const ROOTS = certFile("roots.pem");

Deno.test("peers.sh: finds every peer installed", async () => {
  const { code, stderr } = await run("sh", [scriptFile("../peers.sh"), "--check"]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
});

Deno.test("need(): names a missing program and what installs it", () => {
  assertThrows(() => need("no-such-peer"), Error, 'Cannot start "no-such-peer": it is not installed');
});

Deno.test("run(): returns status, both outputs, and unchanged bytes", async () => {
  const result = await run("sh", ["-c", "cat; echo problem >&2; exit 3"], {
    stdin: new Uint8Array([0, 255, 10]),
  });
  assertEquals(result.code, 3);
  assertEquals(result.stderr, "problem\n");
  assertEquals(result.bytes, new Uint8Array([0, 255, 10]));
});

Deno.test("run(): ends a program that takes too long, and shows what it printed", async () => {
  const slow = run("sh", ["-c", "echo started; exec sleep 60"], { timeoutMs: 300 });
  const error = await assertRejects(() => slow, Error, "no answer in 300 ms");
  assertStringIncludes(error.message, "started");
});

Deno.test("Program: the end of the scope ends the process, also one that ignores SIGTERM", async () => {
  let pid = 0;
  {
    await using stubborn = new Program("sh", ["-c", "trap '' TERM; echo on; while :; do sleep 0.1; done"]);
    await stubborn.waitFor(/on/);
    pid = stubborn.pid;
  }
  assertThrows(() => Deno.kill(pid, "SIGTERM"), Deno.errors.NotFound);
});

Deno.test("Program.waitFor(): reports an end without a match at once", async () => {
  await using program = new Program("sh", ["-c", "echo wrong; exit 4"]);
  await assertRejects(() => program.waitFor(/right/), Error, "it ended with 4");
});

const SCRIPT_SERVERS: Record<string, (options: ServerOptions) => Promise<ScriptServer>> = {
  python: pythonServer,
  asyncio: (options) => pythonServer({ ...options, style: "asyncio" }),
  node: nodeServer,
};

const CLIENTS: Record<string, (port: number, steps: string[]) => Promise<StepResult[] | undefined>> = {
  python: async (port, steps) => (await pythonClient({ port, ca: ROOT, steps })).connections[0]?.steps,
  node: async (port, steps) => (await nodeClient({ port, ca: ROOT, steps })).connections[0]?.steps,
  deno: async (port, steps) => (await denoClient({ port, ca: ROOT, steps })).steps,
};

function assertSteps(results: StepResult[] | undefined, steps: string[]) {
  assertEquals(results?.map(({ step, ok }) => ({ step, ok })), steps.map((step) => ({ step, ok: true })));
}

for (const [name, start] of Object.entries({ ...SCRIPT_SERVERS, deno: denoServer })) {
  Deno.test(`protocol: ECHO, SINK, SOURCE of 1 MB between a ${name} server and every client`, async () => {
    await using server = await start(identity("ec"));
    const steps = ["ECHO 1000000 1", "SINK 1000000 2", "SOURCE 1000000 3", "ECHO 0 1", "QUIT"];
    for (const connect of Object.values(CLIENTS)) assertSteps(await connect(server.port, steps), steps);
  });
}

Deno.test("protocol: ECHO of 64 MB between node and asyncio", async () => {
  await using server = await SCRIPT_SERVERS.asyncio!(identity("ec"));
  const steps = ["ECHO 64000000 7"];
  assertSteps(await CLIENTS.node!(server.port, steps), steps);
});

Deno.test("runSteps(): notices one wrong byte", async () => {
  const bytes = new Uint8Array([...pattern(1, 0, 8)]);
  bytes[5]! ^= 1;
  const stream = {
    read: (p: Uint8Array<ArrayBuffer>) => Promise.resolve((p.set(bytes), bytes.length)),
    write: (p: Uint8Array<ArrayBuffer>) => Promise.resolve(p.length),
  };
  const [result] = await runSteps(stream, ["SOURCE 8 1"]);
  assertEquals(result?.ok, false);
});

for (const [name, start] of Object.entries(SCRIPT_SERVERS)) {
  Deno.test(`protocol: a ${name} server ends with close_notify (QUIT) or without (DROP)`, async () => {
    await using server = await start(identity("ec"));
    const at = { port: server.port, ca: ROOT };
    const quit = await pythonClient({ ...at, steps: ["QUIT"] });
    assertEquals(quit.connections[0]?.closed, "clean");
    const drop = await pythonClient({ ...at, steps: ["DROP"] });
    assertEquals(drop.connections[0]?.closed, "truncated");
  });

  Deno.test(`clientAuth: a ${name} server accepts only a client with a certificate, and names it`, async () => {
    await using server = await start({ ...identity("ec"), clientAuth: "required", clientCa: ROOT });
    const at: ClientOptions = { port: server.port, ca: ROOT };
    const [known] = (await pythonClient({ ...at, ...identity("client") })).connections;
    assertEquals(known?.steps[0]?.info?.client, "EC client");
    await denoClient({ port: server.port, ...identity("client"), steps: ["ECHO 10 1"] });
    const [unknown] = (await pythonClient(at)).connections;
    assertEquals(unknown?.steps, []);
    if (name !== "asyncio") { // which does not tell, and closes without an alert
      assertMatch((await server.event("failed")).error ?? "", /peer did not return a certificate/i);
    }
    if (name === "python") { // the others close at once, and the reset can overtake the alert
      assertMatch(unknown?.error ?? "", /certificate required/i);
    }
  });
}

for (const tls of ["1.2", "1.3"] as const) {
  const version = `TLSv${tls}`;

  for (const [name, start] of Object.entries(SCRIPT_SERVERS)) {
    Deno.test(`INFO: ${name} server and all clients agree on ${version}, ALPN, name and resumption`, async () => {
      await using server = await start({ ...identity("ec"), tls, alpn: ["h2", "http/1.1"] });
      const at = { port: server.port, ca: ROOT, servername: "example.test", alpn: ["http/1.1"] };
      for (const connect of [pythonClient, nodeClient]) {
        const { connections } = await connect({ ...at, connections: 2, steps: ["INFO"] });
        assertEquals(connections.map((c) => c.resumed), [false, true]);
        for (const { version: mine, cipher, resumed, alpn, steps } of connections) {
          assertEquals(mine, version);
          const sni = name === "node" && tls === "1.2" && resumed ? null : "example.test";
          assertEquals<unknown>(steps[0]?.info, { version, cipher, resumed, alpn, sni, client: null });
        }
      }
    });
  }

  Deno.test(`opensslServer(): node and python resume, ${version}`, async () => {
    await using server = await opensslServer({ ...identity("ec"), tls });
    for (const connect of [pythonClient, nodeClient]) {
      const at = { port: server.port, ca: ROOT, steps: ["LINE hello"] };
      const { connections } = await connect({ ...at, connections: 2 });
      assertEquals(connections.map((c) => c.resumed), [false, true]);
      assertEquals(connections.map((c) => c.steps[0]?.line), ["olleh", "olleh"]);
    }
  });

  Deno.test(`opensslClient(): resumes a saved session at a python server, ${version}`, async () => {
    await using dir = await tempDir();
    await using server = await pythonServer({ ...identity("rsa"), tls });
    const session = `${dir.path}/session`;
    const at = { port: server.port, ca: ROOTS };
    const first = await opensslClient({ ...at, sessionOut: session });
    assertEquals([first.code, first.version, first.resumed, first.verifyCode], [0, version, false, 0]);
    const again = await opensslClient({
      ...at,
      sessionIn: session,
      input: "INFO\n",
      until: /"resumed": true/,
    });
    assertEquals([again.code, again.version, again.resumed], [0, version, true]);
  });

  Deno.test(`gnutlsClient(): resumes at openssl, node, and gnutls servers, ${version}`, async () => {
    await using openssl = await opensslServer({ ...identity("ec"), tls });
    await using node = await nodeServer({ ...identity("ec"), tls });
    await using gnutls = await gnutlsServer({ ...identity("ec"), tls });
    for (
      const { port, input, until } of [
        { port: openssl.port, input: "hello\n", until: /^olleh$/m },
        { port: node.port, input: "INFO\n", until: /"resumed":true/ },
        { port: gnutls.port, input: "hello\n", until: /^hello$/m },
      ]
    ) {
      const client = await gnutlsClient({ port, ca: ROOT, resume: true, input, until });
      assertEquals([client.code, client.version, client.resumed], [0, version, true]);
    }
  });

  Deno.test(`nginx(): serves files, proxies to another TLS server, and answers curl, ${version}`, async () => {
    await using inner = await nginx({ ...identity("ec"), tls, files: { "a.txt": "inner" } });
    const upstream = { port: inner.port, ca: ROOT, tls };
    await using outer = await nginx({ ...identity("chain"), tls, upstream, files: { "a.txt": "outer" } });
    const base = `https://localhost:${outer.port}`;
    assertEquals((await curl(`${base}/a.txt`, ROOT)).stdout, "outer");
    assertEquals((await curl(`${base}/proxy/a.txt`, ROOT)).stdout, "inner");
    const info = await curl(`https://a.wild.test:${outer.port}/info`, ROOT);
    assertStringIncludes(info.stdout, `protocol=${version}\n`);
    assertStringIncludes(info.stdout, "server_name=a.wild.test\n");
  });
}

Deno.test("nginx(): speaks HTTP/2, and asks for a client certificate", async () => {
  const options = { clientAuth: "required", clientCa: ROOTS, http2: true } as const;
  await using server = await nginx({ ...identity("rsa"), ...options });
  const url = `https://localhost:${server.port}/info`;
  const { cert, key } = identity("client-rsa");
  const known = await curl(url, ROOTS, ["-i", "--cert", cert, "--key", key]);
  assertMatch(known.stdout, /^HTTP\/2 200[^]*client_verify=SUCCESS\nclient_s_dn=CN=RSA client,/);
  assertMatch((await curl(url, ROOTS, ["-i"])).stdout, /^HTTP\/2 400/);
});

Deno.test("clients: each rejects a certificate of another authority", async () => {
  await using server = await pythonServer(identity("impostor"));
  const at = { port: server.port, ca: ROOT };
  assertMatch((await pythonClient(at)).connections[0]?.error ?? "", /CERTIFICATE_VERIFY_FAILED/);
  assertMatch((await nodeClient(at)).connections[0]?.error ?? "", /certificate/);
  const openssl = await opensslClient(at);
  assertEquals([openssl.code, openssl.version, openssl.verifyCode], [1, undefined, 7]);
  assertMatch((await gnutlsClient(at)).stdout, /Status: The certificate is NOT trusted/);
  const { code } = await curl(`https://localhost:${server.port}/`, ROOT);
  assert(code === 35 || code === 60); // 60: not verified; 35, with OpenSSL 3.0: the signature on it is wrong
  await assertRejects(() => denoClient(at), Deno.errors.InvalidData, "BadSignature");
  assertEquals((await server.event("failed", 3)).event, "failed");
});

Deno.test("opensslServer(): raw mode receives, updates keys, and sends", async () => {
  await using server = await opensslServer({ ...identity("ec"), tls: "1.3", mode: "raw" });
  const until = /from the server/;
  const client = opensslClient({ port: server.port, ca: ROOT, input: "from the client\n", until });
  await server.program.waitFor(/from the client/);
  await server.program.write("K\n");
  await server.program.waitFor(/SSL_do_handshake -> 1/);
  await server.program.write("from the server\n");
  assertEquals((await client).code, 0);
});

Deno.test("chromium(): trusts the authority it is given, runs the page, rejects an unknown one", async () => {
  const page = `<!doctype html><title>t</title><p id=p></p>
<script>fetch("/info").then((r) => r.text()).then((t) => { p.textContent = t; })</script>`;
  await using server = await nginx({ ...identity("ec"), files: { "index.html": page } });
  const url = `https://example.test:${server.port}/`;
  const { dom, error } = await chromium(url, { ca: ROOT });
  assertEquals(error, undefined);
  assertStringIncludes(dom, "protocol=TLSv1.3\n");
  assertEquals((await chromium(url)).error, "ERR_CERT_AUTHORITY_INVALID");
});

Deno.test("chromium(): takes a screenshot", async () => {
  await using server = await opensslServer({ ...identity("rsa"), mode: "www", tls: "1.2" });
  const { screenshot, stderr } = await chromium(`https://localhost:${server.port}/`, {
    ca: ROOTS,
    screenshot: true,
  });
  assertEquals(screenshot?.subarray(1, 4), new TextEncoder().encode("PNG"), stderr);
});
