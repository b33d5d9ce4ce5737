/** docs/attacks.md: every attack of it has tests, and every link names a test that is there. */
import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);
const page = Deno.readTextFileSync(new URL("docs/attacks.md", ROOT));
const rows = [...page.matchAll(/^\| (?!attack |-)([^|]+?) +\| ([^|]+?) +\| (.+?) +\|$/gm)];

Deno.test("docs/attacks.md: each attack names tests by words that are in their file", () => {
  assert(rows.length >= 35, `found ${rows.length} rows`);
  const wrong = rows.flatMap(([, attack, , cell]) => {
    const links = [...cell!.matchAll(/\[\d\]\(\.\.\/(tests\/\S+\.ts) "([^"]+)"\)/g)];
    if (links.length === 0) return [`${attack}: no test`];
    return links.flatMap(([, file, words]) =>
      Deno.readTextFileSync(new URL(file!, ROOT)).includes(words!)
        ? []
        : [`${attack}: ${file} has no test "${words}"`]
    );
  });
  assertEquals(wrong, []);
});

Deno.test("docs/attacks.md: has each attack of tests/attacks_*_test.ts", async () => {
  const groups = new Set<string>();
  for await (const { name } of Deno.readDir(new URL("tests/", ROOT))) {
    if (!/^attacks_\w+_test\.ts$/.test(name)) continue;
    const text = await Deno.readTextFile(new URL(`tests/${name}`, ROOT));
    for (const [, group] of text.matchAll(/["`]attack: ([^:]+):/g)) groups.add(group!);
  }
  assert(groups.size >= 12, `found ${groups.size} groups`);
  const cells = rows.map(([row]) => row).join("\n");
  assertEquals([...groups].filter((group) => !cells.includes(`attack: ${group}`)), []);
});
