/**
 * STARTTLS: a mail server's greeting. The connection begins in plain text; when the client asks, it continues over
 * TLS, with the same reader and writer.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/starttls_server.ts localhost 2525 server.pem server.key
 * openssl s_client -starttls smtp -connect localhost:2525 -CAfile ca.pem
 * ```
 */
import { SSLContext, SSLSocket, startServer, type StreamReader, type Writer } from "../mod.ts";

const [hostname = "localhost", port = "2525", certfile = "server.pem", keyfile = "server.key"] = Deno.args;
const context = await SSLContext.create({ serverSide: true, certfile, keyfile });

async function handle(reader: StreamReader, writer: Writer): Promise<void> {
  writer.write(`220 ${hostname} is here\r\n`);
  for await (const line of reader) {
    const secure = writer.transport instanceof SSLSocket;
    switch (new TextDecoder().decode(line).trim().toUpperCase().split(" ")[0]) {
      case "EHLO":
        writer.write(secure ? `250 ${hostname}\r\n` : `250-${hostname}\r\n250 STARTTLS\r\n`);
        break;
      case "STARTTLS":
        writer.write(secure ? "503 TLS is on\r\n" : "220 Go ahead\r\n");
        // What the client sent behind its command came without TLS. It counts as handshake, never as a command.
        if (!secure) await writer.startTls({ context });
        break;
      case "NOOP":
        writer.write(secure ? `250 ${writer.transport.version()}\r\n` : "250 In plain text\r\n");
        break;
      case "QUIT":
        writer.write("221 Bye\r\n");
        return; // closes the connection
      default:
        writer.write("502 Not in this example\r\n");
    }
    await writer.drain();
  }
}

const server = await startServer(handle, {
  hostname,
  port: Number(port),
  onError: (error, { phase }) => console.log(`A client failed in its ${phase}: ${error}`),
});
console.log(`Listening on ${hostname}:${(server.addr as Deno.NetAddr).port}`);
await server.serveForever();
