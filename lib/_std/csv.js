// @ts-self-types="./csv.d.ts"
// The Deno standard library by npm: the same code as jsr:@std/csv, without its types.
export { stringify } from "npm:deno-std@1.4.0/csv/stringify.js";
