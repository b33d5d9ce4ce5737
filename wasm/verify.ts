/**
 * Builds the cores once more, from scratch, and compares the result with what there is: with those for users, or with
 * the cores that the arguments name.
 *
 * @module
 */

import { build, command, ensureBuilt, SHIPPED } from "./build.ts";
import { CACHE, SOURCES } from "./fetch.ts";

await command(async () => {
  const groups = Deno.args.map((name) => SHIPPED.includes(name) ? SHIPPED : [name]);
  for (const cores of new Set(groups.length > 0 ? groups : [SHIPPED])) await verify(cores);
});

async function verify(cores: readonly string[]): Promise<void> {
  const [manifest] = await ensureBuilt(cores);
  const { mbedtls, files } = manifest!;
  const folder = new URL(`verify-${Deno.pid}/`, CACHE);
  try {
    const sources = SOURCES.filter(({ sha256 }) => sha256 === mbedtls.sha256);
    const again = await build({ cores, folder, sources, fresh: true });
    for (const [name, hash] of Object.entries(files)) {
      console.log(`${hash}  ${name}\n${again.files[name]}  ${name}, built again`);
    }
    const different = Object.keys(files).filter((name) => again.files[name] !== files[name]);
    if (different.length > 0) throw new Error(`Cannot verify: ${different.join(", ")} came out different`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
