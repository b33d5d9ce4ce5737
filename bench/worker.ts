/**
 * The handler of a server with workers, which import this module for it: `worker.ts?work=5` computes for 5 ms first.
 *
 * @module
 */

import type { ClientConnected } from "tlsio";
import { connOf } from "./peers_tlsio.ts";
import { compute, serve } from "./workload.ts";

const work = Number(new URL(import.meta.url).searchParams.get("work")); // milliseconds

const handler: ClientConnected = (reader, writer) => {
  compute(work);
  return serve(connOf(reader, writer));
};
export default handler;
