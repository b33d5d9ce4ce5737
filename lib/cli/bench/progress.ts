/** How far a run is: a bar on a terminal, and nothing where there is none. */

import { stderr } from "node:process";
import { later } from "../later.ts";

/** Tells how far it is. */
export interface Progress extends Disposable {
  /**
   * @param share From 0 to 1.
   * @param doing What is being done.
   */
  update(share: number, doing: string): void;
}

const SILENT: Progress = { update() {}, [Symbol.dispose]() {} };
const STEPS = 1000;

/** A bar on standard error, which is wiped at its end. */
export async function startProgress(show = Deno.stderr.isTerminal()): Promise<Progress> {
  if (!show) return SILENT;
  const { SingleBar } = await later<typeof import("./_progress.js")>(
    new URL("./_progress.js", import.meta.url),
  );
  const bar = new SingleBar({
    format: "{bar} {percentage} %  {doing}",
    barCompleteChar: "█",
    barIncompleteChar: "░",
    barsize: 30,
    hideCursor: true,
    clearOnComplete: true,
    gracefulExit: false, // Ctrl-C is the command's
    stream: stderr,
  });
  bar.start(STEPS, 0, { doing: "" });
  return {
    update: (share, doing) => bar.update(Math.round(STEPS * share), { doing }),
    [Symbol.dispose]: () => bar.stop(),
  };
}
