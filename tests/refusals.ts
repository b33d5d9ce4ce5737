/**
 * What the tests share in which one end refuses the other: both failures, and a session that is resumed.
 *
 * @module
 */
import { assertRejects } from "@std/assert";
import { SSLError } from "../lib/errors.ts";
import { CERT_REQUIRED } from "../lib/policy.ts";
import { saveSession, wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { certFile } from "./peers.ts";
import { pipe } from "./pipe.ts";
import { assertTalk, CLIENT, closeBoth, pair, readText, SERVER } from "./sockets.ts";

/** A certificate or key of `certs/`. */
export const pem = (name: string) => Deno.readTextFileSync(certFile(name));
/** A server that asks for a certificate, and a client that has one. */
export const MUTUAL_SERVER = { certReqs: CERT_REQUIRED, caCerts: pem("root.pem") } as const;
export const MUTUAL_CLIENT = { certfile: pem("client.pem"), keyfile: pem("client.key") };
/** An alert. */
export const ACCESS_DENIED = { description: 49, name: "access_denied" };

/** One end of a connection. */
export type End = "client" | "server";

/** The failures of an end with `options`, and of its peer. */
export async function refusedBy(
  end: End,
  options: WrapSocketOptions,
  peer: WrapSocketOptions = {},
): Promise<[SSLError, SSLError]> {
  if (end === "client") return await refused(options, peer);
  const [client, server] = await refused(peer, options);
  return [server, client];
}

/** Both ends' failures: of the client, of the server. The client reads, or a TLS 1.3 server's alert comes too late. */
async function refused(client: WrapSocketOptions, server: WrapSocketOptions): Promise<[SSLError, SSLError]> {
  const [near, far] = pipe();
  const ended = async (wrapping: Promise<SSLSocket>) => {
    const socket = await wrapping;
    try {
      await readText(socket);
    } finally {
      await socket.close();
    }
  };
  return await Promise.all([
    assertRejects(() => ended(wrapSocket(near, { ...CLIENT, ...client })), SSLError),
    assertRejects(() => ended(wrapSocket(far, { ...SERVER, ...server })), SSLError),
  ]);
}

/** A client that resumes what `first` began. */
export async function resume(client: WrapSocketOptions, server: WrapSocketOptions) {
  const first = await pair({ client, server });
  await assertTalk(first.client, first.server);
  const savedSession = saveSession(first.client)!;
  await closeBoth(first.client, first.server);
  return await pair({ client: { ...client, savedSession }, server });
}
