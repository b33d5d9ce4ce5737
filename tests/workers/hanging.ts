/** A handler's module that never finishes loading once the file exists that its URL names. */
export { default } from "./streams.ts";

const flag = new URL(import.meta.url).searchParams.get("flag")!;
const exists = await Deno.stat(flag).then(() => true, () => false);
if (exists) await new Promise(() => {});
