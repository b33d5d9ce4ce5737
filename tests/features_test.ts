/** docs/features.md says "Y" only where a test shows it: each link names a test that is there. */
import { assertEquals } from "@std/assert";

const ROOT = new URL("../", import.meta.url);
const page = Deno.readTextFileSync(new URL("docs/features.md", ROOT));
/** Row, what the row is about, and tlsio's cell. */
const rows = [...page.matchAll(/^\| ([A-J]\d+) +\| ([^|]+?) +\| (.+?) +\|/gm)].map((
  [, row, feature, cell],
) => ({
  row: row!,
  feature: feature!,
  cell: cell!,
}));

Deno.test("features.md: has each row, once, in order", () => {
  const counts = { A: 12, B: 12, C: 11, D: 9, E: 11, F: 10, G: 7, H: 4, I: 3, J: 4 };
  const all = Object.entries(counts).flatMap(([group, count]) =>
    Array.from({ length: count }, (_, at) => `${group}${at + 1}`)
  );
  assertEquals(rows.map(({ row }) => row), all);
});

Deno.test("features.md: each Y names a test by words that are in its file, each N says why", () => {
  const wrong = rows.flatMap(({ row, cell }) => {
    if (/^N: .{40,}/.test(cell)) return [];
    const links = [...cell.matchAll(/\[Y\]\(\.\.\/(tests\/\S+\.ts) "([^"]+)"\)/g)];
    if (links.length === 0) return [`${row}: neither Y with a test nor N with a reason`];
    return links.flatMap(([, file, words]) => {
      const text = Deno.readTextFileSync(new URL(file!, ROOT));
      return text.includes(words!) ? [] : [`${row}: ${file} has no test "${words}"`];
    });
  });
  assertEquals(wrong, []);
});
