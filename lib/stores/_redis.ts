/**
 * Redis' own client of JavaScript, and the bytes that it takes. A module that is imported from a URL does not see the import
 * map, so the specifier is whole.
 */
export { Buffer } from "node:buffer";
export { createClient, RESP_TYPES } from "npm:@redis/client@6.3.1";
