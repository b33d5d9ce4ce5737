/**
 * Programs that nobody here wrote, to speak TLS with: OpenSSL, GnuTLS, NSS, CPython, MicroPython, Node, Deno's rustls, nginx,
 * curl, Chromium, Wireshark. `tests/peers.sh` installs them; a helper whose program is missing throws.
 *
 * All traffic stays on the machine. Servers listen on 127.0.0.1, on a port of their own choice, before their
 * helper returns; they end with their scope:
 *
 * ```ts ignore
 * await using server = await opensslServer({ ...identity("ec"), tls: "1.3" });
 * const client = await nodeClient({ port: server.port, ca: certFile("root.pem"), steps: ["LINE hello"] });
 * ```
 *
 * Clients return what they found, also when the handshake failed; they throw only when the program cannot be
 * started, or hangs. The byte protocol of our own peers (`ECHO`, `SINK`, `SOURCE`, `INFO`, `QUIT`, `DROP`) is
 * described in `peers/protocol.ts`, which also has both its sides for any stream of ours.
 *
 * @module
 */
export * from "./peers/options.ts";
export * from "./peers/process.ts";
export * from "./peers/server.ts";
export * from "./peers/protocol.ts";
export * from "./peers/openssl.ts";
export * from "./peers/gnutls.ts";
export * from "./peers/scripts.ts";
export * from "./peers/micropython.ts";
export * from "./peers/deno.ts";
export * from "./peers/nginx.ts";
export * from "./peers/nss.ts";
export * from "./peers/redis.ts";
export * from "./peers/chromium.ts";
export * from "./peers/tshark.ts";
