// The part of cli-progress that the bench uses.
import type { Writable } from "node:stream";

export interface Options {
  format: string;
  barCompleteChar: string;
  barIncompleteChar: string;
  barsize: number;
  hideCursor: boolean;
  clearOnComplete: boolean;
  gracefulExit: boolean;
  stream: Writable;
}
export class SingleBar {
  constructor(options: Options);
  start(total: number, value: number, payload: Record<string, string>): void;
  update(value: number, payload: Record<string, string>): void;
  stop(): void;
}
