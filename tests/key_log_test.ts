/** Key logs in files: what Wireshark reads a capture with. */
import { assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { type ContextOptions, createDefaultContext, MemoryBIO, Purpose, SSLContext } from "tlsio";
import { decodeText, encodeText } from "../lib/bytes.ts";
import { identity, type Segment, tempDir, tsharkHttp } from "./peers.ts";
import { CLIENT, CREDENTIAL, test, VERSIONS } from "./sockets.ts";

const { cert, key } = identity("ec");
const TRUST = { caCerts: CLIENT.caCerts! };
const LINE =
  /^(CLIENT_RANDOM|(CLIENT|SERVER)_(HANDSHAKE_TRAFFIC_SECRET|TRAFFIC_SECRET_0)) [0-9a-f]{64} [0-9a-f]{64,96}$/;

/** Runs an HTTP request between two contexts in memory. Returns all that travelled. */
async function talk(
  client: ContextOptions,
  server: ContextOptions,
  ready?: () => Promise<void>,
): Promise<Segment[]> {
  using trusting = await SSLContext.create({ ...TRUST, ...client });
  using serving = await SSLContext.create({ serverSide: true, certfile: cert, keyfile: key, ...server });
  await ready?.();
  const [up, down, toClient, toServer] = [new MemoryBIO(), new MemoryBIO(), new MemoryBIO(), new MemoryBIO()];
  using near = trusting.wrapBio(toClient, up, { serverHostname: "localhost" });
  using far = serving.wrapBio(toServer, down);
  const segments: Segment[] = [];
  const move = () => {
    for (const [fromClient, from, to] of [[true, up, toServer], [false, down, toClient]] as const) {
      const bytes = from.read();
      if (bytes.length > 0) segments.push({ fromClient, bytes });
      to.write(bytes);
    }
  };
  for (let i = 0; i < 4; i++) {
    near.handshake();
    move();
    far.handshake();
    move();
  }
  near.write(encodeText("GET /the-plain-path HTTP/1.1\r\nHost: localhost\r\n\r\n"));
  move();
  assertEquals(far.read(new Uint8Array(1000)).state, "ok");
  far.write(encodeText("HTTP/1.1 203 Non-Authoritative\r\nContent-Length: 2\r\n\r\nOK"));
  move();
  assertEquals(near.read(new Uint8Array(1000)).state, "ok");
  return segments;
}

const FIELDS = ["http.request.uri", "http.response.code"];

for (const [version, sslVersion] of Object.entries(VERSIONS)) {
  test(`keylogFilename: Wireshark's tshark decrypts a capture with it (${version})`, async () => {
    await using dir = await tempDir();
    const keylogFilename = `${dir.path}/keys`;
    await Deno.writeTextFile(`${dir.path}/other`, "");
    for (const side of ["client", "server"] as const) {
      const log = side === "client" ? { keylogFilename } : {};
      const segments = await talk({ sslVersion, ...log }, side === "server" ? { keylogFilename } : {});
      assertEquals(await tsharkHttp(segments, keylogFilename, FIELDS), [["/the-plain-path", ""], [
        "",
        "203",
      ]]);
      assertEquals(await tsharkHttp(segments, `${dir.path}/other`, FIELDS), [], "without the keys");
    }
    const lines = (await Deno.readTextFile(keylogFilename)).trimEnd().split("\n");
    assertEquals(lines.length, 2 * (version === "TLSv1.2" ? 1 : 4)); // the second has gone behind the first
    for (const line of lines) assertMatch(line, LINE);
  });
}

test("keylogFilename: only we may read a new one; what is there stays; keyLog gets the lines, too", async () => {
  await using dir = await tempDir();
  const keylogFilename = `${dir.path}/keys`;
  const lines: string[] = [];
  await talk({ keylogFilename: new URL(`file://${keylogFilename}`), keyLog: (line) => lines.push(line) }, {});
  const { mode } = await Deno.stat(keylogFilename);
  assertEquals(mode! & 0o777, 0o600);
  assertEquals(await Deno.readTextFile(keylogFilename), lines.map((line) => `${line}\n`).join(""));
  await Deno.writeTextFile(keylogFilename, "# mine\n");
  await talk({ keylogFilename }, {});
  assertStringIncludes(await Deno.readTextFile(keylogFilename), "# mine\nCLIENT_");
});

test("keylogFilename: one that cannot be written fails at once, and is named", async () => {
  await using dir = await tempDir();
  const missing = SSLContext.create({ ...TRUST, keylogFilename: `${dir.path}/no/keys` });
  const error = await assertRejects(() => missing, Deno.errors.NotFound);
  assertStringIncludes(error.message, `Cannot write keylogFilename "${dir.path}/no/keys"`);
  await assertRejects(() => SSLContext.create({ ...TRUST, keylogFilename: dir.path }), Error, "Cannot write");
  const wrong = SSLContext.create({ ...TRUST, keylogFilename: 7 as unknown as string });
  await assertRejects(() => wrong, TypeError, "Cannot use keylogFilename: expected a path, got number");
});

test("keylogFilename: a file that fails later is reported once, and the connection goes on", async () => {
  await using dir = await tempDir();
  const folder = `${dir.path}/folder`;
  await Deno.mkdir(folder);
  const reported: string[] = [];
  const { error } = console;
  console.error = (...args: unknown[]) => reported.push(args.join(" "));
  try {
    const gone = () => Deno.remove(folder, { recursive: true });
    await talk({ keylogFilename: `${folder}/keys` }, {}, gone); // four lines
  } finally {
    console.error = error;
  }
  assertEquals(reported.length, 1);
  assertStringIncludes(reported[0]!, `Cannot write keylogFilename "${folder}/keys": NotFound`);
});

/** Runs a program with `SSLKEYLOGFILE` and these permissions; returns what it printed. */
async function withEnv(
  file: string,
  permissions: string[],
  code: string,
): Promise<{ out: string; code: number }> {
  const root = new URL("../", import.meta.url);
  const script = `import { createDefaultContext, MemoryBIO, Purpose } from ${
    JSON.stringify(new URL("mod.ts", root))
  };
${code}`;
  await using dir = await tempDir();
  await Deno.writeTextFile(`${dir.path}/main.ts`, script);
  const config = new URL("deno.json", root).pathname;
  const args = ["run", "--quiet", "--no-prompt", "--config", config, ...permissions, `${dir.path}/main.ts`];
  const options = { args, env: { SSLKEYLOGFILE: file }, stdin: "null" } as const;
  const { stdout, stderr, code: status } = await new Deno.Command(Deno.execPath(), options).output();
  return { out: decodeText(stdout) + decodeText(stderr), code: status };
}

/** A handshake between two default contexts. */
const SHAKE = `
const TRUST = { caCerts: ${JSON.stringify(CLIENT.caCerts)} };
const OWN = ${JSON.stringify(CREDENTIAL)};
using trusting = await createDefaultContext(Purpose.SERVER_AUTH, TRUST);
using serving = await createDefaultContext(Purpose.CLIENT_AUTH, OWN);
const [up, down] = [new MemoryBIO(), new MemoryBIO()];
using near = trusting.wrapBio(down, up, { serverHostname: "localhost" });
using far = serving.wrapBio(up, down);
while (near.handshake().state !== "ok" || far.handshake().state !== "ok") far.handshake();
console.log(near.version());`;

test("createDefaultContext: SSLKEYLOGFILE is used with the permission to look at it, and passed over without", async () => {
  await using dir = await tempDir();
  const file = `${dir.path}/keys`;
  const good = { out: "TLSv1.3\n", code: 0 };
  const lines = async () => (await Deno.readTextFile(file)).split("\n").length - 1; // Deno itself makes the file

  assertEquals(await withEnv(file, [], SHAKE), good);
  assertEquals(await lines(), 0);
  const ask = "--allow-env=SSLKEYLOGFILE";
  assertEquals(await withEnv(file, [ask, `--allow-write=${file}`], SHAKE), good);
  assertEquals(await lines(), 2 * 4); // four secrets, known to both ends
  const { out, code } = await withEnv(file, [ask], SHAKE);
  assertEquals(code, 1);
  assertStringIncludes(out, `Cannot write keylogFilename "${file}"`);
  assertEquals(await withEnv("", [ask], SHAKE), good);
});

test("createDefaultContext: a client that checks certificate and host, a server that asks for none", async () => {
  using client = await createDefaultContext(Purpose.SERVER_AUTH, TRUST);
  using server = await createDefaultContext(Purpose.CLIENT_AUTH, { certfile: cert, keyfile: key });
  assertEquals([client.serverSide, server.serverSide], [false, true]);
  const nameless = () => client.wrapBio(new MemoryBIO(), new MemoryBIO());
  let thrown: unknown;
  try {
    nameless();
  } catch (error) {
    thrown = error;
  }
  assertStringIncludes(String(thrown), "CERT_REQUIRED needs serverHostname");
  using roots = await createDefaultContext(); // the Mozilla roots
  assertEquals(roots.serverSide, false);
  const other = createDefaultContext("SERVER" as Purpose);
  await assertRejects(
    () => other,
    TypeError,
    'Cannot use purpose: expected Purpose.SERVER_AUTH or CLIENT_AUTH, got "SERVER"',
  );
  const side = createDefaultContext(Purpose.CLIENT_AUTH, { serverSide: false } as object);
  await assertRejects(() => side, TypeError, "Cannot use serverSide: the purpose decides it");
});
