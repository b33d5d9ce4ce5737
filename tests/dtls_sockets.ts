/** What the tests of DTLS sockets share: servers and clients over UDP, and pipes for datagrams. */
import { createCertificate } from "tlsio";
import {
  connectDtls,
  type ConnectDtlsOptions,
  type DatagramLike,
  DTLSContext,
  type DTLSServer,
  type DTLSSocket,
  listenDtls,
  type ListenDtlsOptions,
  PROTOCOL_DTLS_CLIENT,
  PROTOCOL_DTLS_SERVER,
} from "tlsio/dtls";
import type { Bytes } from "../lib/bytes.ts";
import { bytesFrom } from "./pair.ts";

export const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
export const OWN = { certfile: certificate, keyfile: key };
export const PSK = { identity: "sensor 7", key: bytesFrom(7, 32) };
export const HOST = "127.0.0.1";

export function listen(options: Partial<ListenDtlsOptions> = {}): Promise<DTLSServer> {
  return listenDtls({ hostname: HOST, port: 0, ...(options.psk || options.context ? {} : OWN), ...options });
}

export function portOf({ addr }: { addr: Deno.Addr }): number {
  return (addr as Deno.NetAddr).port;
}

export function connect(port: number, options: Partial<ConnectDtlsOptions> = {}): Promise<DTLSSocket> {
  const trust = options.psk || options.context ? {} : { caCerts: certificate };
  return connectDtls({ hostname: HOST, port, serverHostname: "localhost", ...trust, ...options });
}

/** A server and one client of it. */
export async function connected(
  server: Partial<ListenDtlsOptions> = {},
  client: Partial<ConnectDtlsOptions> = {},
): Promise<{ server: DTLSServer; near: DTLSSocket; far: DTLSSocket } & AsyncDisposable> {
  const listening = await listen(server);
  const [near, far] = await Promise.all([connect(portOf(listening), client), listening.accept()]);
  return {
    server: listening,
    near,
    far,
    async [Symbol.asyncDispose]() {
      await near.close();
      await listening.close();
    },
  };
}

/** Two ends of a way for datagrams, and what went over it. */
export function pipe(): { ends: [DatagramLike, DatagramLike]; closed: boolean[]; sent: Bytes[][] } {
  const closed = [false, false];
  const sent: Bytes[][] = [[], []];
  const queues: Bytes[][] = [[], []];
  const wakes: (() => void)[] = [];
  const end = (i: number): DatagramLike => ({
    send(datagram) {
      sent[i]!.push(datagram.slice());
      queues[1 - i]!.push(datagram.slice());
      wakes[1 - i]?.();
      return Promise.resolve();
    },
    async receive() {
      while (queues[i]!.length === 0 && !closed[i]) await new Promise<void>((wake) => wakes[i] = wake);
      return queues[i]!.shift() ?? null;
    },
    close() {
      closed[i] = true;
      wakes[i]?.();
    },
  });
  return { ends: [end(0), end(1)], closed, sent };
}

/** A client's and a server's context with one pre-shared key. */
export async function contexts(): Promise<{ client: DTLSContext; server: DTLSContext } & Disposable> {
  const client = await DTLSContext.create(PROTOCOL_DTLS_CLIENT, { psk: PSK, retransmitAfter: 0.05 });
  const server = await DTLSContext.create(PROTOCOL_DTLS_SERVER, { psk: PSK, retransmitAfter: 0.05 });
  return {
    client,
    server,
    [Symbol.dispose]() {
      client[Symbol.dispose]();
      server[Symbol.dispose]();
    },
  };
}
