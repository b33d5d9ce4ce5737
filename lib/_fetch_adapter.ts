/**
 * Node's requests as those of fetch. A module that is imported from a URL does not see the import map, so the specifier is
 * whole.
 */
export { createRequest } from "npm:@remix-run/node-fetch-server@0.14.2";
