/** The handler of `tlsio serve` in a Worker. Nobody imports it: see `siteModule()`. */

import { serverError, siteHandler } from "./site.ts";

const { searchParams } = new URL(import.meta.url);

export default await siteHandler(JSON.parse(searchParams.get("site")!));
export const options = { onError: serverError };
