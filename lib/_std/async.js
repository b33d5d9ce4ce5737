// @ts-self-types="./async.d.ts"
// The Deno standard library by npm: the same code as jsr:@std/async, without its types. A module that is
// imported from a URL does not see the import map, so the specifier is whole.
export { deadline } from "npm:deno-std@1.4.0/async/deadline.js";
export { delay } from "npm:deno-std@1.4.0/async/delay.js";
