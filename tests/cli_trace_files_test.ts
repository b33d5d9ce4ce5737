// The files that `tlsio trace` writes, and where its secrets are.
import { assert, assertEquals, assertMatch } from "@std/assert";
import { cli } from "./cli_helpers.ts";
import { certFile, identity, opensslServer, tempDir } from "./peers.ts";

const ROOT = certFile("root.pem");
const ec = () => identity("ec");

for (const tls of ["1.2", "1.3"] as const) {
  Deno.test(`tlsio trace: secrets are in --keylog, which is its owner's alone, and in no other output (TLSv${tls})`, async () => {
    await using dir = await tempDir();
    const path = (name: string) => `${dir.path}/${name}`;
    await Deno.writeTextFile(path("keys"), "# there before\n", { mode: 0o644 });
    await using server = await opensslServer({ ...ec(), tls, args: ["-keylogfile", path("theirs")] });
    const target = [`localhost:${server.port}`, "--ca", ROOT, "--resume"];
    const outputs = ["--html", path("page.html"), "--pcap", path("capture.pcapng")];
    const text = await cli(["trace", ...target, ...outputs, "--keylog", path("keys")]);
    const json = await cli(["trace", ...target, "--json", "--keylog", path("keys")]);
    const silent = await cli([
      "trace",
      ...target,
      ...["--html", path("silent.html")],
      "--pcap",
      path("silent.pcapng"),
    ]);
    assertEquals([text.code, json.code, silent.code], [0, 0, 0]);

    const log = await Deno.readTextFile(path("keys"));
    assertMatch(log, /^# there before\n/);
    if (Deno.build.os !== "windows") assertEquals((await Deno.stat(path("keys"))).mode! & 0o777, 0o600);
    const theirs = await Deno.readTextFile(path("theirs"));
    const secretsOf = (lines: string) =>
      [...lines.matchAll(/^[A-Z0-9_]+ [0-9a-f]{64} ([0-9a-f]+)$/gm)].map(([, secret]) => secret!);
    const own = secretsOf(log);
    assertEquals(own.length, tls === "1.2" ? 4 : own.length);
    assert(own.length >= 4 && own.every((secret) => theirs.includes(secret)), "OpenSSL has logged the same");
    const all = [...new Set([...own, ...secretsOf(theirs)])];
    assert(all.length > new Set(own).size, "the third run's are OpenSSL's alone");

    const written = await Promise.all(
      ["page.html", "capture.pcapng", "silent.html", "silent.pcapng"].map((name) =>
        Deno.readFile(path(name))
      ),
    );
    const places = [text, json, silent].flatMap(({ stdout, stderr }) => [stdout, stderr])
      .map((output) => new TextEncoder().encode(output)).concat(written);
    for (const place of places) {
      const [hex, characters] = [place.toHex(), new TextDecoder("latin1").decode(place).toLowerCase()];
      for (const secret of all) {
        assert(!hex.includes(secret), "a secret, as bytes");
        assert(!characters.includes(secret), "a secret, in hexadecimal");
        assert(
          !characters.includes(Uint8Array.fromHex(secret).toBase64().toLowerCase()),
          "a secret, in base64",
        );
      }
    }
  });
}

Deno.test("tlsio trace: a pre-shared key is in no output", async () => {
  await using dir = await tempDir();
  const key = "736563726574206b657920736563726574";
  await using server = await opensslServer({
    ...{ ...ec(), tls: "1.2", args: ["-psk", "00ff", "-psk_identity", "sensor", "-cipher", "PSK"] },
  });
  const page = `${dir.path}/page.html`;
  const { code, stdout, stderr } = await cli([
    ...["trace", `localhost:${server.port}`, "--psk-identity", "sensor", "--psk", key, "--html", page],
  ]);
  assertEquals(code, 1);
  const said = stdout + stderr + await Deno.readTextFile(page);
  assert(!said.includes(key) && !said.includes("secret key secret"), said);
});

Deno.test("tlsio trace --html: a page of its own, with each message, also of a handshake that failed", async () => {
  await using dir = await tempDir();
  const page = `${dir.path}/page.html`;
  await using server = await opensslServer({ ...ec(), tls: "1.3" });
  const target = ["trace", `localhost:${server.port}`, "--html", page];
  assertEquals((await cli([...target, "--ca", ROOT, "--resume"])).code, 0);
  const html = await Deno.readTextFile(page);
  assert(/^\s*<!doctype html>/i.test(html));
  for (const word of ["client_hello", "certificate_verify", "Full handshake", "Resumed handshake"]) {
    assert(html.includes(word), word);
  }
  assert(!/<script|https?:\/\/(?!www\.w3\.org)/.test(html), "it needs nothing else");
  assertEquals((await cli(target)).code, 1);
  assert((await Deno.readTextFile(page)).includes("unknown_ca"));
});

Deno.test("tlsio trace --html: a page that was there stays until there is another, and a full disk is said", async () => {
  await using dir = await tempDir();
  const page = `${dir.path}/trace.html`;
  await Deno.writeTextFile(page, "of yesterday");
  const refused = await cli(["trace", "localhost:1", "--html", page, "--ca", "/nonexistent/ca.pem"]);
  assertEquals([refused.code, await Deno.readTextFile(page)], [1, "of yesterday"]);
  await using server = await opensslServer(ec());
  const target = ["trace", `localhost:${server.port}`, "--ca", ROOT];
  const full = await cli([...target, "--html", "/dev/full"]);
  assertEquals([full.code, full.stderr], [
    1,
    'tlsio trace: Cannot write "/dev/full": no space left on device\n',
  ]);
});
