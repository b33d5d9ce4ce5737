/** A browser as the client: pages from tlsio's server, by the trust of the browser's own store. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { SSLError } from "tlsio";
import { caseName, CASES, httpHandler, infoOf, ROOTS, tlsioServer, VERSION } from "./interop.ts";
import { certFile, chromium } from "./peers.ts";

/** A page that asks more, each time on a new connection, and shows the answers. The browser opens two in advance. */
const PAGE = `<!doctype html><title>tlsio</title><pre id=out></pre>
<script type=module>
for (const path of ["/info/1", "/info/2", "/info/3"]) out.append(await (await fetch(path)).text(), "\\n");
out.append("done");
</script>`;

for (const at of CASES.filter(({ resumed }) => !resumed)) {
  Deno.test(`interop chromium -> tlsio ${caseName(at).replace(" full", "")}: the page runs, later connections resume`, async () => {
    await using server = await tlsioServer({
      identity: at.key,
      sslVersion: VERSION[at.version],
      alpnProtocols: ["http/1.1"],
      handler: httpHandler({
        ragged: true,
        answer: (path, _body, socket) => path.startsWith("/info") ? JSON.stringify(infoOf(socket)) : PAGE,
      }),
    });
    const { dom, error, stderr } = await chromium(`https://localhost:${server.port}/`, { ca: ROOTS });
    assertEquals(error, undefined);
    assertStringIncludes(dom, "done", stderr);
    const answers = [...dom.matchAll(/\{.*\}/g)].map(([json]) => JSON.parse(json));
    for (const { version, alpn } of answers) assertEquals([version, alpn], [`TLSv${at.version}`, "http/1.1"]);
    assertEquals([answers.length, answers.at(-1)?.resumed], [3, true]);
    assertEquals(server.failures, []);
  });
}

Deno.test("interop chromium -> tlsio with a chain of two: the page loads", async () => {
  await using server = await tlsioServer({
    identity: "chain",
    handler: httpHandler({ ragged: true, answer: () => "hello" }),
  });
  const { dom, error } = await chromium(`https://example.test:${server.port}/`, { ca: certFile("root.pem") });
  assertEquals(error, undefined);
  assertMatch(dom, /hello/);
});

Deno.test("interop chromium -> tlsio with a certificate of nobody's: refused, its alert is the error", async () => {
  await using server = await tlsioServer({ identity: "self", handler: httpHandler({ ragged: true }) });
  const { error } = await chromium(`https://localhost:${server.port}/`, { ca: ROOTS });
  assertEquals(error, "ERR_CERT_AUTHORITY_INVALID");
  const failure = await server.failed() as SSLError;
  assertEquals([failure.kind, failure.alert?.name], ["alert", "certificate_unknown"]);
});
