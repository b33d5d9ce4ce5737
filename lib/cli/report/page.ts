/**
 * The frame of a report: one HTML file that needs nothing else. It has no script, so nothing in it can fail; its drawings are
 * SVG, one for wide and one for narrow screens, in colours that follow the reader's light or dark.
 *
 * @module
 */

import { html, type SafeHtml } from "../_web.ts";
import { printable } from "../terminal.ts";
import type { Plot } from "./_plot.ts";
import { draw, textElement } from "./svg.ts";
import { STYLE } from "./style.ts";

/** Pixels of a drawing, as {@linkcode STYLE} shows them: above and below 640 of the screen. */
export const WIDE = 760;
/** Likewise: a phone of 360 less its margins. */
export const NARROW = 328;

/** Text or markup. Text from outside is escaped here and nowhere else. */
export type Content = string | number | SafeHtml | readonly Content[];

/** Makes text safe to show: markup is text, and what would turn the direction of writing is spelled out. */
export function safe(content: Content): SafeHtml {
  if (typeof content === "string") return html`${printable(content)}`;
  if (typeof content === "number") return html`${content}`;
  if (Array.isArray(content)) return html`${content.map(safe)}`;
  return content as SafeHtml;
}

/** What a page is made of. */
export interface PageParts {
  /** For the browser's tab. */
  readonly title: string;
  readonly body: Content;
}

/** The whole file. */
export function page({ title, body }: PageParts): string {
  // No address at all may be loaded: what a page of a stranger's names must never do, a browser then refuses.
  const policy =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";
  return String(html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta http-equiv="content-security-policy" content="${policy}">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <meta name="referrer" content="no-referrer">
        <meta name="generator" content="tlsio">
        <title>${printable(title)}</title>
        <link rel="icon" href="data:,">
        <style>${html.raw`${STYLE}`}</style>
      </head>
      <body>
        <main>
    ${safe(body)}
        </main>
      </body>
    </html>
  `).trimStart();
}

// ---- Figures --------------------------------------------------------------------------------------------

/** A drawing with what goes with it. */
export interface FigureParts {
  /** Of the page's own making: letters, digits, dashes. */
  readonly id: string;
  readonly title: string;
  /** Below the title: what is drawn, its units. */
  readonly note?: Content | undefined;
  /** What it shows, for those who do not see it. */
  readonly description: string;
  /** Names of the colours, in the drawing's order. */
  readonly legend?: readonly LegendEntry[] | undefined;
  /** Draws it, so many pixels wide: one drawing, or several below each other, each with its title. */
  readonly draw: (width: number) => Plot.PlotOptions | readonly Drawing[];
  /** Below the drawing. */
  readonly after?: Content | undefined;
}

/** One of several drawings. */
export interface Drawing {
  readonly title?: string | undefined;
  readonly note?: Content | undefined;
  readonly options: Plot.PlotOptions;
}

/** A colour and its name. */
export interface LegendEntry {
  readonly name: string;
  readonly colour: string;
}

/** A drawing, wide and narrow, with its title and its description. */
export function figure(parts: FigureParts): SafeHtml {
  const { id, title, note = "", legend = [], after = "" } = parts;
  return html`
    <figure id="${id}">
        <figcaption><strong>${printable(title)}</strong> <span>${safe(note)}</span></figcaption>
        ${legend.length > 0 ? html`<ul class="legend">${legend.map(legendEntry)}</ul>` : ""}
        <div class="wide">${drawings(parts, WIDE, `${id}-wide`)}</div>
    <div class="narrow">${drawings(parts, NARROW, `${id}-narrow`)}</div>
    ${safe(after)}
        </figure>
  `;
}

function legendEntry({ name, colour }: LegendEntry): SafeHtml {
  return html`<li><i style="background:${colour}"></i>${printable(name)}</li>`;
}

function drawings(parts: FigureParts, width: number, id: string): SafeHtml {
  const drawn = parts.draw(width);
  const all: readonly Drawing[] = Array.isArray(drawn) ? drawn : [{ options: drawn as Plot.PlotOptions }];
  return html`${
    all.map(({ title, note = "", options }, i) =>
      html`
        <div class="drawing">${title === undefined ? "" : html`<h4>${printable(title)}</h4>`}${note === ""
          ? ""
          : html`<p class="note">${safe(note)}</p>`}${drawing(
            parts,
            title,
            { ...options, width },
            `${id}-${i + 1}`,
          )}</div>
      `
    )
  }`;
}

function drawing(
  { title, description }: FigureParts,
  part: string | undefined,
  options: Plot.PlotOptions,
  id: string,
): SafeHtml {
  const svg = draw(options);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-labelledby", `${id}-title ${id}-desc`);
  const whole = part === undefined ? title : `${title}: ${part}`;
  const [name, text] = [textElement("title", printable(whole)), textElement("desc", printable(description))];
  name.setAttribute("id", `${id}-title`);
  text.setAttribute("id", `${id}-desc`);
  svg.prepend(name, text);
  return html.raw`${svg.outerHTML}`; // the serializer escapes text; attributes hold none from outside
}

// ---- Tables ---------------------------------------------------------------------------------------------

/** A table; the first column names the row. */
export interface TableParts {
  /** What it is, for those who do not see it. */
  readonly caption: string;
  readonly head: readonly Content[];
  readonly rows: readonly (readonly Content[])[];
  /** Columns of words, by number from 0, besides the first: to the left. */
  readonly text?: readonly number[] | undefined;
  /** Columns of sentences, likewise: their lines break. */
  readonly long?: readonly number[] | undefined;
  /** Whether each row is a card where the screen is too narrow: for sentences, which nobody scrolls to. Its head is text. */
  readonly cards?: boolean | undefined;
}

/** A table that scrolls in a box of its own where the screen is too narrow. */
export function dataTable(
  { caption, head, rows, text = [], long = [], cards = false }: TableParts,
): SafeHtml {
  const kind = (column: number) => long.includes(column) ? "long" : text.includes(column) ? "text" : "number";
  const name = (column: number) => cards ? printable(String(head[column] ?? "")) : "";
  // The roles are those that it has anyway; a style that makes cards of a table takes them away.
  return html`
    <div class="scroll" role="region" tabindex="0" aria-label="${printable(caption)}">
      <table class="${cards ? "cards" : "plain"}" role="table">
        <thead role="rowgroup">
          <tr role="row">${head.map((cell, i) =>
            html`<th role="columnheader" scope="col" class="${i === 0 ? "text" : kind(i)}">${safe(cell)}</th>`
          )}</tr>
        </thead>
        <tbody role="rowgroup">
    ${rows.map(([first = "", ...cells]) =>
      html`
        <tr role="row"><th role="rowheader" scope="row">${safe(first)}</th>${cells.map((cell, i) =>
          html`<td role="cell" class="${kind(i + 1)}" data-name="${name(i + 1)}">${safe(cell)}</td>`
        )}</tr>
      `
    )}</tbody>
      </table>
    </div>
  `;
}

/** The figures behind a drawing, folded away on the screen and open in print. */
export function details(summary: string, content: Content): SafeHtml {
  return html`
    <details>
    <summary>${printable(summary)}</summary>
    ${safe(content)}
    </details>
  `;
}

/** Names and values. */
export function facts(rows: readonly (readonly [label: string, value: Content])[]): SafeHtml {
  return html`
    <dl class="facts">${rows.map(([label, value]) =>
      html`
        <div>
          <dt>${printable(label)}</dt>
          <dd>${safe(value)}</dd>
        </div>
      `
    )}</dl>
  `;
}

/** A number that counts, large, with its name. */
export interface Tile {
  readonly label: string;
  readonly value: string;
  readonly unit?: string | undefined;
  readonly note?: Content | undefined;
}

/** Numbers that count, side by side. */
export function tiles(all: readonly Tile[]): SafeHtml {
  return html`
    <ul class="${all.length % 3 === 0 ? "tiles three" : "tiles"}">${all.map((
      { label, value, unit = "", note = "" },
    ) =>
      html`
        <li><span class="label">${printable(label)}</span> <span class="value">${printable(
          value,
        )}<small> ${printable(unit)}</small></span> <span class="note">${safe(note)}</span></li>
      `
    )}</ul>
  `;
}
