/** The trace of a connection against what OpenSSL (`-msg`) and Wireshark (with our key log) say of the same one. */
import { assert, assertEquals } from "@std/assert";
import { PcapWriter, type TraceEvent } from "tlsio/engine";
import { type SSLSession, type SSLSocket, wrapSocket, type WrapSocketOptions } from "tlsio";
import { clientOptions, closeInOrder, receive, ROOTS, send } from "./interop.ts";
import {
  certFile,
  identity,
  opensslServer,
  type OpensslServerOptions,
  Program,
  tempDir,
  tsharkPackets,
  type Version,
} from "./peers.ts";

type Direction = TraceEvent["direction"];
const DIRECTIONS: readonly Direction[] = ["sent", "received"];

/** A client of ours, with its trace and its capture. */
async function tracedClient(port: number, options: WrapSocketOptions = {}) {
  const events: TraceEvent[] = [];
  const pcap = new PcapWriter();
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  const own = conn.localAddr.port;
  const socket = await wrapSocket(
    pcap.tap(conn),
    clientOptions({ keyLog: pcap.keyLog, trace: (event) => events.push(event), ...options }),
  );
  return { socket, events, pcap, own };
}

const messagesOf = (events: readonly TraceEvent[], direction: Direction) =>
  events.filter((event) => event.layer === "message" && event.direction === direction);

// ---- OpenSSL --------------------------------------------------------------------------------------------

/** `ServerHello` is `server_hello`. */
const snake = (name: string) => name.replaceAll(/(?<=[a-z])[A-Z]/g, "_$&").toLowerCase();

/**
 * The handshake messages and alerts that `-msg` reports: `"finished 36"`, `"fatal unknown_ca 2"`. It shows no
 * change_cipher_spec that it receives, and calls a HelloRetryRequest a ServerHello.
 */
function saidByOpenssl(output: string, arrow: ">>>" | "<<<"): string[] {
  const lines = output.matchAll(
    /^(>>>|<<<) \S+ [\d.]+, (Handshake|Alert) \[length ([0-9a-f]{4})\], (.*?)\r?$/gm,
  );
  return [...lines].filter((line) => line[1] === arrow)
    .map(([, , , length, name]) => `${snake(name!)} ${parseInt(length!, 16)}`);
}

function saidByTrace(events: readonly TraceEvent[], direction: Direction): string[] {
  return messagesOf(events, direction)
    .filter(({ contentType }) => contentType === "handshake" || contentType === "alert")
    .map(({ name, level, length }) =>
      `${level === undefined ? "" : `${level} `}${
        name === "hello_retry_request" ? "server_hello" : name
      } ${length}`
    );
}

/** Asserts that what our client says is what OpenSSL's server says, each way. */
function assertOpenssl(events: readonly TraceEvent[], output: string): void {
  assertEquals(saidByTrace(events, "sent"), saidByOpenssl(output, "<<<"));
  assertEquals(saidByTrace(events, "received"), saidByOpenssl(output, ">>>"));
}

// ---- Wireshark ------------------------------------------------------------------------------------------

const CONTENT = { change_cipher_spec: 20, alert: 21, handshake: 22, application_data: 23, unknown: -1 };

/** Asserts that records, what is in them, handshake messages and alerts are those that Wireshark finds, each way. */
async function assertTshark(events: readonly TraceEvent[], pcap: PcapWriter, own: number): Promise<void> {
  await using dir = await tempDir();
  const file = `${dir.path}/capture.pcapng`;
  await Deno.writeFile(file, pcap.toBytes());
  const packets = await tsharkPackets(file);
  assertEquals(packets.flatMap(({ problems }) => problems), []);
  for (const direction of DIRECTIONS) {
    const theirs = packets.filter(({ sourcePort }) => (sourcePort === own) === (direction === "sent"));
    const records = events.filter((event) => event.layer === "record" && event.direction === direction);
    assertEquals(
      records.map(({ length }) => length - 5),
      theirs.flatMap(({ recordLengths }) => recordLengths),
    );
    const messages = messagesOf(events, direction);
    assertEquals( // each of these peers puts one message into a record
      messages.map(({ contentType }) => CONTENT[contentType]),
      theirs.flatMap(({ contentTypes }) => contentTypes),
    );
    const handshake = messages.filter(({ contentType }) => contentType === "handshake");
    assertEquals(
      handshake.map(({ code, length }) => [code === 6 ? 2 : code, length - 4]),
      theirs.flatMap(({ handshakeTypes, handshakeLengths }) =>
        handshakeTypes.map((type, i) => [type, handshakeLengths[i]])
      ),
    );
    const alerts = messages.filter(({ contentType }) => contentType === "alert");
    assertEquals(alerts.map(({ code }) => code), theirs.flatMap(({ alerts }) => alerts));
  }
}

// ---- The table ------------------------------------------------------------------------------------------

/** The server has written its goodbye, the last of what it reports, so often. */
const goodbyes = (count: number) => new RegExp(`(>>> [^\\n]*close_notify[^]*){${count}}`);

async function talk(socket: SSLSocket): Promise<void> {
  await send(socket, "hello\n");
  await receive(socket, /\n/);
}

interface Row {
  readonly versions?: readonly Version[];
  readonly server?: Partial<OpensslServerOptions>;
  readonly client?: WrapSocketOptions;
  readonly resumed?: boolean;
  /** The names of messages that must be among those of the trace. */
  readonly has: readonly string[];
}

const BOTH = ["1.2", "1.3"] as const;

const ROWS: Record<string, Row> = {
  "full": { has: ["server_hello", "certificate", "finished", "new_session_ticket", "close_notify"] },
  "resumed": { resumed: true, has: ["server_hello", "finished", "close_notify"] },
  "with a client's certificate": {
    server: { clientAuth: "required", clientCa: ROOTS },
    client: { certfile: certFile("client.pem"), keyfile: certFile("client.key") },
    has: ["certificate_request", "certificate_verify"],
  },
  "with a HelloRetryRequest": {
    versions: ["1.3"],
    server: { args: ["-groups", "P-384"] },
    client: { groups: ["x25519", "secp384r1"] },
    has: ["hello_retry_request"],
  },
};

for (
  const [name, { versions = BOTH, server: extra, client, resumed, has }] of Object.entries(ROWS)
) {
  for (const tls of versions) {
    Deno.test(`trace: a TLSv${tls} handshake ${name} is what openssl s_server -msg and tshark report`, async () => {
      const args = ["-msg", ...(extra?.args ?? [])];
      await using server = await opensslServer({ ...identity("ec"), tls, ...extra, args });
      let savedSession: SSLSession | undefined;
      if (resumed) {
        const first = await tracedClient(server.port);
        await talk(first.socket);
        savedSession = first.socket.session;
        await closeInOrder(first.socket);
        await server.program.waitFor(goodbyes(1));
      }
      const before = server.program.stdout.length;
      const { socket, events, pcap, own } = await tracedClient(server.port, {
        ...client,
        ...(savedSession && { savedSession }),
      });
      await talk(socket);
      await closeInOrder(socket);
      assertEquals(socket.sessionReused, resumed ?? false);
      await server.program.waitFor(goodbyes(resumed ? 2 : 1));
      const names = events.map(({ name }) => name);
      for (const name of has) assert(names.includes(name), name);
      assertOpenssl(events, server.program.stdout.slice(before));
      await assertTshark(events, pcap, own);
    });
  }
}

for (
  const [tls, command, name] of [
    ["1.2", "r", "a renegotiation"],
    ["1.3", "K", "KeyUpdate, asked for and answered,"],
  ] as const
) {
  Deno.test(`trace: ${name} in TLSv${tls} is what openssl s_server -msg reports`, async () => {
    await using server = await opensslServer({ ...identity("ec"), tls, mode: "raw", args: ["-msg"] });
    const { program } = server;
    const { socket, events, pcap, own } = await tracedClient(server.port, { renegotiation: true });
    await program.write(`${command}\n`);
    await program.waitFor(/SSL_do_handshake -> 1/);
    await program.write("from openssl\n");
    assertEquals(await receive(socket, /\n/), "from openssl\n");
    await send(socket, "from tlsio\n");
    await program.waitFor(/^from tlsio$/m);
    await closeInOrder(socket);
    await program.waitFor(goodbyes(1));
    const names = events.filter(({ encrypted }) => encrypted).map(({ name }) => name);
    for (
      const name of tls === "1.2" ? ["hello_request", "client_hello", "server_hello_done"] : ["key_update"]
    ) {
      assert(names.includes(name), name);
    }
    assertOpenssl(events, program.stdout);
    await assertTshark(events, pcap, own);
  });
}

for (const tls of ["1.2", "1.3"] as const) {
  Deno.test(`trace: the alert of a TLSv${tls} handshake that fails is what openssl s_server -msg reports`, async () => {
    await using server = await opensslServer({ ...identity("ec"), tls, args: ["-msg"] });
    const events: TraceEvent[] = [];
    const conn = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
    const failed = await wrapSocket(conn, {
      serverHostname: "elsewhere.test",
      caCerts: ROOTS,
      trace: (event) => events.push(event),
    }).catch((error) => error);
    assert(failed instanceof Error);
    await server.program.waitFor(/, Alert .*fatal/);
    assertEquals(saidByTrace(events, "sent"), saidByOpenssl(server.program.stdout, "<<<"));
    assertEquals(events.at(-2)!.contentType, "alert");
  });

  Deno.test(`trace: a server of ours sees in TLSv${tls} what openssl s_client -msg reports`, async () => {
    const events: TraceEvent[] = [];
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    await using program = new Program("openssl", [
      ...["s_client", "-connect", `127.0.0.1:${listener.addr.port}`, "-servername", "localhost"],
      ...["-CAfile", ROOTS, `-tls1_${tls.at(-1)}`, "-msg"],
    ], { lineBuffered: true });
    const conn = await listener.accept();
    listener.close();
    const socket = await wrapSocket(conn, {
      serverSide: true,
      certfile: certFile("ec.pem"),
      keyfile: certFile("ec.key"),
      trace: (event) => events.push(event),
    });
    await send(socket, "hello\n");
    await program.waitFor(/^hello$/m);
    await program.closeStdin();
    await receive(socket);
    await socket.close();
    assertEquals(await program.exit(), 0);
    assertEquals(saidByTrace(events, "received"), saidByOpenssl(program.stdout, ">>>"));
    const sent = saidByTrace(events, "sent").filter((line) => !line.includes("close_notify")); // it does not wait
    assertEquals(sent, saidByOpenssl(program.stdout, "<<<"));
  });
}
