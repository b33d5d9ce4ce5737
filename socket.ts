/**
 * MicroPython's `socket` and `select` for Deno, so that its programs translate line by line.
 *
 * One rule: **what may wait in MicroPython gives a promise, in every mode**; put `await` before it. These are `connect`,
 * `accept`, `recv`, `read`, `readinto`, `readline`, `send`, `sendall`, `write`, `close`, `getaddrinfo`, `poll`, `ipoll` and
 * `select`. All others (`socket`, `bind`, `listen`, `settimeout`, `setblocking`, `setsockopt`, `makefile`, `register`, `modify`,
 * `unregister`) are synchronous.
 *
 * | mode | a call that cannot go on |
 * |---|---|
 * | blocking (the first) | waits |
 * | `settimeout(seconds)` | waits so long, then throws `OSError` `ETIMEDOUT` |
 * | `setblocking(false)` | throws `OSError` `EAGAIN` (`connect`: `EINPROGRESS`); `read`, `readinto`, `readline`, `write`: `null` |
 *
 * In non-blocking mode a promise waits for nothing but one turn of the event loop, about a millisecond, so that a loop
 * which tries again and again sees what came. A call that timed out has lost nothing.
 *
 * TLS goes on top with `wrapSocket(socket)` of `tlsio`, also before `connect()`: the handshake waits for the connection.
 *
 * Differences: names stay as they are in MicroPython; `None` is `null`; an address is `[host, port]`; `ipoll()` is for
 * `for await`; `bind()` is carried out by `listen()`, which then says that an address is in use; there is TCP only.
 * Error numbers are those of MicroPython's `errno` module (Linux's); its ESP32 port gives some by other numbers
 * (`ETIMEDOUT` 116), so compare with {@linkcode errno}.
 *
 * @example The book's client
 * ```ts
 * import { getaddrinfo, socket } from "tlsio/socket";
 * import { assertEquals } from "@std/assert";
 *
 * await using web = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, () => new Response("warm"));
 *
 * const [info] = await getaddrinfo("127.0.0.1", web.addr.port);
 * const s = socket();
 * await s.connect(info![4]);
 * await s.send("GET /index.html HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
 * const page = new TextDecoder().decode((await s.read())!);
 * await s.close();
 * assertEquals(page.endsWith("warm"), true);
 * ```
 *
 * @module
 */
export { errno, type ErrorCode, OSError, type TLSErrorCode } from "./lib/os_error.ts";
export {
  type Address,
  type AddressInfo,
  AF_INET,
  AF_INET6,
  getaddrinfo,
  IPPROTO_TCP,
  SOCK_STREAM,
} from "./lib/addresses.ts";
export { StreamSocket } from "./lib/stream_socket.ts";
export { SO_KEEPALIVE, SO_REUSEADDR, Socket, socket, SOL_SOCKET, TCP_NODELAY } from "./lib/tcp_socket.ts";
export {
  Poll,
  poll,
  type Pollable,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  select,
} from "./lib/poll.ts";
export type { Duplex, HasDuplex } from "./lib/duplex.ts";
