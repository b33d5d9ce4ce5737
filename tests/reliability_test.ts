/** docs/reliability.md: each row names a test that is there, and a limit's default is that of the option. */
import { assert, assertEquals } from "@std/assert";
import { FAULTS, PHASES } from "./fault_proxy.ts";

const ROOT = new URL("../", import.meta.url);
const page = Deno.readTextFileSync(new URL("docs/reliability.md", ROOT));

/** The rows of the table under a heading, as cells. */
function rowsOf(heading: string): string[][] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split("\n## ")[0] ?? "";
  const lines = section.split("\n").filter((line) => line.startsWith("|"));
  return lines.slice(2).map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
}

/** What is wrong with a row's links to tests. */
function wrongLinks(row: readonly string[]): string[] {
  const links = [...row.at(-1)!.matchAll(/\[test\]\(\.\.\/(tests\/\S+\.ts) "([^"]+)"\)/g)];
  if (links.length === 0) return [`${row[0]}: no test`];
  return links.flatMap(([, file, words]) => {
    const text = Deno.readTextFileSync(new URL(file!, ROOT));
    return text.includes(words!) ? [] : [`${row[0]}: ${file} has no test "${words}"`];
  });
}

Deno.test("reliability.md: each limit names a test by words that are in its file", () => {
  const rows = rowsOf("Limits");
  assert(rows.length > 20);
  assertEquals(rows.flatMap(wrongLinks), []);
});

Deno.test("reliability.md: each fault names a test by words that are in its file, and each fault of the proxy has a row", () => {
  const rows = rowsOf("Faults");
  assert(rows.length > 12);
  assertEquals(rows.flatMap(wrongLinks), []);
  const named = rows.map(([name]) => name).join();
  assertEquals(FAULTS.filter((fault) => !named.includes(fault)), []);
  assertEquals(Object.keys(PHASES).length, 7, "the text says how many there are");
});

Deno.test("reliability.md: the defaults are those that the options say", () => {
  const sources = ["gate", "server", "http"].map((name) =>
    Deno.readTextFileSync(new URL(`lib/${name}.ts`, ROOT))
  ).join("\n");
  const wrong = rowsOf("Limits").flatMap(([name, cell]) => {
    const option = /^`(\w+)`/.exec(name!)?.[1];
    const said = [
      ...sources.matchAll(new RegExp(`@default \\{(\\d+)[^/]{0,120}?\\*/\\s+${option}\\?:`, "g")),
    ];
    const [number, unit] = cell!.split(/[ ,/]+/);
    const value = String(Number(number) * (unit === "KiB" ? 1024 : unit === "MiB" ? 1 << 20 : 1));
    return said.length === 0 || said.some(([, byDefault]) => byDefault === value) ? [] : [`${name}: ${cell}`];
  });
  assertEquals(wrong, []);
});
