/** Pages that tlsio draws, read as a browser would: that they are sound, and what they say. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { parseHTML } from "../lib/cli/report/_plot.ts";

/** What is used of the DOM. */
export interface Element {
  readonly localName: string;
  readonly textContent: string;
  readonly attributes: Iterable<{ readonly name: string; readonly value: string }>;
  getAttribute(name: string): string | null;
  querySelector(selector: string): Element | null;
  querySelectorAll(selector: string): Iterable<Element>;
}

export function parse(page: string): Element {
  const { document } = parseHTML(page) as unknown as { document: { documentElement: Element } };
  return document.documentElement;
}

export const textOf = (element: Element | null) =>
  (element?.textContent ?? "").replaceAll(/\s+/g, " ").trim();
export const textsOf = (root: Element, selector: string) => [...root.querySelectorAll(selector)].map(textOf);

/** The rows of the table with this name, each as its cells. */
export function tableOf(root: Element, caption: string): string[][] {
  const region = [...root.querySelectorAll(".scroll")].find((each) =>
    each.getAttribute("aria-label") === caption
  );
  assert(region !== undefined, `no table "${caption}"`);
  return [...region.querySelectorAll("tbody tr")].map((row) => textsOf(row, "th, td"));
}

/** Names that a peer, a user or a file could bring along. */
export const HOSTILE =
  `<script>alert(1)</script><img src=x onerror=alert(1)>"'&amp;]]>--></style></title></svg>\u202e\u0000\ud800`;

const ELEMENTS = new Set(
  ("html head meta title link style body main header h1 h2 h3 h4 p strong ul ol li span small nav a section figure " +
    "figcaption i div svg g path rect circle line text tspan desc dl dt dd table thead tbody tr th td details summary footer code")
    .split(" "),
);

/** Asserts that a page is well made, and that nothing in it runs or is loaded. */
export function assertSound(page: string): Element {
  assert(page.startsWith("<!doctype html>"));
  const root = parse(page);
  const ids: string[] = [];
  for (const element of root.querySelectorAll("*")) {
    assert(ELEMENTS.has(element.localName), `an element <${element.localName}>`);
    for (const { name, value } of element.attributes) {
      assert(!/^on/i.test(name), `an attribute ${name}`);
      if (/^(href|src|action|xlink:href)$/.test(name)) assertMatch(value, /^(#[\w-]+|data:,)$/);
      if (name === "style") assertMatch(value, /^background:\s?var\(--[\w-]+\)$/);
      if (name === "id") ids.push(value);
    }
  }
  assertEquals(new Set(ids).size, ids.length, "an id twice");
  for (const svg of root.querySelectorAll("svg")) {
    assertEquals(svg.getAttribute("role"), "img");
    const names = svg.getAttribute("aria-labelledby")!.split(" ");
    assertEquals(names.map((name) => textOf(svg.querySelector(`#${name}`)) !== ""), [true, true]);
  }
  for (const { href } of links(root)) assert(ids.includes(href), `a link to ${href}`);
  const policy = root.querySelector("meta[http-equiv]")?.getAttribute("content");
  assertStringIncludes(policy ?? "", "default-src 'none'");
  assert(page.isWellFormed());
  assertEquals(page.match(/[\p{Cf}]|(?!\n)\p{Cc}/u), null, "a character that a reader does not see");
  const words = textOf(root.querySelector("main"));
  assert(
    !/\b(NaN|undefined|Infinity|null|\[object)\b/.test(words),
    words.match(/.{40}\b(NaN|undefined|Infinity|null)\b/)?.[0],
  );
  assert(!/NaN|undefined|Infinity/.test(page.replaceAll(/>[^<]*</g, "><")), "in an attribute");
  return root;
}

export function links(root: Element): { href: string }[] {
  return [...root.querySelectorAll("a")].map((a) => ({ href: a.getAttribute("href")!.slice(1) }));
}
