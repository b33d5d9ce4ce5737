// deno task release: the same bytes each time, all that a bill of materials must say, and clear refusals.
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { createCertificate } from "../mod.ts";
import { findPackages, specifiersOf } from "../wasm/release/npm.ts";
import { checkCores, isClean, release, sourceDate } from "../wasm/release/release.ts";
import { librariesIn } from "../wasm/release/sbom.ts";
import { DIST, ensureBuilt, type Manifest, SHIPPED } from "../wasm/build.ts";
import { sha256 } from "../wasm/fetch.ts";

/** The files below a folder by path, with all that an archive of it would have. */
async function tree(folder: string, below = ""): Promise<Map<string, { bytes: Uint8Array; about: string }>> {
  const files = new Map<string, { bytes: Uint8Array; about: string }>();
  for await (const { name, isDirectory } of Deno.readDir(`${folder}/${below}`)) {
    const path = below + name;
    if (isDirectory) {
      for (const [inner, file] of await tree(folder, `${path}/`)) files.set(inner, file);
    } else {
      const { mode, mtime } = await Deno.stat(`${folder}/${path}`);
      const bytes = await Deno.readFile(`${folder}/${path}`);
      files.set(path, { bytes, about: `${(mode ?? 0) & 0o777} ${mtime?.toISOString()}` });
    }
  }
  return files;
}

const QUICK = { allowDirty: true, quick: true };

Deno.test("release: two runs give the same bytes, a handshake by URL, and a bill of all that is in it", async (t) => {
  const folder = await Deno.makeTempDir();
  try {
    const first = await release({ ...QUICK, folder: `${folder}/a` });
    const second = await release({ ...QUICK, folder: `${folder}/elsewhere/b` });
    const [a, b] = [await tree(`${folder}/a`), await tree(`${folder}/elsewhere/b`)];

    await t.step("two runs in two folders: the same files, bytes, modes and dates", () => {
      assertEquals([...a.keys()].sort(), [...b.keys()].sort());
      for (const [path, { bytes, about }] of a) {
        assertEquals(bytes, b.get(path)!.bytes, path);
        assertEquals(about, b.get(path)!.about, path);
      }
      assertEquals(first.digest, second.digest);
    });

    await t.step("SHA256SUMS has the hash of every other file", async () => {
      const lines = new TextDecoder().decode(a.get("SHA256SUMS")!.bytes).trimEnd().split("\n");
      assertEquals(
        lines.map((line) => line.slice(66)),
        [...a.keys()].filter((path) => path !== "SHA256SUMS").sort(),
      );
      for (const line of lines) {
        assertEquals(line.slice(0, 64), await sha256(a.get(line.slice(66))!.bytes), line);
      }
      for (
        const path of [
          "mod.ts",
          "CHANGELOG.md",
          "LICENSE",
          ...SHIPPED.map((core) => `wasm/dist/${core}.wasm`),
        ]
      ) {
        assert(a.has(path), path);
      }
      assert(![...a.keys()].some((path) => /^(tests|release|bench)\//.test(path)));
    });

    await t.step("the bill names mbedTLS, what is linked in, the compiler and npm's packages", async () => {
      const bill = JSON.parse(new TextDecoder().decode(a.get("sbom.cdx.json")!.bytes));
      checkBill(bill);
      const [manifest] = await ensureBuilt();
      const names: string[] = bill.components.map((part: Part) =>
        `${part.group ?? ""}/${part.name}@${part.version}`
      );
      assert(names.includes(`/mbedtls@${manifest!.mbedtls.version}`));
      assert(names.some((name) => name.startsWith("/wasi-libc@")));
      assert(names.some((name) => name.startsWith("@yowasp/clang@")));
      assert(names.some((name) => name.startsWith("/deno-std@")));
      const seen = JSON.stringify(bill);
      for (const hash of Object.values(manifest!.files)) assertStringIncludes(seen, hash);
      assertStringIncludes(seen, manifest!.mbedtls.sha256);
    });

    await t.step("the bill has every package of npm that Deno finds behind the modules", async () => {
      const bill = JSON.parse(new TextDecoder().decode(a.get("sbom.cdx.json")!.bytes));
      const named: string[] = bill.components.map((part: Part) =>
        `${part.group ? `${part.group}/` : ""}${part.name}@${part.version}`
      );
      const found = await packagesBehind(
        `${folder}/all.ts`,
        [...a.keys()].filter((path) => /(?<!\.d)\.(ts|js)$/.test(path)).map((path) => `${folder}/a/${path}`),
      );
      for (const name of ["@redis/client@", "@opentelemetry/api@"]) {
        assert(found.some((one) => one.startsWith(name)), name);
      }
      assertEquals(found.filter((name) => !named.includes(name)), []);
    });

    await t.step("the notices have the licence of every component", () => {
      const text = new TextDecoder().decode(a.get("NOTICES")!.bytes);
      for (
        const part of [
          "GNU GENERAL PUBLIC LICENSE",
          "Apache License",
          "LLVM Exceptions",
          "Rich Felker",
          "deno-std",
        ]
      ) {
        assertStringIncludes(text, part);
      }
    });

    await t.step("imported by URL: mod.ts makes a handshake", () => handshakeFrom(`${folder}/a`));

    await t.step("a folder that is there already is refused, and stays", async () => {
      await assertRejects(() => release({ ...QUICK, folder: `${folder}/a` }), Error, "it is there already");
      assertEquals((await tree(`${folder}/a`)).size, a.size);
    });

    await t.step("a failure leaves nothing behind", async () => {
      const log = (line: string) => {
        if (line.startsWith("deno publish")) throw new Error("no space left");
      };
      await assertRejects(() => release({ ...QUICK, folder: `${folder}/c`, log }), Error, "no space left");
      assertEquals((await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort(), [
        "a",
        "elsewhere",
      ]);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

interface Part {
  type: string;
  "bom-ref": string;
  name: string;
  [field: string]: unknown;
}

const FIELDS = new Set(
  ("type bom-ref group name version description scope hashes licenses cpe purl externalReferences properties")
    .split(" "),
);
const SPDX = /^(MIT|ISC|BSD-[23]-Clause|Unlicense|Apache-2\.0|0BSD|CC0-1\.0)$/;

/** The rules of bom-1.6.schema.json, as far as what we write can break them. */
function checkBill(bill: Record<string, unknown>): void {
  assertEquals(Object.keys(bill), [
    "$schema",
    "bomFormat",
    "specVersion",
    "serialNumber",
    "version",
    "metadata",
    "components",
    "dependencies",
  ]);
  assertEquals([bill.bomFormat, bill.specVersion, bill.version], ["CycloneDX", "1.6", 1]);
  assertMatch(
    bill.serialNumber as string,
    /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
  );
  const metadata = bill.metadata as { timestamp: string; component: Part };
  assertEquals(new Date(metadata.timestamp).toISOString(), metadata.timestamp);
  const parts = [metadata.component, ...bill.components as Part[]];
  const refs = new Set<string>();
  for (const part of parts) {
    for (const field of Object.keys(part)) assert(FIELDS.has(field), `${part.name}: ${field}`);
    assertMatch(part.type, /^(library|file|application)$/);
    assert(part.name.length > 0);
    assert(!refs.has(part["bom-ref"]), `${part["bom-ref"]} is there twice`);
    refs.add(part["bom-ref"]);
    for (const { alg, content } of (part.hashes ?? []) as { alg: string; content: string }[]) {
      assertMatch(content, alg === "SHA-256" ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{128}$/, part.name);
    }
    if (part.type === "file") continue;
    // One expression, or licences by their SPDX names.
    const licenses = part.licenses as { expression?: string; license?: { id: string } }[];
    assertEquals(licenses.length, 1, part.name);
    if (licenses[0]!.expression === undefined) assertMatch(licenses[0]!.license!.id, SPDX, part.name);
    if (part.purl !== undefined) assertMatch(part.purl as string, /^pkg:[a-z]+\/[^@\s]+@[^@\s]+$/);
    assert(part.purl !== undefined || part.externalReferences !== undefined, `${part.name} cannot be found`);
  }
  const dependencies = bill.dependencies as { ref: string; dependsOn: string[] }[];
  assertEquals(new Set(dependencies.map(({ ref }) => ref)).size, dependencies.length);
  for (const { ref, dependsOn } of dependencies) {
    for (const name of [ref, ...dependsOn]) assert(refs.has(name), `${name} is no component`);
    assertEquals(new Set(dependsOn).size, dependsOn.length);
  }
  assertEquals(refs.difference(reachable(metadata.component["bom-ref"], dependencies)), new Set());
}

function reachable(root: string, dependencies: { ref: string; dependsOn: string[] }[]): Set<string> {
  const found = new Set([root]);
  for (const ref of found) {
    for (const next of dependencies.find((entry) => entry.ref === ref)?.dependsOn ?? []) found.add(next);
  }
  return found;
}

/** The packages of npm, as `name@version`, that modules load, and theirs, by `deno info`. */
async function packagesBehind(file: string, modules: readonly string[]): Promise<string[]> {
  await Deno.writeTextFile(file, modules.map((path) => `import "file://${path}";\n`).join(""));
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "--no-config", "--no-lock", file],
  }).output();
  await Deno.remove(file);
  const { modules: graph, npmPackages } = JSON.parse(new TextDecoder().decode(stdout));
  assertEquals(graph.filter(({ error }: { error?: string }) => error !== undefined), []);
  return Object.keys(npmPackages).map((key) => /^@?[^@]+@[^_]+/.exec(key)![0]); // behind "_" are versions of peers
}

const TYPES: Record<string, string> = {
  ts: "application/typescript",
  js: "text/javascript",
  wasm: "application/wasm",
};

async function handshakeFrom(folder: string): Promise<void> {
  await using server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    const path = new URL(request.url).pathname;
    const file = await Deno.readFile(folder + path).catch(() => undefined);
    const headers = { "content-type": TYPES[path.split(".").at(-1)!] ?? "text/plain" };
    return file === undefined ? new Response(null, { status: 404 }) : new Response(file, { headers });
  });
  const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["127.0.0.1"] });
  const program = `
    import { openConnection, startServer } from "http://127.0.0.1:${server.addr.port}/mod.ts";
    const certfile = ${JSON.stringify(certificate)}, keyfile = ${JSON.stringify(key)};
    await using server = await startServer(async (reader, writer) => {
      writer.write(await reader.readline());
      await writer.drain();
    }, { hostname: "127.0.0.1", port: 0, ssl: { certfile, keyfile } });
    const [reader, writer] = await openConnection({
      hostname: "127.0.0.1", port: server.addr.port, ssl: { caCerts: certfile },
    });
    writer.write("hello\\n");
    console.log(new TextDecoder().decode(await reader.readline()).trim(), writer.getExtraInfo("cipher").version);
    writer.close();
    await writer.waitClosed();`;
  const home = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${home}/main.ts`, program);
    const { stdout: info } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
    await Deno.mkdir(`${home}/cache`);
    await Deno.symlink(JSON.parse(new TextDecoder().decode(info)).npmCache, `${home}/cache/npm`);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-lock",
        "--no-prompt",
        "--no-check",
        "--allow-import",
        "--allow-net=127.0.0.1",
        "main.ts",
      ],
      cwd: home,
      env: { NO_COLOR: "1", DENO_DIR: `${home}/cache` },
      signal: AbortSignal.timeout(120_000),
    }).output();
    const [text, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
    assertStringIncludes(text!, "hello TLSv1.3", errors);
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

Deno.test("release: a missing core, a core with another hash and another mbedTLS are refused by name", async () => {
  const [manifest] = await ensureBuilt();
  const folder = await Deno.makeTempDir();
  try {
    const at = new URL(`file://${folder}/`);
    const copy = async () => {
      for (const name of Object.keys(manifest!.files)) {
        await Deno.copyFile(new URL(name, DIST), new URL(name, at));
      }
    };
    await copy();
    await checkCores(manifest!, at);

    await Deno.remove(`${folder}/core.simd.wasm`);
    await assertRejects(() => checkCores(manifest!, at), Error, "wasm/dist/core.simd.wasm is missing");
    await copy();
    const bytes = await Deno.readFile(`${folder}/core.wasm`);
    bytes[bytes.length - 1]! ^= 1;
    await Deno.writeFile(`${folder}/core.wasm`, bytes);
    const hash = manifest!.files["core.wasm"]!;
    await assertRejects(() => checkCores(manifest!, at), Error, `${await sha256(bytes)}, not ${hash}`);

    await copy();
    const { "core.esp32.wasm": _, ...files } = manifest!.files;
    await assertRejects(() => checkCores({ ...manifest!, files }, at), Error, "has no core.esp32.wasm");
    const mbedtls = { ...manifest!.mbedtls, version: "3.6.0", sha256: "00" };
    await assertRejects(() => checkCores({ ...manifest!, mbedtls }, at), Error, "are of mbedTLS 3.6.0");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("release: a tree is clean without changes, and dated by its commit or SOURCE_DATE_EPOCH", async () => {
  const folder = await Deno.makeTempDir();
  const git = async (...args: string[]) => {
    const identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
    const date = "2001-02-03T04:05:06Z";
    const { success } = await new Deno.Command("git", {
      args: [...identity, ...args],
      cwd: folder,
      env: { GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date },
      stdout: "null",
    }).output();
    assert(success, args.join(" "));
  };
  try {
    const root = new URL(`file://${folder}/`);
    await assertRejects(() => sourceDate(root, undefined), Error, "set SOURCE_DATE_EPOCH");
    await git("init", "-q");
    await Deno.writeTextFile(`${folder}/a`, "1");
    assertEquals(await isClean(root), false);
    await git("add", "a");
    await git("commit", "-q", "-m", "a");
    assertEquals(await isClean(root), true);
    assertEquals(await sourceDate(root, undefined), Date.UTC(2001, 1, 3, 4, 5, 6) / 1000);
    assertEquals(await sourceDate(root, "1700000000"), 1700000000);
    await assertRejects(() => sourceDate(root, "yesterday"), Error, 'SOURCE_DATE_EPOCH is "yesterday"');
    await Deno.writeTextFile(`${folder}/a`, "2");
    assertEquals(await isClean(root), false);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("findPackages() follows deno.lock, and names what is not pinned or says no licence", async () => {
  const integrity = "sha512-" + new Uint8Array(64).toBase64();
  const lock = (npm: unknown) => JSON.stringify({ specifiers: { "npm:a@1": "1.0.0" }, npm });
  const read = (name: string) =>
    Promise.resolve({ license: name === "bare" ? undefined : "MIT", notice: undefined });
  const whole = lock({
    "a@1.0.0": { integrity, dependencies: ["b", "@s/c@2.0.0"] },
    "b@3.0.0_a@1.0.0": { integrity, dependencies: ["a"] },
    "@s/c@1.0.0": { integrity },
    "@s/c@2.0.0": { integrity },
  });
  const { packages, roots } = await findPackages(["npm:a@1"], whole, read);
  assertEquals([...packages.keys()], ["@s/c@2.0.0", "a@1.0.0", "b@3.0.0"]);
  assertEquals(roots, ["a@1.0.0"]);
  assertEquals(packages.get("a@1.0.0")!.dependencies, ["@s/c@2.0.0", "b@3.0.0"]);
  const refuse = (specifier: string, npm: unknown, message: string) =>
    assertRejects(() => findPackages([specifier], lock(npm), read), Error, message);
  await refuse("npm:z@1", {}, "Cannot find npm:z@1 in deno.lock");
  await refuse("npm:a@1", { "a@1.0.0": { integrity, dependencies: ["b"] } }, "Cannot find b in deno.lock");
  await refuse("npm:a@1", { "a@1.0.0": { integrity: "sha1-xx" } }, "no SHA-512");
  await refuse(
    "npm:a@1",
    { "a@1.0.0": { integrity, dependencies: ["bare"] }, "bare@1.0.0": { integrity } },
    "Cannot name the licence of bare@1.0.0",
  );
  assertEquals(
    specifiersOf(["import \"npm:a@1/x.js\"; export * from 'npm:@s/c@2.0.0';", "// npm:b@1"]),
    ["npm:@s/c@2.0.0", "npm:a@1"],
  );
});

Deno.test("librariesIn() refuses an archive whose licence nobody has looked up", async () => {
  const [manifest] = await ensureBuilt();
  assertEquals([...librariesIn(manifest!).keys()], ["wasi-libc"]);
  const strange: Manifest = { ...manifest!, libraries: { core: { "libstrange.a": ["a.o"] } } };
  await assertRejects(async () => await librariesIn(strange), Error, "libstrange.a, which core has parts of");
});
