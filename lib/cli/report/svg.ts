/**
 * Plots as elements of SVG.
 *
 * @module
 */

import { parseHTML, Plot } from "./_plot.ts";

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

/** Draws a plot. The style that Plot puts into each is left out: the page has it, once. */
export function draw(options: Plot.PlotOptions): SvgElement {
  const svg: SvgElement = Plot.plot({ ...options, document: document as never }) as never;
  svg.querySelector("style")?.remove();
  return svg;
}

/** An element that holds text. */
export function textElement(name: "title" | "desc", text: string): SvgElement {
  const element = document.createElementNS(SVG, name);
  element.textContent = text;
  return element;
}
