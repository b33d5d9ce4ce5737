import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { HttpHandler } from "tlsio/http";
import {
  converse,
  curl,
  eventually,
  plain,
  printedErrors,
  say,
  secure,
  SlowResponse,
  startCurl,
  statuses,
} from "./http_helpers.ts";

const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

// ---- Handlers that fail ---------------------------------------------------------------------------------

const WRONG: readonly [name: string, handler: HttpHandler, printed: RegExp][] = [
  ["throws", () => {
    throw new Error("secret");
  }, /secret/],
  ["rejects", () => Promise.reject(new Error("secret")), /secret/],
  ["returns no Response", () => undefined as never, /expected a Response, got undefined/],
  ["returns a Response that was read", async () => {
    const response = new Response("x");
    await response.text();
    return response;
  }, /its body was used/],
  ["returns an error Response", () => Response.error(), /status/i],
  ["returns a header that HTTP cannot carry", () => {
    const response = new Response("x");
    return Object.defineProperty(response, "headers", { value: [["x", "a\r\nb"]] });
  }, /header/i],
];
for (const [name, handler, message] of WRONG) {
  Deno.test(`serve() answers 500 when a handler ${name}, prints it once, and goes on`, async () => {
    using errors = printedErrors();
    await using server = await secure((request, info) => {
      return new URL(request.url).pathname === "/wrong" ? handler(request, info) : say(request, info);
    });
    const { stdout } = await curl(server, ["/wrong", "/right"], ["-i"]);
    assertEquals(statuses(stdout), [500, 200]);
    assert(!stdout.includes("secret"));
    assertEquals(errors.printed.length, 1);
    assert(message.test(String(errors.printed[0]![1])), String(errors.printed[0]));
    assertEquals(server.stats.accepted, 1);
  });
}

Deno.test("serve() sends what onError makes of an error", async () => {
  using errors = printedErrors();
  await using server = await secure(() => Promise.reject(new RangeError("no")), {
    onError: (error) => new Response(String(error), { status: 418 }),
  });
  const { stdout } = await curl(server, "/", ["-i"]);
  assertEquals(statuses(stdout), [418]);
  assertStringIncludes(stdout, "RangeError: no");
  assertEquals(errors.printed, []);
});

Deno.test("serve() answers 500 when onError fails, too", async () => {
  using errors = printedErrors();
  const fail = () => Promise.reject(new Error("again"));
  await using server = await secure(fail, { onError: fail });
  assertEquals(statuses((await curl(server, "/", ["-i"])).stdout), [500]);
  assertEquals(errors.printed.length, 1);
});

Deno.test("serve() cuts a response short when its stream fails, so that the client can tell", async () => {
  using errors = printedErrors();
  const slow = new SlowResponse();
  await using server = await secure((request, info) =>
    new URL(request.url).pathname === "/slow" ? slow.response : say(request, info)
  );
  await using program = startCurl(server, "/slow");
  await program.waitFor(/begun/);
  await slow.fail(new Error("disk on fire"));
  assert(await program.exit() !== 0, program.output());
  assertEquals((await curl(server, "/next")).stdout, "GET /next");
  assertEquals(errors.printed.length, 1);
  assertStringIncludes(String(errors.printed[0]), "disk on fire");
});

Deno.test("serve() answers with onError when a stream fails before its first byte", async () => {
  const body = () => new ReadableStream({ pull: () => Promise.reject(new Error("disk on fire")) });
  await using server = await plain(() => new Response(body()), {
    onError: (error) => new Response(String(error), { status: 503 }),
  });
  const answer = await converse(server, GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
  assertEquals(statuses(answer), [503]);
  assertStringIncludes(answer, "Error: disk on fire");
});

for (const [name, length] of [["longer", 2], ["shorter", 9]] as const) {
  Deno.test(`serve() drops the connection when a body is ${name} than its Content-Length`, async () => {
    using errors = printedErrors();
    await using server = await plain(() =>
      new Response("body", { headers: { "content-length": `${length}` } })
    );
    const answer = await converse(server, GET + GET).catch(() => "");
    assert(statuses(answer).length <= 1, answer);
    assert(!/\r\n\r\nbo[^]+HTTP/.test(answer), answer);
    await eventually("the error is printed", () => errors.printed.length > 0);
  });
}

Deno.test("serve() frames the response itself, whatever the handler says", async () => {
  await using server = await plain(() =>
    new Response("body", { headers: { "transfer-encoding": "chunked", "content-length": "4" } })
  );
  const answer = await converse(server, GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
  assert(!/transfer-encoding/i.test(answer), answer);
  assertStringIncludes(answer, "\r\n\r\nbody");
});
