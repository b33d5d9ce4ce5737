/** A browser as the reader of the reports: from a file, without a network, on a desk, a phone, in the dark and on paper. */
import { assert, assertEquals } from "@std/assert";
import { handshakeReport } from "../lib/cli/report/handshake_report.ts";
import { tracePage } from "../lib/cli/report/trace_page.ts";
import { tempDir } from "./peers.ts";
import { type Browser, browser, type View } from "./peers/browser.ts";
import { sampleRun, scenario } from "./report_samples.ts";
import { handshakeEvents } from "./trace_samples.ts";

const LONG = "a-host-with-a-name-that-is-much-longer-than-any-phone-is-wide.".repeat(3);

function longNames() {
  const { scenarios } = sampleRun();
  const renamed = scenarios.map((each) => ({
    ...each,
    scenario: { ...each.scenario, name: `${LONG}${each.scenario.name}` },
  }));
  return sampleRun({ scenarios: renamed, plan: { ...sampleRun().plan, target: LONG } });
}

const connection = { name: "full", role: "client", events: handshakeEvents() } as const;

const PAGES: Readonly<Record<string, () => Promise<string>>> = {
  "bench handshake --html": () => handshakeReport(sampleRun()),
  "bench handshake --html with long names": () => handshakeReport(longNames()),
  "bench handshake --html of one scenario": () =>
    handshakeReport(sampleRun({ scenarios: [scenario("1.3", "P-256", "full")], resumption: [] })),
  "trace --html": () =>
    tracePage({
      title: "example.com:443",
      connections: [connection, {
        ...connection,
        name: LONG,
        error: LONG,
        facts: [["Certificate", LONG], [LONG, "x"]],
      }],
    }),
};

const VIEWS: Readonly<Record<string, View>> = {
  "on a desk": { width: 1280 },
  "on a desk, in the dark": { width: 1280, dark: true },
  "on a phone": { width: 360 },
  "on a phone, in the dark": { width: 360, dark: true },
  "on paper": { width: 718, print: true, dark: true },
};

/** Words of drawings that leave theirs, as far as a pixel shows. */
const OUTSIDE =
  `[...document.querySelectorAll("svg")].filter((svg) => svg.checkVisibility()).flatMap((svg) => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter((text) => {
    const { left, right, top, bottom } = text.getBoundingClientRect();
    return left < box.left - 3 || right > box.right + 3 || top < box.top - 3 || bottom > box.bottom + 3;
  }).map((text) => text.firstChild.textContent.slice(0, 60));
}).slice(0, 5)`;

/** What is drawn for wide and for narrow screens, and seen. */
const SEEN = `["wide", "narrow"].map((name) =>
  [...document.querySelectorAll("." + name)].filter((each) => each.checkVisibility()).length > 0)`;

/** What reaches beyond the page, besides what scrolls in a box of its own. */
const TOO_WIDE = `[...document.querySelectorAll("main *")].filter((each) =>
  each.closest(".scroll") === null && each.closest("svg") === null && each.checkVisibility() &&
  each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.outerHTML.slice(0, 80)).slice(0, 5)`;

/** Tables that leave the paper, which nobody can scroll. */
const CUT = `[...document.querySelectorAll("table")].filter((table) =>
  table.checkVisibility() && table.getBoundingClientRect().right > innerWidth + 1).map((table) =>
    table.parentElement.getAttribute("aria-label"))`;

/** Colours by their names. */
const COLOURS =
  `Object.fromEntries(["back", "panel", "text", "faint", "on", "up", "down", "good", "bad", "warn",
  ...Array.from({ length: 8 }, (_, i) => "c" + (i + 1))].map((name) => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.color = "var(--" + name + ")";
    const colour = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map(Number);
    probe.remove();
    return [name, colour];
  }))`;

type Colour = readonly [red: number, green: number, blue: number];

/** How far two colours are apart (WCAG 2.2, section 1.4.3). */
function contrast(a: Colour, b: Colour): number {
  const [light, dark] = [a, b].map((colour) => {
    const [red, green, blue] = colour.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    }) as [number, number, number];
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }).sort((x, y) => y - x) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

async function assertReadable(reader: Browser, view: View): Promise<void> {
  assertEquals(reader.complaints, []);
  assertEquals(reader.requests, []);
  assertEquals(await reader.evaluate(SEEN), view.width < 640 ? [false, true] : [true, false]);
  assertEquals(await reader.evaluate(OUTSIDE), []);
  assertEquals(await reader.evaluate(TOO_WIDE), []);
  if (view.print) assertEquals(await reader.evaluate(CUT), []);
  else { // a wide table scrolls in its box, not the page
    assertEquals(await reader.evaluate("document.documentElement.scrollWidth"), view.width);
  }
  const colours = await reader.evaluate<Record<string, Colour>>(COLOURS);
  assertEquals(contrast(colours.back!, [0, 0, 0]) < 2, view.dark === true && !view.print);
  for (const text of ["text", "faint", "up", "down", "good", "bad"]) {
    for (const back of ["back", "panel"]) {
      assert(contrast(colours[text]!, colours[back]!) >= 4.5, `${text} on ${back}`);
    }
  }
  assert(contrast(colours.text!, colours.warn!) >= 4.5, "text on warn");
  for (let i = 1; i <= 8; i++) {
    assert(contrast(colours.on!, colours[`c${i}`]!) >= 4.5, `letters on colour ${i}`);
  }
}

Deno.test("interop chromium: the reports open from a file with the network off, on all screens and on paper", async (t) => {
  await using dir = await tempDir();
  await using reader = await browser();
  for (const [name, make] of Object.entries(PAGES)) {
    const file = `${dir.path}/${name.replaceAll(/\W+/g, "_")}.html`;
    await Deno.writeTextFile(file, await make());
    for (const [where, view] of Object.entries(VIEWS)) {
      await t.step(`${name}, ${where}`, async () => {
        await reader.open(`file://${file}`, view);
        await assertReadable(reader, view);
        const png = await reader.screenshot();
        assertEquals(new TextDecoder("latin1").decode(png.subarray(1, 4)), "PNG");
        assert(png.length > 20_000, `a picture of ${png.length} bytes`);
      });
    }
    await t.step(`${name}, as PDF: what is folded away is printed, too`, async () => {
      await reader.open(`file://${file}`, { width: 718, print: true });
      const folded = `[...document.querySelectorAll("details")].filter((each) => each.open ||
        each.lastElementChild.getBoundingClientRect().height === 0).length`;
      assertEquals(await reader.evaluate(folded), 0);
      const pdf = new TextDecoder("latin1").decode(await reader.pdf());
      assert(pdf.startsWith("%PDF-"));
      assert([...pdf.matchAll(/\/Type\s*\/Page\b/g)].length > 1);
      assertEquals(reader.complaints, []);
    });
  }
});

Deno.test("interop chromium: a page that scripts or loads is complained of, so that the tests above can fail", async () => {
  await using dir = await tempDir();
  await using reader = await browser();
  const page = (await handshakeReport(sampleRun())).replace(
    "</main>",
    `<img src="http://127.0.0.1:9/x.png"><script>console.error("ran")</script></main>`,
  );
  await Deno.writeTextFile(`${dir.path}/page.html`, page);
  await reader.open(`file://${dir.path}/page.html`, { width: 1280 });
  assert(reader.complaints.length >= 2, reader.complaints.join("; "));
  assertEquals(reader.complaints.some((text) => text.includes("ran")), false);
});
