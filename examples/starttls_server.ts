/**
 * STARTTLS: a mail server for submission. The connection begins in plain text; when the client asks, it continues over TLS,
 * with the same reader and writer; only then may the client say its password and leave a mail.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/starttls_server.ts localhost 2525 server.pem server.key
 * openssl s_client -starttls smtp -connect localhost:2525 -CAfile ca.pem
 * ```
 */
import { SSLContext, SSLSocket, startServer, type StreamReader, type Writer } from "../mod.ts";

const [hostname = "localhost", port = "2525", certfile = "server.pem", keyfile = "server.key"] = Deno.args;
const PASSWORDS = new Set([btoa("\0anna\0demo")]); // as AUTH PLAIN sends them
const context = await SSLContext.create({ serverSide: true, certfile, keyfile });

async function handle(reader: StreamReader, writer: Writer): Promise<void> {
  const say = (text: string) => writer.write(`${text}\r\n`);
  let known = false;
  say(`220 ${hostname} is here`);
  for await (const line of reader) {
    const tls = writer.transport instanceof SSLSocket ? writer.transport : undefined;
    const [verb = "", , secret = ""] = new TextDecoder().decode(line).trim().split(" ");
    if (/^EHLO$/i.test(verb)) {
      say(`250-${hostname}\r\n250 ${tls ? "AUTH PLAIN" : "STARTTLS"}`);
    } else if (/^STARTTLS$/i.test(verb)) {
      say(tls ? "503 TLS is on" : "220 Go ahead");
      // What the client sent behind its command came without TLS. It counts as handshake, never as a command.
      if (!tls) await writer.startTls({ context });
    } else if (/^AUTH$/i.test(verb)) {
      known = tls !== undefined && PASSWORDS.has(secret);
      say(known ? "235 Welcome" : tls ? "535 I do not know you" : "538 TLS first");
    } else if (/^(MAIL|RCPT|DATA)$/i.test(verb)) {
      if (!known) say("530 Say who you are");
      else if (!/^DATA$/i.test(verb)) say("250 Yes");
      else {
        say("354 Go on, to a line with a dot");
        const mail = await reader.readuntil("\r\n.\r\n");
        console.log(`A mail of ${mail.length} bytes over ${tls!.version()}`);
        say("250 I have it");
      }
    } else if (/^NOOP$/i.test(verb)) {
      say(tls ? `250 ${tls.version()}` : "250 In plain text");
    } else if (/^QUIT$/i.test(verb)) {
      return say("221 Bye"); // and the connection is closed
    } else say("502 Not in this example");
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
