/**
 * Builds the core once more, from scratch, and compares the result with `wasm/dist`.
 *
 * @module
 */

import { build, command, ensureBuilt } from "./build.ts";
import { CACHE, SOURCES } from "./fetch.ts";

await command(async () => {
  const { mbedtls, files } = await ensureBuilt();
  const dist = new URL(`verify-${Deno.pid}/`, CACHE);
  try {
    const sources = SOURCES.filter(({ sha256 }) => sha256 === mbedtls.sha256);
    const again = await build({ dist, sources, fresh: true });
    for (const [name, hash] of Object.entries(files)) {
      console.log(`${hash}  wasm/dist/${name}\n${again.files[name]}  ${name}, built again`);
    }
    const different = Object.keys(files).filter((name) => again.files[name] !== files[name]);
    if (different.length > 0) {
      throw new Error(`Cannot verify wasm/dist: ${different.join(", ")} came out different`);
    }
  } finally {
    await Deno.remove(dist, { recursive: true });
  }
});
