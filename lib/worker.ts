/**
 * The entry module of a server's Worker: imports the handler's module, serves with it on the port that all of them share,
 * and does what the `WorkerServer` says. Nobody imports it.
 *
 * It loads a core of its own: that takes 4 to 8 ms of its start, hardly more than to be sent the compiled module would.
 *
 * @module
 */

import type { HttpHandler, HttpServeOptions } from "./http.ts";
import type { ClientConnected, StartServerOptions } from "./net.ts";
import type { ConnectionFailure, Server } from "./server.ts";
import type { ServerStats } from "./server_stats.ts";
import { TicketKeyRing } from "./tickets.ts";
import { typeName } from "./bytes.ts";
import { wipe } from "./worker_context.ts";
import { type Command, errorData, locks, type Report, type Start } from "./worker_messages.ts";

/** What both kinds of server have. */
type Running =
  & AsyncDisposable
  & Pick<Server, "setContext">
  & { readonly addr: Deno.Addr; readonly stats: ServerStats };
type Tell = (report: Report) => void;

globalThis.addEventListener("message", (event) => begin((event as MessageEvent<Start>).data), { once: true });

function begin(start: Start): void {
  const { port } = start;
  const tell: Tell = (report) => port.postMessage(report);
  const ring = TicketKeyRing.from(start.keys, { rotateEvery: Infinity }); // it follows the rotation of the first one
  start.keys.fill(0);
  TicketKeyRing.share(ring); // with contexts that the handler's module makes, too

  const loaded = Promise.withResolvers<boolean>(); // whether the module brings its own context
  let closing = false;
  let starting: Promise<Running> | undefined;
  let running: Running | undefined;
  const run = async () => {
    const { serve, hasContext } = await load(start, tell);
    if (closing) return;
    starting = serve();
    loaded.resolve(hasContext);
    running = await starting;
    tell({ type: "listening", addr: running.addr as Deno.NetAddr });
  };
  const close = async () => {
    closing = true;
    const server = await starting?.catch(() => undefined); // run() tells of it
    await server?.[Symbol.asyncDispose]();
    ring[Symbol.dispose]();
    tell({ type: "closed", stats: running?.stats });
  };

  const setContext = async (ssl: Record<string, unknown>) => {
    try {
      if (await loaded.promise) throw new TypeError("Cannot use ssl: the handler's module exports its own");
      await (await starting!).setContext(ssl);
    } finally {
      wipe({ ssl });
    }
  };

  const onUncaught = (error: unknown) =>
    tell({ type: "uncaught", error: errorData(error), stats: running?.stats });
  globalThis.addEventListener("error", (event) => onUncaught(event.error));
  globalThis.addEventListener("unhandledrejection", (event) => onUncaught(event.reason));
  port.onmessage = ({ data }: MessageEvent<Command>) => {
    switch (data.type) {
      case "keys":
        ring.load(data.keys);
        data.keys.fill(0);
        break;
      case "stats":
        tell({ type: "stats", id: data.id, stats: running?.stats });
        break;
      case "context":
        setContext(data.ssl).then(() => undefined, errorData).then((error) =>
          tell({ type: "context", id: data.id, error })
        );
        break;
      case "close":
        close();
    }
  };
  locks.request(start.lock, () => {
    tell({ type: "alive" });
    run().catch((error) => tell({ type: "failed", error: errorData(error) }));
    return new Promise(() => {}); // the lock is held until this Worker ends, whatever ends it
  });
}

/** Loads what the server needs; `serve` starts it. */
async function load(
  { kind, module, options, report }: Start,
  tell: Tell,
): Promise<{ serve: () => Promise<Running>; hasContext: boolean }> {
  const { handler, own } = await importHandler(module);
  const { hostname, port, backlog } = options;
  const where = { hostname, port, reusePort: true, ...(backlog !== undefined && { backlog }) };
  const onFailure = (error: unknown, failure: ConnectionFailure) =>
    tell({ type: "failure", error: errorData(error), failure });
  const told = report ? { [kind === "http" ? "onConnectionError" : "onError"]: onFailure } : {};
  const all = { ...told, ...options, ...own, ...where };
  const start = kind === "http"
    ? await import("./http.ts").then(({ serve }) => () =>
      serve(handler as HttpHandler, all as HttpServeOptions)
    )
    : await import("./net.ts").then(({ startServer }) => () =>
      startServer(handler as ClientConnected, all as StartServerOptions)
    );
  const serve = async () => {
    try {
      return await start();
    } finally {
      wipe(options); // the context has its own copy
    }
  };
  return { serve, hasContext: "ssl" in own };
}

async function importHandler(module: string): Promise<{ handler: unknown; own: object }> {
  let exported: { default?: unknown; options?: unknown };
  try {
    exported = await import(module);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new TypeError(`Cannot import the handler's module "${module}": ${message}`);
  }
  const { default: handler, options = {} } = exported;
  if (typeof handler !== "function") {
    throw new TypeError(
      `Cannot use the handler's module "${module}": expected a function as its default export, got ${
        typeName(handler)
      }`,
    );
  }
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `Cannot use the handler's module "${module}": expected an object as its export options, got ${
        typeName(options)
      }`,
    );
  }
  return { handler, own: options };
}
