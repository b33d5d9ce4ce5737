// What a build compiles: the parts of wasm/ that can be asked without a compiler.
import { assert, assertEquals } from "@std/assert";
import { folderOf, SHIPPED } from "../wasm/build.ts";
import { CORES } from "../wasm/cores.ts";
import { Includes } from "../wasm/includes.ts";
import { KERNELS, renamed } from "../wasm/kernels.ts";

Deno.test("Includes.closure() follows includes: beside the file first, then in the folders, each once", () => {
  const sources: Record<string, string> = {
    "lib/a.c": '#include "a.h"\n  #  include <mbedtls/x.h>\n#include <stdint.h>\n// #include "no.h"',
    "lib/a.h": '#include "b.h"\n',
    "lib/b.h": '#include "a.h"\n',
    "include/a.h": "",
    "include/mbedtls/x.h": '#if 0\n#include "../y_alt.h"\n#endif',
    "include/y_alt.h": "",
    "include/no.h": "",
  };
  const encoder = new TextEncoder();
  const files = new Map(Object.entries(sources).map(([path, text]) => [path, encoder.encode(text)]));
  const includes = new Includes(files, ["include/"]);
  assertEquals(includes.closure("lib/a.c"), [
    "include/mbedtls/x.h",
    "include/y_alt.h",
    "lib/a.c",
    "lib/a.h",
    "lib/b.h",
  ]);
});

Deno.test("cores: users never get the harness, tests get every kernel", () => {
  assertEquals(SHIPPED, ["core", "core.simd", "core.esp32"]);
  for (const name of SHIPPED) {
    assert(!CORES[name]!.folders.includes("wasm/harness/"));
  }
  for (const name of ["test", "test.simd"]) assertEquals(CORES[name]!.kernels, Object.keys(KERNELS));
  for (const name of ["stock", "core.esp32"]) assertEquals(CORES[name]!.kernels, []);
  assertEquals(folderOf("core"), folderOf("core.simd"));
  assert(folderOf("test").href !== folderOf("stock").href);
});

Deno.test("renamed() leaves a source alone that no kernel of the core has to do with", () => {
  for (const { renames = {} } of Object.values(KERNELS)) {
    for (const path of Object.keys(renames)) assertEquals(renamed(path, []), undefined);
  }
  assertEquals(renamed("mbedtls/library/version.c", Object.keys(KERNELS)), undefined);
});
