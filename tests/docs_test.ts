/** The pages of `docs/`: their index, their links, and the names in compat.md. Their code is run by `deno test --doc`. */
import { assert, assertEquals, assertMatch } from "@std/assert";

const ROOT = new URL("../", import.meta.url);
const DOCS = new URL("docs/", ROOT);

async function textsOf(folder: URL, extension: string): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for await (const { name } of Deno.readDir(folder)) {
    if (name.endsWith(extension)) texts.set(name, await Deno.readTextFile(new URL(name, folder)));
  }
  return texts;
}

Deno.test("docs/README.md lists every page, by its question", async () => {
  const pages = await textsOf(DOCS, ".md");
  const index = pages.get("README.md")!;
  pages.delete("README.md");
  const listed = [...index.matchAll(/\| \[(\S+)\]\((\S+)\) +\|$/gm)].map(([, name, link]) => {
    assertEquals(link, name);
    return name!;
  });
  assertEquals(listed.toSorted(), [...pages.keys()].toSorted());
  for (const [name, text] of pages) assertMatch(text, /^# \S/, name);
});

Deno.test("docs/, examples/ and README.md: every link leads to a file", async () => {
  for (const folder of [ROOT, DOCS, new URL("examples/", ROOT)]) {
    for (const [name, text] of await textsOf(folder, ".md")) {
      for (const [, link] of text.matchAll(/\]\(([^)#\s:]+)(?:#[^)]*)?\)/g)) {
        const file = await Deno.stat(new URL(link!, new URL(name, folder))).catch(() => undefined);
        assert(file !== undefined, `${folder.pathname}${name} links to ${link}, which does not exist`);
      }
    }
  }
});

Deno.test("docs/compat.md: every name of ours exists", async () => {
  const sources = [...(await textsOf(new URL("lib/", ROOT), ".ts")).values()].join("\n");
  const known = new Set(sources.match(/\w+/g));
  const language = new Set(["Promise", "await", "const"]); // JavaScript's own
  const compat = (await Deno.readTextFile(new URL("compat.md", DOCS))).split("## What is not here")[0]!;
  const rows = [...compat.matchAll(/^\| (?!-)([^\n]*) \|$/gm)].map(([, row]) => row!.split(" | "));
  const cells = rows.flatMap((row) => row.slice(row.length === 3 ? 1 : -1)); // theirs, `tlsio/ussl`, `tlsio`
  const ours = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!));
  const names = ours.flatMap((code) => code.replaceAll(/"[^"]*"/g, "").match(/[A-Za-z_]\w+/g) ?? []);
  assert(names.length > 150, `found ${names.length} names`);
  const unknown = names.filter((name) => !known.has(name) && !language.has(name));
  assertEquals(unknown, []);
});
