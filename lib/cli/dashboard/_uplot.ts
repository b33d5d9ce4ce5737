/**
 * uPlot, which draws the dashboard's charts in the browser: as text, to be served. A module that is imported from a URL does not
 * see the import map, so the specifiers are whole.
 */
export { default as script } from "npm:uplot@1.6.32/dist/uPlot.iife.min.js" with { type: "text" };
export { default as style } from "npm:uplot@1.6.32/dist/uPlot.min.css" with { type: "text" };
