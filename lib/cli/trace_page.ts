/** Traced connections as a page of HTML. */

import { printable } from "./terminal.ts";
import type { TraceRecorder } from "./trace_recorder.ts";
import type { TracedConnection } from "./trace_result.ts";
import { connectionTitle, summaryRows } from "./trace_text.ts";

/** A connection, and what it was recorded by. */
export interface Traced {
  readonly connection: TracedConnection;
  readonly recorder: TraceRecorder;
}

/** The page: one file that needs nothing else. Its libraries are loaded now. */
export async function renderPage(title: string, traced: readonly Traced[]): Promise<string> {
  const { tracePage } = await import("./report/trace_page.ts");
  return await tracePage({
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
  });
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
