/**
 * The npm packages that the published modules load: from their `npm:` specifiers by way of deno.lock.
 *
 * @module
 */

/** A package, as deno.lock pins it. */
export interface Package {
  name: string;
  version: string;
  /** SHA-512 of its tarball, in hexadecimal. */
  sha512: string;
  /** An SPDX expression. */
  license: string;
  /** The text of its licence; undefined when it brings none. */
  notice: string | undefined;
  /** Those that it depends on, as `name@version`. */
  dependencies: string[];
}

interface Lock {
  specifiers: Record<string, string>;
  npm: Record<string, { integrity: string; dependencies?: string[] }>;
}

/** The specifiers, such as `npm:name@1.0.0`, that modules import. */
export function specifiersOf(sources: Iterable<string>): string[] {
  const found = new Set<string>();
  for (const text of sources) {
    for (const [, name] of text.matchAll(/["'](npm:(?:@[\w.-]+\/)?[\w.-]+@[^/"'\s]+)[/"']/g)) {
      found.add(name!);
    }
  }
  return [...found].sort();
}

/**
 * Finds packages and all that they depend on.
 *
 * @param specifiers What {@linkcode specifiersOf} found.
 * @param text deno.lock.
 * @param read Reads `package.json` and the licence of a package in Deno's cache.
 * @returns The packages by `name@version`, sorted; and those that the specifiers mean.
 * @throws {Error} Naming a package that the lock file does not pin, or that says no licence.
 */
export async function findPackages(
  specifiers: readonly string[],
  text: string,
  read: (name: string, version: string) => Promise<{ license: unknown; notice: string | undefined }>,
): Promise<{ packages: Map<string, Package>; roots: string[] }> {
  const lock: Lock = JSON.parse(text);
  const keyOf = (wanted: string): string => {
    const keys = wanted in lock.npm
      ? [wanted]
      : Object.keys(lock.npm).filter((key) => key.startsWith(`${wanted}@`) || key.startsWith(`${wanted}_`));
    if (keys.length !== 1) throw new Error(`Cannot find ${wanted} in deno.lock: it has ${keys.length} of it`);
    return keys[0]!;
  };
  const idOf = (key: string): string => /^@?[^@]+@[^_]+/.exec(key)![0]; // behind "_" are versions of peers

  const roots = specifiers.map((specifier) => {
    const version = lock.specifiers[specifier];
    if (version === undefined) throw new Error(`Cannot find ${specifier} in deno.lock: run deno task check`);
    return keyOf(specifier.slice(4, specifier.lastIndexOf("@") + 1) + version);
  });
  const found = new Map<string, Package>();
  const waiting = [...roots];
  for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
    const id = idOf(key);
    if (found.has(id)) continue;
    const { integrity, dependencies = [] } = lock.npm[key]!;
    const keys = dependencies.map(keyOf);
    const at = id.lastIndexOf("@");
    const [name, version] = [id.slice(0, at), id.slice(at + 1)];
    const { license, notice } = await read(name, version);
    if (typeof license !== "string" || license === "") {
      throw new Error(`Cannot name the licence of ${id}: it says none`);
    }
    if (!integrity.startsWith("sha512-")) throw new Error(`Cannot pin ${id}: deno.lock has no SHA-512 of it`);
    const sha512 = Uint8Array.fromBase64(integrity.slice(7)).toHex();
    found.set(id, { name, version, sha512, license, notice, dependencies: keys.map(idOf).sort() });
    waiting.push(...keys);
  }
  return { packages: new Map([...found].sort(([a], [b]) => a < b ? -1 : 1)), roots: roots.map(idOf) };
}

/** Reads packages in Deno's cache, where `deno task check` puts what deno.lock pins. */
export async function cachedPackages(): Promise<Parameters<typeof findPackages>[2]> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const cache: string = JSON.parse(new TextDecoder().decode(stdout)).npmCache;
  const registries = await Array.fromAsync(Deno.readDir(cache));
  return async (name, version) => {
    for (const { name: registry } of registries) {
      const folder = `${cache}/${registry}/${name}/${version}`;
      try {
        const { license } = JSON.parse(await Deno.readTextFile(`${folder}/package.json`));
        const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name).sort();
        const file = names.find((name) => /^(licen[cs]e|copying)\b/i.test(name));
        return { license, notice: file && await Deno.readTextFile(`${folder}/${file}`) };
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
    throw new Error(`Cannot read ${name}@${version}: Deno's cache has no copy; run deno task check`);
  };
}
