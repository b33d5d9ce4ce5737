/**
 * What a TLS handshake costs, and what that means on a small device or a slow network: counted, never timed, so that it says the
 * same on every machine.
 *
 * `measure: true` counts; `cost()` of a socket or an engine says what came of it. {@linkcode assertHandshakeCost} holds it to a
 * budget, {@linkcode estimate} says what it would take on a device, {@linkcode modelHandshake} over a network,
 * {@linkcode resumptionReport} what resumption saves. {@linkcode networkCost} counts what another program's `trace` has seen.
 *
 * @example A test that says what a handshake may cost
 * ```ts
 * import { createCertificate, startServer, SSLContext } from "tlsio";
 * import { assertHandshakeCost } from "tlsio/cost";
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
 * const ssl = { certfile: certificate, keyfile: key };
 * await using server = await startServer((_, writer) => writer.close(), { hostname: "127.0.0.1", port: 0, ssl });
 * const { port } = server.addr as Deno.NetAddr;
 *
 * using context = await SSLContext.create({ caCerts: certificate, measure: true });
 * const conn = await Deno.connect({ hostname: "127.0.0.1", port });
 * await using socket = await context.wrapSocket(conn, { serverHostname: "localhost" });
 * assertHandshakeCost(socket, { maxRoundTrips: 1, maxBytesDown: 1200, maxPeakHeap: 65536 });
 * ```
 *
 * @module
 */

// What was counted
export type {
  Bulk,
  ConnectionCost,
  Curve,
  HandshakeCost,
  HeapCost,
  Operation,
  TotalCost,
  WorkCost,
} from "./lib/cost/cost.ts";
export {
  type Flight,
  type FlightMessage,
  type NetworkCost,
  networkCost,
  type NetworkCostOptions,
  NetworkCounter,
  type Traffic,
  type Way,
} from "./lib/cost/network_cost.ts";
export type { TraceContent, TraceEvent } from "./lib/trace.ts";
export type { EngineState } from "./lib/engine_state.ts";

// What it may cost
export {
  assertHandshakeCost,
  type BudgetExcess,
  type HandshakeBudget,
  HandshakeBudgetError,
  type HandshakeCostSource,
  type HandshakeLimit,
} from "./lib/cost/budget.ts";

// What it would take on a device, or over a network
export { type Device, deviceNames, resolveDevice } from "./lib/cost/device.ts";
export {
  type Estimate,
  estimate,
  type EstimateGroup,
  type EstimateOptions,
  type EstimatePart,
} from "./lib/cost/estimate.ts";
export { type Figure, type Range, RELIABILITY, type Reliability } from "./lib/cost/figure.ts";
export {
  type Link,
  linkNames,
  modelHandshake,
  type ModelledFlight,
  type ModelledHandshake,
  resolveLink,
} from "./lib/cost/link.ts";
export {
  type ReconnectPlan,
  type ResumptionReport,
  resumptionReport,
  type Saving,
} from "./lib/cost/resumption.ts";
