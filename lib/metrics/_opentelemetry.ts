/**
 * OpenTelemetry's API, which does nothing until the program sets up an SDK, or Deno does. A module that is imported from a URL
 * does not see the import map, so the specifier is whole.
 */
export { metrics } from "npm:@opentelemetry/api@1.9.0";
