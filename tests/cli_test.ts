// The program's arguments, help and output, and `tlsio cert`.
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { X509Certificate } from "node:crypto";
import { columns } from "../lib/cli/flags.ts";
import { fold } from "../lib/cli/terminal.ts";
import { cli } from "./cli_helpers.ts";
import { opensslServer, run, tempDir } from "./peers.ts";

/** A line of usage error, and nothing else. */
function assertRefused({ code, stdout, stderr }: Awaited<ReturnType<typeof cli>>, words: string, status = 2) {
  assertEquals({ code, stdout }, { code: status, stdout: "" });
  assertStringIncludes(stderr, words);
  assertEquals(stderr.trimEnd().split("\n").length, 1, stderr);
}

Deno.test("tlsio: what is wider than the terminal is folded, but not what is to be copied", () => {
  assertEquals(fold("one two three", 11, 4), "one two\n    three");
  assertEquals(fold("one, a; two; three", 11, 2, "; "), "one, a;\n  two;\n  three");
  assertEquals(fold("\x1b[31mone\x1b[0m two", 7, 0), "\x1b[31mone\x1b[0m two");
  assertEquals(fold("onetwothree four", 5, 0), "onetwothree\nfour");
  assertEquals(fold("one two", Infinity, 4), "one two");
  assertEquals(
    columns([["A", "one two"], ["Try", "curl it", "whole"]], 12),
    "  A    one\n       two\n  Try  curl it",
  );
});

Deno.test("tlsio --help names every command, and each command's --help its flags", async () => {
  const { code, stdout, stderr } = await cli(["--help"]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  const flags: Record<string, string[]> = {
    serve: [
      ...["demo", "host", "port", "cert", "key", "password", "client-ca", "profile", "workers", "quiet"],
      ...["heap", "clock", "one-at-a-time", "slow"],
      ...["trace", "trace-json", "trace-html", "dashboard"],
    ],
    connect: [
      "servername",
      "ca",
      "cert",
      "key",
      "alpn",
      "tls",
      "timeout",
      "request",
      "no-check",
      "ciphers",
      "groups",
      "profile",
      "starttls",
      "pcap",
      "pcap-secrets",
      "json",
    ],
    trace: [
      ...[
        "servername",
        "ca",
        "cert",
        "key",
        "alpn",
        "tls",
        "ciphers",
        "groups",
        "profile",
        "timeout",
        "starttls",
      ],
      ...["no-check", "psk-identity", "psk", "resume", "json", "html", "keylog", "pcap"],
    ],
    bench: [
      ...[
        "tls",
        "key-type",
        "kind",
        "profile",
        "scenario",
        "runs",
        "seconds",
        "device",
        "link",
        "rtt",
        "kbps",
      ],
      ...["reconnect", "ticket-lifetime", "peers", "servername", "ca", "cert", "key", "no-check", "timeout"],
      ...["json", "csv", "html", "wide"],
    ],
    cert: ["host", "ca", "self-signed", "key-type", "days", "subject", "out", "force"],
  };
  await Promise.all(
    Object.entries(flags).map(async ([name, names]) => {
      assertMatch(stdout, new RegExp(`^  ${name} `, "m"));
      const help = await cli([name, "--help"]);
      assertEquals(help.code, 0);
      for (const flag of [...names, "help"]) assertMatch(help.stdout, new RegExp(`^  --${flag}\\b`, "m"));
      assert(help.stdout.split("\n").every((line) => line.length <= 100), help.stdout);
    }),
  );
});

Deno.test("tlsio --version prints the program's version and the core's", async () => {
  const { code, stdout } = await cli(["--version"]);
  assertEquals(code, 0);
  assertMatch(stdout, /^tlsio \d+\.\d+\.\d+ \(mbedtls-3\.6\.\d+\+[0-9a-f]{8}\)\n$/);
});

Deno.test("tlsio without a command prints its help, exit code 2", async () => {
  const { code, stdout, stderr } = await cli([]);
  assertEquals({ code, stdout }, { code: 2, stdout: "" });
  assertStringIncludes(stderr, "Usage: tlsio <command>");
});

const WRONG: readonly (readonly [args: string, words: string])[] = [
  ["frobnicate", `tlsio: unknown command "frobnicate"; see "tlsio --help"`],
  ["--frob", `tlsio: unknown flag "--frob"; see "tlsio --help"`],
  ["serve --prot 1", `tlsio serve: unknown flag "--prot"; see "tlsio serve --help"`],
  ["serve -x", `unknown flag "-x"`],
  ["serve --_ x", `unknown flag "--_"`],
  ["serve a b", `unexpected argument "b"`],
  ["serve --port", "--port needs a value"],
  ["serve --port --quiet", "--port needs a value"],
  ["serve --port eight", `--port takes a whole number from 0 to 65535, not "eight"`],
  ["serve --port 65536", "65536"],
  ["serve --cert x.pem", "--cert and --key go together"],
  ["serve --password x", "--password goes with --key"],
  ["serve --demo .", "--demo and a folder exclude each other"],
  ["serve --quiet=no", "--quiet takes no value"],
  ["serve --profile toaster", `unknown name "toaster"`],
  ["connect", "missing argument <host[:port]>"],
  ["connect localhost:99999", `"localhost:99999"`],
  ["connect https://localhost/", `"https://localhost/"`],
  ["connect localhost --tls 1.1", `--tls takes 1.2, 1.3, not "1.1"`],
  ["connect localhost --timeout never", `"never"`],
  ["connect localhost --key x.key", "--cert and --key go together"],
  ["connect localhost --request --alpn h2", "--request needs http/1.1"],
  ["cert extra", `unexpected argument "extra"`],
  ["cert --days 0", `--days takes a whole number from 1 to 36500, not "0"`],
  ["cert --days -5", `unknown flag "-5"`],
  ["cert --key-type DSA", `"DSA"`],
  ["cert --host 300.1.1.1", `"300.1.1.1"`],
  ["cert --host ,", "--host needs a value"],
  ["cert --host a_b!c", `"a_b!c"`],
  ["cert --subject localhost", `"localhost"`],
  ["cert --ca --self-signed", "--ca and --self-signed exclude each other"],
];

Deno.test("tlsio refuses wrong arguments in one line that names them, exit code 2", async () => {
  await Promise.all(WRONG.map(async ([args, words]) => assertRefused(await cli(args.split(" ")), words)));
});

Deno.test("tlsio names a file that is missing and its flag, exit code 1", async () => {
  const runs = [
    "serve --cert no.pem --key no.key",
    "serve --client-ca no.pem",
    "connect localhost:1 --ca no.pem",
    "connect localhost:1 --no-check --cert no.pem --key no.key",
  ];
  await using dir = await tempDir();
  await Promise.all(runs.map(async (args) => {
    const result = await cli(args.split(" "), { env: { XDG_CACHE_HOME: dir.path } });
    assertRefused(result, "no such file", 1);
    assertMatch(result.stderr, /Cannot load --(cert|key|ca|client-ca) "no\.(pem|key)"/);
  }));
});

Deno.test("tlsio prints colours on a terminal, none with NO_COLOR and none into a pipe", async () => {
  await using server = await opensslServer({
    cert: new URL("certs/ec.pem", import.meta.url).pathname,
    key: new URL("certs/ec.key", import.meta.url).pathname,
  });
  const cliFile = new URL("../cli.ts", import.meta.url).pathname;
  const args = [Deno.execPath(), "run", "--quiet", "-A", cliFile, "connect", `localhost:${server.port}`];
  const terminal = ["-c", `import pty; pty.spawn(${JSON.stringify(args)})`];
  const onTerminal = await run("python3", terminal, { env: { NO_COLOR: "" } });
  assertStringIncludes(onTerminal.stdout, "\x1b[1mTLSv1.3\x1b[0m");
  for (
    const plain of [
      await run("python3", terminal, { env: { NO_COLOR: "1" } }),
      await cli(["connect", `localhost:${server.port}`], { env: { NO_COLOR: "" } }),
    ]
  ) {
    assertStringIncludes(plain.stdout, "TLSv1.3");
    assert(!plain.stdout.includes("\x1b["), plain.stdout);
  }
});

// ---- cert -----------------------------------------------------------------------------------------------

async function modes(dir: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const { name } of Deno.readDir(dir)) {
    found[name] = ((await Deno.stat(`${dir}/${name}`)).mode! & 0o777).toString(8);
  }
  return found;
}

Deno.test("tlsio cert makes a CA and a certificate that openssl verifies, files for their owner alone", async () => {
  await using dir = await tempDir();
  const out = `${dir.path}/new/pki`;
  const args = ["cert", "--host", "sensor.example,192.0.2.7", "--host", "2001:db8::7", "--days", "30"];
  const { code, stdout, stderr } = await cli([...args, "--out", out]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(await modes(out), {
    "ca.pem": "600",
    "ca.key": "600",
    "server.pem": "600",
    "server.key": "600",
  });
  for (const name of Object.keys(await modes(out))) assertStringIncludes(stdout, `${out}/${name}`);

  for (const check of ["-verify_hostname sensor.example", "-verify_ip 192.0.2.7", "-verify_ip 2001:db8::7"]) {
    const verify = [
      "verify",
      "-x509_strict",
      "-CAfile",
      `${out}/ca.pem`,
      ...check.split(" "),
      `${out}/server.pem`,
    ];
    assertStringIncludes((await run("openssl", verify)).stdout, "OK");
  }
  const certificate = new X509Certificate(await Deno.readTextFile(`${out}/server.pem`));
  assertEquals(certificate.subject, "CN=sensor.example");
  assertStringIncludes(stdout, certificate.fingerprint256);
  assertStringIncludes(stdout, "(30 days left)");
  assertEquals(Math.round((Date.parse(certificate.validTo) - Date.now()) / 86_400_000), 30);
});

Deno.test("tlsio cert does not overwrite without --force, and leaves nothing half done", async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(`${dir.path}/server.key`, "precious");
  assertRefused(await cli(["cert", "--out", dir.path]), `${dir.path}/server.key: it exists; --force`, 1);
  assertEquals(Object.keys(await modes(dir.path)), ["server.key"]);
  assertEquals(await Deno.readTextFile(`${dir.path}/server.key`), "precious");

  assertEquals((await cli(["cert", "--out", dir.path, "--force"])).code, 0);
  assertStringIncludes(await Deno.readTextFile(`${dir.path}/server.key`), "PRIVATE KEY");
  assertEquals(Object.keys(await modes(dir.path)).sort(), ["ca.key", "ca.pem", "server.key", "server.pem"]);
  assertEquals((await modes(dir.path))["server.key"], "600");
});

for (const [type, words] of [["p-384", "EC P-384"], ["RSA-2048", "RSA 2048"]] as const) {
  Deno.test(`tlsio cert --self-signed --key-type ${type} makes one certificate that signs itself`, async () => {
    await using dir = await tempDir();
    const args = ["--self-signed", "--key-type", type, "--subject", "CN=box,O=Lab", "--out", dir.path];
    const { code, stdout } = await cli(["cert", ...args]);
    assertEquals(code, 0);
    assertStringIncludes(stdout, words);
    assertEquals(Object.keys(await modes(dir.path)).sort(), ["server.key", "server.pem"]);
    const certificate = new X509Certificate(await Deno.readTextFile(`${dir.path}/server.pem`));
    assertEquals([certificate.subject, certificate.issuer], ["CN=box\nO=Lab", "CN=box\nO=Lab"]);
    assert(certificate.verify(certificate.publicKey));
  });
}

Deno.test("tlsio cert says where it cannot write", async () => {
  await using dir = await tempDir();
  await Deno.writeTextFile(`${dir.path}/file`, "");
  assertRefused(await cli(["cert", "--out", `${dir.path}/file`]), `Cannot write to ${dir.path}/file: `, 1);
});
