/** A fleet of servers in processes of their own, behind a balancer: `deno task fleet` takes longer for the same. */
import { assert } from "@std/assert";
import { runFleet } from "../bench/fleet/run.ts";
import { QUICK } from "../bench/fleet/settings.ts";

Deno.test("fleet: three processes behind HAProxy resume what a single server would, through rotations, kills and an outage of Redis", async () => {
  const { fleet, single, share, refused, sequence, fleetById, singleById } = await runFleet(QUICK);
  const figures = JSON.stringify({ fleet, single, share, refused, sequence, fleetById, singleById });
  assert(single.resumed > 100 && fleet.elsewhere > fleet.offered / 3, figures); // it is a fleet, and there is what to compare
  assert(sequence >= 3, `the keys have rotated: ${figures}`);
  assert(share >= 0.99, figures);
  // By session id: what Redis has lost, or could not be told, only the server has that made it.
  const partById = fleetById.resumed / fleetById.offered / (singleById.resumed / singleById.offered);
  assert(fleetById.elsewhere > fleetById.offered / 3 && partById > 0.6, figures);
});
