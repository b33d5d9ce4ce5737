/**
 * Which files a C source includes, so that a change compiles again what it touches and nothing else.
 *
 * @module
 */

const INCLUDE = /^[ \t]*#[ \t]*include[ \t]*["<]([^">]+)[">]/gm;

/** The includes of a set of files. Conditions count as true: one header too many does no harm. */
export class Includes {
  #files: ReadonlyMap<string, Uint8Array>;
  #folders: readonly string[];
  #direct = new Map<string, string[]>();

  /**
   * @param files Sources by path.
   * @param folders Where headers are looked for, after the folder of the file that includes them.
   */
  constructor(files: ReadonlyMap<string, Uint8Array>, folders: readonly string[]) {
    this.#files = files;
    this.#folders = folders;
  }

  /** `paths` and all the files that they include, in order of their names. System headers are left out. */
  closure(...paths: string[]): string[] {
    const found = new Set(paths);
    for (const path of found) { // grows on the way
      for (const included of this.#of(path)) found.add(included);
    }
    return [...found].sort();
  }

  #of(path: string): string[] {
    const known = this.#direct.get(path);
    if (known !== undefined) return known;
    const text = new TextDecoder().decode(this.#files.get(path));
    const folder = path.slice(0, path.lastIndexOf("/") + 1);
    const included = [...text.matchAll(INCLUDE)].flatMap(([, name]) => {
      const places = [folder, ...this.#folders].map((folder) => normalize(folder + name!));
      return places.filter((place) => this.#files.has(place)).slice(0, 1);
    });
    this.#direct.set(path, included);
    return included;
  }
}

function normalize(path: string): string {
  return new URL(path, "file:///").pathname.slice(1);
}
