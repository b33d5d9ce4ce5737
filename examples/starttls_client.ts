/**
 * STARTTLS: sends a mail by submission. The client sees that the server offers TLS, starts it, asks again what the server can
 * do, and says its password only then.
 *
 * ```sh
 * deno run --allow-net --allow-read examples/starttls_client.ts localhost 2525 ca.pem
 * deno run --allow-net --allow-sys examples/starttls_client.ts example.com 587
 * ```
 */
import { openConnection, type SSLSocket } from "../mod.ts";

const [hostname = "localhost", port = "2525", caCerts] = Deno.args;
const MAIL = ["From: anna@example.com", "To: bob@example.com", "Subject: Hello", "", "It is 21.5 C.", "."];

const [reader, writer] = await openConnection({ hostname, port: Number(port) }); // plain text

/** Reads a reply, all its lines; throws if it is not one of success. */
async function reply(): Promise<string> {
  let text = "";
  for (let more = true; more;) {
    const line = new TextDecoder().decode(await reader.readline());
    more = /^\d{3}-/.test(line);
    text += line;
  }
  console.log(text.trimEnd().replace(/^/gm, "S: "));
  if (!/^[23]/.test(text)) throw new Error(`The server said no: ${text}`);
  return text;
}

async function command(line: string, shown = line): Promise<string> {
  console.log(`C: ${shown}`);
  writer.write(`${line}\r\n`);
  await writer.drain();
  return await reply();
}

await reply();
const offers = await command(`EHLO ${hostname}`);
// Without this line whoever sits between could take STARTTLS out of the answer, and read the password.
if (!/^250[- ]STARTTLS/m.test(offers)) throw new Error("The server offers no TLS");
await command("STARTTLS");
await writer.startTls({ serverHostname: hostname, ...(caCerts && { caCerts }) });
console.log(`-- ${(writer.transport as SSLSocket).version()}`);
await command(`EHLO ${hostname}`); // what was said in plain text does not count
await command(`AUTH PLAIN ${btoa("\0anna\0demo")}`, "AUTH PLAIN ...");
await command("MAIL FROM:<anna@example.com>");
await command("RCPT TO:<bob@example.com>");
await command("DATA");
await command(MAIL.join("\r\n"));
await command("QUIT");
writer.close();
await writer.waitClosed();
