/** DTLS 1.2 with programs that no one here wrote, over UDP: fair weather and storm, in both directions. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  connectDtls,
  type ConnectDtlsOptions,
  type DTLSServer,
  type DTLSSocket,
  listenDtls,
  type ListenDtlsOptions,
} from "tlsio/dtls";
import { decodeText, encodeText } from "../lib/bytes.ts";
import { type DatagramProxy, datagramProxy, FAIR, STORM } from "./dtls_network.ts";
import { ROOTS } from "./interop.ts";
import {
  certFile,
  gnutlsClient,
  gnutlsServer,
  identity,
  opensslClient,
  opensslServer,
  PATIENCE,
  type Server,
  tempDir,
  within,
} from "./peers.ts";

const KEY = "00112233445566778899aabbccddeeff0123456789abcdef0123456789abcdef";
const PSK = { identity: "device-7", key: Uint8Array.fromHex(KEY) };
const OPENSSL_PSK = ["-psk", KEY, "-psk_identity", PSK.identity, "-cipher", "ALL:PSK:@SECLEVEL=0"];
const DTLS = ["-dtls1_2"];
/** A storm takes a flight's worth of tries; OpenSSL begins with a second between two, and doubles it. */
const STORM_PATIENCE = 120_000;
/** Ours are quicker: the peer answers them. */
const QUICK = { retransmitAfter: 0.1, retransmitMax: 60, timeout: STORM_PATIENCE / 1000 };

/** What a server of ours saw of one client. */
interface Seen {
  readonly version: string | undefined;
  readonly cipher: string | undefined;
  readonly resumed: boolean;
  readonly alpn: string | undefined;
  readonly client: boolean;
}

/** A server of ours that sends each datagram back in reverse, until the client says goodbye. */
async function reverseServer(
  options: Partial<ListenDtlsOptions> = {},
): Promise<{ server: DTLSServer; port: number; seen: Seen[]; errors: unknown[] } & AsyncDisposable> {
  const own = options.psk === undefined ? { certfile: certFile("ec.pem"), keyfile: certFile("ec.key") } : {};
  const errors: unknown[] = [];
  const server = await listenDtls({
    hostname: "127.0.0.1",
    port: 0,
    timeout: 60,
    onError: (error) => errors.push(error),
    ...own,
    ...options,
  });
  const seen: Seen[] = [];
  const serve = async (socket: DTLSSocket) => {
    await using _ = socket;
    seen.push({
      version: socket.version(),
      cipher: socket.cipher()?.name,
      resumed: socket.sessionReused,
      alpn: socket.selectedAlpnProtocol(),
      client: socket.getUnverifiedChain().length > 0,
    });
    try {
      for (let p = await socket.recv(); p !== null; p = await socket.recv()) {
        await socket.send(encodeText([...decodeText(p).trimEnd()].reverse().join("") + "\n"));
      }
    } catch (error) {
      errors.push(error);
    }
  };
  const serving = (async () => {
    const each: Promise<void>[] = [];
    for await (const socket of server) each.push(serve(socket));
    await Promise.all(each);
  })();
  return {
    server,
    port: (server.addr as Deno.NetAddr).port,
    seen,
    errors,
    async [Symbol.asyncDispose]() {
      await server.close();
      await within(serving, PATIENCE, "wait for the clients of a DTLS server");
    },
  };
}

function connect(port: number, options: Partial<ConnectDtlsOptions> = {}): Promise<DTLSSocket> {
  const trust = options.psk === undefined ? { caCerts: ROOTS } : {};
  return connectDtls({
    hostname: "127.0.0.1",
    port,
    serverHostname: "localhost",
    timeout: 60,
    ...trust,
    ...options,
  });
}

/** Sends a line until the program has printed it, and has the program send one until it has come: both may be lost. */
async function exchange(socket: DTLSSocket, host: Server, tries = 1): Promise<void> {
  const send = async (action: () => Promise<unknown>, arrived: () => Promise<unknown>) => {
    for (let left = tries; left > 0; left--) {
      await action();
      try {
        return await arrived();
      } catch (error) {
        if (left === 1) throw error;
      }
    }
  };
  socket.setTimeout(tries === 1 ? PATIENCE / 1000 : 0.5);
  await send(
    () => socket.send(encodeText("ahoy\n")),
    () => host.program.waitFor(/^ahoy$/m, tries === 1 ? PATIENCE : 500),
  );
  let got = "";
  await send(() => host.program.write("back\n"), async () => {
    while (!got.includes("back\n")) got += decodeText(await socket.recv() ?? encodeText("the end"));
  });
}

// ---- OpenSSL ----------------------------------------------------------------------------------------------

for (const key of ["ec", "rsa"] as const) {
  Deno.test(`interop openssl s_client -dtls1_2 -> tlsio: agreed, data both ways, with an ${key} key`, async () => {
    await using host = await reverseServer({
      certfile: certFile(`${key}.pem`),
      keyfile: certFile(`${key}.key`),
      alpnProtocols: ["coap"],
    });
    const client = await opensslClient({
      port: host.port,
      ca: ROOTS,
      alpn: ["coap"],
      args: DTLS,
      input: "hello\n",
      until: /^olleh$/m,
    });
    assertEquals([client.code, client.verifyCode, client.alpn], [0, 0, "coap"], client.stderr);
    assertMatch(client.stdout, /^ +Protocol +: DTLSv1.2$/m);
    const [seen] = host.seen;
    assertEquals([seen?.version, seen?.alpn, host.errors], ["DTLSv1.2", "coap", []]);
  });

  for (const listen of [[], ["-listen"]]) {
    Deno.test(`interop tlsio -> openssl s_server -dtls1_2 ${listen}: agreed, data both ways, with an ${key} key`, async () => {
      await using host = await opensslServer({ ...identity(key), mode: "raw", args: [...DTLS, ...listen] });
      const socket = await connect(host.port);
      assertEquals([socket.version(), socket.verifyFlags], ["DTLSv1.2", 0]);
      await exchange(socket, host);
      await socket.close();
      await host.program.waitFor(/^DONE|CONNECTION CLOSED/m);
    });
  }
}

Deno.test("interop openssl s_client -dtls1_2 -psk -> tlsio: agreed without a certificate", async () => {
  await using host = await reverseServer({ psk: PSK });
  const args = [...DTLS, ...OPENSSL_PSK];
  const client = await opensslClient({ port: host.port, args, input: "hello\n", until: /^olleh$/m });
  assertEquals(client.code, 0, client.stderr);
  assertMatch(host.seen[0]!.cipher!, /PSK/);
});

Deno.test("interop tlsio -> openssl s_server -dtls1_2 -psk: agreed without a certificate", async () => {
  const args = [...DTLS, ...OPENSSL_PSK];
  await using host = await opensslServer({ ...identity("rsa"), mode: "raw", args });
  await using socket = await connect(host.port, { psk: PSK });
  assertMatch(socket.cipher()!.name, /PSK/);
  await exchange(socket, host);
});

Deno.test("interop openssl s_client -dtls1_2 -> tlsio: a client's certificate, and its session resumed", async () => {
  await using dir = await tempDir();
  await using host = await reverseServer({ certReqs: 2, caCerts: ROOTS });
  const own = {
    cert: certFile("client.pem"),
    key: certFile("client.key"),
    port: host.port,
    ca: ROOTS,
    args: DTLS,
  };
  const session = `${dir.path}/session`;
  const say = { input: "hello\n", until: /^olleh$/m };
  const first = await opensslClient({ ...own, ...say, sessionOut: session });
  assertEquals([first.code, first.resumed], [0, false], first.stderr);
  const again = await opensslClient({ ...own, ...say, sessionIn: session });
  assertEquals([again.code, again.resumed], [0, true], again.stderr);
  assertEquals(host.seen.map(({ client, resumed }) => [client, resumed]), [[true, false], [true, true]]);
});

Deno.test("interop tlsio -> openssl s_server -dtls1_2: a client's certificate, and our session resumed", async () => {
  await using host = await opensslServer({
    ...identity("ec"),
    mode: "raw",
    clientAuth: "required",
    clientCa: ROOTS,
    args: DTLS,
  });
  const own = { certfile: certFile("client.pem"), keyfile: certFile("client.key") };
  const first = await connect(host.port, { ...own, mtu: 1500 });
  await exchange(first, host);
  const savedSession = first.session!;
  await first.close();
  await host.program.waitFor(/^DONE|CONNECTION CLOSED/m);
  await using again = await connect(host.port, { ...own, mtu: 1500, savedSession });
  assertEquals(again.sessionReused, true);
});

Deno.test("interop tlsio -> openssl s_server -dtls1_2: fragments of 512 bytes both ways", async () => {
  const args = [...DTLS, "-mtu", "512"];
  await using host = await opensslServer({
    ...identity("chain-leaf"),
    chain: certFile("intermediate.pem"),
    mode: "raw",
    args,
  });
  await using socket = await connect(host.port, { mtu: 512 });
  await exchange(socket, host);
});

Deno.test("interop openssl s_client -dtls1_2 -> tlsio: fragments of 512 bytes both ways", async () => {
  await using host = await reverseServer({
    certfile: certFile("chain.pem"),
    keyfile: certFile("chain.key"),
    mtu: 512,
  });
  const args = [...DTLS, "-mtu", "512"];
  const client = await opensslClient({
    port: host.port,
    ca: ROOTS,
    args,
    input: "hello\n",
    until: /^olleh$/m,
  });
  assertEquals([client.code, client.verifyCode], [0, 0], client.stderr);
});

for (const seed of [1, 2]) {
  Deno.test(`interop openssl s_client -dtls1_2 -> tlsio in a storm: agreed (${seed})`, async () => {
    await using host = await reverseServer({ ...QUICK });
    await using proxy = datagramProxy(host.port, STORM, seed);
    const client = await opensslClient({
      port: proxy.port,
      ca: ROOTS,
      args: DTLS,
      timeoutMs: STORM_PATIENCE,
    });
    assertEquals(client.verifyCode, 0, client.stderr);
    assertMatch(client.stdout, /^ +Protocol +: DTLSv1.2$/m);
    assertStormy(proxy);
  });

  Deno.test(`interop tlsio -> openssl s_server -dtls1_2 in a storm: agreed, data both ways (${seed})`, async () => {
    await using host = await opensslServer({ ...identity("ec"), mode: "raw", args: DTLS });
    await using proxy = datagramProxy(host.port, STORM, seed);
    await using socket = await connect(proxy.port, QUICK);
    await exchange(socket, host, 40);
    assertStormy(proxy);
  });
}

function assertStormy({ seen }: DatagramProxy): void {
  assert(seen.client >= 4 && seen.server >= 3, `datagrams went through the proxy: ${JSON.stringify(seen)}`);
}

// ---- GnuTLS -----------------------------------------------------------------------------------------------

const GNUTLS = "NORMAL:-VERS-ALL:+VERS-DTLS1.2";

Deno.test("interop gnutls-cli --udp -> tlsio: agreed, data both ways", async () => {
  await using host = await reverseServer();
  const client = await gnutlsClient({
    port: host.port,
    ca: ROOTS,
    priority: GNUTLS,
    args: ["--udp"],
    input: "hello\n",
    until: /^olleh$/m,
  });
  assertEquals(client.code, 0, client.stderr);
  assertEquals([host.seen[0]?.version, host.errors], ["DTLSv1.2", []]);
});

Deno.test("interop tlsio -> gnutls-serv --udp: agreed, data both ways", async () => {
  await using host = await gnutlsServer({ ...identity("ec"), priority: GNUTLS, args: ["--udp"] });
  await using socket = await connect(host.port);
  socket.setTimeout(PATIENCE / 1000);
  await socket.send(encodeText("hello\n"));
  assertEquals(decodeText((await socket.recv())!), "hello\n");
});

// ---- Ourselves --------------------------------------------------------------------------------------------

for (const [name, weather] of [["fair weather", FAIR], ["a storm", STORM]] as const) {
  Deno.test(`connectDtls -> listenDtls over UDP in ${name}: agreed, data both ways`, async () => {
    await using host = await reverseServer(QUICK);
    await using proxy = datagramProxy(host.port, weather, 7);
    await using socket = await connect(proxy.port, QUICK);
    socket.setTimeout(0.3);
    let answer: string | undefined;
    for (let tries = 0; answer === undefined && tries < 100; tries++) {
      await socket.send(encodeText("hello\n"));
      answer = await socket.recv().then((p) => p === null ? "the end" : decodeText(p), () => undefined);
    }
    assertEquals(answer, "olleh\n");
  });
}
