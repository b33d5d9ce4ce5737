/** A fleet of servers in processes of their own, behind a balancer: `deno task fleet` takes longer for the same. */
import { assert, assertEquals } from "@std/assert";
import { runFleet } from "../bench/fleet/run.ts";
import { QUICK } from "../bench/fleet/settings.ts";

Deno.test("fleet: three processes behind HAProxy resume what a single server would, through rotations, kills and an outage of Redis; renewed certificates drop no connection", async () => {
  const result = await runFleet(QUICK);
  const { fleet, fleetById, single, share, sequence, certificates, live, lost } = result;
  const figures = JSON.stringify(result);
  assert(single.resumed > 100 && fleet.elsewhere > fleet.offered / 3, figures); // it is a fleet, and there is what to compare
  assert(sequence >= 3, `the keys have rotated: ${figures}`);
  assert(share >= 0.99, figures);
  // By session id: what Redis has lost, or could not be told, only the server has that made it.
  assert(fleetById.elsewhere > fleetById.offered / 3, figures);
  assert(fleetById.resumed > fleetById.offered / 2, figures);
  assertEquals(
    [certificates, live, lost],
    [QUICK.renewals + 1, 12, 0],
    `no connection was dropped: ${figures}`,
  );
});
