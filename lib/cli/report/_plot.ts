/**
 * Observable Plot, and a document for it to draw in: linkedom's, where there is no browser.
 * A module that is imported from a URL does not see the import map, so the specifiers are whole. It loads when a picture is
 * asked for, not with the command line.
 */
import * as Plot from "npm:@observablehq/plot@0.6.17";
import { parseHTML } from "npm:linkedom@0.18.12/worker";

/** What is used of an element: neither package brings the DOM's types along. */
export interface SvgElement {
  textContent: string | null;
  readonly outerHTML: string;
  setAttribute(name: string, value: string): void;
  remove(): void;
  prepend(...children: SvgElement[]): void;
  querySelector(selector: string): SvgElement | null;
}

interface SvgDocument {
  createElementNS(namespace: string, name: string): SvgElement;
}

const SVG = "http://www.w3.org/2000/svg";

const { document } = parseHTML("<!doctype html><html><body></body></html>") as unknown as {
  readonly document: SvgDocument;
};

/** Draws a plot as an element of SVG. The style that Plot puts into each is left out: the page has it, once. */
export function draw(options: Plot.PlotOptions): SvgElement {
  const svg: SvgElement = Plot.plot({ ...options, document: document as never }) as never;
  svg.querySelector("style")?.remove();
  return svg;
}

/** An element of SVG that holds text. */
export function textElement(name: "title" | "desc", text: string): SvgElement {
  const element = document.createElementNS(SVG, name);
  element.textContent = text;
  return element;
}

export { Plot };
