/** Captures: Wireshark reads them, finds nothing odd, and decrypts with the keys in the file and not without. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { TLSVersion, wrapSocket } from "tlsio";
import { PcapWriter } from "tlsio/engine";
import { type Bytes, concat } from "../lib/bytes.ts";
import type { Duplex } from "../lib/duplex.ts";
import { cli } from "./cli_helpers.ts";
import { clientOptions, httpHandler, receive, send, tlsioServer } from "./interop.ts";
import { certFile, identity, opensslServer, tempDir, type TsharkPacket, tsharkPackets } from "./peers.ts";

const VERSIONS = [["1.2", TLSVersion.TLSv1_2], ["1.3", TLSVersion.TLSv1_3]] as const;
const FIN = 1;
const SYN = 2;
const RST = 4;
const ACK = 16;

async function packetsOf(pcap: PcapWriter): Promise<TsharkPacket[]> {
  await using dir = await tempDir();
  const file = `${dir.path}/capture.pcapng`;
  await Deno.writeFile(file, pcap.toBytes());
  return await tsharkPackets(file);
}

const all = (
  packets: readonly TsharkPacket[],
  field: "problems" | "http" | "handshakeTypes" | "contentTypes",
) => packets.flatMap((packet): (string | number)[] => packet[field]);

/** An HTTP exchange between a client and a server of ours over TCP, captured at one of them. */
async function exchange(hostname: string, sslVersion: TLSVersion, side: "client" | "server", keys: boolean) {
  const pcap = new PcapWriter();
  using listener = Deno.listen({ hostname, port: 0 });
  const { port } = listener.addr;
  const conns = await Promise.all([Deno.connect({ hostname, port }), listener.accept()]);
  const keyLog = keys ? { keyLog: pcap.keyLog } : {};
  const [client, server] = await Promise.all([
    wrapSocket(
      side === "client" ? pcap.tap(conns[0]) : conns[0],
      clientOptions({ sslVersion, ...(side === "client" && keyLog) }),
    ),
    wrapSocket(side === "server" ? pcap.tap(conns[1], { serverSide: true }) : conns[1], {
      serverSide: true,
      certfile: certFile("ec.pem"),
      keyfile: certFile("ec.key"),
      ...(side === "server" && keyLog),
    }),
  ]);
  await send(client, "GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n");
  await receive(server, /\r\n\r\n/);
  const body = `${"x".repeat(200_000)}the end`; // several records a write, several segments a record's worth
  await send(server, `HTTP/1.1 207 Fine\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
  await receive(client, /the end$/);
  await Promise.all([client.close(), server.close()]);
  return { packets: await packetsOf(pcap), port };
}

for (const [version, sslVersion] of VERSIONS) {
  for (const hostname of ["127.0.0.1", "::1"]) {
    for (const side of ["client", "server"] as const) {
      Deno.test(`PcapWriter: tshark decrypts a ${side}'s TLSv${version} over ${hostname} with the keys in the file`, async () => {
        const { packets, port } = await exchange(hostname, sslVersion, side, true);
        assertEquals(all(packets, "problems"), []);
        assertEquals(all(packets, "http"), ["/page", "207"]);
        const opening = packets.slice(0, 3).map(({ sourcePort, flags }) => [sourcePort === port, flags]);
        assertEquals(opening, [[false, SYN], [true, SYN | ACK], [false, ACK]]);
        assert(packets.some(({ flags }) => flags === (FIN | ACK)));
      });
    }
  }

  Deno.test(`PcapWriter: without the keys tshark sees TLSv${version} and no HTTP`, async () => {
    const { packets } = await exchange("127.0.0.1", sslVersion, "client", false);
    assertEquals(all(packets, "problems"), []);
    assertEquals(all(packets, "http"), []);
    assertEquals(all(packets, "handshakeTypes").slice(0, 2), [1, 2]);
    assert(all(packets, "contentTypes").includes(22));
  });
}

// ---- TCP, made up ---------------------------------------------------------------------------------------

/** A connection that takes writes in pieces of `piece` bytes, and keeps them. */
function takingPieces(piece: number): Duplex & { taken: Bytes[] } {
  const taken: Bytes[] = [];
  return {
    taken,
    read: () => Promise.resolve(null),
    write: (p) => {
      taken.push(p.slice(0, piece));
      return Promise.resolve(Math.min(piece, p.length));
    },
    close: () => {},
    abort: () => {},
  };
}

Deno.test("PcapWriter.tap(): a write that is taken in pieces is captured once", async () => {
  const pcap = new PcapWriter();
  const below = takingPieces(7);
  const conn = pcap.tap(below);
  const sent = Uint8Array.from({ length: 100 }, (_, i) => i);
  for (let at = 0; at < sent.length;) at += await conn.write(sent.subarray(at));
  assertEquals(concat(below.taken), sent);
  assertEquals(pcap.toBytes().toHex().split(sent.toHex()).length, 2);
  assertEquals(pcap.toBytes().length, sizeOf([0, 0, 0, 100]));
});

/** How long a file is whose IPv4 packets have so many bytes of data each. */
function sizeOf(data: readonly number[]): number {
  const block = (bytes: number) => 32 + Math.ceil((40 + bytes) / 4) * 4;
  return new PcapWriter().toBytes().length + data.reduce((sum, bytes) => sum + block(bytes), 0);
}

Deno.test("PcapWriter.tap(): the end of either direction shows, and an abort as a reset", async () => {
  const pcap = new PcapWriter();
  const first = pcap.tap(takingPieces(10));
  await first.write(new Uint8Array(10));
  assertEquals(await first.read(new Uint8Array(1)), null);
  first.close();
  first.abort!(); // it is closed already
  const second = pcap.tap(takingPieces(10));
  second.abort!();
  const packets = await packetsOf(pcap);
  assertEquals(packets.slice(3).map(({ sourcePort, flags }) => [sourcePort, flags & 7]), [
    [49152, 0],
    [443, FIN],
    [49152, FIN],
    ...[[49153, SYN], [443, SYN], [49153, 0], [49153, RST]], // a port of its own
  ]);
  assertEquals(all(packets, "problems"), []);
});

Deno.test("PcapWriter: keeps no more than its limit, without gaps, and says so", async () => {
  const pcap = new PcapWriter({ limit: 3 * 40 + 140 });
  const conn = pcap.tap(takingPieces(1000));
  await conn.write(new Uint8Array(100));
  assertEquals(pcap.truncated, false);
  await conn.write(new Uint8Array(100));
  conn.close();
  assertEquals(pcap.truncated, true);
  assertEquals((await packetsOf(pcap)).length, 4);
  const { length } = pcap.toBytes();
  pcap.keyLog("CLIENT_RANDOM 00 00"); // of packets that are not there
  assertEquals(pcap.toBytes().length, length);
  for (const limit of [NaN, -1, "5" as unknown as number]) {
    assertThrows(() => new PcapWriter({ limit }), RangeError, "Cannot use limit");
  }
  assertThrows(() => new PcapWriter({ now: 5 as unknown as () => number }), TypeError, "Cannot use now");
});

// ---- The command line -----------------------------------------------------------------------------------

for (const [version, sslVersion] of VERSIONS) {
  Deno.test(`tlsio connect --pcap: both connections, readable with --pcap-secrets alone (TLSv${version})`, async () => {
    await using dir = await tempDir();
    await using server = await tlsioServer({ sslVersion, handler: httpHandler({ answer: () => "page" }) });
    const args = ["connect", `localhost:${server.port}`, "--ca", certFile("root.pem"), "--request"];
    for (const secrets of [true, false]) {
      const file = `${dir.path}/${secrets}.pcapng`;
      if (secrets) await Deno.writeTextFile(file, "an old one", { mode: 0o644 });
      const { code, stderr } = await cli([...args, "--pcap", file, ...(secrets ? ["--pcap-secrets"] : [])]);
      assertEquals({ code, stderr }, { code: 0, stderr: "" });
      const packets = await tsharkPackets(file);
      assertEquals(all(packets, "problems"), []);
      assertEquals(all(packets, "http"), secrets ? ["/", "200"] : []);
      assertEquals(packets.filter(({ flags }) => flags === SYN).length, 2);
      if (Deno.build.os !== "windows") assertEquals((await Deno.stat(file)).mode! & 0o777, 0o600);
    }
  });
}

Deno.test("tlsio connect --pcap: a handshake that fails is in the file, with the alert", async () => {
  await using dir = await tempDir();
  await using server = await opensslServer({ ...identity("ec"), tls: "1.2" });
  const file = `${dir.path}/failed.pcapng`;
  const { code } = await cli(["connect", `localhost:${server.port}`, "--tls", "1.3", "--pcap", file]);
  assertEquals(code, 1);
  const packets = await tsharkPackets(file);
  assertEquals(packets.flatMap(({ alerts }) => alerts), [70]); // protocol_version
});

Deno.test("tlsio connect --pcap: wrong arguments and files that cannot be written", async () => {
  const alone = await cli(["connect", "localhost:1", "--pcap-secrets"]);
  assertEquals(alone.code, 2);
  assertMatch(alone.stderr, /--pcap-secrets needs --pcap/);
  const nowhere = await cli(["connect", "localhost:1", "--pcap", "/nowhere/at/all"]);
  assertEquals(nowhere.code, 1);
  assertMatch(
    nowhere.stderr,
    /^tlsio connect: Cannot write "\/nowhere\/at\/all": no such file or directory\n$/,
  );
});
