/**
 * Which programs this machine has.
 *
 * @module
 */

const installed = new Map<string, Promise<boolean>>();

/** Whether a program can be started. */
export function isInstalled(program: string): Promise<boolean> {
  return remember(installed, program, async () => {
    try {
      const args = ["nginx", "wrk"].includes(program) ? ["-v"] : ["--version"];
      await new Deno.Command(program, { args, stdout: "null", stderr: "null" }).output();
      return true;
    } catch {
      return false;
    }
  });
}

/** What `map` has by `key`; made when it is not there. */
export function remember<T>(map: Map<string, T>, key: string, make: () => T): T {
  if (!map.has(key)) map.set(key, make());
  return map.get(key)!;
}
