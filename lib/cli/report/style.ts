/**
 * The style of a report: light and dark as the reader's system is, paper in print.
 *
 * @module
 */

/** Colours by what they stand for, to use in drawings. */
export const COLOUR = {
  text: "var(--text)",
  faint: "var(--faint)",
  line: "var(--line)",
  back: "var(--back)",
  panel: "var(--panel)",
  /** On one of the colours below. */
  on: "var(--on)",
  up: "var(--up)",
  down: "var(--down)",
  certificate: "var(--c4)",
  full: "var(--c7)",
  resumed: "var(--c3)",
  good: "var(--good)",
  bad: "var(--bad)",
} as const;

/** Colours of kinds: dark enough for white letters on white paper, light enough for black ones on black. */
export const KINDS: readonly string[] = [1, 2, 3, 4, 5, 6, 8].map((n) => `var(--c${n})`);
/** The colour of what is left. */
export const REST = "var(--c7)";

/** CSS. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --back: #fff;
  --panel: #f5f6f8;
  --text: #1b1f24;
  --faint: #59626d;
  --line: #dadfe5;
  --shade: #0003;
  --on: #fff;
  --up: #1c63b0;
  --down: #b1480a;
  --good: #22733a;
  --bad: #b3262e;
  --warn: #fff6e0;
  --warn-line: #b27c00;
  --c1: #1c63b0;
  --c2: #b1480a;
  --c3: #0b756a;
  --c4: #7748ad;
  --c5: #a12f6f;
  --c6: #66660f;
  --c7: #5a6370;
  --c8: #9b2c2c;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --back: #14171b;
    --panel: #1d2127;
    --text: #e6e9ed;
    --faint: #a3adb9;
    --line: #363d46;
    --shade: #fff2;
    --on: #101215;
    --up: #7fb5f3;
    --down: #f3a468;
    --good: #74cf8c;
    --bad: #ff8f8f;
    --warn: #2e2716;
    --warn-line: #d6a431;
    --c1: #7fb5f3;
    --c2: #f3a468;
    --c3: #5fc9b9;
    --c4: #c3a6f1;
    --c5: #ee9bc8;
    --c6: #c9c463;
    --c7: #a7b0bc;
    --c8: #f29090;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0;
  background: var(--back);
  color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
}
main { max-width: 792px; margin: 0 auto; padding: 24px 16px 56px; }
h1, h2, h3 { line-height: 1.25; text-wrap: balance; }
h1 { font-size: 1.75rem; font-weight: 650; letter-spacing: -0.012em; margin: 0.4em 0 0.35em; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; font-weight: 650; letter-spacing: -0.008em; margin: 2.4em 0 0.5em; padding-top: 0.9em; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
h3 { font-size: 1.05rem; font-weight: 650; margin: 1.8em 0 0.4em; overflow-wrap: anywhere; }
p, ul.plain { margin: 0.6em 0; max-width: 68ch; overflow-wrap: anywhere; }
ul.plain { padding-left: 1.2em; }
a { color: var(--up); }
strong { font-weight: 650; }
code { font: 0.9em/1.4 ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.faint { color: var(--faint); }
.lead { font-size: 1.06rem; }
.stamp { color: var(--faint); font-size: 0.875rem; margin: 0; overflow-wrap: anywhere; }
.notice { border: 1px solid var(--warn-line); border-left-width: 5px; border-radius: 4px; background: var(--warn); padding: 0.6em 0.9em; margin: 1em 0; max-width: none; break-inside: avoid; }
nav { margin: 1.2em 0; font-size: 0.9rem; }
nav ol { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; padding: 0; margin: 0; }
.tiles { list-style: none; display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 138px), 1fr)); gap: 10px; padding: 0; margin: 1.3em 0; }
.tiles.three { grid-template-columns: repeat(auto-fit, minmax(min(100%, 200px), 1fr)); }
.tiles li { background: var(--panel); border-radius: 7px; padding: 10px 12px 9px; display: flex; flex-direction: column; break-inside: avoid; }
.tiles .label { font-size: 0.8rem; color: var(--faint); }
.tiles .value { font-size: 1.5rem; font-weight: 650; line-height: 1.25; letter-spacing: -0.01em; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.tiles small { font-size: 0.9rem; font-weight: 450; letter-spacing: 0; }
.tiles .note { font-size: 0.8rem; line-height: 1.4; color: var(--faint); overflow-wrap: anywhere; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; }
.facts { margin: 1em 0; font-size: 0.9rem; }
.facts div { display: grid; grid-template-columns: minmax(7.5em, 24%) 1fr; gap: 0 14px; padding: 3px 0; border-bottom: 1px solid var(--line); break-inside: avoid; }
.facts dt { color: var(--faint); overflow-wrap: anywhere; }
.facts dd { margin: 0; overflow-wrap: anywhere; white-space: pre-line; }
figure { margin: 1.4em 0 1.8em; min-width: 0; }
.drawing { break-inside: avoid; margin-bottom: 0.9em; }
.drawing h4 { font-size: 0.9rem; font-weight: 650; margin: 0.7em 0 0.3em; overflow-wrap: anywhere; }
.drawing .note { font-size: 0.82rem; line-height: 1.4; color: var(--faint); margin: 0 0 0.5em; }
figcaption { font-size: 0.95rem; margin-bottom: 8px; max-width: 68ch; }
figcaption strong { display: block; }
figcaption span { display: block; font-size: 0.85rem; line-height: 1.45; color: var(--faint); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 14px; padding: 0; margin: 0 0 8px; font-size: 0.82rem; }
.legend i { display: inline-block; width: 0.8em; height: 0.8em; border-radius: 2px; margin-right: 6px; vertical-align: -0.06em; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
svg { display: block; width: 100%; max-width: 760px; height: auto; color: var(--text); font: 12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; font-variant-numeric: tabular-nums; overflow: visible; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
svg text { white-space: pre; }
.narrow { display: none; }
.scroll {
  overflow-x: auto;
  margin: 0.7em 0;
  /* A shadow where there is more to scroll to: the covers move with the table, the shadows stay. */
  background:
    linear-gradient(to right, var(--back) 40%, transparent) 0 0 / 36px 100% no-repeat local,
    linear-gradient(to left, var(--back) 40%, transparent) 100% 0 / 36px 100% no-repeat local,
    linear-gradient(to right, var(--shade), transparent) 0 0 / 12px 100% no-repeat scroll,
    linear-gradient(to left, var(--shade), transparent) 100% 0 / 12px 100% no-repeat scroll;
}
.scroll:focus-visible, summary:focus-visible, a:focus-visible { outline: 2px solid var(--up); outline-offset: 2px; }
table { border-collapse: collapse; font-size: 0.85rem; line-height: 1.4; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: 4px 0 4px 16px; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); white-space: nowrap; font-weight: 400; }
th:first-child { padding-left: 0; }
thead th { min-width: 4.2em; color: var(--faint); font-size: 0.8rem; vertical-align: bottom; border-bottom-color: var(--faint); white-space: normal; }
tbody th, th.text, td.text, th.long, td.long { text-align: left; }
tbody th { font-weight: 500; }
td.long { white-space: normal; min-width: 17em; overflow-wrap: anywhere; }
td.text { max-width: 30em; overflow-wrap: anywhere; }
tr { break-inside: avoid; }
td .range { color: var(--faint); }
.tag { display: inline-block; font-size: 0.75rem; line-height: 1.5; padding: 0 6px; border: 1px solid currentColor; border-radius: 9px; color: var(--faint); white-space: nowrap; }
details { margin: 0.6em 0 1.2em; }
details:has(+ details) { margin-bottom: 0.1em; }
details + details { margin-top: 0.1em; }
h4 { font-size: 0.9rem; font-weight: 650; margin: 1.2em 0 0.3em; }
summary { cursor: pointer; color: var(--faint); font-size: 0.87rem; padding: 3px 0; }
footer { margin-top: 3.5em; padding-top: 0.9em; border-top: 1px solid var(--line); font-size: 0.82rem; color: var(--faint); }
@media (max-width: 640px) {
  main { padding: 14px 16px 40px; }
  h1 { font-size: 1.45rem; }
  .wide { display: none; }
  .narrow { display: block; }
  svg { max-width: 440px; margin: 0 auto; }
  td .range { display: block; }
  tbody th { white-space: normal; min-width: 7em; }
  .tiles, .tiles.three { grid-template-columns: repeat(auto-fit, minmax(min(100%, 125px), 1fr)); gap: 8px; }
  .facts div { grid-template-columns: 1fr; }
  table.cards thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  table.cards tbody { display: block; }
  table.cards tr { display: grid; grid-template-columns: repeat(3, auto); gap: 2px 12px; padding: 8px 0; border-bottom: 1px solid var(--line); }
  table.cards th, table.cards td { border: 0; padding: 0; text-align: left; }
  table.cards tbody th { grid-column: span 2; }
  table.cards td.long { grid-column: 1 / -1; }
  table.cards td.number::before { content: attr(data-name) " "; color: var(--faint); }
}
@media print {
  :root { color-scheme: light; }
  @page { margin: 16mm 15mm; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  h2 { break-after: avoid; margin-top: 1.6em; }
  h3, h4, figcaption, summary, .legend, .note { break-after: avoid; break-inside: avoid; }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(108px, 1fr)); }
  .wide { display: block; }
  .narrow, nav { display: none; }
  svg { max-width: 100%; }
  .scroll { overflow: visible; background: none; }
  table { font-size: 7.4pt; line-height: 1.3; }
  th, td { white-space: normal; padding: 2px 0 2px 7px; overflow-wrap: anywhere; }
  thead th { font-size: 6.8pt; min-width: 0; overflow-wrap: normal; }
  tbody th, td.number { overflow-wrap: normal; }
  td.long { min-width: 0; }
  td.text { overflow-wrap: normal; }
  table .tag { font-size: 1em; padding: 0 4px; }
  .facts { font-size: 8.4pt; line-height: 1.35; }
  .facts div { padding: 1.5px 0; grid-template-columns: 15em 1fr; }
  thead { display: table-header-group; }
  details::details-content { content-visibility: visible; display: block; block-size: auto; }
  .tiles.three { grid-template-columns: repeat(auto-fit, minmax(min(100%, 200px), 1fr)); }
.tiles li { border: 1px solid var(--line); }
}
`;
