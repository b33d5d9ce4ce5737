/** nginx as an HTTPS server, and as an HTTPS client of another server; and curl. */
import type { ServerOptions, Version } from "./options.ts";
import { PATIENCE, Program, run, type RunResult } from "./process.ts";
import { listening, onFreePort, type Server, tempDir } from "./server.ts";

const PROTOCOLS: Record<Version, string> = { "1.2": "TLSv1.2", "1.3": "TLSv1.3", both: "TLSv1.2 TLSv1.3" };

/** Options of {@linkcode nginx}. */
export interface NginxOptions extends Omit<ServerOptions, "args" | "alpn"> {
  /** Files to serve, by name. */
  files?: Record<string, string | Uint8Array<ArrayBuffer>>;
  /** Speak HTTP/2, too (nginx then offers `h2` by ALPN). Default `false`. */
  http2?: boolean;
  /** `/proxy/x` asks this server for `/x` over TLS, and verifies it as "localhost". */
  upstream?: {
    port: number;
    /** The authorities of its certificate, a path. */
    ca: string;
    tls?: Version;
  };
  /** More directives for the `server` block. */
  directives?: string;
}

/** nginx's own words: what `/info` answers, one `name=value` line each. */
const INFO = ["protocol", "cipher", "session_reused", "server_name", "client_verify", "client_s_dn"]
  .map((name) => `${name}=$ssl_${name}\\n`).join("");

function config(port: number, dir: string, options: NginxOptions): string {
  const { clientAuth = "none", upstream } = options;
  // One process, no log files, nothing outside of its folder.
  return `daemon off;
master_process off;
pid ${dir}/pid;
error_log stderr info;
events { worker_connections 512; }
http {
  access_log off;
  default_type text/plain;
  types { text/html html; }
  client_body_temp_path ${dir}/body;
  proxy_temp_path ${dir}/proxy;
  fastcgi_temp_path ${dir}/fastcgi;
  uwsgi_temp_path ${dir}/uwsgi;
  scgi_temp_path ${dir}/scgi;
  client_max_body_size 100m;
  server {
    listen 127.0.0.1:${port} ssl${options.http2 ? " http2" : ""};
    root ${dir}/files;
    ssl_certificate ${options.cert};
    ssl_certificate_key ${options.key};
    ssl_protocols ${PROTOCOLS[options.tls ?? "both"]};
    ssl_session_cache shared:tests:1m;
    ${options.clientCa ? `ssl_client_certificate ${options.clientCa};` : ""}
    ssl_verify_client ${{ none: "off", optional: "optional", required: "on" }[clientAuth]};
    location = /info { return 200 "${INFO}"; }
    ${
    upstream
      ? `location /proxy/ {
      proxy_pass https://127.0.0.1:${upstream.port}/;
      proxy_http_version 1.1;
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
      proxy_ssl_server_name on;
      proxy_ssl_protocols ${PROTOCOLS[upstream.tls ?? "both"]};
      proxy_ssl_trusted_certificate ${upstream.ca};
    }`
      : ""
  }
    ${options.directives ?? ""}
  }
}
`;
}

/** Starts nginx in the foreground, with a configuration of its own. `/` serves `files`, `/info` describes the connection. */
export async function nginx(options: NginxOptions): Promise<Server> {
  const dir = await tempDir();
  try {
    await Deno.mkdir(`${dir.path}/files`);
    for (const [name, content] of Object.entries(options.files ?? {})) {
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      await Deno.writeFile(`${dir.path}/files/${name}`, bytes);
    }
    return await onFreePort(async (port) => {
      const file = `${dir.path}/nginx.conf`;
      await Deno.writeTextFile(file, config(port, dir.path, options));
      const program = new Program("nginx", ["-p", dir.path, "-e", "stderr", "-c", file]);
      // It says so after it has bound its sockets, not before.
      const server = await listening(program, /using the "\w+" event method/, port);
      return {
        port,
        program,
        async [Symbol.asyncDispose]() {
          await server[Symbol.asyncDispose]();
          await dir[Symbol.asyncDispose]();
        },
      };
    });
  } catch (error) {
    await dir[Symbol.asyncDispose]();
    throw error;
  }
}

/**
 * Asks for one URL with curl. Only the machine itself is reached: names of the tests' certificates lead to
 * 127.0.0.1, and proxies are ignored.
 *
 * @param ca The authorities of the server's certificate, a path; none: not verified.
 * @param args More arguments. Useful: `-i`, `--tlsv1.3`, `--tls-max 1.2`, `--cert`, `--key`, `--http1.1`,
 * and a second URL, which shares the connection.
 * @param stdin What `--data-binary @-` and the like read.
 */
export async function curl(
  url: string,
  ca?: string,
  args: readonly string[] = [],
  stdin?: string,
): Promise<RunResult> {
  const port = new URL(url).port;
  return await run("curl", [
    "--silent",
    "--show-error",
    "--noproxy",
    "*",
    "--max-time",
    String(PATIENCE / 1000),
    ...["example.test", "a.wild.test"].flatMap((name) => ["--resolve", `${name}:${port}:127.0.0.1`]),
    ...(ca === undefined ? ["--insecure"] : ["--cacert", ca]),
    ...args,
    url,
  ], stdin === undefined ? {} : { stdin });
}
