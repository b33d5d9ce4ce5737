/** Attacks by alerts: floods of warnings, levels that there are not. See docs/attacks.md. */
import { assert, assertEquals } from "@std/assert";
import { concat, encodeText } from "../lib/bytes.ts";
import { TLSVersion } from "../lib/suites.ts";
import { attack, type AttackOptions, Bystander, open, refuses } from "./attack.ts";
import { ENDS, fixedCore, peerOf, VERSIONS } from "./pair.ts";
import { record, TYPE } from "./records.ts";

const core = fixedCore();
const TLS12 = { sslVersion: TLSVersion.TLSv1_2 };
const TLS13 = { sslVersion: TLSVersion.TLSv1_3 };

type Rerecord = NonNullable<AttackOptions["records"]>;
for (const from of ENDS) {
  Deno.test(`attack: warnings: a flood of them in the handshake ends it, some do not, from the ${from}`, () => {
    for (const both of [TLS12, TLS13]) {
      const flood = (count: number): Rerecord => {
        let left = count;
        return (records) => [
          ...Array.from({ length: left }, () => (left = 0, record(TYPE.alert, Uint8Array.of(1, 112)))),
          ...records,
        ];
      };
      refuses(core, peerOf(from), /unexpected_message/, { both, from, records: flood(33) }, true);
      using attacked = attack(core, { both, from, records: flood(30) });
      assertEquals(attacked.pair.errors, {});
      assert(attacked.pair.server.handshakeDone, "unrecognized_name is for a client to read");
    }
  });

  for (const version of VERSIONS) {
    const [name] = version;
    Deno.test(`attack: warnings: a flood of them behind the handshake ends the connection (${name}, from the ${from})`, () => {
      for (const [count, ends] of [[30, false], [33, true], [5000, true]] as const) {
        for (const alert of name === "TLSv1.2" ? [90, 100, 112] : [90]) {
          using beside = new Bystander(core);
          using pair = open(core, version);
          const end = peerOf(from), sealer = pair.as(from);
          pair[end].receive(
            concat(Array.from({ length: count }, () => sealer.seal(TYPE.alert, Uint8Array.of(1, alert)))),
          );
          pair.run();
          assertEquals(pair.errors[end]?.kind, ends ? "protocol" : undefined, `${count} of ${alert}`);
          if (!ends) {
            pair[end].receive(sealer.seal(TYPE.data, encodeText("after")));
            pair.run();
            assertEquals(pair.received(end), encodeText("after"));
          }
          beside.assertWell();
        }
      }
    });
  }

  Deno.test(`attack: warnings: of an alert that is an error, and of a level that there is not, from the ${from}`, () => {
    for (
      const [version, level, alert] of [[1, 1, 40], [1, 1, 254], [1, 3, 90], [0, 0, 90], [0, 7, 90]] as const
    ) {
      using beside = new Bystander(core);
      using pair = open(core, VERSIONS[version]);
      const end = peerOf(from), sealer = pair.as(from);
      pair[end].receive(
        concat([
          sealer.seal(TYPE.alert, Uint8Array.of(level, alert)),
          sealer.seal(TYPE.data, encodeText("after")),
        ]),
      );
      pair.run();
      assert(pair.errors[end] !== undefined, `${VERSIONS[version][0]}: ${level} ${alert}`);
      assertEquals(pair.received(end).length, 0);
      beside.assertWell();
    }
  });
}
