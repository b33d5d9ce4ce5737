/** Peers that are programs of others: openssl's and GnuTLS's servers and clients. */

import { inTime } from "../../../deadline.ts";
import type { Scenario } from "../result.ts";
import { resumes, usesSharedKey } from "../scenarios.ts";
import { freePort, listens, PATIENCE, PeerProcess } from "./process.ts";
import type { Material, PeerClient, PeerProgram, PeerServer } from "./program.ts";

/** A server of such a program, once it listens. */
async function listening(program: string, args: (port: number) => string[]): Promise<PeerServer> {
  await using stack = new AsyncDisposableStack();
  const port = freePort();
  const process = stack.use(PeerProcess.start(program, args(port), { quiet: true }));
  await listens(port, process);
  const owned = stack.move();
  return {
    port,
    cpuMs: () => process.cpuMs(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A client of such a program: a process for each connection, most of whose CPU is its start. */
function dialing(program: string, args: (port: number, resume: boolean) => string[]): PeerClient {
  return {
    async connect(port, resume) {
      await using process = PeerProcess.start(program, args(port, resume), { quiet: true });
      const code = await process.exit();
      if (code !== 0) throw new Error(`"${program}" ended with ${code}${process.complaint}`);
      return undefined;
    },
    async [Symbol.asyncDispose]() {},
  };
}

async function firstLine(program: string, args: readonly string[]): Promise<string> {
  await using process = PeerProcess.start(program, args);
  return await inTime(process.line(), PATIENCE);
}

const OPENSSL_SUITES = {
  "psk": "PSK-CHACHA20-POLY1305",
  "ecdhe-psk": "ECDHE-PSK-CHACHA20-POLY1305",
} as const;

/** What both ends of openssl have. */
function opensslArgs({ version, kind }: Scenario, { psk }: Material): string[] {
  return [
    version === "1.2" ? "-tls1_2" : "-tls1_3",
    ...(psk ? ["-psk", psk.hex, "-psk_identity", psk.identity] : []),
    ...(psk && version === "1.2" ? ["-cipher", OPENSSL_SUITES[kind as keyof typeof OPENSSL_SUITES]] : []),
  ];
}

/** `openssl s_server`, `openssl s_client`. */
export const OPENSSL: PeerProgram = {
  name: "openssl",
  version: async () => (await firstLine("openssl", ["version"])).split(" ").slice(0, 2).join(" "),
  absence(end, scenario) {
    return end === "client" && usesSharedKey(scenario) && scenario.version === "1.3"
      ? "openssl s_client wants a certificate besides the key in TLS 1.3"
      : undefined;
  },
  server(scenario, material) {
    const { files } = material.identity ?? {};
    return listening("openssl", (port) => [
      ...["s_server", "-accept", `127.0.0.1:${port}`, "-quiet"],
      ...opensslArgs(scenario, material),
      ...(files ? ["-cert", files.certificate, "-key", files.key] : ["-nocert"]),
      ...(scenario.kind === "session-id" ? ["-no_ticket"] : []),
      ...(scenario.kind === "mutual" ? ["-Verify", "1", "-CAfile", files!.ca, "-verify_return_error"] : []),
    ]);
  },
  // deno-lint-ignore require-await -- others start here
  async client(scenario, material) {
    const { files } = material.identity ?? {};
    const session = material.sessionFile;
    return dialing("openssl", (port, resume) => [
      ...["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "localhost", "-quiet", "-no_ign_eof"],
      ...opensslArgs(scenario, material),
      ...(files ? ["-CAfile", files.ca, "-verify_return_error", "-verify_quiet"] : []),
      ...(scenario.kind === "mutual" ? ["-cert", files!.certificate, "-key", files!.key] : []),
      ...(scenario.kind === "session-id" ? ["-no_ticket"] : []),
      ...(resumes(scenario) ? ["-sess_out", session] : []),
      ...(resume ? ["-sess_in", session] : []),
    ]);
  },
};

const GNUTLS_KEYS = { "psk": "PSK", "ecdhe-psk": "ECDHE-PSK" } as const;

function priority({ version, kind }: Scenario): string {
  const keys = GNUTLS_KEYS[kind as keyof typeof GNUTLS_KEYS];
  return `NORMAL:-VERS-ALL:+VERS-TLS${version}${keys === undefined ? "" : `:-KX-ALL:+${keys}`}`;
}

/** `gnutls-serv`, `gnutls-cli`. */
export const GNUTLS: PeerProgram = {
  name: "gnutls",
  caution: "gnutls-serv listens on all addresses of this machine: --peers=gnutls starts it",
  version: async () => `GnuTLS ${(await firstLine("gnutls-cli", ["--version"])).split(" ").at(-1)}`,
  absence(end, scenario) {
    return end === "client" && resumes(scenario)
      ? "gnutls-cli keeps no session for its next start"
      : undefined;
  },
  server(scenario, { identity, psk }) {
    const { files } = identity ?? {};
    return listening("gnutls-serv", (port) => [
      ...["--quiet", "--echo", "--port", `${port}`, "--priority", priority(scenario)],
      ...(files ? ["--x509certfile", files.certificate, "--x509keyfile", files.key] : []),
      ...(psk ? ["--pskpasswd", psk.file] : []),
      ...(scenario.kind === "session-id" ? ["--noticket"] : []),
      ...(scenario.kind === "mutual"
        ? ["--x509cafile", files!.ca, "--require-client-cert", "--verify-client-cert"]
        : ["--disable-client-cert"]),
    ]);
  },
  // deno-lint-ignore require-await -- others start here
  async client(scenario, { identity, psk }) {
    const { files } = identity ?? {};
    return dialing("gnutls-cli", (port) => [
      ...["--port", `${port}`, "--sni-hostname", "localhost", "--priority", priority(scenario)],
      ...(files ? ["--x509cafile", files.ca, "--verify-hostname", "localhost"] : []),
      ...(psk ? ["--pskusername", psk.identity, "--pskkey", psk.hex] : []),
      ...(scenario.kind === "mutual"
        ? ["--x509certfile", files!.certificate, "--x509keyfile", files!.key]
        : []),
      "127.0.0.1",
    ]);
  },
};
