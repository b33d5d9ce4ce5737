// `--starttls` of `tlsio trace` and `tlsio connect`.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { wrapSocket } from "../mod.ts";
import { cli } from "./cli_helpers.ts";
import { certFile, identity } from "./peers.ts";

const ROOT = certFile("root.pem");
const { cert, key } = identity("ec");

/** What a server says: first, and to each line of the client. */
type Script = readonly (readonly [line: RegExp | undefined, answer: string])[];

/** A server of plain text that goes on with TLS when its script is over. */
function plainServer(script: Script) {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serve = async (conn: Deno.TcpConn) => {
    try {
      for (const [line, answer] of script) {
        if (line !== undefined) assertMatch(await readLine(conn), line);
        await conn.write(new TextEncoder().encode(answer));
      }
      const tls = await wrapSocket(conn, { serverSide: true, certfile: cert, keyfile: key });
      await tls.write(new TextEncoder().encode("in TLS"));
      await tls.read(new Uint8Array(1));
      await tls.close();
    } catch {
      try {
        conn.close();
      } catch {
        // wrapSocket() has
      }
    }
  };
  const tasks: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const conn of listener) tasks.push(serve(conn));
  })();
  return {
    port: listener.addr.port,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      await Promise.all(tasks);
    },
  };
}

async function readLine(conn: Deno.Conn): Promise<string> {
  const byte = new Uint8Array(1);
  for (let line = "";;) {
    if (await conn.read(byte) === null) throw new Error("closed");
    line += String.fromCharCode(byte[0]!);
    if (line.endsWith("\r\n")) return line;
  }
}

const GOOD: Record<string, Script> = {
  smtp: [
    [undefined, "220-mail.test\r\n220 ready\r\n"],
    [/^EHLO \S+\r\n$/, "250-mail.test\r\n250-SIZE 1000\r\n250 STARTTLS\r\n"],
    [/^STARTTLS\r\n$/, "220 go ahead\r\n"],
  ],
  imap: [[undefined, "* OK ready\r\n"], [/^a STARTTLS\r\n$/, "* CAPABILITY IMAP4rev1\r\na OK begin\r\n"]],
  pop3: [[undefined, "+OK ready\r\n"], [/^STLS\r\n$/, "+OK begin\r\n"]],
};

for (const [protocol, script] of Object.entries(GOOD)) {
  Deno.test(`tlsio trace --starttls ${protocol}: asks, then shows the handshake, twice with --resume`, async () => {
    await using server = plainServer(script);
    const target = [`localhost:${server.port}`, "--ca", ROOT, "--starttls", protocol];
    const { code, stdout, stderr } = await cli(["trace", ...target, "--resume", "--json"]);
    assertEquals([code, stderr], [0, ""]);
    const { connections } = JSON.parse(stdout);
    assertEquals(connections.map(({ resumed }: { resumed: boolean }) => resumed), [false, true]);
    assertEquals(connections[0].messages[0].name, "client_hello");
    assert(connections[0].complete);
    const connected = await cli(["connect", ...target, "--json"]);
    assertEquals([connected.code, JSON.parse(connected.stdout).certificate.valid], [0, true]);
  });
}

const BAD: Record<string, [protocol: string, script: Script, message: RegExp]> = {
  "that will not": [
    "smtp",
    [[undefined, "220 ready\r\n"], [/^EHLO/, "250 SIZE\r\n"], [/^STARTTLS/, "502 \x1b[31mno\r\n"]],
    /Cannot start TLS by smtp: the server says "502 (\\u\{1b\}|\\u001b)\[31mno"/,
  ],
  "that knows who we are": [
    "imap",
    [[undefined, "* PREAUTH hello\r\n"]],
    /the server says "\* PREAUTH hello"/,
  ],
  "that is told what to say": [
    "pop3",
    [[undefined, "+OK ready\r\n"], [/^STLS/, "+OK begin\r\n+OK injected\r\n"]],
    /the server has sent more than its answer/,
  ],
  "that goes on for ever": [
    "smtp",
    [[undefined, "220-more\r\n".repeat(2000)]],
    /the server's answer has no end/,
  ],
  "that is silent": ["imap", [[undefined, "* "], [/^never/, ""]], /timed out after 0\.5 seconds/],
};

for (const [name, [protocol, script, message]] of Object.entries(BAD)) {
  Deno.test(`tlsio trace --starttls: a server ${name}: no handshake, exit code 1`, async () => {
    await using server = plainServer(script);
    const args = [`127.0.0.1:${server.port}`, "--starttls", protocol, "--timeout", "0.5"];
    const { code, stdout } = await cli(["trace", ...args, "--json"]);
    const [{ error, messages, complete, connectMs }] = JSON.parse(stdout).connections;
    assertEquals([code, messages, complete], [1, [], false]);
    assertMatch(error, message);
    assert(connectMs >= 0);
    const text = await cli(["trace", ...args]);
    assertEquals(text.code, 1);
    assertMatch(text.stdout.replaceAll(/\n +/g, " "), message);
    // deno-lint-ignore no-control-regex
    assert(!/\x1b/.test(text.stdout));
  });
}

Deno.test("tlsio trace --starttls: an unknown protocol lists the known ones", async () => {
  const { code, stderr } = await cli(["trace", "localhost", "--starttls", "gopher"]);
  assertEquals([code, stderr.split(";")[0]], [
    2,
    'tlsio trace: --starttls takes smtp, imap, pop3, not "gopher"',
  ]);
});
