// @ts-self-types="./cli.d.ts"
// The Deno standard library by npm: the same code as jsr:@std/cli, without its types.
export { parseArgs } from "npm:deno-std@1.4.0/cli/parse_args.js";
