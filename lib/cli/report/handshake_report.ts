/**
 * The report of `tlsio bench handshake --html`: what was measured, in words, pictures and tables, in one file.
 *
 * @module
 */

import type { BenchResult, Environment, Skipped } from "../bench/result.ts";
import { html, type SafeHtml } from "../_web.ts";
import { printable } from "../terminal.ts";
import { bytesSection } from "./bytes_section.ts";
import { cpuSection } from "./cpu_section.ts";
import { deviceSection } from "./device_section.ts";
import { findingsOf, leadOf, tilesOf } from "./findings.ts";
import { heapSection } from "./heap_section.ts";
import { networkSection } from "./network_section.ts";
import { type Content, facts, page, safe, tiles } from "./page.ts";
import { resumedSection } from "./resumed_section.ts";
import { overview, scenarioSection } from "./scenario_section.ts";
import { count, listed, ms, whole } from "./words.ts";

const TITLE = "What a TLS handshake costs";

const OVERVIEW =
  "Medians. Wall is the time from the first byte of the handshake to its last; CPU is that of one end; up is from the " +
  "client to the server. A dash stands for what could not be told.";

/** A part of the page. */
interface Section {
  readonly id: string;
  readonly title: string;
  readonly of: (result: BenchResult) => Content;
}

const SECTIONS: readonly Section[] = [
  { id: "all", title: "All scenarios", of: (result) => [html`<p>${OVERVIEW}</p>`, overview(result)] },
  { id: "cpu", title: "CPU", of: cpuSection },
  { id: "bytes", title: "Bytes", of: bytesSection },
  { id: "heap", title: "Heap", of: heapSection },
  { id: "resumed", title: "Full against resumed", of: resumedSection },
  { id: "network", title: "On slow networks", of: networkSection },
  { id: "devices", title: "On devices", of: deviceSection },
  { id: "scenarios", title: "Each scenario", of: scenarioSection },
];

/**
 * Draws a run.
 *
 * All text is escaped, names of hosts and peers among it. What could not be told is a dash, not 0.
 *
 * @param result The run; also one that was ended early.
 * @returns The whole HTML file.
 */
// It is async so that a caller need not change when drawing has to wait for something.
// deno-lint-ignore require-await
export async function handshakeReport(result: BenchResult): Promise<string> {
  const shown = result.scenarios.length === 0 ? [] : SECTIONS;
  const { environment, skipped } = result;
  const rest = [
    ...(skipped.length > 0 ? [{ id: "left-out", title: "Left out", body: skippedSection(skipped) }] : []),
    { id: "environment", title: "How and where it was measured", body: environmentSection(result) },
  ];
  const sections = [...shown.map(({ id, title, of }) => ({ id, title, body: of(result) })), ...rest];
  return page({
    title: TITLE,
    body: [
      header(result),
      html`
        <nav aria-label="Contents">
          <ol>${sections.map(({ id, title }) =>
            html`
              <li><a href="#${id}">${title}</a></li>
            `
          )}</ol>
        </nav>
      `,
      ...sections.map(({ id, title, body }) =>
        html`
          <section id="${id}">
          <h2>${title}</h2>
          ${safe(body)}
          </section>
        `
      ),
      html`
        <footer>
          <p>Made by tlsio ${printable(
            environment.version,
          )}. This file needs no network and has no script.</p>
        </footer>
      `,
    ],
  });
}

function header(result: BenchResult): SafeHtml {
  const { environment: { date, cpu, cpus, os, arch, deno }, interrupted, skipped } = result;
  const failed = skipped.filter((each) => each.failed);
  const findings = findingsOf(result);
  const machine = cpu === undefined ? count(cpus, "processor") : cpus > 1 ? `${whole(cpus)} × ${cpu}` : cpu;
  return html`
    <header>
    <p class="stamp">tlsio bench handshake · ${printable(dateText(date))}</p>
    <h1>${TITLE}</h1>
    <p class="lead">${printable(leadOf(result))}</p>
    <p class="faint">${printable(`On ${machine}; ${os}, ${arch}; Deno ${deno}.`)}</p>
    ${interrupted
      ? html`
        <p
          class="notice"><strong>The run was interrupted.</strong> What had been measured until then is here; figures of few rounds vary more.</p>
      `
      : ""}${failed.length === 0 ? "" : html`
      <p class="notice"><strong>${count(failed.length, "scenario")} failed:</strong> ${printable(
        listed(failed.map(({ name }) => name)),
      )}. <a href="#left-out">Why</a></p>
    `}${result.scenarios.length === 0 ? "" : tiles(tilesOf(result))}${findings.length === 0 ? "" : html`
      <ul class="plain">${findings.map((each) =>
        html`
          <li>${printable(each)}</li>
        `
      )}</ul>
    `}</header>
  `;
}

/** `"2026-11-21 22:00 UTC"`. */
function dateText(date: string): string {
  const time = new Date(date);
  return Number.isNaN(time.getTime()) ? date : `${time.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

function skippedSection(skipped: readonly Skipped[]): SafeHtml {
  const list = (title: string, some: readonly Skipped[]) =>
    some.length === 0 ? "" : html`
      <h3>${title}</h3>
      <ul class="plain">${some.map(({ name, reason }) =>
        html`
          <li><strong>${printable(name)}</strong>: ${printable(reason)}</li>
        `
      )}</ul>
    `;
  return html`${list("Failed", skipped.filter(({ failed }) => failed))}${
    list("Not run", skipped.filter(({ failed }) => !failed))
  }`;
}

function environmentSection({ environment, plan }: BenchResult): Content {
  const { notes } = environment;
  return [
    notes.length === 0 ? "" : html`
      <ul class="plain">${notes.map((note) =>
        html`
          <li>${printable(note)}</li>
        `
      )}</ul>
    `,
    facts([
      ["Target", plan.target],
      ["Rounds", `${whole(plan.runs)}, after ${whole(plan.warmUp)} to warm up`],
      ...environmentFacts(environment),
    ]),
    html`<p>Rounds go through all scenarios in turn, so that a machine that slows down does so for all of them. A figure is the
median; p95 is the 95th percentile by nearest rank: of fewer than 20 rounds it is the longest.</p>`,
  ];
}

function environmentFacts(environment: Environment): [string, string][] {
  const { version, core, deno, v8, os, arch, cpu, cpus, timerStepMs, date } = environment;
  return [
    ["tlsio", `${version}, ${core}`],
    ["Deno", `${deno}, V8 ${v8}`],
    ["System", `${os}, ${arch}`],
    ["Processor", `${cpu ?? "not told"}, ${whole(cpus)} seen`],
    ["Clock", `steps of ${timerStepMs < 0.001 ? `${whole(timerStepMs * 1e6)} ns` : ms(timerStepMs)}`],
    ["Begun", date],
  ];
}
