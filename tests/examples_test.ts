/** Every program of `examples/`, started as its head comment says, with the permissions that it names and no more. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  certFile,
  curl,
  listening,
  opensslClient,
  opensslServer,
  PATIENCE,
  Program,
  run,
  type Server,
  tempDir,
  within,
} from "./peers.ts";

const ROOT = new URL("../", import.meta.url);
const EXAMPLES = new URL("examples/", ROOT);
const DENO = Deno.execPath();

/** Long enough for a first run, in which Deno also compiles the program. In milliseconds. */
const START = 60_000;
const ENV = {
  NO_COLOR: "1",
  PATH: `${DENO.slice(0, DENO.lastIndexOf("/"))}:${Deno.env.get("PATH")}`, // for programs that start "deno"
};

/** A command of a head comment, the first or a later one, with another port, and localhost for example.com. */
async function commandOf(example: string, port = 0, nth = 0): Promise<string[]> {
  const source = await Deno.readTextFile(new URL(example, EXAMPLES));
  const commands = [...source.matchAll(/^ \* deno run ((?:--\S+ )*)examples\/(\S+)((?: \S+)*)$/gm)];
  const [, flags = "", file, args = ""] = commands[nth] ?? [];
  assertEquals(file, example, "a command of the head comment is missing, or names another file");
  return [
    "run",
    "--no-prompt",
    ...words(flags),
    new URL(example, EXAMPLES).href,
    ...words(args).map((arg) => /^\d+$/.test(arg) ? String(port) : arg === "example.com" ? "localhost" : arg),
  ];
}

function words(text: string): string[] {
  return text.split(" ").filter((word) => word !== "");
}

/** A running example; messages call it by its own name. */
class Example extends Program {
  override readonly name: string;

  constructor(example: string, args: readonly string[], cwd: string) {
    super("env", [DENO, ...args], { cwd, env: ENV }); // env becomes the program itself: same process id
    this.name = example;
  }
}

let credentials: Promise<Record<string, string>> | undefined;

/** `ca.pem`, `server.pem` and `server.key`, made as README.md says. */
async function makeCredentials(): Promise<Record<string, string>> {
  await using dir = await tempDir();
  const readme = await Deno.readTextFile(new URL("README.md", EXAMPLES));
  const [, args] = readme.match(/^deno run -A cli\.ts (cert .*)$/m)!;
  const made = await run("env", [DENO, "run", "-A", new URL("cli.ts", ROOT).href, ...words(args!)], {
    cwd: dir.path,
    env: ENV,
    timeoutMs: START,
  });
  assertEquals(made.code, 0, made.stderr);
  const files: Record<string, string> = {};
  for (const name of ["ca.pem", "server.pem", "server.key"]) {
    files[name] = await Deno.readTextFile(`${dir.path}/${name}`);
  }
  return files;
}

/** A folder with the files that the examples expect, to start them in. */
class Folder implements AsyncDisposable {
  readonly path: string;
  readonly #dir: AsyncDisposable;

  private constructor(dir: { path: string } & AsyncDisposable) {
    this.path = dir.path;
    this.#dir = dir;
  }

  static async create(): Promise<Folder> {
    const files = await (credentials ??= makeCredentials());
    const folder = new Folder(await tempDir());
    for (const [name, text] of Object.entries(files)) await Deno.writeTextFile(folder.file(name), text);
    return folder;
  }

  file(name: string): string {
    return `${this.path}/${name}`;
  }

  get ca(): string {
    return this.file("ca.pem");
  }

  get identity(): { cert: string; key: string } {
    return { cert: this.file("server.pem"), key: this.file("server.key") };
  }

  /** Starts an example that is a server, on a port of its own choice. */
  async serve(example: string): Promise<Server & { url: string }> {
    const program = new Example(example, await commandOf(example), this.path);
    const server = await listening(program, /^Listening on \S*localhost:(\d+)\/?$/m);
    return { ...server, url: `https://localhost:${server.port}/` };
  }

  /** Runs an example to its end; asserts that it ends well. Returns what it printed. */
  async run(example: string, port?: number): Promise<string> {
    await using program = new Example(example, await commandOf(example, port), this.path);
    await program.closeStdin();
    assertEquals(await program.exit(START), 0, program.output());
    assertEquals(program.stderr, "", program.output());
    return program.stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** The lines of `text` that match. */
function grep(text: string, pattern: RegExp): string[] {
  return text.split("\n").filter((line) => pattern.test(line));
}

/** Sends plain text to a TLS server and returns when it has hung up. */
async function sendPlainText(port: number): Promise<void> {
  using conn = await Deno.connect({ hostname: "localhost", port });
  await conn.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  const buffer = new Uint8Array(1024);
  const hungUp = async () => {
    while (await conn.read(buffer).catch(() => null) !== null);
  };
  await within(hungUp(), PATIENCE, "wait for the server to hang up");
}

/** Asserts that curl, which verifies the server, gets a page with a temperature. */
async function assertTemperature(url: string, ca: string, args: readonly string[] = []): Promise<void> {
  const page = await curl(url, ca, ["-i", ...args]);
  assertEquals(page.code, 0, page.stderr);
  assertMatch(page.stdout, /^HTTP\/1\.1 200 OK\r\n/);
  assertMatch(page.stdout, /<h1>\d\d\.\d &deg;C<\/h1>/);
}

Deno.test("examples/https_client.ts prints the page of examples/https_server.ts", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("https_server.ts");
  const text = await folder.run("https_client.ts", server.port);
  assertMatch(text, /^TLSv1\.3, TLS_\w+\n\nHTTP\/1\.1 200 OK\r\n/);
  assertMatch(text, /<h1>\d\d\.\d &deg;C<\/h1>/);
});

Deno.test("examples/https_client.ts prints the page of openssl s_server, and trusts nobody else", async () => {
  await using folder = await Folder.create();
  await using server = await opensslServer({ ...folder.identity, mode: "www" });
  assertStringIncludes(await folder.run("https_client.ts", server.port), "s_server");

  await using other = await opensslServer({ cert: certFile("ec.pem"), key: certFile("ec.key"), mode: "www" });
  const command = await commandOf("https_client.ts", other.port);
  await using program = new Example("https_client.ts", command, folder.path);
  assertEquals(await program.exit(START), 1);
  assertStringIncludes(program.stderr, "SSLCertVerificationError");
});

for (
  const example of [
    "https_client.ts",
    "asyncio_client.ts",
    "session_resume.ts",
    "deferred_handshake.ts",
    "tls_in_tls.ts",
  ]
) {
  Deno.test(`examples/${example} trusts whom Deno trusts when it is given no authority`, async () => {
    await using folder = await Folder.create();
    await using server = await opensslServer({ ...folder.identity, mode: "www" });
    await using program = new Example(example, await commandOf(example, server.port, 1), folder.path);
    assertEquals(await program.exit(START), 1, program.output());
    assertStringIncludes(program.stderr, "SSLCertVerificationError");
  });
}

Deno.test("examples/https_server.ts serves curl and survives a bad client", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("https_server.ts");
  await assertTemperature(server.url, folder.ca);
  await sendPlainText(server.port);
  const { code } = await curl(server.url, certFile("root.pem")); // trusts somebody else
  assertEquals(code, 60);
  (await Deno.connect({ hostname: "localhost", port: server.port })).close();
  await assertTemperature(server.url, folder.ca, ["--tls-max", "1.2"]);
  assertEquals(
    grep(server.program.stdout, /^A client failed: SSL\w*Error: /).length,
    3,
    server.program.output(),
  );
  assert(server.program.running);
});

Deno.test("examples/https_server.ts gives up a client that says nothing, and serves the next", async () => {
  await using folder = await Folder.create();
  const caCerts = [await Deno.readTextFile(folder.ca)];
  const silences: Record<string, (port: number) => Promise<Deno.Conn>> = {
    "complete TLS handshake": (port) => Deno.connect({ hostname: "localhost", port }),
    async read(port) {
      const conn = await Deno.connectTls({ hostname: "localhost", port, caCerts });
      await within(conn.handshake(), PATIENCE, "shake hands");
      return conn;
    },
  };
  await Promise.all(
    Object.entries(silences).map(async ([action, connect]) => {
      await using server = await folder.serve("https_server.ts");
      using _silent = await connect(server.port);
      await assertTemperature(server.url, folder.ca);
      const told = new RegExp(
        `^A client failed: SSLError: Cannot ${action}: timed out after 5 seconds$`,
        "m",
      );
      assertMatch(server.program.stdout, told);
    }),
  );
});

for (const example of ["https_server_nonblocking.ts", "asyncio_server.ts"]) {
  Deno.test(`examples/${example} serves curl and keeps its heartbeat beside bad clients`, async () => {
    await using folder = await Folder.create();
    await using server = await folder.serve(example);
    using _silent = await Deno.connect({ hostname: "localhost", port: server.port });
    await sendPlainText(server.port);
    await assertTemperature(server.url, folder.ca);
    const urls = Array.from({ length: 8 }, () => server.url);
    await Promise.all(urls.map((url) => assertTemperature(url, folder.ca, ["--tlsv1.3"])));
    const { program } = server;
    const beats = grep(program.stdout, /^Heartbeat \d+, clients: /).length;
    await program.waitFor(new RegExp(`^Heartbeat ${beats + 2}, clients: `, "m"));
    assertEquals(grep(program.stdout, /^A client failed.*: SSL\w*Error: /).length, 1, program.output());
  });
}

Deno.test("examples/asyncio_client.ts fetches pages of examples/asyncio_server.ts one by one and at once", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("asyncio_server.ts");
  const text = await folder.run("asyncio_client.ts", server.port);
  assertMatch(text, /^One after the other: 3 pages in \d+ ms$/m);
  assertMatch(text, /^All at once: 3 pages in \d+ ms$/m);
  for (const path of ["/", "/temperature", "/humidity"]) {
    assertEquals(grep(text, new RegExp(`^  ${path}: HTTP/1.1 200 OK, \\d+ characters$`)).length, 2, text);
  }
});

Deno.test("examples/session_resume.ts resumes with openssl s_server and examples/serve_http.ts from its second run", async () => {
  for (const peer of ["openssl", "serve_http.ts"]) {
    await using folder = await Folder.create();
    await using server = peer === "openssl"
      ? await opensslServer({ ...folder.identity, mode: "www" })
      : await folder.serve(peer);
    for (const reused of [false, true, true]) {
      const text = await folder.run("session_resume.ts", server.port);
      assertMatch(text, new RegExp(`^Reused: ${reused}, handshake: [\\d.]+ ms, TLSv1.3$`, "m"), peer);
      assertMatch(text, /^Saved session\.bin: run it again$/m);
    }
    assertEquals((await Deno.stat(folder.file("session.bin"))).mode! & 0o777, 0o600);
  }
});

Deno.test("examples/deferred_handshake.ts shakes hands on first use, and step by step", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("https_server.ts");
  const text = await folder.run("deferred_handshake.ts", server.port);
  assertMatch(text, /^By itself: no handshake yet\nBy itself: TLSv1\.3, HTTP\/1\.1 200 OK$/m);
  assertMatch(text, /^Step by step: want-read$/m);
  assertMatch(text, /^Step by step: TLSv1\.3, HTTP\/1\.1 200 OK$/m);
});

Deno.test("examples/mutual_tls.ts lets in only whom its authority has signed", async () => {
  await using folder = await Folder.create();
  const text = await folder.run("mutual_tls.ts");
  assertMatch(text, /^With a certificate:\n {2}client: Hello alice\n/);
  assertMatch(text, /^With none:\n( {2}server: .*\n)? {2}client: SSLError: .* peer sent alert \w+ \(\d+\)$/m);
  assertMatch(text, /^With one that nobody signed:\n(.*\n)*? {2}client: SSLError: .* unknown_ca \(48\)$/m);
  assertEquals(grep(text, /^ {2}server: SSL\w*Error: /).length, 2, text);
});

Deno.test("examples/renew_certificate.ts shows each host's certificate, a renewed one too, and drops nobody", async () => {
  await using folder = await Folder.create();
  const text = await folder.run("renew_certificate.ts");
  const shown = grep(text, /^[ab]\.test: certificate \w+$/);
  assertEquals(shown.map((line) => line.slice(0, 6)), ["a.test", "a.test", "b.test"]);
  assertEquals([new Set(shown).size, grep(text, /^still here$/).length], [3, 3], text);
});

Deno.test("examples/trust_on_first_use.ts remembers a key, and refuses another one", async () => {
  await using folder = await Folder.create();
  const text = await folder.run("trust_on_first_use.ts");
  assertMatch(text, /^The first time:\n {2}new: localhost has the key sha256\/\/\S+\n {2}21\.5 degrees\n/);
  assertMatch(
    text,
    /^The second time:\n {2}21\.5 degrees\nAnother key in its place:\n {2}SSLCertVerificationError: /m,
  );
});

Deno.test("examples/starttls_server.ts upgrades CPython's smtplib and openssl s_client", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("starttls_server.ts");
  const script = `
import smtplib, ssl, sys
smtp = smtplib.SMTP("localhost", int(sys.argv[1]), timeout=${PATIENCE / 1000})
smtp.ehlo()
print(smtp.noop())
print(smtp.starttls(context=ssl.create_default_context(cafile=sys.argv[2])))
smtp.ehlo()
print(smtp.has_extn("starttls"), smtp.noop())
print(smtp.quit())
`;
  const python = await run("python3", ["-c", script, String(server.port), folder.ca]);
  assertEquals(
    python.stdout,
    "(250, b'In plain text')\n(220, b'Go ahead')\nFalse (250, b'TLSv1.3')\n(221, b'Bye')\n",
    python.stderr,
  );
  const openssl = await opensslClient({
    port: server.port,
    ca: folder.ca,
    args: ["-starttls", "smtp", "-crlf"],
    input: "noop\n",
    until: /^250 TLSv1\.3/m,
  });
  assertEquals([openssl.version, openssl.verifyCode], ["TLSv1.3", 0], openssl.stderr);
});

Deno.test("examples/starttls_server.ts takes no command that came in plain text behind STARTTLS", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("starttls_server.ts");
  using conn = await Deno.connect({ hostname: "localhost", port: server.port });
  await conn.write(new TextEncoder().encode("STARTTLS\r\nNOOP\r\n"));
  let text = "";
  const readAll = async () => {
    for await (const chunk of conn.readable) text += new TextDecoder("latin1").decode(chunk);
  };
  await within(readAll(), PATIENCE, "wait for the server to hang up").catch(() => {});
  assertMatch(text, /^220 localhost is here\r\n220 Go ahead\r\n/);
  assertEquals(text.includes("250"), false, text);
  await server.program.waitFor(/^A client failed in its handler: SSLError: /m);
});

Deno.test("examples/tls_in_tls.ts reads the page of examples/https_server.ts through its proxy", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("https_server.ts");
  const text = await folder.run("tls_in_tls.ts", server.port);
  assertMatch(
    text,
    /^Proxy: TLSv1\.3, HTTP\/1\.1 200 Connected\nServer: TLSv1\.3, TLS_\w+\n\nHTTP\/1\.1 200 OK\r\n/,
  );
  assertMatch(text, /<h1>\d\d\.\d &deg;C<\/h1>/);
});

Deno.test("examples/custom_stream.ts speaks TLS with its child over pipes", async () => {
  await using folder = await Folder.create();
  const text = await folder.run("custom_stream.ts");
  assertMatch(text, /^TLSv1\.3, TLS_\w+\nHELLO\nOUT THERE\nThe child ended with 0\n$/);
});

Deno.test("examples/serve_http.ts tells curl about its connection, and ends in order", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("serve_http.ts");
  const post = await curl(server.url, folder.ca, ["--tls-max", "1.2", "--data", "hello"]);
  const { cipher, group, ...facts } = JSON.parse(post.stdout);
  assertEquals(facts, {
    method: "POST",
    body: "hello",
    client: "127.0.0.1",
    version: "TLSv1.2",
    sessionReused: false,
  });
  assertMatch(`${cipher} ${group}`, /^TLS_ECDHE_ECDSA_WITH_\w+ \w+$/);
  const missing = await curl(`${server.url}missing`, folder.ca, ["-i"]);
  assertMatch(missing.stdout, /^HTTP\/1\.1 404 [^]*Nothing at \/missing\n$/);
  server.program.kill("SIGINT");
  assertEquals(await server.program.exit(), 0, server.program.output());
  assertMatch(server.program.stdout, /^Served 2 requests$/m);
});

Deno.test("examples/serve_workers.ts answers curl from each of its Workers, and ends in order", async () => {
  await using folder = await Folder.create();
  await using server = await folder.serve("serve_workers.ts");
  const workers = new Set<string>();
  for (let i = 0; i < 24; i++) {
    const { worker, ...facts } = JSON.parse((await curl(server.url, folder.ca)).stdout);
    assertEquals(facts, { version: "TLSv1.3", sessionReused: false });
    workers.add(worker);
  }
  assert(workers.size > (navigator.hardwareConcurrency > 1 ? 1 : 0), [...workers].join(" "));
  server.program.kill("SIGINT");
  assertEquals(await server.program.exit(), 0, server.program.output());
  assertMatch(server.program.stdout, /^Served 24 requests$/m);
});

Deno.test("examples/key_log.ts logs the secrets that openssl s_server has", async () => {
  await using folder = await Folder.create();
  const theirs = folder.file("server_keys.log");
  const args = ["-keylogfile", theirs];
  await using server = await opensslServer({ ...folder.identity, mode: "www", args });
  const text = await folder.run("key_log.ts", server.port);
  assertMatch(text, /^Read \d+ bytes over TLSv1\.3; the secrets are in keys\.log$/m);
  const secrets = async (file: string) => grep(await Deno.readTextFile(file), /^(CLIENT|SERVER)_/).sort();
  const ours = folder.file("keys.log");
  assertEquals((await secrets(ours)).length, 4);
  assertEquals(await secrets(ours), await secrets(theirs));
  assertEquals((await Deno.stat(ours)).mode! & 0o777, 0o600);
});

Deno.test("examples/shared_tickets.ts resumes at the server with the same keys only", async () => {
  await using folder = await Folder.create();
  assertEquals(
    await folder.run("shared_tickets.ts"),
    "First server: full handshake\nSecond server, same keys: resumed\nServer with other keys: full handshake\n",
  );
});

Deno.test("examples/pem_to_der.ts makes the bytes that openssl makes", async () => {
  await using folder = await Folder.create();
  const text = await folder.run("pem_to_der.ts");
  const openssl = await run("openssl", ["x509", "-in", folder.identity.cert, "-outform", "DER"]);
  assertEquals(await Deno.readFile(folder.file("server.der")), openssl.bytes);
  assertEquals(text, `server.der: CERTIFICATE, ${openssl.bytes.length} bytes\n`);
});

Deno.test("examples/ has nothing that is not tested here and described in its README.md", async () => {
  const tests = await Deno.readTextFile(new URL(import.meta.url));
  const readme = await Deno.readTextFile(new URL("README.md", EXAMPLES));
  const described = [...readme.matchAll(/^\| \[(\S+)\]\((\S+)\) +\|/gm)].map(([, name, link]) => {
    assertEquals(link, name);
    return name!;
  });
  const examples: string[] = [];
  for await (const { name } of Deno.readDir(EXAMPLES)) {
    if (name === "README.md") continue;
    examples.push(name);
    assert(
      new RegExp(`\\.(run|serve)\\("${name}"|\\["${name}", |, "${name}"\\]`).test(tests),
      `${name} is not tested`,
    );
  }
  assertEquals(described.sort(), examples.sort());
});
