import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { RunData, TableData } from "../bench/page/data.ts";
import { median } from "../bench/runner.ts";
import { TABLES } from "../bench/scenarios.ts";
import { nameOf } from "../bench/table.ts";

const DELAYED_ACK = 40; // milliseconds; Linux's shortest

/** Rows that other implementations, or a machine without a program, may leave out; ours never. */
const MAY_BE_MISSING = /refuses some of the sessions|gives no sessions|not installed|install |--full|ulimit/;

/** Runs the bench with its files in a folder, and gives what it leaves there. */
async function bench(...args: string[]): Promise<{ data: RunData; html: string }> {
  const out = await Deno.makeTempDir({ prefix: "tlsio_bench_test_" });
  try {
    const main = new URL("../bench/main.ts", import.meta.url);
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", main.href, "--out", out, ...args],
      stdout: "null",
      stderr: "inherit",
    });
    assertEquals((await command.output()).code, 0);
    return {
      data: JSON.parse(await Deno.readTextFile(`${out}/result.json`)),
      html: await Deno.readTextFile(`${out}/report.html`),
    };
  } finally {
    await Deno.remove(out, { recursive: true });
  }
}

function checkTable({ id, columns, rows, skipped, implementations }: TableData, names: string[]): void {
  assertEquals([...rows, ...skipped].map(({ name }) => name).sort(), names.sort(), id);
  for (const { name, reason, failed } of skipped) {
    assert(!failed && MAY_BE_MISSING.test(reason), `${id}: ${name}: ${reason}`);
    assert(!/> tlsio|tlsio >/.test(name), `${id}: ${name} is ours`);
  }
  for (const { name, stats } of rows) {
    // Of primitives, not all do all; ours does.
    for (const { key } of implementations ? columns.slice(0, 1) : columns) {
      const { median, min, max, rounds } = stats[key]!;
      assert([median, min, max].every(Number.isFinite), `${id}: ${name}: ${key}`);
      assert(min <= median && median <= max && rounds >= 1, `${id}: ${name}: ${key}`);
    }
  }
}

Deno.test("bench --quick runs every row, and its report holds every table and loads nothing", async () => {
  const { data, html } = await bench("--quick");
  assertEquals(data.tables.map(({ id }) => id), TABLES.map(({ id }) => id));
  for (const [i, table] of data.tables.entries()) checkTable(table, TABLES[i]!.rows.map(nameOf));
  for (const fact of ["date", "command", "cpu", "system", "deno", "core", "peers", "took"]) {
    assert(data.about[fact], fact);
  }
  assert(data.targets.length > 0);
  for (const { what, measured, reached } of data.targets) {
    assert((measured === undefined) === (reached === "not run"), what);
  }

  // A row that should resume and does not is no row; and a resumed flight holds no certificate.
  const down = (version: string, resume: boolean) =>
    data.tables[0]!.rows.find(({ row }) =>
      row.version === version && row.key === "P-256" && row.resume === resume && row.engine === "tlsio"
    )!.stats.down!.median;
  for (const version of ["1.2", "1.3"]) assert(down(version, true) < down(version, false) / 2);

  // A handshake of ours never waits for a delayed ACK: one that did could not be this fast.
  const ours = data.tables.find(({ id }) => id === "connect")!.rows.find(({ row }) =>
    row.client === "tlsio" && row.server === "tlsio"
  )!;
  assert(ours.stats.min!.min < DELAYED_ACK, `${ours.stats.min!.min} ms`);

  const [, json] = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(html)!;
  assertEquals(JSON.parse(json!), data);
  assert(!/<(?:script|img|link|iframe)[^>]*\s(?:src|href)=/i.test(html), "the page loads something");
  assert(!/@import|url\(\s*["']?http/i.test(html), "the style loads something");
});

Deno.test("bench --help lists every table", async () => {
  const args = ["run", "-A", new URL("../bench/main.ts", import.meta.url).href, "--help"];
  const { code, stdout } = await new Deno.Command(Deno.execPath(), { args }).output();
  assertEquals(code, 0);
  for (const { id } of TABLES) assertStringIncludes(new TextDecoder().decode(stdout), `\n  ${id} `);
});

Deno.test("bench names what cannot run: without its programs a row is not run, and says why", async () => {
  const main = new URL("../bench/main.ts", import.meta.url).href;
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", main, "--quick", "--json", "server-http", "memory-bulk"],
    env: { PATH: "/nonexistent" },
  }).output();
  assertEquals(code, 0);
  const { tables }: RunData = JSON.parse(new TextDecoder().decode(stdout));
  const [bulk, http] = tables;
  assertEquals(http!.rows, []);
  for (const { reason } of http!.skipped) assert(/install/.test(reason), reason);
  const native = bulk!.skipped.filter(({ name }) => name.includes("native mbedTLS"));
  assert(native.length > 0 && native.every(({ reason }) => reason.includes("install gcc")));
});

Deno.test("bench names each row by its parameters, no two alike", () => {
  for (const { id, rows } of TABLES) {
    const names = rows.map(nameOf);
    assertEquals(new Set(names).size, names.length, id);
    assert(names.every((name) => name.length > 0));
  }
});

Deno.test("median() is the middle, or between the two in the middle", () => {
  assertEquals(median([3, 1, 2]), 2);
  assertEquals(median([4, 1, 2, 3]), 2.5);
});
