import { assert, assertEquals } from "@std/assert";
import type { RowResult } from "../bench/runner.ts";
import { median } from "../bench/runner.ts";
import { nameOf, TABLES } from "../bench/scenarios.ts";

const DELAYED_ACK = 40; // milliseconds; Linux's shortest

interface Output {
  tables: { id: string; rows: RowResult[]; skipped: string[] }[];
}

/** What the bench prints as JSON. */
async function bench(...args: string[]): Promise<Output> {
  const main = new URL("../bench/main.ts", import.meta.url);
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", main.href, "--json", ...args],
    stderr: "inherit",
  });
  const { code, stdout } = await command.output();
  assertEquals(code, 0);
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test("bench --quick runs every row", async () => {
  const { tables } = await bench("--quick");
  assertEquals(tables.map(({ id }) => id), TABLES.map(({ id }) => id));
  for (const [i, { id, rows, skipped }] of tables.entries()) {
    const { columns, rows: expected } = TABLES[i]!;
    assertEquals([...rows.map(({ name }) => name), ...skipped].sort(), expected.map(nameOf).sort());
    for (const name of skipped) assert(name.includes("Node"), `${id}: ${name} did not run`);
    for (const { name, stats } of rows) {
      for (const { key } of columns) assert(Number.isFinite(stats[key]?.median), `${id}: ${name}: ${key}`);
    }
  }

  // A row that should resume and does not ends the run; and a resumed flight holds no certificate.
  const down = (version: string, resume: boolean) =>
    tables[0]!.rows.find(({ row }) =>
      row.version === version && row.key === "P-256" && row.resume === resume
    )!
      .stats.down!.median;
  for (const version of ["1.2", "1.3"]) assert(down(version, true) < down(version, false) / 2);

  // A handshake of ours never waits for a delayed ACK: one that did could not be this fast.
  const ours = tables.find(({ id }) => id === "connect")!.rows.find(({ row }) =>
    row.client === "tlsio" && row.server === "tlsio"
  )!;
  assert(ours.stats.min!.min < DELAYED_ACK, `${ours.stats.min!.min} ms`);
});

Deno.test("bench names each row by its parameters, no two alike", () => {
  for (const { rows } of TABLES) {
    const names = rows.map(nameOf);
    assertEquals(new Set(names).size, names.length);
    assert(names.every((name) => name.length > 0));
  }
});

Deno.test("median() is the middle, or between the two in the middle", () => {
  assertEquals(median([3, 1, 2]), 2);
  assertEquals(median([4, 1, 2, 3]), 2.5);
});
