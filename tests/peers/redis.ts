/** Redis, and HAProxy as a balancer of connections (layer 4). */
import { Program } from "./process.ts";
import { listening, onFreePort, type Server, tempDir } from "./server.ts";

/**
 * Starts Redis in the foreground, in memory alone.
 *
 * @param port Where; 0: where there is room.
 * @param more Arguments.
 */
export async function redisServer(port = 0, more: readonly string[] = []): Promise<Server> {
  const start = async (port: number) => {
    const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", ...more];
    return await listening(new Program("redis-server", args), /Ready to accept connections/, port);
  };
  return port === 0 ? await onFreePort(start) : await start(port);
}

/** Starts HAProxy: each connection goes to the next of `servers` (ports of 127.0.0.1) that listens. */
export async function haproxy(servers: readonly number[]): Promise<Server> {
  const dir = await tempDir();
  try {
    return await onFreePort(async (port) => {
      const file = `${dir.path}/haproxy.cfg`;
      await Deno.writeTextFile(
        file,
        `defaults
  mode tcp
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  retries 3
  option redispatch 1
listen fleet
  bind 127.0.0.1:${port}
  balance roundrobin
${servers.map((port, i) => `  server s${i} 127.0.0.1:${port}\n`).join("")}`,
      );
      const program = new Program("haproxy", ["-db", "-V", "-f", file]);
      const server = await listening(program, /^Using \w+\(\) as the polling mechanism/m, port);
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
