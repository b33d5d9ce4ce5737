/**
 * The licence notices of a release: of what is compiled into the cores, and of the npm packages that modules load.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { parseTar } from "nanotar";
import Bunzip from "seek-bzip";
import type { Manifest } from "../build.ts";
import type { Package } from "./npm.ts";
import { librariesIn } from "./sbom.ts";

const RULE = "=".repeat(78);

/** The licence that mbedTLS's release brings. */
export function licenseOf(tarball: Uint8Array): string {
  const tar = new Uint8Array(Bunzip.decode(Buffer.from(tarball)));
  const [file] = parseTar(tar, { filter: ({ name }) => /^[^/]+\/LICENSE$/.test(name) });
  if (file?.data === undefined) throw new Error("Cannot write notices: mbedTLS's tarball has no LICENSE");
  return new TextDecoder().decode(file.data);
}

/** Writes the notices. */
export async function notices(
  build: Manifest,
  license: string,
  packages: Iterable<Package>,
): Promise<string> {
  const text = (name: string) => Deno.readTextFile(new URL(`licenses/${name}.txt`, import.meta.url));
  const libraries = librariesIn(build);
  const sections = [
    section(
      "What these are",
      [
        "tlsio itself is under the MIT licence (LICENSE). Its WebAssembly cores (wasm/dist) have in them what comes",
        "first here. The npm packages behind are no part of this package: Deno fetches them when a module asks.",
      ].join("\n"),
    ),
    section(
      `mbedTLS ${build.mbedtls.version} (Apache-2.0 OR GPL-2.0-or-later), compiled into the cores`,
      license,
    ),
  ];
  if (libraries.has("wasi-libc")) {
    const about = "Parts of wasi-libc and, in it, of musl (MIT) and dlmalloc (public domain, CC0-1.0)." +
      `\n\nmusl:\n\n${await text("musl")}`;
    sections.push(section("wasi-libc, compiled into the cores", about));
  }
  const exception = await text("llvm-exception");
  sections.push(section(
    `${[...libraries.keys()].join(" and ")} (Apache-2.0 WITH LLVM-exception)`,
    `The Apache License 2.0 stands above, with mbedTLS. To it comes:\n\n${exception}`,
  ));
  for (const { name, version, license, notice } of packages) {
    sections.push(
      section(
        `${name} ${version} (${license}), by npm`,
        notice ?? "The package brings no text of its licence.",
      ),
    );
  }
  return sections.join("\n");
}

function section(title: string, text: string): string {
  return `${RULE}\n${title}\n${RULE}\n\n${text.replaceAll("\r\n", "\n").trim()}\n`;
}
