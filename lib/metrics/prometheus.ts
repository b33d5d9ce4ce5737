/**
 * {@linkcode metricsText}: what a server counts, as Prometheus and its like read it.
 *
 * @module
 */

import { typeName } from "../bytes.ts";
import { type AnyStats, HANDSHAKE_TIME, type Labels, METRICS } from "./table.ts";

/**
 * What a server counts, in the text format that Prometheus reads (version 0.0.4): for `/metrics`, as `text/plain`. The names
 * begin with `tlsio_`.
 *
 * @param stats `server.stats`, or `await server.stats()` of one with workers.
 * @param labels Names and values that every line has, such as which server it is.
 * @returns The text.
 * @throws {TypeError} If the name of a label is none.
 *
 * @example
 * ```ts
 * import { createCertificate, startServer } from "tlsio";
 * import { metricsText } from "tlsio/metrics";
 * import { assertMatch } from "@std/assert";
 *
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
 * const ssl = { certfile: certificate, keyfile: key };
 * await using server = await startServer(() => {}, { hostname: "127.0.0.1", port: 0, ssl });
 * assertMatch(metricsText(server.stats, { host: "a" }), /^tlsio_connections_accepted_total\{host="a"\} 0$/m);
 * ```
 */
export function metricsText(stats: AnyStats, labels: Labels = {}): string {
  for (const name of Object.keys(labels)) {
    if (!/^(?!__)[a-zA-Z_]\w*$/.test(name)) {
      throw new TypeError(`Cannot use labels: "${name}" is no name of a label`);
    }
    if (typeof labels[name] !== "string") {
      throw new TypeError(`Cannot use labels: expected text for "${name}", got ${typeName(labels[name])}`);
    }
  }
  const lines: string[] = [];
  const line = (name: string, value: number, own: Labels = {}) => {
    const all = Object.entries({ ...labels, ...own }).map(([label, text]) => `${label}="${escaped(text)}"`);
    lines.push(`${name}${all.length === 0 ? "" : `{${all.join(",")}}`} ${value}`);
  };
  const head = (name: string, help: string, type: string) =>
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);

  for (const { name, kind, unit, help, read } of METRICS) {
    const samples = read(stats);
    if (samples.length === 0) continue;
    const ending = `${unit === "By" ? "_bytes" : ""}${kind === "counter" ? "_total" : ""}`;
    const full = `tlsio_${name.replaceAll(".", "_")}${ending}`;
    head(full, help, kind);
    for (const sample of samples) line(full, sample.value, sample.labels);
  }
  const full = `tlsio_${HANDSHAKE_TIME.name.replaceAll(".", "_")}_seconds`;
  const { count, sum, buckets } = stats.handshakeTime;
  head(full, HANDSHAKE_TIME.help, "histogram");
  const bounds = Object.entries(buckets).sort(([a], [b]) => bound(a) - bound(b));
  for (const [le, n] of bounds) line(`${full}_bucket`, n, { le });
  line(`${full}_sum`, sum);
  line(`${full}_count`, count);
  return `${lines.join("\n")}\n`;
}

function bound(name: string): number {
  return name === "+Inf" ? Infinity : Number(name);
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
