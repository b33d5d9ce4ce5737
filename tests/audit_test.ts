// deno task audit: the list of advisories is whole, true of the configuration, and read strictly.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { parseTar } from "nanotar";
import Bunzip from "seek-bzip";
import { audit, compare, judge, parseAdvisories, readAdvisories } from "../wasm/release/audit.ts";
import { CORES } from "../wasm/cores.ts";
import { fetchMbedtls, SOURCES } from "../wasm/fetch.ts";

const VALID = {
  id: "CVE-2026-0001",
  cve: "CVE-2026-0001",
  title: "A fault",
  since: "3.6.1",
  fixed: "3.6.5",
  source: "ChangeLog of 3.6.5",
  effect: "upstream",
  why: "It is used",
};

const list = (...advisories: unknown[]) => ({ checked: "2026-01-01", sources: ["a"], advisories });

/** Files of the pinned release, by path. */
async function upstream(...paths: string[]): Promise<Record<string, string>> {
  const [, tarball] = await fetchMbedtls(() => {}, SOURCES.slice(0, 1));
  const tar = new Uint8Array(Bunzip.decode(Buffer.from(tarball)));
  const files = parseTar(tar, { filter: ({ name }) => paths.some((path) => name.endsWith(`/${path}`)) });
  return Object.fromEntries(files.map(({ name, data }) => [
    paths.find((path) => name.endsWith(`/${path}`))!,
    new TextDecoder().decode(data),
  ]));
}

/** What mbedTLS's configuration comes to: the names defined. Conditions of ours are about kernels alone. */
async function configure(text: string, path: string): Promise<Set<string>> {
  const defined = new Set<string>();
  const read = async (text: string): Promise<void> => {
    for (const line of text.split("\n")) {
      const [, directive, rest] = /^\s*#\s*(define|undef|include)\s+(\S+)/.exec(line) ?? [];
      if (directive === "define") defined.add(rest!);
      if (directive === "undef") defined.delete(rest!);
      if (directive === "include" && rest!.startsWith('"wasm/config/')) {
        await read(await Deno.readTextFile(new URL(`../${JSON.parse(rest!)}`, import.meta.url)));
      }
    }
  };
  await read(text);
  await read(await Deno.readTextFile(new URL(`../${path}`, import.meta.url)));
  return defined;
}

Deno.test("audit: every CVE that mbedTLS's ChangeLog names since 3.6.0 is in the list, fixed in that release", async () => {
  const { ChangeLog } = await upstream("ChangeLog");
  const { advisories } = await readAdvisories();
  let count = 0;
  for (const section of ChangeLog!.split(/^= /m).slice(1)) {
    const version = /^Mbed TLS (\d+\.\d+\.\d+)/.exec(section)![1]!;
    if (compare(version, "3.6.0") < 0) break;
    // 3.6.7 names one "CVE-ID-50580".
    for (const [, id] of section.matchAll(/\bCVE-((?:\d{4}|ID)-\d{4,})/g)) {
      const found = advisories.find(({ cve }) => cve === `CVE-${id!.replace("ID", "2026")}`);
      assert(found !== undefined, `CVE-${id} of mbedTLS ${version} is not in wasm/advisories.json`);
      assertEquals(found.fixed, version, found.id);
      count++;
    }
  }
  assert(count > 30, `${count} are too few: has the ChangeLog another form?`);
});

Deno.test("audit: what the list says of the configuration is true of every core for users", async () => {
  const { "include/mbedtls/mbedtls_config.h": base } = await upstream("include/mbedtls/mbedtls_config.h");
  const { advisories } = await readAdvisories();
  for (
    const config of new Set(Object.values(CORES).filter(({ shipped }) => shipped).map(({ config }) => config))
  ) {
    const defined = await configure(base!, config);
    assert(defined.has("MBEDTLS_SSL_PROTO_TLS1_2"), config);
    for (const { id, requires = [] } of advisories) {
      for (const name of requires) {
        assertEquals(
          defined.has(name.replace("!", "")),
          !name.startsWith("!"),
          `${id}: ${name} in ${config}`,
        );
      }
    }
  }
});

Deno.test("audit: the release that cores are built from has nothing undecided", async () => {
  audit(SOURCES[0]!.version, await readAdvisories(), () => {});
});

Deno.test("audit() refuses a release with an advisory that concerns us, and says where to decide", () => {
  const lines: string[] = [];
  const refuse = (version: string, advisory: unknown) =>
    assertThrows(
      () => audit(version, parseAdvisories(list(advisory)), (line) => lines.push(line)),
      Error,
      `Cannot accept mbedTLS ${version}: CVE-2026-0001`,
    );
  refuse("3.6.1", VALID);
  refuse("3.6.4", VALID);
  refuse("3.6.9", { ...VALID, fixed: null });
  refuse("3.6.4", { ...VALID, effect: "open" });
  assert(lines.some((line) => line.includes("upstream: It is used")));
  for (const version of ["3.6.0", "3.6.5", "3.10.0"]) {
    audit(version, parseAdvisories(list(VALID)), () => {});
  }
  for (const effect of ["configured-out", "not-used", "patched", "accepted"]) {
    audit("3.6.4", parseAdvisories(list({ ...VALID, effect, requires: ["A"] })), () => {});
  }
  assertEquals(judge("3.6.4", parseAdvisories(list(VALID)).advisories)[0]!.present, true);
});

Deno.test("parseAdvisories() names what is unknown, missing, wrong or there twice", () => {
  const refuse = (value: unknown, message: string) =>
    assertThrows(() => parseAdvisories(value), Error, message);
  refuse(list(VALID, VALID), "CVE-2026-0001 is there twice");
  refuse(list({ ...VALID, severity: "low" }), 'CVE-2026-0001 has an unknown field "severity"');
  refuse({ ...list(VALID), more: 1 }, 'the list has an unknown field "more"');
  for (const field of Object.keys(VALID)) {
    const { [field as "why"]: _, ...rest } = VALID;
    refuse(list(rest), `"${field}" of`);
  }
  refuse(list({ ...VALID, cve: "CVE-2026-0002" }), '"cve" of CVE-2026-0001');
  refuse(list({ ...VALID, effect: "toString" }), '"effect" of CVE-2026-0001');
  refuse(list({ ...VALID, effect: "configured-out" }), '"requires" of CVE-2026-0001');
  refuse(list({ ...VALID, fixed: "3.6" }), '"fixed" of CVE-2026-0001');
  refuse(list({ ...VALID, why: " " }), '"why" of CVE-2026-0001');
  refuse(list("CVE"), "an advisory is no object");
  refuse({ ...list(), checked: "yesterday" }, '"checked" of the list');
  assertEquals(parseAdvisories(list(VALID)).advisories.length, 1);
});
