/**
 * The bill of materials of a release: CycloneDX 1.6, as JSON.
 *
 * @module
 */

import type { Manifest } from "../build.ts";
import { sha256 } from "../fetch.ts";
import type { Package } from "./npm.ts";

/** What a bill is made from. */
export interface Materials {
  /** Of deno.json. */
  name: string;
  version: string;
  license: string;
  /** Seconds since 1970: the release's, not the clock's. */
  date: number;
  /** The commit; undefined when there is no repository. */
  commit: string | undefined;
  /** What the cores were built from. */
  build: Manifest;
  /** The packages of npm by `name@version`, and which of them we name ourselves. */
  packages: Map<string, Package>;
  roots: string[];
  /** The compiler's package. */
  compiler: Package;
}

/** One component, as the schema has it. */
export interface Component {
  type: string;
  "bom-ref": string;
  name: string;
  [field: string]: unknown;
}

const LIBC = {
  license: "Apache-2.0 WITH LLVM-exception AND MIT AND CC0-1.0",
  url: "https://github.com/WebAssembly/wasi-libc",
};

/** What the compiler brings that can be linked into a core, by archive. */
const LIBRARIES: Readonly<Record<string, { name: string; license: string; url: string }>> = {
  "libc.a": { name: "wasi-libc", ...LIBC },
  "libc-printscan-no-floating-point.a": { name: "wasi-libc", ...LIBC },
  "libclang_rt.builtins.a": {
    name: "compiler-rt",
    license: "Apache-2.0 WITH LLVM-exception",
    url: "https://github.com/llvm/llvm-project",
  },
};

/** The libraries of the compiler that are linked in, with the objects that are. */
export function librariesIn(
  build: Manifest,
): Map<string, { license: string; url: string; objects: string[] }> {
  const found = new Map<string, { license: string; url: string; objects: string[] }>();
  for (const [core, archives] of Object.entries(build.libraries)) {
    for (const [archive, objects] of Object.entries(archives)) {
      const library = LIBRARIES[archive];
      if (library === undefined) {
        throw new Error(`Cannot name the licence of ${archive}, which ${core} has parts of`);
      }
      const { name, ...about } = library;
      const known = found.get(name)?.objects ?? [];
      found.set(name, { ...about, objects: [...new Set([...known, ...objects])].sort() });
    }
  }
  return found;
}

/** Writes the bill. The same materials give the same bytes. */
export async function bill(materials: Materials): Promise<string> {
  const { name, version, date, commit, build, packages, roots, compiler } = materials;
  const [group, short] = name.split("/");
  const main = `pkg:jsr/${name.replace("@", "%40")}@${version}`;
  const mbedtls = `pkg:github/mbed-tls/mbedtls@mbedtls-${build.mbedtls.version}`;
  const libraries = [...librariesIn(build)].map(([library, { license, url, objects }]): Component => ({
    type: "library",
    "bom-ref": `${library}@${compiler.name}-${compiler.version}`,
    name: library,
    version: `as in ${compiler.name} ${compiler.version}`,
    licenses: [{ expression: license }],
    externalReferences: [{ type: "vcs", url }],
    properties: [{ name: "tlsio:objects", value: objects.join(" ") }],
  }));
  const cores = Object.entries(build.files).map(([file, hash]): Component => ({
    type: "file",
    "bom-ref": `wasm/dist/${file}`,
    name: `wasm/dist/${file}`,
    hashes: [{ alg: "SHA-256", content: hash }],
  }));
  const components: Component[] = [
    {
      type: "library",
      "bom-ref": mbedtls,
      name: "mbedtls",
      version: build.mbedtls.version,
      hashes: [{ alg: "SHA-256", content: build.mbedtls.sha256 }],
      licenses: [{ expression: "Apache-2.0 OR GPL-2.0-or-later" }],
      cpe: `cpe:2.3:a:arm:mbed_tls:${build.mbedtls.version}:*:*:*:*:*:*:*`,
      purl: mbedtls,
      externalReferences: [{ type: "source-distribution", url: build.mbedtls.url }],
    },
    ...libraries,
    {
      ...fromNpm(compiler),
      scope: "excluded",
      description: "The compiler of the cores, LLVM (Apache-2.0 WITH LLVM-exception) inside: no part of them",
    },
    ...[...packages.values()].map(fromNpm),
    ...cores,
  ];
  const inputs = [mbedtls, ...libraries.map((library) => library["bom-ref"]), purlOf(compiler)];
  const dependencies = [
    {
      ref: main,
      dependsOn: [...cores.map((core) => core["bom-ref"]), ...roots.map((id) => purlOf(packages.get(id)!))],
    },
    ...cores.map((core) => ({ ref: core["bom-ref"], dependsOn: inputs })),
    ...[...packages.values()].map((entry) => ({
      ref: purlOf(entry),
      dependsOn: entry.dependencies.map((id) => purlOf(packages.get(id)!)),
    })),
  ];
  const content = {
    metadata: {
      timestamp: new Date(date * 1000).toISOString(),
      lifecycles: [{ phase: "build" }],
      component: {
        type: "library",
        "bom-ref": main,
        group,
        name: short,
        version,
        licenses: [{ license: { id: materials.license } }],
        purl: main,
        ...(commit !== undefined && { properties: [{ name: "tlsio:commit", value: commit }] }),
      },
    },
    components,
    dependencies,
  };
  const bom = {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${uuid(await sha256(JSON.stringify(content)))}`,
    version: 1,
    ...content,
  };
  return JSON.stringify(bom, null, 2) + "\n";
}

function fromNpm(entry: Package): Component {
  const at = entry.name.indexOf("/");
  return {
    type: "library",
    "bom-ref": purlOf(entry),
    ...(at > 0 && { group: entry.name.slice(0, at) }),
    name: entry.name.slice(at + 1),
    version: entry.version,
    hashes: [{ alg: "SHA-512", content: entry.sha512 }],
    licenses: [/\s/.test(entry.license) ? { expression: entry.license } : { license: { id: entry.license } }],
    purl: purlOf(entry),
  };
}

/** A package URL; the "@" of a scope is written %40. */
function purlOf({ name, version }: Package): string {
  return `pkg:npm/${name.replace("@", "%40")}@${encodeURIComponent(version)}`;
}

/** A UUID of version 8 (RFC 9562: of one's own making) from a hash. */
function uuid(hash: string): string {
  const variant = "89ab"[parseInt(hash[16]!, 16) & 3];
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `${variant}${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ].join("-");
}
