/** All cases, by group. */
import type { Group } from "./cases.ts";
import { constraints } from "./constraints.ts";
import { hosts, lists } from "./hosts.ts";
import { algorithms, building, fields, lengths, times, usages } from "./paths.ts";

export const GROUPS: readonly Group[] = [
  constraints,
  lengths,
  usages,
  times,
  algorithms,
  fields,
  building,
  hosts,
  lists,
];
