/** A minute of the soak: what `deno task soak` does in an hour. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { Program } from "./peers.ts";

const SOAK = fileURLToPath(new URL("../bench/soak/main.ts", import.meta.url));

Deno.test("soak: a minute of mixed load; memory, core heap and open files are flat, and no byte is lost", async () => {
  await using soak = new Program("deno", ["run", "--quiet", "--no-check", "-A", SOAK, "--minutes", "1"]);
  const code = await soak.exit(180_000);
  assertStringIncludes(soak.stdout, "no byte lost or changed", soak.output());
  assertEquals(code, 0, soak.output());
});
