/** What the tests of `tlsio serve --profile esp32` share: its lines as facts, clients that stay, and the bytes on the wire. */
import { assert } from "@std/assert";
import { cliServe, type CliServer } from "./cli_helpers.ts";
import { identity, Program } from "./peers.ts";

/** The book's certificate, RSA-2048 and signed by itself, of a device whose profile is `esp32`. */
export function bookServer(args: readonly string[] = [], profile = "esp32"): Promise<CliServer> {
  const { cert, key } = identity("book");
  return cliServe(["--profile", profile, "--cert", cert, "--key", key, ...args]);
}

/** A number of KiB in what the program printed. */
export function kib(text: string, pattern: RegExp): number {
  const [, number] = text.match(pattern) ?? [];
  assert(number !== undefined, `no ${pattern} in ${text}`);
  return Number(number);
}

/** Matches once there are `count` lines with this text. */
export function lines(text: string, count: number): RegExp {
  return new RegExp(`(?:${RegExp.escape(text)}.*\\n[^]*?){${count}}`);
}

/** A client that shakes hands and then says nothing until it is told to ask. */
export class Visitor implements AsyncDisposable {
  readonly program: Program;

  constructor(port: number, args: readonly string[] = []) {
    const connect = ["s_client", "-quiet", "-connect", `127.0.0.1:${port}`, ...args];
    this.program = new Program("openssl", connect, { lineBuffered: true });
  }

  /** Asks for the temperature; waits for the answer. */
  async ask(): Promise<void> {
    await this.program.write("GET /temp HTTP/1.0\r\n\r\n");
    await this.program.waitFor(/"simulated":true/);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.program[Symbol.asyncDispose]();
  }
}

/** Passes a connection on, and keeps what the server sends. */
export async function recorded(port: number): Promise<
  { port: number; answer(): Promise<Uint8Array> } & AsyncDisposable
> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const relayed = (async () => {
    using client = await listener.accept();
    using server = await Deno.connect({ hostname: "127.0.0.1", port });
    const answer: Uint8Array[] = [];
    const up = client.readable.pipeTo(server.writable).catch(() => {});
    const reader = server.readable.getReader();
    const writer = client.writable.getWriter();
    for (;;) {
      const { done, value } = await reader.read().catch(() => ({ done: true, value: undefined }));
      if (done || value === undefined) break;
      answer.push(value.slice());
      await writer.write(value).catch(() => {});
    }
    await writer.close().catch(() => {});
    await up;
    return new Uint8Array(await new Blob(answer as BlobPart[]).arrayBuffer());
  })();
  relayed.catch(() => {}); // told by answer()
  return await Promise.resolve({
    port: listener.addr.port,
    answer: () => relayed,
    async [Symbol.asyncDispose]() {
      listener.close();
      await relayed.catch(() => {});
    },
  });
}
