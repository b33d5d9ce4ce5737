// `tlsio serve <folder>`.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { cliServe, type CliServer } from "./cli_helpers.ts";
import { curl, tempDir } from "./peers.ts";

/** Starts a server of a folder with something of everything, and a secret beside it. */
async function site(): Promise<CliServer> {
  const dir = await tempDir();
  const root = `${dir.path}/site`;
  const files: Record<string, string> = {
    "secret.txt": "secret",
    "site/hello.txt": "hello, world\n",
    "site/style.css": "body {}",
    "site/data.json": "{}",
    "site/a b & <c> é.txt": "odd name",
    "site/a:b": "colon",
    "site/.hidden": "secret",
    "site/.git/config": "secret",
    "site/home/index.html": "<h1>home</h1>",
    "site/many/file 10": "",
    "site/many/file 9": "",
    "site/many/sub/x": "",
  };
  for (const [path, text] of Object.entries(files)) {
    await Deno.mkdir(`${dir.path}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
    await Deno.writeTextFile(`${dir.path}/${path}`, text);
  }
  await Deno.symlink("../secret.txt", `${root}/escape.txt`);
  await Deno.symlink("hello.txt", `${root}/alias.txt`);
  await Deno.symlink("../..", `${root}/up`);
  const server = await cliServe([root]);
  const dispose = async () => {
    await server[Symbol.asyncDispose]();
    await dir[Symbol.asyncDispose]();
  };
  return { ...server, [Symbol.asyncDispose]: dispose };
}

async function get({ url, ca }: CliServer, path: string, args: readonly string[] = []) {
  const { stdout } = await curl(`${url}${path}`, ca, ["-i", "--path-as-is", ...args]);
  const [head = "", ...body] = stdout.split("\r\n\r\n");
  const headers = new Headers(
    head.split("\r\n").slice(1).map((line) => line.split(/: (.*)/s).slice(0, 2) as [string, string]),
  );
  return { status: Number(head.split(" ")[1]), headers, body: body.join("\r\n\r\n") };
}

Deno.test("tlsio serve <dir> serves files with their types, and says when they have not changed", async () => {
  await using server = await site();
  const { status, headers, body } = await get(server, "hello.txt");
  assertEquals([status, body], [200, "hello, world\n"]);
  assertEquals(headers.get("content-type"), "text/plain; charset=utf-8");
  assertEquals(headers.get("content-length"), "13");
  assertEquals(headers.get("x-content-type-options"), "nosniff");
  assertMatch((await get(server, "style.css")).headers.get("content-type")!, /^text\/css/);
  assertMatch((await get(server, "data.json")).headers.get("content-type")!, /^application\/json/);
  assertEquals((await get(server, "alias.txt")).body, "hello, world\n");
  const same = await get(server, "hello.txt", ["-H", `If-None-Match: ${headers.get("etag")}`]);
  assertEquals([same.status, same.body], [304, ""]);
});

Deno.test("tlsio serve <dir> answers HEAD and ranges", async () => {
  await using server = await site();
  const head = await get(server, "hello.txt", ["--head"]);
  assertEquals([head.status, head.headers.get("content-length"), head.body], [200, "13", ""]);
  const part = await get(server, "hello.txt", ["-r", "7-11"]);
  assertEquals([part.status, part.body, part.headers.get("content-range")], [206, "world", "bytes 7-11/13"]);
  assertEquals((await get(server, "hello.txt", ["-r", "-6"])).body, "world\n");
  assertEquals((await get(server, "hello.txt", ["-r", "99-"])).status, 416);
  const posted = await get(server, "hello.txt", ["-d", "x"]);
  assertEquals([posted.status, posted.headers.get("allow")], [405, "GET, HEAD"]);
});

Deno.test("tlsio serve <dir> shows index.html or a listing, with every name escaped", async () => {
  await using server = await site();
  assertEquals((await get(server, "home/")).body, "<h1>home</h1>");
  const moved = await get(server, "home");
  assertEquals([moved.status, moved.headers.get("location")], [301, "/home/"]);

  const { body, headers } = await get(server, "");
  assertEquals(headers.get("content-type"), "text/html; charset=utf-8");
  assertStringIncludes(body, `href="./a%20b%20%26%20%3Cc%3E%20%C3%A9.txt"`);
  assertStringIncludes(body, "a b &amp; &lt;c&gt; é.txt");
  assertStringIncludes(body, `href="./a%3Ab"`);
  assert(!/hidden|\.git|secret/.test(body), body);
  assertEquals((await get(server, "a%20b%20%26%20%3Cc%3E%20%C3%A9.txt")).body, "odd name");
  assertEquals((await get(server, "a%3Ab")).body, "colon");

  const many = (await get(server, "many/")).body;
  assertEquals([...many.matchAll(/href="([^"]+)"/g)].map(([, href]) => href), [
    "../",
    "./sub/",
    "./file%209",
    "./file%2010",
  ]);
});

Deno.test("tlsio serve <dir> has nothing from outside of it, and nothing hidden", async () => {
  await using server = await site();
  const paths = [
    "../secret.txt",
    "%2e%2e/secret.txt",
    "..%2fsecret.txt",
    "home/..%2f..%2fsecret.txt",
    "..%5csecret.txt",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc/passwd",
    "escape.txt",
    "up/secret.txt",
    "up/",
    ".hidden",
    ".git/config",
    "%2egit/config",
    "hello.txt%00.html",
    "%ff%fe",
    "hello.txt/",
    "hello.txt/x",
    "nothing",
  ];
  for (const path of paths) {
    const { status, body } = await get(server, path);
    assertEquals([status, body], [404, "Not Found\n"], path);
  }
});
