/** Attacks on HTTP: requests that others may read otherwise, floods within a request and of requests. See docs/attacks.md. */
import { assert, assertEquals } from "@std/assert";
import { converse, eventually, plain, RawClient, statuses } from "./http_helpers.ts";

const POST = "POST / HTTP/1.1\r\nHost: a\r\n";
const BEHIND = "GET /behind HTTP/1.1\r\nHost: a\r\n\r\n";
const CHUNK = "5\r\nhello\r\n0\r\n\r\n";

Deno.test("attack: request smuggling: a body whose end others may see elsewhere is refused, and nothing behind it is served", async () => {
  const served: string[] = [];
  await using server = await plain(async (request) => {
    served.push(new URL(request.url).pathname + await request.text());
    return new Response();
  });
  const refused = [
    `Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNK}`,
    `Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n${CHUNK}`,
    `Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello`,
    `Transfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello`,
    `Transfer-Encoding:\r\n\r\n${CHUNK}`,
    `Transfer-Encoding: identity\r\n\r\n${CHUNK}`,
    `Transfer-Encoding: xchunked\r\n\r\n${CHUNK}`,
    `Transfer-Encoding: gzip, chunked\r\n\r\n${CHUNK}`,
    `Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n${CHUNK}`,
    `Transfer-Encoding : chunked\r\n\r\n${CHUNK}`,
    `Transfer-Encoding:\r\n chunked\r\n\r\n${CHUNK}`,
    `Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
    `Content-Length: 5, 5\r\n\r\nhello`,
    `Content-Length: +5\r\n\r\nhello`,
    `Content-Length: 18446744073709551621\r\n\r\nhello`,
    `X: a\rTransfer-Encoding: chunked\r\n\r\n`,
    `X: a\nTransfer-Encoding: chunked\r\n\r\n`,
    `Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n`,
    `Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n`,
    `Transfer-Encoding: chunked\r\n\r\n5;a\nb\r\nhello\r\n0\r\n\r\n`,
    `Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n`,
  ];
  for (const text of refused) {
    assertEquals(statuses(await converse(server, POST + text + BEHIND)), [400], text);
  }
  assertEquals(served.filter((path) => path.includes("behind")), []);
  const good = `${POST}Transfer-Encoding: Chunked\r\n\r\n${CHUNK}`;
  assertEquals(statuses(await converse(server, `${good}GET / HTTP/1.0\r\n\r\n`)), [200, 200]);
  assertEquals(served.slice(-2), ["/hello", "/"]);
});

Deno.test("attack: request smuggling: a Host that is not one is refused, also where the target says another", async () => {
  await using server = await plain(({ url }) => new Response(`<${url}>`));
  const ask = (target: string, host: string) =>
    converse(server, `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  for (const host of ["a@b", "a/b", "a, b", "a:99999999", ""]) {
    for (const target of ["/", "http://other/"]) {
      assertEquals(statuses(await ask(target, host)), [400], `${target} ${host}`);
    }
  }
  assert((await ask("http://other/x", "a")).endsWith("<http://other/x>"));
});

Deno.test("attack: chunk extensions: a flood of them is answered with 413, chunks of one byte are not", async () => {
  await using server = await plain(async (request) => new Response(`<${(await request.bytes()).length}>`));
  const head = `${POST}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n`;
  {
    using client = await RawClient.connect(server);
    const flood = client.send(`${head}5;${"a".repeat(8 << 20)}`).catch(() => {}); // it does not take all of it
    assertEquals(statuses(await client.until(/\r\n\r\n/)), [413]);
    await client.until().catch(() => {}); // a reset: we went on sending
    await flood;
  }
  assertEquals(server.stats.limits, { maxBodySize: 1 });
  const answer = await converse(server, `${head}${"1\r\nx\r\n".repeat(300_000)}0\r\n\r\n`);
  assert(answer.endsWith("<300000>"), answer);
});

Deno.test("attack: pipelining: handlers run one after the other, and responses that nobody reads do not pile up", async () => {
  let running = 0, most = 0, begun = 0;
  await using server = await plain(async () => {
    begun++;
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 1));
    running--;
    return new Response(new Uint8Array(8 << 20));
  });
  {
    using client = await RawClient.connect(server);
    await client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100));
    await eventually("a request is answered", () => begun > 0);
    await new Promise((resolve) => setTimeout(resolve, 200)); // time for the others, were they served
    assert(begun <= 3, `${begun} handlers have begun`); // 8 MiB each: what the kernel's buffers take, and one
  }
  await eventually("the connection is gone", () => server.stats.open === 0);
  await new Promise((resolve) => setTimeout(resolve, 10));
  assertEquals(most, 1);
  assert(begun <= 4, `${begun} handlers have begun`); // not for who has left
});

Deno.test("attack: pipelining: a body whose stream does not end when it is cancelled holds up no other request", async () => {
  const endless = () => new Response(new ReadableStream({ cancel: () => new Promise(() => {}) }));
  await using server = await plain(({ method }) => method === "HEAD" ? endless() : new Response("served"));
  const requests = `HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
  assert((await converse(server, requests)).endsWith("served"));
});
