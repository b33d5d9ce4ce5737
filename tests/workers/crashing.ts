/** A handler's module that lets its Worker crash as soon as the file exists that its URL names. */
import { existsSync } from "node:fs";

export { default } from "./streams.ts";

const flag = new URL(import.meta.url).searchParams.get("flag")!;
setInterval(() => {
  if (existsSync(flag)) throw new Error("crashes whatever happens");
}, 20);
