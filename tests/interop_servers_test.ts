/** tlsio's client against every server program. */
import { assertEquals, assertInstanceOf } from "@std/assert";
import { SSLSession, type SSLSocket } from "tlsio";
import {
  assertCase,
  type Case,
  caseName,
  CASES,
  cipherFamily,
  closeInOrder,
  infoOf,
  receive,
  send,
  tlsioClient,
  VERSION,
} from "./interop.ts";
import {
  denoServer,
  gnutlsServer,
  identity,
  nginx,
  nodeServer,
  opensslServer,
  type PeerInfo,
  pythonServer,
  runSteps,
  type ScriptServer,
} from "./peers.ts";

/** A server, and what it says of its connections; what it cannot tell is left out. */
interface Host extends AsyncDisposable {
  readonly port: number;
  /** Sends and receives; returns whether the bytes are the expected ones. */
  exchange(socket: SSLSocket): Promise<boolean>;
  /** What it says of its `nth` connection (from 1). */
  tells?(nth: number): Promise<Partial<PeerInfo>>;
  /** Waits until its `nth` connection has ended; returns whether it says that it did so in order. */
  clean?(nth: number): Promise<boolean | undefined>;
}

const STEPS = ["ECHO 100000 7", "SINK 100000 8", "SOURCE 100000 9"];

async function runAll(socket: SSLSocket): Promise<boolean> {
  return (await runSteps(socket, STEPS)).every(({ ok }) => ok);
}

async function scriptHost(starting: Promise<ScriptServer>): Promise<Host> {
  const server = await starting;
  return {
    port: server.port,
    exchange: runAll,
    tells: (nth) => server.event("open", nth),
    clean: async (nth) => (await server.event("closed", nth)).clean,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const HOSTS: Record<string, (at: Case) => Promise<Host>> = {
  async "openssl s_server"({ version: tls, key }) {
    const server = await opensslServer({ ...identity(key), tls, mode: "raw" });
    const { port, program } = server;
    return {
      port,
      async exchange(socket) {
        await send(socket, "from tlsio\n");
        await program.waitFor(/^from tlsio$/m);
        await program.write("from openssl\n");
        return await receive(socket, /\n/) === "from openssl\n";
      },
      async tells(nth) {
        await program.waitFor(new RegExp(`(?:CIPHER is [^]*?){${nth}}from tlsio`));
        const connection = program.stdout.split("CIPHER is ")[nth]!;
        const cipher = connection.split("\n")[0]!;
        const version = cipher.startsWith("TLS_") ? "TLSv1.3" : "TLSv1.2";
        return { version, cipher, resumed: connection.includes("Reused session-id") };
      },
      async clean(nth) {
        await program.waitFor(new RegExp(`(?:DONE\nshutting down SSL\nCONNECTION CLOSED[^]*?){${nth}}`));
        return true; // it says ERROR instead when there was no close_notify
      },
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },

  async "gnutls-serv"({ version: tls, key }) {
    const server = await gnutlsServer({ ...identity(key), tls });
    const { port, program } = server;
    return {
      port,
      async exchange(socket) {
        await send(socket, "from tlsio\n");
        return await receive(socket, /\n/) === "from tlsio\n";
      },
      async tells(nth) {
        await program.waitFor(new RegExp(`(?:Accepted connection[^]*?Channel bindings[^]*?){${nth}}`));
        const connection = program.stdout.split("* Accepted connection")[nth]!;
        const version = `TLSv${connection.match(/^- Version: TLS(.*)$/m)![1]}` as PeerInfo["version"];
        const cipher = connection.match(/^- Cipher: (.*)$/m)![1]!;
        const sni = connection.match(/^- Given server name\[1\]: (.*)$/m)![1]!;
        return { version, cipher, sni, resumed: connection.includes("This is a resumed session") };
      },
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },

  "python ssl": ({ version: tls, key }) => scriptHost(pythonServer({ ...identity(key), tls })),
  "python asyncio": ({ version: tls, key }) =>
    scriptHost(pythonServer({ ...identity(key), tls, style: "asyncio" })),
  "node tls": ({ version: tls, key }) => scriptHost(nodeServer({ ...identity(key), tls })),

  "Deno.listenTls"({ key }) {
    const server = denoServer(identity(key));
    return Promise.resolve({
      port: server.port,
      exchange: runAll,
      [Symbol.asyncDispose]: async () => {
        await server[Symbol.asyncDispose]();
        assertEquals(server.errors, []);
      },
    });
  },

  async nginx({ version: tls, key }) {
    const content = "0123456789".repeat(20_000);
    const server = await nginx({ ...identity(key), tls, files: { "a.txt": content } });
    const told: Partial<PeerInfo>[] = [];
    // It answers a close_notify with none, but sends one when it closes first.
    const get = async (socket: SSLSocket, path: string, end?: RegExp) => {
      const connection = end === undefined ? "close" : "keep-alive";
      await send(socket, `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: ${connection}\r\n\r\n`);
      return (await receive(socket, end)).split("\r\n\r\n")[1]!;
    };
    return {
      port: server.port,
      async exchange(socket) {
        const info = await get(socket, "/info", /client_s_dn=/);
        const word = (name: string) => info.match(new RegExp(`^${name}=(.*)$`, "m"))![1]!;
        const version = word("protocol") as PeerInfo["version"];
        const resumed = word("session_reused") === "r";
        told.push({ version, cipher: word("cipher"), resumed, sni: word("server_name") });
        return await get(socket, "/a.txt") === content;
      },
      tells: (nth) => Promise.resolve(told[nth - 1]!),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
};

for (const [name, start] of Object.entries(HOSTS)) {
  for (const at of CASES) {
    const claim = at.resumed ? "session reused on both sides" : "same suite, exact bytes, clean close";
    Deno.test(`interop tlsio -> ${name} ${caseName(at)}: ${claim}`, async () => {
      await using host = await start(at);
      const sslVersion = VERSION[at.version];
      let session: SSLSession | undefined;
      for (let nth = 1; nth <= (at.resumed ? 2 : 1); nth++) {
        const saved = session && { savedSession: session };
        const socket = await tlsioClient(host.port, {
          ...(name === "Deno.listenTls" && { sslVersion }), // it cannot be told
          ...saved,
        });
        assertCase({ ...at, resumed: nth === 2 }, infoOf(socket));
        assertEquals([socket.verifyFlags, socket.getpeercert()?.subject?.length], [0, 2]);
        assertEquals(await host.exchange(socket), true);
        const theirs = await host.tells?.(nth) ?? {};
        const ours = infoOf(socket);
        assertEquals(theirs.version ?? ours.version, ours.version);
        assertEquals(theirs.resumed ?? ours.resumed, ours.resumed);
        assertEquals(cipherFamily(theirs.cipher ?? ours.cipher), cipherFamily(ours.cipher));
        assertEquals(theirs.sni || "localhost", "localhost"); // Node forgets it when it resumes
        session = socket.session;
        assertInstanceOf(session, SSLSession);
        assertEquals(session.facts.version, `TLSv${at.version}`);
        await closeInOrder(socket);
        assertEquals(await host.clean?.(nth) ?? true, true);
      }
    });
  }
}
