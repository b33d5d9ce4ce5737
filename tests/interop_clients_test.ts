/** Every client program against tlsio's server. */
import { assertEquals } from "@std/assert";
import {
  assertCase,
  type Case,
  caseName,
  CASES,
  cipherFamily,
  httpHandler,
  ROOTS,
  tlsioServer,
  VERSION,
} from "./interop.ts";
import {
  type ConnectionReport,
  curl,
  denoClient,
  gnutlsClient,
  identity,
  nginx,
  nodeClient,
  opensslClient,
  pythonClient,
  type ScriptResult,
  tempDir,
} from "./peers.ts";

/** What a client says of its (last) connection; what it cannot tell is left out. */
interface Call {
  version?: string | undefined;
  cipher?: string | undefined;
  resumed?: boolean | undefined;
  /** Whether the bytes that came back are those that it sent. */
  echoed: boolean;
}

interface Caller {
  /** Connects once, or for a resumed case twice. */
  call(port: number, at: Case): Promise<Call>;
  /** It never resumes. */
  fullOnly?: true;
  /** It cannot be told which version to speak. */
  pinServer?: true;
  /** It speaks HTTP: our server answers a request with its body, and is the first to close. */
  http?: "clean" | "ragged"; // nginx sends no close_notify to a server that has sent its own
}

const ECHO = { input: "ECHO 6 0\nhello\n", until: /^hello$/m };

function report({ connections }: ScriptResult): Call {
  const last = connections.at(-1) as ConnectionReport;
  assertEquals(last.error, undefined);
  const { version, cipher, resumed, steps } = last;
  return { version, cipher, resumed, echoed: steps.every(({ ok }) => ok) };
}

const SCRIPT_STEPS = ["ECHO 100000 7", "SINK 100000 8", "SOURCE 100000 9"];

const CALLERS: Record<string, Caller> = {
  "openssl s_client": {
    async call(port, { version: tls, resumed }) {
      await using dir = await tempDir();
      const session = `${dir.path}/session`;
      const at = { port, tls, ca: ROOTS };
      if (resumed) await opensslClient({ ...at, sessionOut: session });
      const result = await opensslClient({ ...at, ...ECHO, ...(resumed && { sessionIn: session }) });
      assertEquals([result.code, result.verifyCode], [0, 0], result.stderr);
      return { ...result, echoed: /^hello$/m.test(result.stdout) };
    },
  },
  "gnutls-cli": {
    async call(port, { version: tls, resumed }) {
      const result = await gnutlsClient({ port, tls, ca: ROOTS, resume: resumed, ...ECHO });
      assertEquals(result.code, 0, result.stdout + result.stderr);
      return { ...result, echoed: /^hello$/m.test(result.stdout) };
    },
  },
  "python ssl": {
    call: async (port, { version: tls, resumed }) =>
      report(await pythonClient({ port, tls, ca: ROOTS, steps: SCRIPT_STEPS, connections: resumed ? 2 : 1 })),
  },
  "node tls": {
    call: async (port, { version: tls, resumed }) =>
      report(await nodeClient({ port, tls, ca: ROOTS, steps: SCRIPT_STEPS, connections: resumed ? 2 : 1 })),
  },
  "python asyncio": {
    fullOnly: true,
    call: async (port, { version: tls }) =>
      report(await pythonClient({ port, tls, ca: ROOTS, steps: SCRIPT_STEPS, style: "asyncio" })),
  },
  "Deno.startTls": {
    fullOnly: true,
    pinServer: true,
    async call(port) {
      const { steps } = await denoClient({ port, ca: ROOTS, steps: SCRIPT_STEPS });
      return { echoed: steps.every(({ ok }) => ok) };
    },
  },
  curl: {
    http: "clean",
    async call(port, { version: tls, resumed }) {
      const url = `https://localhost:${port}/`;
      const sent = "0123456789".repeat(20_000);
      const { code, stdout, stderr } = await curl(url, ROOTS, [
        "--verbose",
        ...(tls === "1.3" ? ["--tlsv1.3"] : ["--tls-max", "1.2"]),
        ...["--data-binary", "@-"],
        ...(resumed ? [url] : []),
      ], sent);
      assertEquals(code, 0, stderr);
      const [, version, cipher] = stderr.match(/SSL connection using (\S+) \/ (\S+)/)!;
      const reused = stderr.includes("SSL re-using session ID");
      return { version, cipher, resumed: reused, echoed: stdout === sent.repeat(resumed ? 2 : 1) };
    },
  },
  "nginx proxy": {
    http: "ragged",
    async call(port, { version: tls, resumed }) {
      await using proxy = await nginx({ ...identity("ec"), upstream: { port, tls, ca: ROOTS } });
      const sent = "0123456789".repeat(20_000);
      let echoed = true;
      for (let i = resumed ? 2 : 1; i > 0; i--) {
        const post = ["--data-binary", "@-"];
        const { stdout } = await curl(`https://localhost:${proxy.port}/proxy/x`, ROOTS, post, sent);
        echoed &&= stdout === sent;
      }
      return { echoed };
    },
  },
};

for (const [name, { call, fullOnly, pinServer, http }] of Object.entries(CALLERS)) {
  for (const at of CASES) {
    if (at.resumed && fullOnly) continue;
    const claim = at.resumed ? "session reused on both sides" : "same suite, exact bytes, clean close";
    Deno.test(`interop ${name} -> tlsio ${caseName(at)}: ${claim}`, async () => {
      await using server = await tlsioServer({
        identity: at.key,
        ...(pinServer && { sslVersion: VERSION[at.version] }),
        ...(http && { handler: httpHandler({ ragged: http === "ragged" }) }),
      });
      const theirs = await call(server.port, at);
      const all = await server.served(at.resumed ? 2 : 1);
      for (const { ended, error } of all) assertEquals([ended, error], [http ? "quit" : "eof", undefined]);
      const ours = all.at(-1)!;
      assertCase(at, ours);
      assertEquals(theirs.echoed, true);
      assertEquals(theirs.version ?? ours.version, ours.version);
      assertEquals(theirs.resumed ?? ours.resumed, ours.resumed);
      assertEquals(cipherFamily(theirs.cipher ?? ours.cipher), cipherFamily(ours.cipher));
      assertEquals(server.failures, []);
    });
  }
}

for (const at of CASES.filter(({ key, resumed }) => key === "rsa" && !resumed)) {
  Deno.test(`interop openssl s_client -> tlsio ${at.version}, RSA-4096: four signatures in steps at once`, async () => {
    await using server = await tlsioServer({ identity: "rsa4096" });
    const { call } = CALLERS["openssl s_client"]!;
    const theirs = await Promise.all([1, 2, 3, 4].map(() => call(server.port, at)));
    for (const { echoed } of theirs) assertEquals(echoed, true);
    for (const { ended, error } of await server.served(4)) assertEquals([ended, error], ["eof", undefined]);
    assertEquals(server.failures, []);
  });
}
