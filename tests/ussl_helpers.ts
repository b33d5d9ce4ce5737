/** What the tests of `tlsio/ussl` share. */
import { assertRejects } from "@std/assert";
import { poll, POLLIN, POLLOUT, socket } from "../socket.ts";
import { CERT_REQUIRED, OSError, type SSLSocket, wrap_socket, type WrapOptions } from "../ussl.ts";
import { certFile, identity } from "./peers.ts";
import { LONG } from "./sockets.ts";
import { listen } from "./tcp_sockets.ts";

/** Milliseconds that no test reaches unless something is broken. */
export const WAIT = LONG * 1000;

/** A client that trusts the test authority. */
export const CLIENT = {
  cert_reqs: CERT_REQUIRED,
  ca_certs: certFile("root.pem"),
  server_hostname: "localhost",
} as const satisfies WrapOptions;
/** A server's certificate. */
export const SERVER = {
  server_side: true,
  certfile: identity("ec").cert,
  keyfile: identity("ec").key,
} as const satisfies WrapOptions;
/** For either. */
export const DEFER = { do_handshake: false } as const;

/** The number of what a call throws. */
export async function thrown(call: () => Promise<unknown>): Promise<readonly [number, string]> {
  return (await assertRejects(call, OSError)).args;
}

/** Both ends of a TLS connection over TCP, and what closes them. The handshake is deferred unless the options say otherwise. */
export async function pair(
  client: WrapOptions = {},
  server: WrapOptions = {},
): Promise<[SSLSocket, SSLSocket, AsyncDisposable]> {
  const [listener, address] = listen();
  const near = socket();
  await near.connect(address);
  const [far] = await listener.accept();
  await listener.close();
  const [mine, theirs] = await Promise.all([
    wrap_socket(near, { ...CLIENT, ...DEFER, ...client }),
    wrap_socket(far, { ...SERVER, ...DEFER, ...server }),
  ]);
  return [mine, theirs, {
    [Symbol.asyncDispose]: async () => void await Promise.all([mine.close(), theirs.close()]),
  }];
}

/** A server that listens, and where. */
export async function serving(options: WrapOptions = {}): Promise<[SSLSocket, [string, number]]> {
  const listener = await wrap_socket(socket(), { ...SERVER, ...options });
  listener.bind(["127.0.0.1", 0]);
  listener.listen(5);
  return [listener, ["127.0.0.1", (listener.localAddr as Deno.NetAddr).port]];
}

/** The events of one socket, waited for. */
export async function events(sock: SSLSocket, mask: number, timeout = WAIT): Promise<number> {
  const poller = poll();
  poller.register(sock, mask);
  return (await poller.poll(timeout))[0]?.[1] ?? 0;
}

/** Sends a line and reads one, by polling a non-blocking socket. */
export async function pollLine(sock: SSLSocket, line: string): Promise<string> {
  let out = new TextEncoder().encode(line);
  let got = "";
  while (!got.endsWith("\n")) {
    await events(sock, out.length > 0 ? POLLOUT : POLLIN);
    if (out.length > 0) out = out.subarray(await sock.write(out) ?? 0);
    else got += new TextDecoder().decode(await sock.read(1) ?? undefined);
  }
  return got;
}
