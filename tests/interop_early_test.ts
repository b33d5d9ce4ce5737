/** 0-RTT early data with programs that no one here wrote. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  type ContextOptions,
  SSLContext,
  type SSLSession,
  type SSLSocket,
  TicketKeyRing,
  type WrapSocketOptions,
} from "tlsio";
import { tlsioClient } from "./interop.ts";
import {
  certFile,
  gnutlsClient,
  gnutlsServer,
  identity,
  opensslClient,
  opensslServer,
  PATIENCE,
  tempDir,
  within,
} from "./peers.ts";

const REQUEST = "early request\n";

// ---- tlsio as the server --------------------------------------------------------------------------------

/** What one connection has brought. */
interface Visit {
  early: string;
  /** Whether it came before the handshake was over. */
  inTime: boolean;
  resumed: boolean;
  /** The first line that read() gave. */
  line: string;
}

/** A server that takes early data, answers it with `answer: `, and each line as it is. */
async function earlyServer(options: ContextOptions = {}) {
  const context = await SSLContext.create({
    serverSide: true,
    certfile: certFile("ec.pem"),
    keyfile: certFile("ec.key"),
    maxEarlyData: 4096,
    tickets: new TicketKeyRing(),
    ...options,
  });
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const visits: Visit[] = [];
  const errors: unknown[] = [];
  const open = new Set<Promise<void>>();
  const accepting = (async () => {
    for await (const conn of listener) {
      const socket = await context.wrapSocket(conn, { doHandshake: false, shutdownTimeout: 5 });
      const visiting: Promise<void> = visit(socket, visits).catch((error) => void errors.push(error));
      open.add(visiting);
      visiting.finally(() => open.delete(visiting));
    }
  })();
  return {
    port: listener.addr.port,
    visits,
    errors,
    async [Symbol.asyncDispose]() {
      listener.close();
      await within(Promise.all([accepting, ...open]), PATIENCE, "end the server");
      context[Symbol.dispose]();
    },
  };
}

async function visit(socket: SSLSocket, visits: Visit[]): Promise<void> {
  const seen: Visit = { early: "", inTime: false, resumed: false, line: "" };
  visits.push(seen);
  try {
    const buffer = new Uint8Array(1024);
    const text = (n: number) => new TextDecoder().decode(buffer.subarray(0, n));
    for (let n; (n = await socket.readEarlyData(buffer)) !== null;) {
      seen.early += text(n);
      seen.inTime ||= socket.version() === undefined;
      await socket.write(new TextEncoder().encode(`answer: ${text(n)}`));
    }
    await socket.handshake();
    seen.resumed = socket.sessionReused;
    await socket.write(new TextEncoder().encode("hello\n"));
    for (let n; (n = await socket.read(buffer)) !== null;) {
      seen.line += text(n);
      await socket.write(buffer.slice(0, n));
    }
  } finally {
    await socket.close();
  }
}

/** Two visits of `openssl s_client`, the second with early data. */
async function opensslVisits(port: number, request: string, second = port) {
  await using dir = await tempDir();
  const [session, file] = [`${dir.path}/session`, `${dir.path}/early`];
  await Deno.writeTextFile(file, request);
  const common = { ca: certFile("roots.pem"), tls: "1.3" } as const;
  await opensslClient({ ...common, port, sessionOut: session });
  return await opensslClient({
    ...common,
    port: second,
    sessionIn: session,
    args: ["-early_data", file],
    input: "later\n",
    until: /^later$/m,
  });
}

Deno.test("interop openssl s_client -early_data -> tlsio: read and answered before the handshake is over", async () => {
  await using server = await earlyServer();
  const { stdout } = await opensslVisits(server.port, REQUEST);
  assertMatch(stdout, /Early data was accepted/);
  assertMatch(stdout, /^answer: early request$/m);
  assertEquals(server.visits[1], { early: REQUEST, inTime: true, resumed: true, line: "later\n" });
});

Deno.test("interop openssl s_client -early_data -> tlsio without its keys: refused, then a full handshake", async () => {
  await using server = await earlyServer();
  for (const maxEarlyData of [4096, 0]) {
    await using other = await earlyServer({ maxEarlyData });
    const { stdout } = await opensslVisits(server.port, REQUEST.repeat(200), other.port);
    assertMatch(stdout, /Early data was rejected/);
    assertEquals(other.visits, [{ early: "", inTime: false, resumed: false, line: "later\n" }]);
  }
});

Deno.test("interop openssl s_client -early_data -> tlsio with other groups: refused after HelloRetryRequest", async () => {
  const tickets = new TicketKeyRing();
  await using server = await earlyServer({ tickets });
  await using other = await earlyServer({ tickets, groups: ["secp384r1"] });
  const { stdout } = await opensslVisits(server.port, REQUEST, other.port);
  assertMatch(stdout, /Early data was rejected/);
  assertEquals(other.visits, [{ early: "", inTime: false, resumed: true, line: "later\n" }]);
});

Deno.test("interop openssl s_client -early_data -> tlsio without maxEarlyData: none is announced", async () => {
  await using server = await earlyServer({ maxEarlyData: 0 });
  const { stdout } = await opensslVisits(server.port, REQUEST);
  assertEquals(stdout.match(/Early data was (accepted|rejected)/), null);
  assertEquals(server.visits[1]?.early, "");
});

Deno.test("interop gnutls-cli --earlydata -> tlsio: read and answered before the handshake is over", async () => {
  await using dir = await tempDir();
  await using server = await earlyServer();
  const file = `${dir.path}/early`;
  await Deno.writeTextFile(file, REQUEST);
  const { stdout } = await gnutlsClient({
    port: server.port,
    ca: certFile("roots.pem"),
    tls: "1.3",
    resume: true,
    args: ["--earlydata", file],
    input: "later\n",
    until: /^later$/m,
  });
  assertMatch(stdout, /^answer: early request$/m);
  assertEquals(server.visits[1], { early: REQUEST, inTime: true, resumed: true, line: "later\n" });
});

// ---- tlsio as the client --------------------------------------------------------------------------------

/** A visit that reads until `until`; returns the socket's facts. */
async function call(port: number, until: RegExp, options: WrapSocketOptions = {}, write = "later\n") {
  const socket = await tlsioClient(port, options);
  if (write !== "") await socket.write(new TextEncoder().encode(write));
  const buffer = new Uint8Array(1024);
  let text = "";
  while (!until.test(text)) {
    const n = await within(socket.read(buffer), PATIENCE, `read ${until}`);
    assert(n !== null, text);
    text += new TextDecoder().decode(buffer.subarray(0, n));
  }
  const { session, earlyDataAccepted, sessionReused } = socket;
  await socket.close();
  return { session: session as SSLSession, earlyDataAccepted, sessionReused, text };
}

Deno.test("interop tlsio earlyData -> openssl s_server -early_data: accepted, and in time", async () => {
  await using server = await opensslServer({
    ...identity("ec"),
    tls: "1.3",
    mode: "raw",
    args: ["-early_data", "-max_early_data", "4096"],
  });
  const earlyData = new TextEncoder().encode(REQUEST);
  const talk = async (options: WrapSocketOptions, nth: number) => {
    const socket = await tlsioClient(server.port, options);
    await server.program.waitFor(new RegExp(`(CIPHER is[^]*){${nth}}`));
    await server.program.write(`hello ${nth}\n`);
    const buffer = new Uint8Array(100);
    const n = await within(socket.read(buffer), PATIENCE, "read");
    assertEquals(new TextDecoder().decode(buffer.subarray(0, n!)), `hello ${nth}\n`);
    const { session, earlyDataAccepted } = socket;
    await socket.write(new TextEncoder().encode(`later ${nth}\n`));
    await server.program.waitFor(new RegExp(`^later ${nth}$`, "m"));
    await socket.close();
    return { savedSession: session!, earlyDataAccepted };
  };
  const first = await talk({ earlyData }, 1);
  assertEquals(first.earlyDataAccepted, false);
  const again = await talk({ savedSession: first.savedSession, earlyData }, 2);
  assertEquals(again.earlyDataAccepted, true);
  assertMatch(server.program.stdout, /Early data received:\nearly request\n[^]*End of early data/);
  // OpenSSL has an anti-replay cache of its own: this session is used up.
  const third = await talk({ savedSession: first.savedSession, earlyData }, 3);
  assertEquals(third.earlyDataAccepted, false);
  assertEquals(server.program.stdout.match(/early request/g)?.length, 3, "each once");
});

Deno.test("interop tlsio earlyData -> another openssl s_server: refused, sent behind the handshake", async () => {
  const args = ["-early_data", "-max_early_data", "4096"];
  await using server = await opensslServer({ ...identity("ec"), tls: "1.3", mode: "raw", args });
  await using other = await opensslServer({ ...identity("ec"), tls: "1.3" });
  const socket = await tlsioClient(server.port);
  await server.program.waitFor(/CIPHER is/);
  await server.program.write("hello\n");
  await within(socket.read(new Uint8Array(10)), PATIENCE, "read");
  const savedSession = socket.session!;
  await socket.close();
  const earlyData = new TextEncoder().encode(REQUEST);
  const visit = await call(other.port, /tseuqer ylrae\n/, { savedSession, earlyData }, "");
  assertEquals([visit.earlyDataAccepted, visit.sessionReused], [false, false]);
});

Deno.test("interop tlsio earlyData -> gnutls-serv --earlydata: accepted", async () => {
  await using server = await gnutlsServer({ ...identity("ec"), tls: "1.3", args: ["--earlydata"] });
  const { session } = await call(server.port, /later\n/);
  const earlyData = new TextEncoder().encode(REQUEST);
  const visit = await call(server.port, /later\n/, { savedSession: session, earlyData });
  assertEquals([visit.earlyDataAccepted, visit.sessionReused], [true, true]);
  assertEquals(visit.text, "later\n", "it takes early data, and does nothing with it");
});
