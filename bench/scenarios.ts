/**
 * Everything that is measured, in order. A table is added by adding it to a file of tables.
 *
 * @module
 */

import { PRIMITIVE_TABLES } from "./primitives.ts";
import type { Table } from "./table.ts";
import { GROWTH_TABLES } from "./tables_growth.ts";
import { MEMORY_TABLES } from "./tables_memory.ts";
import { PAIR_TABLES } from "./tables_pairs.ts";
import { SERVER_TABLES } from "./tables_servers.ts";

/** The tables, group by group. */
export const TABLES: readonly Table[] = [
  ...MEMORY_TABLES,
  ...PRIMITIVE_TABLES,
  ...SERVER_TABLES,
  ...PAIR_TABLES,
  ...GROWTH_TABLES,
];
