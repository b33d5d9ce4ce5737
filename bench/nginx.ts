/**
 * nginx as a server of the bench. It speaks HTTP alone: a message to it is a request, bulk is a file.
 *
 * @module
 */

import type { Server } from "./agents.ts";
import { isInstalled } from "./installed.ts";
import { ANSWER, LOOPBACK, type Terms } from "./peer.ts";
import { NotRun } from "./runner.ts";

const FILE_SIZE = 2 ** 31; // bytes, all zero: a file of holes takes no room
const SHARED_MEMORY = "/dev/shm"; // a file on a disk would measure its page cache
const CONNECTIONS_MAX = 16384;
const ATTEMPTS = 5; // free ports to try: another program may take one first
const START_TIMEOUT = 5; // seconds
const POLL = 20; // milliseconds

function config(dir: string, port: number, { identity, version }: Terms): string {
  // One process, no log files, nothing outside of its folder.
  return `daemon off;
master_process off;
worker_rlimit_nofile ${CONNECTIONS_MAX + 64};
pid ${dir}/pid;
error_log stderr crit;
events { worker_connections ${CONNECTIONS_MAX}; }
http {
  access_log off;
  ${
    ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${dir}/${name};`)
      .join(" ")
  }
  keepalive_requests 100000000;
  tcp_nodelay on;
  server {
    listen ${LOOPBACK}:${port} ssl backlog=1024;
    ssl_certificate ${identity.files!.certificate};
    ssl_certificate_key ${identity.files!.key};
    ssl_protocols ${version === "1.2" ? "TLSv1.2" : "TLSv1.3"};
    ssl_session_cache shared:bench:1m;
    location = /bulk { alias ${dir}/bulk; }
    location / { return 200 "${ANSWER}"; }
  }
}
`;
}

/** Starts nginx with one process, in the foreground. */
export async function startNginx(terms: Terms): Promise<Server> {
  const program = await isInstalled("nginx") ? "nginx" : "/usr/sbin/nginx"; // where only root's PATH looks
  if (!await isInstalled(program)) throw new NotRun("nginx is not installed");
  const parent = await Deno.stat(SHARED_MEMORY).then(() => ({ dir: SHARED_MEMORY }), () => ({}));
  const dir = await Deno.makeTempDir({ prefix: "tlsio_bench_", ...parent });
  using file = await Deno.create(`${dir}/bulk`);
  await file.truncate(FILE_SIZE);

  for (let attempt = 1;; attempt++) {
    using probe = Deno.listen({ hostname: LOOPBACK, port: 0 });
    const { port } = probe.addr as Deno.NetAddr;
    probe.close();
    await Deno.writeTextFile(`${dir}/nginx.conf`, config(dir, port, terms));
    const child = new Deno.Command(program, {
      args: ["-p", dir, "-e", "stderr", "-c", `${dir}/nginx.conf`],
      stdin: "null",
      stdout: "null",
    }).spawn();
    const stop = async () => {
      try {
        child.kill("SIGKILL");
      } catch {
        // it has ended
      }
      await child.status;
    };
    if (await answers(port, child)) {
      return {
        port,
        pid: child.pid,
        settle: () => Promise.resolve(),
        async [Symbol.asyncDispose]() {
          await stop();
          await Deno.remove(dir, { recursive: true });
        },
      };
    }
    await stop();
    if (attempt === ATTEMPTS) {
      throw new Error(`Cannot start nginx: it did not listen in ${ATTEMPTS} attempts`);
    }
  }
}

/** Whether something listens before `child` ends or the time is up. */
async function answers(port: number, child: Deno.ChildProcess): Promise<boolean> {
  let ended = false;
  child.status.then(() => ended = true);
  for (const deadline = Date.now() + START_TIMEOUT * 1000; !ended && Date.now() < deadline;) {
    try {
      (await Deno.connect({ hostname: LOOPBACK, port })).close();
      return true;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, POLL));
    }
  }
  return false;
}
