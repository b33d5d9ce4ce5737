/**
 * One thread of the compiler: runs LLVM's tools, themselves WebAssembly, on files held in memory.
 *
 * @module
 */

/// <reference lib="deno.worker" />
import { Exit, runLLVM, type Tree } from "@yowasp/clang";
import type { Job, Result } from "./compiler.ts";

const loaded = runLLVM(undefined, {}, { fetchProgress() {} });
let shared: Tree = {};

self.onmessage = async ({ data }: MessageEvent<{ shared: Tree } | Job>) => {
  if ("shared" in data) {
    shared = data.shared;
    return;
  }
  await loaded;
  const decoder = new TextDecoder();
  const result: Result = { ok: true, text: "" };
  const print = (bytes: Uint8Array | null) => {
    if (bytes !== null) result.text += decoder.decode(bytes, { stream: true });
  };
  try {
    const options = { stdout: print, stderr: print, decodeASCII: false, synchronously: true };
    const files = runLLVM(data.args, { ...shared, ...data.files }, options) as Tree;
    if (data.output !== undefined) result.output = files[data.output] as Uint8Array<ArrayBuffer>;
  } catch (error) {
    result.ok = false;
    if (!(error instanceof Exit)) result.text += `LLVM crashed: ${error}\n`;
  }
  self.postMessage(result);
};
