/** What server programs need besides a process: a port, a folder, and a way to know that they listen. */
import type { Program } from "./process.ts";

/** A temporary folder that goes with its scope: `await using dir = await tempDir()`. */
export async function tempDir(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempDir({ prefix: "tlsio_test_" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** A running server program on a port of 127.0.0.1. */
export interface Server extends AsyncDisposable {
  readonly port: number;
  readonly program: Program;
}

/**
 * Waits until a server program listens; ends it when it does not.
 *
 * @param line What it prints then. The first group is the port, unless `port` is known.
 */
export async function listening(program: Program, line: RegExp, port?: number): Promise<Server> {
  try {
    const match = await program.waitFor(line);
    const server = { port: port ?? Number(match[1]), program };
    return { ...server, [Symbol.asyncDispose]: () => program[Symbol.asyncDispose]() };
  } catch (error) {
    await program[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Starts a server that wants to be told its port. The port was free a moment ago; when something took it
 * meanwhile, the server ends, and another port is tried.
 *
 * @param start Starts the program on the port and waits until it listens; throws when it does not.
 */
export async function onFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let attempt = 1;; attempt++) {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const port = listener.addr.port;
    listener.close();
    try {
      return await start(port);
    } catch (error) {
      const taken = error instanceof Error && /in use|EADDRINUSE|bind\(\) failed/i.test(error.message);
      if (!taken || attempt === 3) throw error;
    }
  }
}
