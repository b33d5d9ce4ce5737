/** Traced connections as a page of HTML. */

import { inTime } from "../deadline.ts";
import { later } from "./later.ts";
import type { TracePageInput } from "./report/trace_page.ts";
import { printable } from "./terminal.ts";
import type { TraceRecorder } from "./trace_recorder.ts";
import type { Drawn } from "./trace_page_worker.ts";
import type { TracedConnection } from "./trace_result.ts";
import { connectionTitle, summaryRows } from "./trace_text.ts";

/** A connection, and what it was recorded by. */
export interface Traced {
  readonly connection: TracedConnection;
  readonly recorder: Pick<TraceRecorder, "events" | "start">;
}

/** The page: one file that needs nothing else. Its libraries are loaded now. */
export async function renderPage(title: string, traced: readonly Traced[]): Promise<string> {
  const { tracePage } = await later<typeof import("./report/trace_page.ts")>(
    new URL("./report/trace_page.ts", import.meta.url),
  );
  return await tracePage(inputOf(title, traced));
}

const DRAWING_MAX = 60; // seconds: a page takes a tenth of one; the first also what its libraries take to load

/** Draws pages in a worker, one after the other: a server that drew them itself would answer nobody meanwhile. */
export class PageDrawer implements Disposable {
  #worker: Worker | undefined;

  /** As {@linkcode renderPage}. */
  async draw(title: string, traced: readonly Traced[]): Promise<string> {
    const worker = this.#worker ??= new Worker(new URL("./trace_page_worker.ts", import.meta.url), {
      type: "module",
    });
    const { promise, resolve, reject } = Promise.withResolvers<Drawn>();
    worker.onmessage = ({ data }: MessageEvent<Drawn>) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    };
    try {
      worker.postMessage(inputOf(title, traced));
      const drawn = await inTime(promise, DRAWING_MAX);
      if ("page" in drawn) return drawn.page;
      throw new Error(drawn.error);
    } catch (error) {
      this[Symbol.dispose](); // the next has a new one
      throw error;
    }
  }

  /** Ends the worker. */
  [Symbol.dispose](): void {
    this.#worker?.terminate();
    this.#worker = undefined;
  }
}

function inputOf(title: string, traced: readonly Traced[]): TracePageInput {
  return {
    title: printable(title),
    ...(traced[0] && { date: traced[0].connection.started }),
    connections: traced.map(({ connection, recorder }) => ({
      name: connectionTitle(connection),
      role: connection.role,
      events: recorder.events,
      start: recorder.start,
      ...(connection.connectMs !== null && { connectMs: connection.connectMs }),
      ...(connection.error !== null && { error: printable(connection.error) }),
      facts: facts(connection),
    })),
  };
}

/** What the page does not show elsewhere. */
function facts(connection: TracedConnection): [label: string, value: string][] {
  const { version, cipher, group, alpn, resumed } = connection;
  const agreed = { "Version": version, "Suite": cipher, "Group": group, "ALPN": alpn && printable(alpn) };
  const rows = Object.entries(agreed).filter((row): row is [string, string] => row[1] !== null);
  if (version !== null) rows.push(["Resumed", resumed ? "yes" : "no"]);
  const shown = ["Agreed", "Network", "Failed", "Then failed"];
  return [
    ...rows,
    ...summaryRows(connection).filter(([label]) => !shown.includes(label)).map(([...row]) => row),
  ];
}
