/**
 * Bars as drawings that fit on a printed page each, with one scale.
 *
 * @module
 */

import { type Bar, bars, type BarsOptions, type Block, marginsOf, topOf } from "./bars.ts";
import type { Content, Drawing } from "./page.ts";

/** Lines of a drawing, with those of titles: what is wanted, and what a page of A4 has room for. */
const LINES = 36;
const LINES_MAX = 42;

/** What stands above the first drawing. */
export interface Heading {
  readonly title?: string | undefined;
  readonly note?: Content | undefined;
}

/** Draws blocks as {@linkcode bars} does, as few drawings as it takes, about as long as each other. */
export function pagedBars(
  blocks: readonly Block[],
  options: Omit<BarsOptions, "margins">,
  { title, note }: Heading = {},
): Drawing[] {
  const all = blocks.flatMap((block) => block.bars);
  const shared = { ...options, top: options.top ?? topOf(all), margins: marginsOf(all, options.width) };
  return pagesOf(blocks.flatMap(parts)).map((page, i) => ({
    ...(title !== undefined && { title: i === 0 ? title : `${title}, continued` }),
    ...(note !== undefined && i === 0 && { note }),
    options: bars(page, shared),
  }));
}

/** A block that is too long for a page, in parts of one size. */
function parts({ title, bars }: Block): Block[] {
  return chunksOf(bars, LINES - 1).map((some, i) => ({
    title: i === 0 || title === "" ? title : `${title}, continued`,
    bars: some,
  }));
}

function chunksOf(all: readonly Bar[], most: number): Bar[][] {
  const size = Math.ceil(all.length / Math.ceil(all.length / most));
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
}

function pagesOf(blocks: readonly Block[]): Block[][] {
  const lines = (some: readonly Block[]) => some.reduce((sum, { bars }) => sum + bars.length + 1, 0);
  const wanted = lines(blocks) / Math.ceil(lines(blocks) / LINES); // of each page
  const pages: Block[][] = [];
  for (const block of blocks) {
    const last = pages.at(-1);
    const full = last === undefined || lines([...last, block]) > LINES_MAX || lines(last) >= wanted;
    if (full) pages.push([block]);
    else last.push(block);
  }
  return pages;
}
