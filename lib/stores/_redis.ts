/**
 * Redis' own client of JavaScript, and the bytes that it takes. A module that is imported from a URL does not see the import
 * map, so the specifiers are whole.
 *
 * The client can use OpenTelemetry's API. Where that is loaded later, by `tlsio/metrics`, Deno 2.9 looks for the client in
 * a folder that it has not made; so it is named first, in the release that `tlsio/metrics` has.
 */
// deno-lint-ignore no-import-prefix -- see above
import "npm:@opentelemetry/api@1.9.0";
export { Buffer } from "node:buffer";
export { createClient, RESP_TYPES } from "npm:@redis/client@6.3.1";
