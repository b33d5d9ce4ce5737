/** What both ends derive alike: exported keying material, channel bindings, the key log. */
import { assert, assertEquals } from "@std/assert";
import { closeInOrder, receive, ROOTS, send, tlsioClient, tlsioServer } from "./interop.ts";
import { gnutlsServer, identity, opensslClient, opensslServer, run, tempDir } from "./peers.ts";

const VERSIONS = ["1.2", "1.3"] as const;
const LABEL = "EXPERIMENTAL tlsio test";
const MATERIAL = /Keying material: ([0-9A-F]+)/;

for (const tls of VERSIONS) {
  // ---- Exporters (RFC 5705, RFC 8446 section 7.5) ----

  Deno.test(`interop openssl s_client -> tlsio TLSv${tls} exportKeyingMaterial: the same bytes`, async () => {
    const ours: string[] = [];
    await using server = await tlsioServer({
      handler: async (reader, _writer, socket) => {
        ours.push(socket.exportKeyingMaterial(48, LABEL).toHex().toUpperCase());
        await reader.read();
      },
    });
    const args = ["-keymatexport", LABEL, "-keymatexportlen", "48"];
    const { stdout } = await opensslClient({ port: server.port, ca: ROOTS, tls, args });
    assertEquals([stdout.match(MATERIAL)?.[1]], ours);
  });

  Deno.test(`interop tlsio -> openssl s_server TLSv${tls} exportKeyingMaterial: the same bytes`, async () => {
    const args = ["-keymatexport", LABEL, "-keymatexportlen", "20"];
    await using server = await opensslServer({ ...identity("ec"), tls, args, mode: "raw" });
    const socket = await tlsioClient(server.port);
    const ours = socket.exportKeyingMaterial(20, LABEL).toHex().toUpperCase();
    const [, theirs] = await server.program.waitFor(MATERIAL);
    assertEquals(ours, theirs);
    await closeInOrder(socket);
  });

  Deno.test(`interop node tls -> tlsio TLSv${tls} exportKeyingMaterial with a context: the same bytes`, async () => {
    const ours: string[] = [];
    const contexts = [undefined, "", "context"];
    await using server = await tlsioServer({
      handler: async (reader, _writer, socket) => {
        for (const context of contexts) {
          const bytes = context === undefined ? undefined : new TextEncoder().encode(context);
          ours.push(socket.exportKeyingMaterial(32, LABEL, bytes).toHex());
        }
        await reader.read();
      },
    });
    const script = `const [port, ca, version, label] = process.argv.slice(1);
const s = require("tls").connect({ port: +port, host: "127.0.0.1", servername: "localhost",
  ca: require("fs").readFileSync(ca), minVersion: version, maxVersion: version }, () => {
  for (const context of [undefined, "", "context"]) {
    const bytes = context === undefined ? undefined : Buffer.from(context);
    console.log(s.exportKeyingMaterial(32, label, bytes).toString("hex"));
  }
  s.end();
}).resume();`;
    const argv = ["-e", script, String(server.port), ROOTS, `TLSv${tls}`, LABEL];
    const { stdout, stderr } = await run("node", argv);
    assertEquals(stdout.trimEnd().split("\n"), ours, stderr);
    assertEquals(ours[0] === ours[1], tls === "1.3"); // RFC 5705: none and empty differ
  });

  Deno.test(`interop tlsio -> gnutls-serv TLSv${tls} channel binding tls-exporter (RFC 9266): the same bytes`, async () => {
    await using server = await gnutlsServer({ ...identity("rsa"), tls });
    const socket = await tlsioClient(server.port);
    await send(socket, "hello\n");
    await receive(socket, /\n/);
    const ours = socket.getChannelBinding("tls-exporter").toHex();
    const [, theirs] = await server.program.waitFor(/'tls-exporter': ([0-9a-f]{64})/);
    assertEquals(ours, theirs);
    await closeInOrder(socket);
  });

  // ---- Key log (NSS format) ----

  const LABELS = tls === "1.2" ? ["CLIENT_RANDOM"] : [
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
  ];
  const secrets = tls === "1.2" ? "[0-9a-f]{96}" : "(?:[0-9a-f]{64}|[0-9a-f]{96})";
  const format = new RegExp(`^(${LABELS.join("|")}) [0-9a-f]{64} ${secrets}$`);

  /** Asserts the format of our lines, and that the peer's log has each of them. */
  const assertLog = (ours: string[], theirs: string) => {
    assertEquals(ours.map((line) => line.match(format)?.[1]).sort(), LABELS.toSorted());
    const known = theirs.toLowerCase().split("\n");
    for (const line of ours) assert(known.includes(line.toLowerCase()), `${line}\n${theirs}`);
  };

  Deno.test(`interop openssl s_client -> tlsio TLSv${tls} key log: NSS lines, and the client's own`, async () => {
    await using dir = await tempDir();
    const ours: string[] = [];
    await using server = await tlsioServer({ keyLog: (line) => ours.push(line) });
    const log = `${dir.path}/keys`;
    const args = ["-keylogfile", log];
    const { code } = await opensslClient({ port: server.port, ca: ROOTS, tls, args });
    assertEquals(code, 0);
    await server.served(1);
    assertLog(ours, await Deno.readTextFile(log));
  });

  Deno.test(`interop tlsio -> openssl s_server TLSv${tls} key log: NSS lines, and the server's own`, async () => {
    await using dir = await tempDir();
    const log = `${dir.path}/keys`;
    const args = ["-keylogfile", log];
    await using server = await opensslServer({ ...identity("ec"), tls, args });
    const ours: string[] = [];
    const socket = await tlsioClient(server.port, { keyLog: (line) => ours.push(line) });
    await send(socket, "hello\n");
    await receive(socket, /\n/);
    await closeInOrder(socket);
    assertLog(ours, await Deno.readTextFile(log));
  });
}
