/** Modules that few need, with their packages of npm. */

/**
 * Imports a module. Deno fetches what an `import()` of a literal needs together with the program: of one that is at a URL,
 * `tlsio serve` would begin with forty packages that draw reports.
 *
 * @param url Of the module, by `new URL("./x.ts", import.meta.url)`.
 */
export async function later<Module>(url: URL): Promise<Module> {
  return await import(url.href);
}
