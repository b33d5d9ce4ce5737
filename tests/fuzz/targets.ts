/**
 * Every way in for bytes from outside, by name.
 *
 * @module
 */

import { FuzzCore, fuzzModule } from "./core.ts";
import { certificateTarget, crlTarget, keyTarget, ringTarget, sessionTarget, ticketTarget } from "./files.ts";
import { Handshakes } from "./handshake.ts";
import { greetTarget, helloTarget, httpTarget } from "./hellos.ts";
import { shorterScripts } from "./mutate.ts";
import { recordsTarget } from "./records.ts";
import { NAMES, SCENARIOS } from "./scenarios.ts";
import { decode, encode, OPS, show } from "./script.ts";
import { storesTarget } from "./stores.ts";
import type { Target } from "./target.ts";
import { textTarget } from "./text.ts";

/** Connections that a script meddles with, of TLS and DTLS. */
function handshakeTarget(fuzz: FuzzCore): Target {
  const handshakes = new Handshakes(fuzz);
  const edit = {
    end: "server",
    layer: "message",
    index: 1,
    op: OPS[0],
    a: 9,
    b: 1,
    payload: new Uint8Array(0),
  } as const;
  return {
    name: "handshake",
    seeds: () =>
      SCENARIOS.flatMap((_, scenario) => [
        encode({ scenario, seed: 1, edits: [] }),
        encode({ scenario, seed: 1, edits: [edit] }),
      ]),
    run: (bytes) => handshakes.run(bytes),
    shorten: shorterScripts,
    show: (bytes) => show(decode(bytes), NAMES),
  };
}

const TARGETS: Readonly<
  Record<string, (fuzz: FuzzCore, module: WebAssembly.Module) => Target | Promise<Target>>
> = {
  handshake: handshakeTarget,
  records: recordsTarget,
  certificate: certificateTarget,
  key: keyTarget,
  crl: crlTarget,
  session: sessionTarget,
  ticket: ticketTarget,
  ring: ringTarget,
  stores: storesTarget,
  hello: helloTarget,
  greet: greetTarget,
  http: httpTarget,
  text: textTarget,
};

/** The targets' names. */
export const TARGET_NAMES: readonly string[] = Object.keys(TARGETS);

/** The share of the time that a target gets: handshakes are slow, and hold the most. */
export const SHARES: Readonly<Record<string, number>> = {
  handshake: 10,
  records: 2,
  certificate: 2,
  ring: 0.2,
  stores: 0.5,
  text: 0.5,
};

/** A target, in a core of its own. */
export async function openTarget(name: string): Promise<{ target: Target; fuzz: FuzzCore }> {
  const module = await fuzzModule();
  const fuzz = new FuzzCore(module);
  const make = TARGETS[name];
  if (make === undefined) {
    throw new TypeError(`Cannot fuzz "${name}": there are ${TARGET_NAMES.join(", ")}`);
  }
  return { target: await make(fuzz, module), fuzz };
}
