// Project Wycheproof's vectors, from a folder outside of the repository: $TLSIO_WYCHEPROOF, or ../shared/wycheproof
// beside it. Every file there is run; those of kinds that nobody knows are named.
import { assertEquals } from "@std/assert";
import { KERNEL_HARNESSES } from "./each_core.ts";
import { isKnown, runFile, type WycheproofFile } from "./wycheproof.ts";

const given = Deno.env.get("TLSIO_WYCHEPROOF");
const FOLDER = given === undefined
  ? new URL("../../../shared/wycheproof/", import.meta.url)
  : new URL(`file://${await Deno.realPath(given)}/`);

async function readFolder(): Promise<Map<string, WycheproofFile>> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(FOLDER)) {
    if (name.endsWith(".json")) names.push(name);
  }
  const read = async (name: string) => JSON.parse(await Deno.readTextFile(new URL(name, FOLDER)));
  return new Map(
    await Promise.all(
      names.sort().map(async (name): Promise<[string, WycheproofFile]> => [name, await read(name)]),
    ),
  );
}

const files = await readFolder().catch((error) => {
  if (given === undefined && error instanceof Deno.errors.NotFound) return undefined;
  throw error;
});

if (files === undefined) {
  console.error(`\n*** Wycheproof does NOT run: ${FOLDER.pathname} is missing. Set TLSIO_WYCHEPROOF. ***\n`);
  Deno.test.ignore("Wycheproof: no vectors; set TLSIO_WYCHEPROOF to the folder that has them", () => {});
}

const unknown = [...files ?? []].filter(([, file]) => !isKnown(file)).map(([name]) => name);
if (unknown.length > 0) console.error(`\n*** Wycheproof: nothing here runs ${unknown.join(", ")} ***\n`);

for (const [name, file] of files ?? []) {
  if (unknown.includes(name)) continue;
  for (const harness of KERNEL_HARNESSES) {
    Deno.test(`Wycheproof: ${name}, ${file.numberOfTests} tests (${harness.core})`, () => {
      const { failures, ran, skipped } = runFile(harness, file);
      assertEquals(failures.slice(0, 20), [], `${failures.length} of ${ran}`);
      const left = [...skipped.values()].reduce((sum, count) => sum + count, 0);
      assertEquals(ran + left >= file.numberOfTests, true, `${ran} ran, ${left} did not`);
      if (harness === KERNEL_HARNESSES[0] && left > 0) {
        console.log(`  not run: ${[...skipped].map(([why, count]) => `${count} (${why})`).join(", ")}`);
      }
    });
  }
}
