/** What the tests of workers share. */

import { startServer, type StartServerOptions } from "../../lib/net.ts";
import type { WorkerOptions, WorkerServer } from "../../lib/workers.ts";
import { CREDENTIAL, LONG } from "../sockets.ts";

/** The module of a callback that knows some commands. */
export const STREAMS = new URL("./streams.ts", import.meta.url);

/** Two workers on a port of 127.0.0.1. */
export function working(
  options: Partial<StartServerOptions & WorkerOptions> = {},
  module: string | URL = STREAMS,
): Promise<WorkerServer> {
  return startServer(module, {
    hostname: "127.0.0.1",
    port: 0,
    workers: 2,
    ssl: CREDENTIAL,
    sslShutdownTimeout: LONG,
    ...options,
  });
}
