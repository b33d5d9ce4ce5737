/**
 * The network model: how long handshakes wait on each link.
 *
 * @module
 */

import type { BenchResult, LinkFacts, ScenarioResult } from "../bench/result.ts";
import { html, type SafeHtml } from "../_web.ts";
import { reliabilityTag } from "./device_section.ts";
import { type Content, dataTable, details, figure } from "./page.ts";
import { pagedBars } from "./paged_bars.ts";
import { KINDS, REST } from "./style.ts";
import { ms, NONE, number } from "./words.ts";

/** The section's pictures and tables. */
export function networkSection({ plan: { links }, scenarios }: BenchResult): Content {
  const modelled = scenarios.filter((result) => result.links.length > 0);
  if (links.length === 0) {
    return html`<p>No link was asked for: <code>--link</code> or <code>--rtt</code> does.</p>`;
  }
  if (modelled.length === 0) return "Nothing told of the flights: neither end was ours.";
  return [linksFigure(links, modelled), table(links, modelled)];
}

function linksFigure(links: readonly LinkFacts[], scenarios: readonly ScenarioResult[]): SafeHtml {
  return figure({
    id: "network-model",
    title: "Waits for the network until the client may send data",
    note:
      "Modelled from the counted flights and bytes, not measured: none of the two ends' time is in it, no lost packets, no slow " +
      "start. Each link has a scale of its own.",
    description: links.map(({ name }, i) =>
      `${name}: ${
        scenarios.map(({ scenario, links }) => `${scenario.name} ${ms(totalOf(links[i]))}`).join(", ")
      }`
    ).join("; "),
    legend: [{ name: "TCP's connection", colour: REST }, { name: "the handshake", colour: KINDS[0]! }],
    draw: (width) =>
      links.flatMap((link, i) => {
        const block = {
          title: "",
          bars: scenarios.map(({ scenario, links }) => ({
            label: scenario.name,
            segments: links[i] === undefined ? [] : [
              { name: "TCP", value: links[i].connectMs, colour: REST },
              { name: "handshake", value: links[i].clientMs, colour: KINDS[0]! },
            ],
            text: ms(totalOf(links[i])),
          })),
        };
        const note = [factsOf(link), " ", reliabilityTag(link.reliability), " ", link.source];
        return pagedBars([block], { width, unit: "ms", format: ms }, { title: link.name, note });
      }),
  });
}

function totalOf(time: ScenarioResult["links"][number] | undefined): number | undefined {
  return time && time.connectMs + time.clientMs;
}

function factsOf({ rttMs, kbpsUp, kbpsDown }: LinkFacts): string {
  const rate = (kbps: number | null) => kbps === null ? "any rate" : `${number(kbps)} kbit/s`;
  const rates = kbpsUp === kbpsDown ? rate(kbpsUp) : `${rate(kbpsUp)} up, ${rate(kbpsDown)} down`;
  return `Round trip ${ms(rttMs)}, ${rates}.`;
}

function table(links: readonly LinkFacts[], scenarios: readonly ScenarioResult[]): SafeHtml {
  return details(
    "Waits in figures",
    dataTable({
      caption: "Waits for the network",
      head: ["Scenario", "Link", "TCP ms", "Client ms", "Server ms", "Client, with TCP ms"],
      text: [1],
      rows: scenarios.flatMap((result) =>
        links.map(({ name }, i) => {
          const time = result.links[i];
          if (time === undefined) return [result.scenario.name, name, NONE, NONE, NONE, NONE];
          const cells = [time.connectMs, time.clientMs, time.serverMs, totalOf(time)].map(number);
          return [result.scenario.name, name, ...cells];
        })
      ),
    }),
  );
}
