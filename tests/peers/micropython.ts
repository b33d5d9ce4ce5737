/** MicroPython's unix build as a peer: its own `tls` module, on Debian's mbedTLS. */
import { scriptFile } from "./options.ts";
import { Program, run } from "./process.ts";

/** Options of {@linkcode micropythonClient} and {@linkcode micropythonServer}. */
export interface MicropythonOptions {
  /** Whom to trust, a path: the peer's certificate is then `CERT_REQUIRED`. */
  ca?: string;
  /** Our certificate and its key, paths. */
  cert?: string;
  key?: string;
  /** Poll a non-blocking socket, the handshake deferred. */
  deferred?: boolean;
  /** Use the streams of its asyncio. */
  asyncio?: boolean;
}

/** What MicroPython found, or what it raised. */
export interface MicropythonResult {
  /** The class of what it raised, such as `"OSError"`, and its `args`: Debian's build has mbedTLS's texts in place of names. */
  error?: string;
  args?: (string | number)[];
  /** The suite, in mbedTLS's spelling, and the version. */
  cipher?: [string, string];
  /** Client, by asyncio: the call that raised. */
  where?: string;
  /** Client: the line that came back. */
  line?: string;
  /** Client: the length of the peer's certificate. */
  peer?: number;
  /** Client: how many bytes `read()` gave behind the line. */
  rest?: number;
  /** Server: how many lines it gave back. */
  lines?: number;
}

/** Runs `micropython_client.py`: it sends a line and reads one. */
export async function micropythonClient(
  options: MicropythonOptions & {
    port: number;
    hostname?: string;
    line?: string;
    ciphers?: string[];
    read?: boolean;
  },
): Promise<MicropythonResult> {
  const args = [scriptFile("micropython_client.py"), JSON.stringify(options)];
  const { stdout, stderr, code } = await run("micropython", args);
  if (!stdout.startsWith("{")) {
    throw new Error(`Cannot run MicroPython: exit status ${code}\n${stdout}${stderr}`);
  }
  return JSON.parse(stdout);
}

/** Starts `micropython_server.py`: it gives back lines in capitals. */
export async function micropythonServer(
  options: MicropythonOptions & { cert: string; key: string },
): Promise<{ port: number; closed(): Promise<MicropythonResult> } & AsyncDisposable> {
  const port = freePort(); // MicroPython's sockets do not tell theirs
  const program = new Program("micropython", [
    scriptFile("micropython_server.py"),
    JSON.stringify({ ...options, port }),
  ]);
  await program.waitFor(/"listening"/);
  return {
    port,
    async closed() {
      const [line] = await program.waitFor(/^\{.*"closed".*\}$/m);
      return JSON.parse(line!);
    },
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
