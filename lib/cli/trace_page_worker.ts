/** Draws the pages of {@linkcode PageDrawer}, in a worker. */

import { tracePage, type TracePageInput } from "./report/trace_page.ts";

/** A page, or why there is none. */
export type Drawn = { readonly page: string } | { readonly error: string };

const scope = self as unknown as {
  onmessage: (event: MessageEvent<TracePageInput>) => void;
  postMessage(drawn: Drawn): void;
};

scope.onmessage = async ({ data }) => {
  try {
    scope.postMessage({ page: await tracePage(data) });
  } catch (error) {
    scope.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
};
