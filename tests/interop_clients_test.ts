/** Every client program against tlsio's server. */
import { assertEquals } from "@std/assert";
import { assertCase, type Case, caseName, CASES, cipherFamily, ROOTS, tlsioServer, VERSION } from "./interop.ts";
import {
  type ConnectionReport,
  denoClient,
  gnutlsClient,
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
  "Deno.startTls": {
    fullOnly: true,
    pinServer: true,
    async call(port) {
      const { steps } = await denoClient({ port, ca: ROOTS, steps: SCRIPT_STEPS });
      return { echoed: steps.every(({ ok }) => ok) };
    },
  },
};

for (const [name, { call, fullOnly, pinServer }] of Object.entries(CALLERS)) {
  for (const at of CASES) {
    if (at.resumed && fullOnly) continue;
    const claim = at.resumed ? "session reused on both sides" : "same suite, exact bytes, clean close";
    Deno.test(`interop ${name} -> tlsio ${caseName(at)}: ${claim}`, async () => {
      await using server = await tlsioServer({
        identity: at.key,
        ...(pinServer && { sslVersion: VERSION[at.version] }),
      });
      const theirs = await call(server.port, at);
      const all = await server.served(at.resumed ? 2 : 1);
      for (const { ended, error } of all) assertEquals([ended, error], ["eof", undefined]);
      const ours = all.at(-1)!;
      assertCase(at, ours);
      assertEquals(theirs.echoed, true);
      assertEquals(theirs.version ?? ours.version, ours.version);
      assertEquals(theirs.resumed ?? ours.resumed, ours.resumed);
      assertEquals(cipherFamily(theirs.cipher ?? ours.cipher), cipherFamily(ours.cipher));
      assertEquals(cipherFamily(ours.cipher), "CHACHA20"); // the server's order decides
      assertEquals(server.failures, []);
    });
  }
}
