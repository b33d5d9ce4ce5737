/**
 * TLS over any pair of byte streams, here the pipes to a child process, without a network. The same works over a serial
 * line, a WebSocketStream, or what `ssh` puts between two machines.
 *
 * ```sh
 * deno run --allow-read --allow-run=deno examples/custom_stream.ts server.pem server.key ca.pem
 * ```
 */
import { StreamReader, wrapSocket } from "../mod.ts";

const [certfile = "server.pem", keyfile = "server.key", caCerts = "ca.pem", role = "parent"] = Deno.args;

/** Spawns this program again, speaks TLS with it, as a client, and prints what it says. */
async function parent(): Promise<void> {
  const child = new Deno.Command("deno", {
    args: ["run", "--allow-read", import.meta.url, certfile, keyfile, caCerts, "child"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const pipes = { readable: child.stdout, writable: child.stdin };
  const tls = await wrapSocket(pipes, { serverHostname: "localhost", caCerts });
  console.log(`${tls.version()}, ${tls.cipher()!.name}`);
  await tls.write(new TextEncoder().encode("hello\nout there\n"));
  await tls.closeWrite();
  for await (const line of new StreamReader(tls)) console.log(new TextDecoder().decode(line).trim());
  await tls.close();
  console.log(`The child ended with ${(await child.status).code}`);
}

/** Speaks TLS over its standard input and output, as a server: each line comes back in capitals. */
async function child(): Promise<void> {
  const pipes = { readable: Deno.stdin.readable, writable: Deno.stdout.writable };
  await using tls = await wrapSocket(pipes, { serverSide: true, certfile, keyfile });
  for await (const line of new StreamReader(tls)) {
    await tls.write(new TextEncoder().encode(new TextDecoder().decode(line).toUpperCase()));
  }
}

await (role === "child" ? child() : parent());
