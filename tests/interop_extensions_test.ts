/** ALPN, SNI, and the sizes of records, as the peers see them. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { type Duplex, SSLError, wrapSocket } from "tlsio";
import {
  clientOptions,
  closeInOrder,
  infoOf,
  receive,
  ROOTS,
  send,
  tlsioClient,
  tlsioServer,
} from "./interop.ts";
import {
  certFile,
  curl,
  denoClient,
  denoServer,
  gnutlsClient,
  handleProtocol,
  identity,
  nodeClient,
  nodeServer,
  opensslClient,
  opensslServer,
  type PeerInfo,
  pythonClient,
  pythonServer,
  runSteps,
} from "./peers.ts";

const VERSIONS = ["1.2", "1.3"] as const;
const CLIENTS = { "python ssl": pythonClient, "node tls": nodeClient };
const SERVERS = { "python ssl": pythonServer, "node tls": nodeServer };

for (const tls of VERSIONS) {
  // ---- ALPN (RFC 7301) ----

  for (const [name, connect] of Object.entries(CLIENTS)) {
    Deno.test(`interop ${name} -> tlsio TLSv${tls} ALPN: the server's order decides, both ends agree`, async () => {
      await using server = await tlsioServer({ alpnProtocols: ["h2", "http/1.1"] });
      const at = { port: server.port, ca: ROOTS, tls };
      const both = await connect({ ...at, alpn: ["http/1.1", "h2"] });
      const none = await connect(at);
      assertEquals([both.connections[0]?.alpn, none.connections[0]?.alpn], ["h2", null]);
      assertEquals((await server.served(2)).map(({ alpn }) => alpn), ["h2", null]);
    });
  }

  for (const [name, start] of Object.entries(SERVERS)) {
    Deno.test(`interop tlsio -> ${name} TLSv${tls} ALPN and SNI: both ends agree`, async () => {
      await using server = await start({ ...identity("ec"), tls, alpn: ["h2", "http/1.1"] });
      const visits = [
        { alpnProtocols: ["http/1.1"], serverHostname: "example.test" },
        { alpnProtocols: ["x", "h2"], serverHostname: "A.Wild.Test." }, // normalised
        { serverHostname: "127.0.0.1" }, // RFC 6066 section 3: no SNI for an address
      ];
      const seen: unknown[] = [];
      for (const options of visits) {
        const socket = await tlsioClient(server.port, options);
        const [step] = await runSteps(socket, ["INFO"]);
        seen.push([socket.selectedAlpnProtocol() ?? null, step?.info?.alpn, step?.info?.sni]);
        await closeInOrder(socket);
      }
      assertEquals(seen, [
        ["http/1.1", "http/1.1", "example.test"],
        ["h2", "h2", "a.wild.test"],
        [null, null, null],
      ]);
    });
  }

  Deno.test(`interop openssl s_client -> tlsio TLSv${tls} no ALPN protocol in common: alert no_application_protocol`, async () => {
    await using server = await tlsioServer({ alpnProtocols: ["h2"] });
    const client = await opensslClient({ port: server.port, ca: ROOTS, tls, alpn: ["http/1.1"] });
    assertMatch(client.stderr, /alert no application protocol/);
    const error = await server.failed() as SSLError;
    assertEquals([error.kind, error.reason], ["protocol", "MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL"]);
  });

  Deno.test(`interop tlsio -> openssl s_server TLSv${tls} no ALPN protocol in common: its alert is the error`, async () => {
    await using server = await opensslServer({ ...identity("ec"), tls, alpn: ["h2"] });
    const error = await assertRejects(
      () => tlsioClient(server.port, { alpnProtocols: ["http/1.1"] }),
      SSLError,
    );
    assertEquals([error.kind, error.alert?.name], ["alert", "no_application_protocol"]);
  });

  Deno.test(`interop tlsio -> python ssl TLSv${tls} no ALPN protocol in common, server ignores: none selected`, async () => {
    await using server = await pythonServer({ ...identity("ec"), tls, alpn: ["h2"] });
    const socket = await tlsioClient(server.port, { alpnProtocols: ["http/1.1"] });
    assertEquals(socket.selectedAlpnProtocol(), undefined);
    await closeInOrder(socket);
  });

  // ---- Sizes of records ----

  for (const size of [512, 4096] as const) {
    // RFC 6066 section 4. mbedTLS does not agree to it in TLS 1.3, as a server may.
    const bound = tls === "1.2" ? size : 16384;

    Deno.test(`interop openssl s_client -maxfraglen ${size} -> tlsio TLSv${tls}: ${bound} bytes a record at most`, async () => {
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const client = opensslClient({
        port: listener.addr.port,
        ca: ROOTS,
        tls,
        args: ["-maxfraglen", String(size)],
        input: "SOURCE 100000 7\nINFO\n",
        until: /"version"/,
      });
      const spy = new RecordSpy(await listener.accept());
      const identity = { certfile: certFile("ec.pem"), keyfile: certFile("ec.key") };
      const serve = async () => {
        await using socket = await wrapSocket(spy, { serverSide: true, ...identity });
        await handleProtocol(socket, () => infoOf(socket) as PeerInfo);
      };
      const [{ code }] = await Promise.all([client, serve()]);
      assertEquals(code, 0);
      assert(spy.longestSent > bound / 2 && spy.longestSent <= bound + OVERHEAD, `${spy.longestSent}`);
    });

    const speaks = tls === "1.2" ? "1.2" : "both"; // a client that asks for it may leave out TLS 1.3
    Deno.test(`interop tlsio maxFragmentLength ${size} -> openssl s_server TLS ${speaks}: ${size} bytes a record at most, both ways`, async () => {
      await using server = await opensslServer({ ...identity("ec"), tls: speaks });
      const spy = new RecordSpy(await Deno.connect({ hostname: "127.0.0.1", port: server.port }));
      const socket = await wrapSocket(spy, clientOptions({ maxFragmentLength: size }));
      const line = "0123456789".repeat(1500);
      await send(socket, `${line}\n`);
      assertEquals((await receive(socket, /\n/)).length, line.length + 1);
      await closeInOrder(socket);
      for (const longest of [spy.longestReceived, spy.longestSent]) {
        assert(longest > size / 2 && longest <= size + OVERHEAD, `${longest}`);
      }
    });

    // RFC 8449 in TLS 1.3, RFC 6066 in TLS 1.2. GnuTLS refuses a longer record.
    Deno.test(`interop gnutls-cli --recordsize ${size} -> tlsio TLSv${tls}: no longer record is sent`, async () => {
      await using server = await tlsioServer();
      const client = await gnutlsClient({
        port: server.port,
        ca: ROOTS,
        tls,
        args: ["--recordsize", String(size)],
        input: "SOURCE 100000 7\nECHO 6 0\nhello\n",
        until: /hello\n$/,
      });
      assertEquals(client.code, 0, client.stderr);
      assertEquals((await server.served(1))[0]?.ended, "eof");
    });
  }
}

/** Most that a record adds to its plaintext: explicit nonce or IV, padding, tag or MAC. */
const OVERHEAD = 64;

/** Passes bytes on, and measures the records in them. */
class RecordSpy implements Duplex {
  longestSent = 0;
  longestReceived = 0;
  readonly #conn: Deno.Conn;
  readonly #sent = new RecordLengths();
  readonly #received = new RecordLengths();

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  async read(p: Uint8Array<ArrayBuffer>): Promise<number | null> {
    const n = await this.#conn.read(p);
    const longest = this.#received.add(p.subarray(0, n ?? 0));
    this.longestReceived = Math.max(this.longestReceived, longest);
    return n;
  }

  async write(p: Uint8Array<ArrayBuffer>): Promise<number> {
    const n = await this.#conn.write(p);
    this.longestSent = Math.max(this.longestSent, this.#sent.add(p.subarray(0, n)));
    return n;
  }

  close(): void {
    this.#conn.close();
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }
}

/** Follows the headers of records in one direction (RFC 8446 section 5.1). */
class RecordLengths {
  #header: number[] = [];
  #left = 0;

  /** Takes more bytes; returns the longest length that was announced in them. */
  add(bytes: Uint8Array): number {
    let longest = 0;
    for (let at = 0; at < bytes.length;) {
      const skipped = Math.min(this.#left, bytes.length - at);
      this.#left -= skipped;
      at += skipped;
      if (at === bytes.length) break;
      this.#header.push(bytes[at++]!);
      if (this.#header.length < 5) continue;
      this.#left = this.#header[3]! * 256 + this.#header[4]!;
      longest = Math.max(longest, this.#left);
      this.#header = [];
    }
    return longest;
  }
}

// ---- The rest of the peers ----

Deno.test("interop curl, Deno -> tlsio ALPN: agreed", async () => {
  await using server = await tlsioServer({ alpnProtocols: ["http/1.1", "x"] });
  const { alpn } = await denoClient({ port: server.port, alpn: ["x"] });
  assertEquals(alpn, "x");
  const { stderr } = await curl(`https://localhost:${server.port}/`, ROOTS, ["--verbose"]);
  assertMatch(stderr, /ALPN: server accepted http\/1.1/);
});

Deno.test("interop tlsio -> Deno.listenTls ALPN: agreed", async () => {
  await using server = denoServer({ ...identity("ec"), alpn: ["h2", "http/1.1"] });
  const socket = await tlsioClient(server.port, { alpnProtocols: ["http/1.1"] });
  assertEquals(socket.selectedAlpnProtocol(), "http/1.1");
  await closeInOrder(socket);
});
