/**
 * {@linkcode observeServer}: what a server counts, for OpenTelemetry.
 *
 * @module
 */

import { typeName } from "../bytes.ts";
import { type AnyStats, HANDSHAKE_TIME, type Labels, type Metric, METRICS, type Sample } from "./table.ts";

/** A server that counts: those of `startServer` and `serve`, with workers too. */
export interface HasStats {
  /** The counts, or what gives them. */
  readonly stats: AnyStats | (() => Promise<AnyStats>);
}

/** What is used of OpenTelemetry's `Meter`. */
export interface MeterLike {
  /** Makes an instrument for what only grows. */
  createObservableCounter(name: string, options: InstrumentOptions): unknown;
  /** Makes an instrument for what goes up and down. */
  createObservableUpDownCounter(name: string, options: InstrumentOptions): unknown;
  // deno-lint-ignore no-explicit-any -- its own types are the package's, which is loaded only when it is used
  /** Calls back when values are wanted. */ addBatchObservableCallback(callback: any, instruments: any): void;
  // deno-lint-ignore no-explicit-any -- likewise
  /** Ends that. */ removeBatchObservableCallback(callback: any, instruments: any): void;
}

/** What an instrument is. */
export interface InstrumentOptions {
  /** One line. */
  description: string;
  /** UCUM. */
  unit: string;
}

/** Options of {@linkcode observeServer}. */
export interface ObserveServerOptions {
  /** The meter. @default {the global one's, named `"tlsio"`} */
  meter?: MeterLike;
  /** Attributes that every value has, such as which server it is. */
  attributes?: Labels;
}

interface Observer {
  observe(instrument: unknown, value: number, attributes: Labels): void;
}

/** The histogram as counters: the API takes single values into a histogram, not what was counted. */
const TIMES: readonly Metric[] = [
  {
    name: `${HANDSHAKE_TIME.name}.bucket`,
    kind: "counter",
    help: `${HANDSHAKE_TIME.help}: how many were at most "le"`,
    read: ({ handshakeTime }) =>
      Object.entries(handshakeTime.buckets).map(([le, value]): Sample => ({ value, labels: { le } })),
  },
  {
    name: `${HANDSHAKE_TIME.name}.sum`,
    kind: "counter",
    unit: "s",
    help: `${HANDSHAKE_TIME.help}: their sum`,
    read: ({ handshakeTime }) => [{ value: handshakeTime.sum }],
  },
];

/**
 * Gives what a server counts to OpenTelemetry, by its API alone: an SDK or exporter is the program's choice. Deno has one of
 * its own, which `OTEL_DENO=true` starts. Nothing is counted twice or asked for until somebody collects.
 *
 * The names begin with `tlsio.`; what is counted is that of `metricsText`.
 *
 * @param server The server.
 * @param options The meter and the attributes.
 * @returns What ends it: dispose of it when the server closes.
 * @throws {TypeError} If it is no server that counts.
 *
 * @example
 * ```ts
 * import { createCertificate, startServer } from "tlsio";
 * import { observeServer } from "tlsio/metrics";
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
 * const ssl = { certfile: certificate, keyfile: key };
 * await using server = await startServer(() => {}, { hostname: "127.0.0.1", port: 0, ssl });
 * using _metrics = await observeServer(server, { attributes: { "service.instance.id": "a" } });
 * ```
 */
export async function observeServer(
  server: HasStats,
  { meter, attributes = {} }: ObserveServerOptions = {},
): Promise<Disposable> {
  if (typeof server?.stats !== "object" && typeof server?.stats !== "function") {
    throw new TypeError(`Cannot use server: expected one with stats, got ${typeName(server)}`);
  }
  const source: MeterLike = meter ?? (await import("./_opentelemetry.ts")).metrics.getMeter("tlsio");
  const instruments = [...METRICS, ...TIMES].map((metric) => {
    const { name, kind, unit = "1", help: description } = metric;
    const create = kind === "counter" ? "createObservableCounter" : "createObservableUpDownCounter";
    return [metric, source[create](`tlsio.${name}`, { description, unit })] as const;
  });
  const callback = async (observer: Observer) => {
    const stats = typeof server.stats === "function" ? await server.stats() : server.stats;
    for (const [{ read }, instrument] of instruments) {
      for (const { value, labels } of read(stats)) {
        observer.observe(instrument, value, { ...attributes, ...labels });
      }
    }
  };
  const all = instruments.map(([, instrument]) => instrument);
  source.addBatchObservableCallback(callback, all);
  return { [Symbol.dispose]: () => source.removeBatchObservableCallback(callback, all) };
}
