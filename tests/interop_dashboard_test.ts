/** A browser as the viewer of the dashboard, while clients load the server: on a desk, a phone, in the dark. */
import { assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { createDefaultContext, saveSession, type SSLSession } from "../mod.ts";
import { cliServe, type CliServer } from "./cli_helpers.ts";
import { type Browser, browser, type View } from "./peers/browser.ts";
import { within } from "./peers.ts";

const PATIENCE = 60_000; // milliseconds

/** Waits until an expression is true in the page. */
async function until(page: Browser, expression: string): Promise<void> {
  const seen = async () => {
    while (!await page.evaluate<boolean>(expression)) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  await within(seen(), PATIENCE, `see ${expression} in the page`);
}

const textOf = (selector: string) => `document.querySelector(${JSON.stringify(selector)}).textContent`;

/** The numbers of the tiles, by their names. */
const TILES = `Object.fromEntries([...document.querySelectorAll("#tiles li")].map((tile) =>
  [...tile.children].slice(0, 2).map((each) => each.textContent)))`;

/** The charts with what their colours have drawn: pixels of a canvas that are neither grey nor nothing. */
const CHARTS = `Object.fromEntries([...document.querySelectorAll("figure")].map((figure) => {
  const canvas = figure.querySelector("canvas");
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
  let coloured = 0;
  for (let i = 0; i < data.length; i += 4) {
    const [red, green, blue, alpha] = data.subarray(i, i + 4);
    if (alpha > 128 && Math.max(red, green, blue) - Math.min(red, green, blue) > 60) coloured++;
  }
  return [figure.querySelector("strong").textContent, coloured];
}))`;

/** What reaches beyond the page. */
const TOO_WIDE = `[...document.querySelectorAll("main *")].filter((each) => each.closest(".plot") === null &&
  each.checkVisibility() && each.getBoundingClientRect().right > innerWidth + 1).map((each) => each.outerHTML.slice(0, 80))`;

/** Clients that come and go, a third of them with a session from before. */
class Load implements AsyncDisposable {
  #isOver = false;
  #session: SSLSession | undefined;
  readonly #done: Promise<void>;

  constructor({ port, ca }: CliServer) {
    this.#done = this.#run(port, ca);
  }

  async #run(port: number, ca: string): Promise<void> {
    using context = await createDefaultContext(undefined, { caCerts: ca });
    const request = new TextEncoder().encode("GET /temp HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (let i = 0; !this.#isOver; i++) {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      if (i % 10 === 9) { // one that speaks no TLS
        await conn.write(request);
        for await (const _alert of conn.readable);
        continue;
      }
      const savedSession = i % 3 === 2 ? this.#session : undefined;
      const tls = await context.wrapSocket(conn, {
        serverHostname: "localhost",
        ...(savedSession && { savedSession }),
      });
      await tls.write(request);
      await tls.read(new Uint8Array(8192));
      this.#session = saveSession(tls) ?? this.#session;
      await tls.close();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    await this.#done;
  }
}

const VIEWS: Readonly<Record<string, View>> = {
  "on a desk, in the dark": { width: 1280, dark: true },
  "on a phone": { width: 360 },
};

Deno.test("serve --dashboard: Chromium sees numbers change and charts drawn while clients load the server", async (t) => {
  await using server = await cliServe(["--quiet", "--dashboard=127.0.0.1:0"]);
  const url = server.program.stdout.match(/Dashboard +(\S+)/)![1]!;
  await using page = await browser({ offline: false });
  {
    await using _load = new Load(server);
    await page.open(url, { width: 1280 });
    await until(
      page,
      `document.body.className === "live" && document.querySelectorAll("#tables tbody tr").length >= 3`,
    );
    assertEquals(await page.evaluate(textOf("h1")), server.url);
    const first = await page.evaluate<Record<string, string>>(TILES);
    assertEquals(Object.keys(first).length, 10);
    for (const text of Object.values(first)) assertMatch(text, /^([\d,.]+( \S+)?|–)$/);
    await until(
      page,
      `${TILES}["Requests"] !== ${JSON.stringify(first.Requests)} && ${TILES}["Resumed"] !== "0 %"`,
    );
    await until(page, `document.querySelectorAll("#tables tbody tr").length >= 4`); // suite, failure, tickets

    await until(page, `Object.values(${CHARTS}).every((pixels) => pixels > 10)`);
    assertEquals(await page.evaluate(`document.querySelectorAll("figure canvas").length`), 12);
    const label = await page.evaluate<string>(`document.querySelector(".plot").getAttribute("aria-label")`);
    assertMatch(label, /^Requests, the last minutes: requests now [\d.]+ \/s, at most [\d.]+ \/s$/);
    assertEquals(
      await page.evaluate(`[...document.querySelectorAll(".plot")].every((plot) =>
      plot.getAttribute("role") === "img" && plot.getAttribute("aria-label").length > 20)`),
      true,
    );
    assertEquals(page.complaints, []);
    assertEquals(page.requests.filter((asked) => !asked.startsWith(url)), []);
    assertEquals(page.requests.filter((asked) => asked === `${url}events`).length, 1);

    for (const [where, view] of Object.entries(VIEWS)) {
      await t.step(where, async () => {
        await page.open(url, view);
        await until(page, `document.body.className === "live" && ${CHARTS}["Requests"] > 20`); // from what was kept for it
        assertEquals(await page.evaluate(TOO_WIDE), []);
        assertEquals(await page.evaluate("document.documentElement.scrollWidth"), view.width);
        assertEquals(page.complaints, []);
      });
    }
  }
  assertEquals(server.program.stderr, "");
});

Deno.test("serve --dashboard: the page says since when there is no data, and goes on by itself when the server is back", async () => {
  await using page = await browser({ offline: false });
  let port = "0";
  {
    await using server = await cliServe(["--quiet", "--dashboard=0"]);
    const url = new URL(server.program.stdout.match(/Dashboard +(\S+)/)![1]!);
    ({ port } = url);
    await page.open(url.href, { width: 1280 });
    await until(page, `document.body.className === "live"`);
    assertEquals(page.complaints, []);
    server.program.kill("SIGINT");
    assertEquals(await server.program.exit(), 0);
    await until(page, `/^No data since \\d\\d:\\d\\d:\\d\\d$/.test(${textOf("#state")})`);
    await until(page, `/^for \\d+ s; trying again$/.test(${textOf("#since")})`);
  }
  const before = await page.evaluate(textOf("h1"));
  await using again = await cliServe(["--quiet", `--dashboard=127.0.0.1:${port}`]);
  await until(page, `document.body.className === "live" && ${textOf("#state")} === "Live"`);
  assertEquals(await page.evaluate(textOf("h1")), again.url);
  assertNotEquals(before, again.url);
});
