/** TLS that starts after plain bytes (STARTTLS), on both sides; and a peer that never starts it. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { CERT_REQUIRED, openConnection, SSLError, SSLSocket, startServer } from "tlsio";
import type { StartTlsOptions, StreamReader, Writer } from "tlsio";
import { clientOptions, ROOTS, tlsioClient } from "./interop.ts";
import {
  certFile,
  gnutlsClient,
  identity,
  opensslClient,
  PATIENCE,
  pythonServer,
  run,
  within,
} from "./peers.ts";

const IDENTITY = { certfile: certFile("ec.pem"), keyfile: certFile("ec.key") };
const VERSIONS = ["1.2", "1.3"] as const;

async function line(reader: StreamReader): Promise<string> {
  return new TextDecoder().decode(await within(reader.readline(), PATIENCE, "read a line")).trimEnd();
}

/** As much of SMTP (RFC 5321, RFC 3207) as the programs need to get to TLS, and to say a word in it. */
async function smtp(reader: StreamReader, writer: Writer): Promise<void> {
  writer.write("220 localhost ESMTP\r\n");
  for (let command; (command = await line(reader)) !== "";) {
    const secure = writer.transport instanceof SSLSocket;
    if (/^EHLO/i.test(command)) {
      writer.write(secure ? "250 localhost\r\n" : "250-localhost\r\n250 STARTTLS\r\n");
    } else if (/^STARTTLS/i.test(command)) {
      writer.write("220 Go ahead\r\n");
      await writer.startTls(IDENTITY);
    } else if (/^NOOP/i.test(command)) {
      writer.write(`250 secure: ${secure}\r\n`);
    } else if (/^QUIT/i.test(command)) {
      writer.write("221 Bye\r\n");
      break;
    } else {
      writer.write("502 What?\r\n");
    }
  }
}

Deno.test("interop openssl, gnutls-cli, python smtplib -> tlsio STARTTLS: plain first, then TLS", async () => {
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  await using server = await startServer(smtp, { hostname: "127.0.0.1", port: 0, onError });
  const { port } = server.addr as Deno.NetAddr;

  const noop = { ca: ROOTS, port, input: "NOOP\r\nQUIT\r\n", until: /secure: true/ };
  const openssl = await opensslClient({ ...noop, args: ["-starttls", "smtp", "-quiet"] });
  assertMatch(openssl.stdout, /^250 secure: true$/m);
  const gnutls = await gnutlsClient({ ...noop, args: ["--starttls-proto", "smtp"] });
  assertMatch(gnutls.stdout, /^250 secure: true$/m);

  const script = `import smtplib, ssl, sys
with smtplib.SMTP("localhost", ${port}, timeout=20) as smtp:
    plain = smtp.noop()
    smtp.starttls(context=ssl.create_default_context(cafile=sys.argv[1]))
    smtp.ehlo()
    print(plain[1], smtp.noop()[1], smtp.sock.version())
`;
  const python = await run("python3", ["-c", script, ROOTS]);
  assertEquals(python.stdout, "b'secure: false' b'secure: true' TLSv1.3\n", python.stderr);
  server.close();
  await within(server.waitClosed(), PATIENCE, "wait for the connections");
  assertEquals(errors, []);
});

Deno.test("interop a client that sends more behind STARTTLS -> tlsio: the handshake fails (CVE-2011-0411)", async () => {
  const failed = Promise.withResolvers<unknown>();
  await using server = await startServer(smtp, { hostname: "127.0.0.1", port: 0, onError: failed.resolve });
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: (server.addr as Deno.NetAddr).port });
  await conn.write(new TextEncoder().encode("EHLO me\r\nSTARTTLS\r\nNOOP\r\n"));
  const error = await within(failed.promise, PATIENCE, "wait for the failure") as SSLError;
  assertEquals([error.name, error.kind], ["SSLError", "protocol"]);
});

for (const tls of VERSIONS) {
  Deno.test(`interop tlsio -> python asyncio start_tls TLSv${tls} STARTTLS: plain first, then TLS`, async () => {
    await using server = await pythonServer({ ...identity("rsa"), tls, style: "starttls" });
    const [reader, writer] = await openConnection({ hostname: "127.0.0.1", port: server.port });
    assertEquals(await line(reader), "HELLO");
    writer.write("plain\n");
    assertEquals(await line(reader), "PLAIN");
    writer.write("STARTTLS\n");
    assertEquals(await line(reader), "OK");
    await writer.startTls(clientOptions());
    writer.write("in tls\n");
    assertEquals(await line(reader), "IN TLS");
    assertEquals((writer.transport as SSLSocket).version(), `TLSv${tls}`);
    writer.close();
    await writer.waitClosed();
  });
}

for (const tls of VERSIONS) {
  Deno.test(`startTls: our certificate, asked for by CPython's asyncio (TLSv${tls})`, async () => {
    const asking = {
      ...identity("rsa"),
      tls,
      style: "starttls",
      clientCa: ROOTS,
      clientAuth: "required",
    } as const;
    await using server = await pythonServer(asking);
    const upgrade = async (options: StartTlsOptions) => {
      const [reader, writer] = await openConnection({ hostname: "127.0.0.1", port: server.port });
      try {
        assertEquals(await line(reader), "HELLO");
        writer.write("WHO\nSTARTTLS\n");
        assertEquals([await line(reader), await line(reader)], ["[]", "OK"]);
        await writer.startTls(clientOptions(options));
        writer.write("WHO\n");
        const answer = await line(reader);
        writer.close();
        await writer.waitClosed();
        return answer;
      } finally {
        writer.abort(); // who fails leaves nothing open
      }
    };
    const { cert, key } = identity("client");
    assertEquals(await upgrade({ certfile: cert, keyfile: key }), "['EC client']");
    // asyncio sends no alert when its start_tls() fails: it hangs up. In TLS 1.3 a client learns of it when it reads.
    assertEquals((await assertRejects(() => upgrade({}), SSLError)).kind, "eof");
  });

  Deno.test(`startTls: a server asks CPython's asyncio for its certificate (TLSv${tls})`, async () => {
    const seen: unknown[] = [];
    await using server = await startServer(async (reader, writer) => {
      while (await line(reader) !== "STARTTLS");
      writer.write("OK\n");
      await writer.startTls({ ...IDENTITY, certReqs: CERT_REQUIRED, caCerts: ROOTS });
      const socket = writer.transport as SSLSocket;
      seen.push(socket.getpeercert()?.subject?.flat().at(-1), socket.serverHostname, socket.version());
      writer.write(`${await line(reader)}!\n`);
      await writer.drain();
    }, { hostname: "127.0.0.1", port: 0 });
    const script = `import asyncio, ssl, sys
async def main():
    port, ca, cert, key, version = sys.argv[1:]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    writer.write(b"EHLO\\nSTARTTLS\\n")
    assert await reader.readline() == b"OK\\n"
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(cert, key)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    await writer.start_tls(context, server_hostname="localhost")
    writer.write(b"in tls\\n")
    print((await reader.readline()).decode().strip(), writer.get_extra_info("cipher")[1])
    writer.close()
    await writer.wait_closed()
asyncio.run(main())`;
    const { cert, key } = identity("client");
    const { port } = server.addr as Deno.NetAddr;
    const argv = [String(port), ROOTS, cert, key, `TLSv${tls.replace(".", "_")}`];
    const { stdout, stderr } = await run("python3", ["-c", script, ...argv]);
    assertEquals(stdout.split(" ").slice(0, 2), ["in", "tls!"], stderr);
    assertEquals(seen, [["commonName", "EC client"], "localhost", `TLSv${tls}`]);
  });
}

Deno.test("interop tlsio -> a port that speaks no TLS: a clear error, at once", async () => {
  await using server = await startServer(async (_reader, writer) => {
    writer.write("220 This is not TLS\r\n");
    await writer.drain();
  }, { hostname: "127.0.0.1", port: 0 });
  const { port } = server.addr as Deno.NetAddr;
  const error = await assertRejects(() => tlsioClient(port), SSLError);
  assertEquals([error.kind, error.reason], ["protocol", "MBEDTLS_ERR_SSL_INVALID_RECORD"]);
});
