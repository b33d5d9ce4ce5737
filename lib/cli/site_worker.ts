/** The handler of `tlsio serve` in a Worker. Nobody imports it: see `siteModule()`. */

import { answerVitals } from "./dashboard/vitals.ts";
import { serverError, type Site, siteHandler } from "./site.ts";

const site: Site = JSON.parse(new URL(import.meta.url).searchParams.get("site")!);
if (site.channel !== undefined) answerVitals(site.channel, self.name);

export default await siteHandler(site);
export const options = { onError: serverError };
