/**
 * HTTPS servers for `(Request) => Response` handlers, over TLS of tlsio.
 *
 * @example A server
 * ```ts no-assert ignore
 * import { serve } from "tlsio/http";
 *
 * await serve((request, info) => new Response(`Hello over ${info.tls?.version} at ${new URL(request.url).pathname}`), {
 *   port: 8443,
 *   ssl: { certfile: "cert.pem", keyfile: "key.pem" },
 * });
 * ```
 *
 * @module
 */
export {
  type HttpHandler,
  type HttpServeOptions,
  HttpServer,
  type HttpServerStats,
  serve,
  type ServeInfo,
  type ServeTlsInfo,
} from "./lib/http.ts";
