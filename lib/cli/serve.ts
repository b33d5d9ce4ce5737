import { defineCommand } from "./flags.ts";
export const serve = defineCommand({
  name: "serve",
  summary: "TODO",
  operands: "[dir]",
  arity: [0, 1],
  flags: {},
  notes: "",
  run: () => Promise.resolve(0),
});
