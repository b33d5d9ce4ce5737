/** MicroPython's sockets for tests: pairs of them, and CPython at the other end. */
import { assertRejects } from "@std/assert";
import * as mp from "../socket.ts";
import { type Address, OSError, type Socket, socket } from "../socket.ts";
import { Program } from "./peers.ts";

/** `null` stays. */
export const text = (bytes: Uint8Array | null) => bytes === null ? null : new TextDecoder().decode(bytes);

/** What a call fails with. */
export async function failure(call: () => Promise<unknown>): Promise<string> {
  return (await assertRejects(call, OSError)).errorcode;
}

/** CPython on 127.0.0.1: `body` has `listener` and prints what it finds. */
export async function python(
  body: string,
): Promise<{ program: Program; address: Address } & AsyncDisposable> {
  const start = `
import socket, struct, sys
listener = socket.create_server(("127.0.0.1", 0))
print("PORT", listener.getsockname()[1], flush=True)
`;
  const program = new Program("python3", ["-B", "-c", start + body]);
  const [, port] = await program.waitFor(/PORT (\d+)/);
  return {
    program,
    address: ["127.0.0.1", Number(port)],
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}

/** For {@linkcode python}: gives back what comes. */
export const ECHO = `
conn, _ = listener.accept()
total = 0
while data := conn.recv(65536):
    total += len(data)
    conn.sendall(data)
print("ECHOED", total, flush=True)
`;

/** A listening socket of ours, and its address. */
export function listen(backlog = 5): [Socket, Address] {
  const listener = socket();
  listener.setsockopt(mp.SOL_SOCKET, mp.SO_REUSEADDR, 1);
  listener.bind(["127.0.0.1", 0]);
  listener.listen(backlog);
  return [listener, ["127.0.0.1", listener.localAddr!.port]];
}

/** Both ends of a connection, and what closes them. */
export async function pair(): Promise<[Socket, Socket, AsyncDisposable]> {
  const [listener, address] = listen();
  const client = socket();
  await client.connect(address);
  const [server] = await listener.accept();
  await listener.close();
  return [client, server, {
    [Symbol.asyncDispose]: async () => void await Promise.all([client.close(), server.close()]),
  }];
}
