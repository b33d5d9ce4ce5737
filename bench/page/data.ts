/**
 * What the page is drawn from; `--json` prints the same.
 *
 * @module
 */

import type { Effort, RowResult, Skipped } from "../runner.ts";
import type { Column, Group, Table } from "../table.ts";
import type { Target } from "../targets.ts";

/** A row, with its name in two parts: what is measured, and who does it. */
export interface RowData extends RowResult {
  readonly subject: string;
  readonly actor: string;
}

/** A table with its results. */
export interface TableData extends Pick<Table, "id" | "title" | "against" | "grows" | "implementations"> {
  readonly group: Group;
  readonly columns: readonly Column[];
  readonly rows: readonly RowData[];
  readonly skipped: readonly Skipped[];
}

/** A run. */
export interface RunData {
  readonly about: Readonly<Record<string, string>>;
  readonly effort: Effort;
  readonly groups: Readonly<Record<Group, string>>;
  readonly targets: readonly Target[];
  readonly tables: readonly TableData[];
}
