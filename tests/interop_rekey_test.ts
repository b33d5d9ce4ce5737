/** New keys on a connection in use: KeyUpdate (TLS 1.3), renegotiation (TLS 1.2). */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { SSLError } from "tlsio";
import { closeInOrder, receive, ROOTS, send, tlsioClient, tlsioServer } from "./interop.ts";
import { gnutlsClient, identity, opensslServer, Program, type Version } from "./peers.ts";

/** `openssl s_client` as a program that goes on, for commands between lines. */
async function openClient(port: number, tls: Version): Promise<Program> {
  const program = new Program("openssl", [
    ...["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "localhost", "-CAfile", ROOTS],
    `-tls1_${tls.at(-1)}`,
  ], { lineBuffered: true });
  await program.waitFor(/Verify return code: 0 \(ok\)/);
  return program;
}

/** Sends a line through our server's ECHO and waits for it. */
async function echo(program: Program, word: string): Promise<void> {
  await program.write(`ECHO ${word.length + 1} 0\n${word}\n`);
  await program.waitFor(new RegExp(`^${word}$`, "m"));
}

const ROUNDS = [1, 2, 3];

for (const command of ["k", "K"]) {
  const asks = command === "K" ? "both directions" : "one direction";

  Deno.test(`interop openssl s_client -> tlsio TLSv1.3 KeyUpdate, ${asks}: the connection goes on`, async () => {
    await using server = await tlsioServer();
    await using program = await openClient(server.port, "1.3");
    for (const round of ROUNDS) {
      await echo(program, `before${round}`);
      await program.write(`${command}\n`);
      await program.waitFor(new RegExp(`(KEYUPDATE[^]*){${round}}`));
      await echo(program, `after${round}`);
    }
    await program.closeStdin();
    assertEquals(await program.exit(), 0);
    const { ended, error } = (await server.served(1))[0]!;
    assertEquals([ended, error], ["eof", undefined]);
  });

  Deno.test(`interop tlsio -> openssl s_server TLSv1.3 KeyUpdate, ${asks}: the connection goes on`, async () => {
    await using server = await opensslServer({ ...identity("ec"), tls: "1.3", mode: "raw" });
    const { program } = server;
    const socket = await tlsioClient(server.port);
    for (const round of ROUNDS) {
      await program.write(`${command}\n`);
      await program.waitFor(new RegExp(`(SSL_do_handshake -> 1[^]*){${round}}`));
      await program.write(`from openssl ${round}\n`);
      assertEquals(await receive(socket, /\n/), `from openssl ${round}\n`);
      await send(socket, `from tlsio ${round}\n`);
      await program.waitFor(new RegExp(`^from tlsio ${round}$`, "m"));
    }
    await closeInOrder(socket);
  });
}

Deno.test("interop gnutls-cli -> tlsio TLSv1.3 KeyUpdate between the bytes of an echo: exact bytes", async () => {
  await using server = await tlsioServer();
  const client = await gnutlsClient({
    port: server.port,
    ca: ROOTS,
    tls: "1.3",
    args: ["--inline-commands"],
    input: "ECHO 17 0\nbefore\n^rekey^\nand after\nECHO 5 0\nend.\n",
    until: /^end\.$/m,
  });
  assertEquals(client.code, 0, client.stdout + client.stderr);
  assertMatch(client.stdout, /before\n[^]*and after\n/);
  assertEquals((await server.served(1))[0]?.ended, "eof");
});

// ---- Renegotiation --------------------------------------------------------------------------------------

Deno.test("interop openssl s_client -> tlsio TLSv1.2 renegotiation by default: refused, the client gives up", async () => {
  await using server = await tlsioServer();
  await using program = await openClient(server.port, "1.2");
  await echo(program, "before");
  await program.write("R\n");
  await program.waitFor(/:no renegotiation:/); // to openssl our warning is fatal: it says so by an alert
  await program.exit();
  const { ended, error } = (await server.served(1))[0]!;
  assert(error instanceof SSLError);
  assertEquals([ended, error.kind, error.alert?.name], ["failed", "alert", "handshake_failure"]);
});

Deno.test("interop tlsio -> openssl s_server TLSv1.2 renegotiation by default: refused, the server gives up", async () => {
  await using server = await opensslServer({ ...identity("ec"), tls: "1.2", mode: "raw" });
  const { program } = server;
  const socket = await tlsioClient(server.port);
  await send(socket, "before\n");
  await program.waitFor(/^before$/m);
  await program.write("r\n");
  const error = await assertRejects(() => receive(socket, /\n/), SSLError);
  await program.waitFor(/:no renegotiation:/);
  assertEquals([error.kind, error.alert?.name], ["alert", "handshake_failure"]);
  await socket.close();
});

for (const key of ["ec", "rsa"]) {
  Deno.test(`interop openssl s_client -> tlsio TLSv1.2 renegotiation: true, ${key}: done, the connection goes on`, async () => {
    await using server = await tlsioServer({ identity: key, renegotiation: true });
    await using program = await openClient(server.port, "1.2");
    for (const round of ROUNDS) {
      await echo(program, `before${round}`);
      await program.write("R\n");
      await program.waitFor(new RegExp(`(RENEGOTIATING[^]*verify return:1[^]*){${round}}`));
      await echo(program, `after${round}`);
    }
    await program.closeStdin();
    assertEquals(await program.exit(), 0);
    const { ended, error } = (await server.served(1))[0]!;
    assertEquals([ended, error], ["eof", undefined]);
  });

  Deno.test(`interop tlsio -> openssl s_server TLSv1.2 renegotiation: true, ${key}: done, the connection goes on`, async () => {
    await using server = await opensslServer({ ...identity(key), tls: "1.2", mode: "raw" });
    const { program } = server;
    const socket = await tlsioClient(server.port, { renegotiation: true });
    for (const round of ROUNDS) {
      await program.write("r\n");
      const answer = receive(socket, /\n/); // it is the reader that renegotiates
      await program.waitFor(new RegExp(`(SSL_do_handshake -> 1[^]*){${round}}`));
      await program.write(`from openssl ${round}\n`); // may come before the end of the renegotiation
      assertEquals(await answer, `from openssl ${round}\n`);
      await send(socket, `from tlsio ${round}\n`); // goes on with it
      await program.waitFor(new RegExp(`^from tlsio ${round}$`, "m"));
    }
    await closeInOrder(socket);
  });
}
