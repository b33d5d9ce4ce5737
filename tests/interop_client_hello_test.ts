/** The ClientHellos of programs that nobody here wrote, read by us and by Wireshark. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { caughtHello, readAll } from "./hellos.ts";
import {
  chromium,
  curl,
  denoClient,
  gnutlsClient,
  nodeClient,
  opensslClient,
  pythonClient,
  tsharkHello,
} from "./peers.ts";
import { tlsioClient } from "./interop.ts";

const CLIENTS: Record<string, (port: number) => Promise<unknown>> = {
  "curl": (port) => curl(`https://localhost:${port}/`),
  "curl TLSv1.2 http/1.1": (port) =>
    curl(`https://localhost:${port}/`, undefined, ["--tls-max", "1.2", "--http1.1"]),
  "openssl": (port) => opensslClient({ port, alpn: ["h2", "http/1.1"] }),
  "openssl without SNI": (port) => opensslClient({ port, servername: null }),
  "gnutls": (port) => gnutlsClient({ port, alpn: ["h2"] }),
  "gnutls TLSv1.2": (port) => gnutlsClient({ port, tls: "1.2" }),
  "CPython": (port) => pythonClient({ port, alpn: ["h2"] }),
  "Node": (port) => nodeClient({ port, alpn: ["h2"] }),
  "Deno": (port) => denoClient({ port, alpn: ["h2"] }),
  "chromium": (port) => chromium(`https://localhost:${port}/`),
  "tlsio": (port) => tlsioClient(port, { alpnProtocols: ["h2"] }),
};

for (const [name, client] of Object.entries(CLIENTS)) {
  Deno.test(`interop ClientHello of ${name}: each field is what Wireshark reads`, async () => {
    const bytes = await caughtHello(client);
    const hello = readAll(bytes);
    const ids = (list: readonly { id: number }[]) => list.map(({ id }) => id);
    assertEquals({
      ja3: hello.ja3,
      ja3Hash: hello.ja3Hash,
      random: hello.random.toHex(),
      serverName: hello.serverName === undefined ? [] : [hello.serverName],
      alpnProtocols: [...hello.alpnProtocols],
      cipherSuites: ids(hello.cipherSuites),
      extensions: ids(hello.extensions),
      // Wireshark shows the extension's alone.
      versions: hello.extensions.some(({ id }) => id === 43) ? ids(hello.versions) : [],
      groups: ids(hello.groups),
      keyShareGroups: ids(hello.keyShareGroups),
      signatureSchemes: ids(hello.signatureSchemes),
      pskModes: ids(hello.pskModes),
    }, await tsharkHello(bytes));
    assertEquals([hello.serverName, hello.resumption], [
      name.endsWith("without SNI") ? undefined : "localhost",
      undefined,
    ]);
    assertMatch(hello.ja4, /^t1[23][di]\d{4}(h[12]|00)_[0-9a-f]{12}_[0-9a-f]{12}$/);
    const named = [hello.versions, hello.keyShareGroups, hello.pskModes].flat();
    assertEquals(named.filter(({ name }) => name === undefined), []);
  });
}

Deno.test("interop ClientHello of chromium: another JA3 each time, always the same JA4", async () => {
  const hellos = [];
  for (let i = 0; i < 2; i++) hellos.push(readAll(await caughtHello(CLIENTS["chromium"]!)));
  const [one, other] = hellos;
  assertEquals(one!.ja4, other!.ja4);
  assert(one!.ja3 !== other!.ja3, "the extensions are in the same order");
  assert(one!.cipherSuites[0]!.name === "GREASE", "chromium starts with GREASE");
});
