/**
 * Observable Plot, and linkedom, which has documents to draw in where there is no browser.
 * A module that is imported from a URL does not see the import map, so the specifiers are whole. They load when a picture is
 * asked for, not with the command line.
 */
export * as Plot from "npm:@observablehq/plot@0.6.17";
export { parseHTML } from "npm:linkedom@0.18.12/worker";
