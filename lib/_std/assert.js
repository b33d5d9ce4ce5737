// @ts-self-types="./assert.d.ts"
// The Deno standard library by npm: the same code as jsr:@std/assert, without its types.
export * from "npm:deno-std@1.4.0/assert/mod.js";
