/**
 * `deno task fleet [--quick]`: prints what part of the resumptions that a single server would grant a fleet of three grants, through
 * rotations, restarts and an outage of its store of a minute (`--quick`: three seconds, as in the tests).
 */
import { runFleet } from "./run.ts";
import { QUICK } from "./settings.ts";

const isQuick = Deno.args.includes("--quick");
const long = {
  outage: 60,
  calm: 15,
  lifetime: 80,
  rotateEvery: 20,
  refreshEvery: 4,
  clients: 16,
  every: 0.25,
  renewals: 10,
};
const result = await runFleet({ ...(isQuick ? QUICK : long), log: (text) => console.log(text) });
const line = (name: string, { offered, resumed, elsewhere, broken }: typeof result.fleet) =>
  console.log(
    `${name}: ${resumed} of ${offered} resumed; ${elsewhere} at another server; ${broken} broken off`,
  );
line("fleet ", result.fleet);
line("single", result.single);
line("fleet , by session id", result.fleetById);
line("single, by session id", result.singleById);
const { renewals, certificates, live, lost } = result;
console.log(
  `certificates: ${renewals} renewals, ${certificates} seen by clients; ${live} live connections, ${lost} lost`,
);
console.log("refused:", result.refused, "writes of the keys:", result.sequence);
console.log(`share: ${(100 * result.share).toFixed(2)} % in ${result.seconds.toFixed(0)} s`);
