/** `tlsio serve --trace`: the handshake of each connection, as text, as lines of JSON, as pages. */

import type { Duplex } from "../duplex.ts";
import type { ServeOptions } from "../server.ts";
import type { SSLSocket } from "../socket.ts";
import type { TraceEvent } from "../trace.ts";
import { CommandError, type Flags, type Values } from "./flags.ts";
import { openToAppend } from "./output_file.ts";
import { oneLine, systemReason } from "./terminal.ts";
import { PageDrawer, type Traced } from "./trace_page.ts";
import { TraceRecorder } from "./trace_recorder.ts";
import { renderConnection } from "./trace_text.ts";
import { warmUp } from "./warm_up.ts";

const PAGES_MAX = 100; // files in the folder: the newest of them, so that a server can run for days
const WAITING_MAX = 10; // pages to draw: each takes a tenth of a second, and a crowd of clients must not pile them up

/** The flags. */
export const TRACE_FLAGS = {
  "trace": { help: "show the handshake of each connection, message by message" },
  "trace-json": { value: "<file>", help: "add it to this file, a line of JSON for each connection" },
  "trace-html": {
    value: "<dir>",
    help: `draw it in this folder, a page for each of the last ${PAGES_MAX} connections`,
  },
} as const satisfies Flags;

/** Watches the handshake of one connection. */
export interface Watch {
  /** What TLS is to use in place of the connection, and to tell of what passes. */
  readonly conn: Duplex;
  readonly trace: (event: TraceEvent) => void;
  /** The handshake is done. */
  done(socket: SSLSocket): void;
  /** It has failed. */
  failed(error: unknown): void;
}

/** Where traces go. */
export class ServeTrace implements AsyncDisposable {
  readonly #text: boolean;
  readonly #json: Deno.FsFile | undefined;
  readonly #folder: string | undefined;
  readonly #drawer = new PageDrawer();
  #count = 0;
  #waiting = 0;
  #drawing: Promise<void> = Promise.resolve();

  private constructor(text: boolean, json: Deno.FsFile | undefined, folder: string | undefined) {
    this.#text = text;
    this.#json = json;
    this.#folder = folder;
  }

  /**
   * Opens what the flags name; `undefined`: they ask for nothing.
   *
   * @throws {CommandError} If it cannot be written; the message names it.
   */
  static async open(values: Values<typeof TRACE_FLAGS>): Promise<ServeTrace | undefined> {
    const { trace = false, "trace-json": json, "trace-html": folder } = values;
    if (!trace && json === undefined && folder === undefined) return undefined;
    if (folder !== undefined) await makeFolder(folder);
    const file = json === undefined ? undefined : await openToAppend(json);
    await warmUp();
    return new ServeTrace(trace, file, folder);
  }

  /** For `startServer()` and `serve()`. */
  readonly wrap: NonNullable<ServeOptions["wrap"]> = async (context, conn, options) => {
    const watch = this.watch(conn);
    try {
      const socket = await context.wrapSocket(watch.conn, { ...options, trace: watch.trace });
      watch.done(socket);
      return socket;
    } catch (error) {
      watch.failed(error);
      throw error;
    }
  };

  /** Begins with a connection. */
  watch(conn: Duplex): Watch {
    const recorder = new TraceRecorder("server");
    const { hostname: address = null, port = null } = (conn.remoteAddr ?? {}) as Partial<Deno.NetAddr>;
    let shown = false;
    const show = () => {
      if (shown) return;
      shown = true;
      recorder.stop();
      this.#show({
        recorder,
        connection: recorder.result({ address, port, lookupMs: null, connectMs: null }),
      });
    };
    return {
      conn: recorder.tap(conn),
      trace: recorder.trace,
      done(socket) {
        recorder.agreed(socket);
        show();
      },
      failed(error) {
        if (!shown) recorder.fail(error);
        show();
      },
    };
  }

  /** A file that cannot be written is said; the server goes on. */
  #show(traced: Traced): void {
    try {
      if (this.#text) console.log(`${renderConnection(traced.connection)}\n`);
      const line = new TextEncoder().encode(`${JSON.stringify(traced.connection)}\n`);
      for (let at = 0; this.#json !== undefined && at < line.length;) {
        at += this.#json.writeSync(line.subarray(at));
      }
    } catch (error) {
      console.error(`tlsio serve: Cannot write --trace-json: ${systemReason(error)}`);
    }
    if (this.#folder === undefined) return;
    if (this.#waiting >= WAITING_MAX) {
      return console.error("tlsio serve: no page for a connection: too many at once");
    }
    this.#waiting++;
    this.#drawing = this.#drawing.then(() => this.#draw(this.#folder!, traced))
      .catch((error) => console.error(`tlsio serve: Cannot draw a trace: ${oneLine(error)}`))
      .finally(() => this.#waiting--);
  }

  async #draw(folder: string, traced: Traced): Promise<void> {
    const name = (number: number) => `${folder}/connection-${String(number).padStart(6, "0")}.html`;
    const number = ++this.#count;
    const { address, port } = traced.connection;
    await Deno.writeTextFile(
      name(number),
      await this.#drawer.draw(`a connection from ${address} port ${port}`, [traced]),
    );
    if (number > PAGES_MAX) await Deno.remove(name(number - PAGES_MAX));
  }

  /** Waits for the pages that are to be drawn. */
  async drawn(): Promise<void> {
    await this.#drawing;
  }

  /** Closes the file, when all is drawn. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.drawn();
    this.#drawer[Symbol.dispose]();
    this.#json?.close();
  }
}

async function makeFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true });
    await Deno.remove(await Deno.makeTempFile({ dir: path })); // whether it can be written, before there is anything to write
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw new CommandError(`Cannot write to the folder "${path}": ${systemReason(error)}`, { cause: error });
  }
}
