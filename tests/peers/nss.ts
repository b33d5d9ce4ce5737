/** Mozilla's NSS: its own server and client programs, the only peers that still speak static ECDH. */
import { type ClientOptions, type ClientResult, flags, type ServerOptions } from "./options.ts";
import { PATIENCE, Program, run } from "./process.ts";
import { listening, onFreePort, type Server, tempDir } from "./server.ts";

/** The password of the file that takes a key into a database; the database has none. */
const TRANSFER = "tlsio";

async function succeed(name: string, args: string[], stdin = ""): Promise<void> {
  const { code, stdout, stderr } = await run(name, args, { stdin });
  if (code !== 0) throw new Error(`Cannot make a certificate database: ${stdout}${stderr}`);
}

/** Makes a certificate database in the folder `path`. */
export async function nssDatabase(path: string): Promise<string> {
  const db = `sql:${path}`;
  await Deno.mkdir(path, { recursive: true });
  await succeed("certutil", ["-d", db, "-N", "--empty-password"]);
  return db;
}

/** Makes a database trust the authorities of a PEM file: `certutil` takes one at a time. */
export async function nssTrust(db: string, ca: string): Promise<void> {
  const roots = (await Deno.readTextFile(ca)).match(/-----BEGIN[^]*?-----END CERTIFICATE-----/g) ?? [];
  for (const [i, root] of roots.entries()) {
    await succeed("certutil", ["-d", db, "-A", "-a", "-n", `root ${i}`, "-t", "C,,"], root);
  }
}

/** Options of {@linkcode nssServer} and {@linkcode nssClient}. */
export interface NssOptions {
  /** IANA numbers of the TLS 1.2 suites to speak. */
  suites: readonly number[];
}

const only = (suites: readonly number[]) => [
  ...["-V", "tls1.2:tls1.2"],
  ...["-c", suites.map((id) => `:${id.toString(16).padStart(4, "0")}`).join("")],
];

/** Starts `selfserv` with an elliptic-curve key. It answers each request of HTTP/1.0 with the request. */
export async function nssServer(options: Pick<ServerOptions, "cert" | "key"> & NssOptions): Promise<Server> {
  const dir = await tempDir();
  try {
    const db = await nssDatabase(dir.path);
    const file = `${dir.path}/server.p12`;
    const transfer = ["-passout", `pass:${TRANSFER}`, "-name", "server", "-out", file];
    await succeed("openssl", ["pkcs12", "-export", "-in", options.cert, "-inkey", options.key, ...transfer]);
    await succeed("pk12util", ["-d", db, "-i", file, "-W", TRANSFER]);
    const server = await onFreePort((port) => {
      const args = ["-d", db, "-e", "server", "-p", String(port), "-v", ...only(options.suites)];
      return listening(new Program("selfserv", args), /About to call accept/, port);
    });
    return {
      ...server,
      async [Symbol.asyncDispose]() {
        await server[Symbol.asyncDispose]();
        await dir[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await dir[Symbol.asyncDispose]();
    throw error;
  }
}

/** Options of {@linkcode nssClient}. */
export interface NssClientOptions
  extends Pick<ClientOptions, "port" | "servername" | "timeoutMs">, NssOptions {
  /** The authorities of the server's certificate, a path. */
  ca: string;
  /** Sent after the handshake. */
  input: string;
  /** The connection ends when an output matches. */
  until: RegExp;
}

/**
 * Connects with `tstclnt`. Never throws because a handshake fails: see `stderr`. There is no exit status: without input
 * it runs in circles, so it is ended by a signal.
 */
export async function nssClient(options: NssClientOptions): Promise<Omit<ClientResult, "code" | "resumed">> {
  const { servername = "localhost", timeoutMs = PATIENCE } = options;
  await using dir = await tempDir();
  const db = await nssDatabase(dir.path);
  await nssTrust(db, options.ca);
  await using program = new Program("tstclnt", [
    ...flags({ "-d": db, "-h": "127.0.0.1", "-a": servername ?? undefined, "-p": options.port, "-v": true }),
    ...only(options.suites),
  ]);
  await program.write(options.input);
  await program.waitFor(options.until, timeoutMs).catch((error) => {
    if (program.running) throw error; // it ends by itself when the handshake fails: a result
  });
  const { stdout, stderr } = program;
  // "SSL version 3.3 using 128-bit AES with 160-bit SHA1 MAC"
  const [, minor, cipher] = stderr.match(/SSL version 3\.(\d) using (.*)$/m) ?? [];
  return { stdout, stderr, version: minor && `TLSv1.${Number(minor) - 1}`, cipher };
}
