/**
 * The native client, `programs/client.c`: built once by the machine's compiler, run for each measurement.
 *
 * @module
 */

import { buildClient } from "./build.ts";
import type { Server } from "./agents.ts";
import type { Terms } from "./peer.ts";
import { NotRun } from "./runner.ts";

const NOT_RESUMED = 3; // its exit status

/** What it prints. Seconds. */
export interface ClientFigures {
  count: number;
  bytes: number;
  seconds: number;
  clientCpu: number;
  serverCpu: number;
  p50: number;
  p99: number;
}

/** IANA's names are OpenSSL's in TLS 1.3; in TLS 1.2 it has its own. */
const CIPHERS: Readonly<Record<string, string>> = {
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
};
/** What it offers unless told: AES-128-GCM first, as browsers do. */
const OFFER = {
  "1.3": "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
  "1.2":
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305",
};

async function commandOf(
  command: string,
  server: Server,
  terms: Terms,
  options: Record<string, number>,
): Promise<Deno.Command> {
  const { version = "1.3", suite, resume, identity } = terms;
  const words = {
    port: server.port,
    pid: server.pid,
    ca: identity.files!.ca,
    version,
    ciphers: suite === undefined ? OFFER[version] : CIPHERS[suite] ?? suite,
    resume: Number(resume ?? false),
    ...options,
  };
  const args = [command, ...Object.entries(words).map(([name, value]) => `${name}=${value}`)];
  return new Deno.Command(await buildClient(), {
    args,
    stdout: "piped",
    stderr: "piped",
    stdin: "piped",
  });
}

/**
 * Runs one measurement to its end.
 *
 * @throws {NotRun} If the server did not resume what it should have, or the client cannot be built here.
 */
export async function runClient(
  command: "handshakes" | "ping-pong" | "download" | "upload",
  server: Server,
  terms: Terms,
  options: Record<string, number>,
): Promise<ClientFigures> {
  const child = (await commandOf(command, server, terms, options)).spawn();
  child.stdin.close();
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  if (code === NOT_RESUMED) throw new NotRun(decoder.decode(stderr).trim());
  if (code !== 0) throw new Error(`Cannot run client ${command}: ${decoder.decode(stderr).trim()}`);
  return JSON.parse(decoder.decode(stdout));
}

/** Connections that are open, and what opening them took. */
export interface Held extends AsyncDisposable {
  readonly figures: ClientFigures;
}

/** Opens `count` connections, each used once, and keeps them to the end of the scope. */
export async function holdConnections(
  server: Server,
  terms: Terms,
  count: number,
  options: Record<string, number> = {},
): Promise<Held> {
  const child = (await commandOf("hold", server, terms, { count, ...options })).spawn();
  const reader = child.stdout.getReader();
  const { done, value } = await reader.read(); // a line, which is shorter than a pipe's write
  if (done) {
    await child.stdin.close();
    throw new Error(`Cannot hold ${count} connections: ${await new Response(child.stderr).text()}`);
  }
  reader.releaseLock();
  return {
    figures: JSON.parse(new TextDecoder().decode(value)),
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      await Promise.all([child.stdout.cancel(), child.stderr.cancel(), child.status]);
    },
  };
}
