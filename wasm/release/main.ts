/**
 * `deno task release [folder] [--allow-dirty]`: makes a release, see `release.ts`. The folder is
 * `../tlsio-<version>` when none is given.
 *
 * @module
 */

import config from "../../deno.json" with { type: "json" };
import { command } from "../build.ts";
import { release } from "./release.ts";

await command(async () => {
  const folders = Deno.args.filter((argument) => !argument.startsWith("-"));
  const options = Deno.args.filter((argument) => argument.startsWith("-"));
  const unknown = options.find((option) => option !== "--allow-dirty");
  if (unknown !== undefined) throw new Error(`Cannot release: no option is called ${unknown}`);
  if (folders.length > 1) throw new Error("Cannot release: one folder is enough");
  const folder = folders[0] ?? new URL(`../../tlsio-${config.version}`, import.meta.url).pathname;
  const begun = performance.now();
  const { files, size, digest } = await release({ folder, allowDirty: options.length > 0, log: console.log });
  const seconds = ((performance.now() - begun) / 1000).toFixed(0);
  console.log(`${folder}: ${files.size + 1} files, ${(size / 1e6).toFixed(2)} MB, in ${seconds} s`);
  console.log(`${digest}  SHA256SUMS`);
});
