/**
 * What a server counts, for those who watch it: as text for Prometheus, or through OpenTelemetry's API.
 *
 * @example `/metrics`
 * ```ts
 * import { createCertificate, startServer } from "tlsio";
 * import { metricsText } from "tlsio/metrics";
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
 * const ssl = { certfile: certificate, keyfile: key };
 * await using server = await startServer(() => {}, { hostname: "127.0.0.1", port: 0, ssl });
 *
 * const watched = { hostname: "127.0.0.1", port: 0, onListen() {} };
 * await using _metrics = Deno.serve(watched, () => new Response(metricsText(server.stats)));
 * ```
 *
 * @module
 */

export {
  type HasStats,
  type InstrumentOptions,
  type MeterLike,
  observeServer,
  type ObserveServerOptions,
} from "./lib/metrics/opentelemetry.ts";
export { metricsText } from "./lib/metrics/prometheus.ts";
export type { AnyStats, Labels } from "./lib/metrics/table.ts";
