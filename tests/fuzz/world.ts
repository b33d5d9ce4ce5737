/**
 * The scenarios for the native build: which calls of the core make their configs, written down while they are made here.
 *
 * @module
 */

import { type Bytes, concat, encodeText } from "../../lib/bytes.ts";
import type { CoreExports } from "../../lib/core.ts";
import { SSLSession } from "../../lib/session.ts";
import { ENDS, source } from "../pair.ts";
import { FuzzCore, fuzzModule } from "./core.ts";
import { Handshakes } from "./handshake.ts";
import { SCENARIOS } from "./scenarios.ts";

/** Arguments of what makes a config: a number, a handle, `n` times bytes whose count comes next, 32 bytes, room for results. */
type Kind = "number" | "handle" | `bytes * ${number}` | "context" | "room";

const RECORDED: Readonly<Partial<Record<keyof CoreExports, readonly Kind[]>>> = {
  trust_new: [],
  trust_add: ["handle", "bytes * 1", "number"],
  config_new: ["number"],
  config_add_credential: [
    "handle",
    "bytes * 1",
    "number",
    "bytes * 1",
    "number",
    "bytes * 1",
    "number",
    "room",
  ],
  config_add_signer: ["handle", "bytes * 1", "number", "number", "room"],
  config_add_crl: ["handle", "bytes * 1", "number"],
  config_ask_psk: ["handle"],
  config_set_trust: ["handle", "handle"],
  config_set_psk: ["handle", "bytes * 1", "number", "bytes * 1", "number"],
  config_set_policy: ["handle", "number", "number", "number", "number", "number"],
  config_set_min_rsa: ["handle", "number"],
  config_set_suites: ["handle", "bytes * 4", "number"],
  config_set_groups: ["handle", "bytes * 2", "number"],
  config_set_sigalgs: ["handle", "bytes * 2", "number"],
  config_set_alpn: ["handle", "bytes * 1", "number", "number"],
  config_set_tickets: ["handle", "bytes * 48", "number", "number", "context"],
  config_use_tickets: ["handle", "number", "number"],
  config_set_cache: ["handle", "number", "number"],
  config_use_datagrams: ["handle", "number", "number", "number"],
  config_set_early_data: ["handle", "number"],
};
const MAKERS: readonly string[] = ["trust_new", "config_new"];
const ARG = { number: 0, slot: 1, bytes: 2, room: 3, null: 4 } as const;
const NO_SLOT = 0xffffffff;
const CONTEXT = 32; // bytes; TICKET_CONTEXT of wasm/glue/tlsio.h

function number(value: number): Bytes {
  return new Uint8Array(Int32Array.of(value).buffer);
}

function sized(bytes: Bytes): Bytes {
  return concat([number(bytes.length), bytes]);
}

/** Takes down the calls of one scenario. */
class Recorder {
  readonly calls: Bytes[] = [];
  /** Handles, in the order in which they were made. */
  readonly slots: number[] = [];

  constructor(fuzz: FuzzCore) {
    const call = fuzz.core.call as Record<string, (...args: number[]) => number>;
    for (const [name, kinds] of Object.entries(RECORDED)) {
      const run = call[name]!;
      call[name] = (...args) => {
        const written = args.slice(0, kinds.length).map((_, i) => this.#argument(fuzz, kinds, args, i));
        const result = run(...args);
        const slot = MAKERS.includes(name) ? this.slots.push(result) - 1 : NO_SLOT;
        this.calls.push(concat([sized(encodeText(name)), number(slot), number(kinds.length), ...written]));
        return result;
      };
    }
  }

  #argument(fuzz: FuzzCore, kinds: readonly Kind[], args: readonly number[], i: number): Bytes {
    const [kind, value] = [kinds[i]!, args[i]!];
    if (kind === "number") return concat([number(ARG.number), number(value)]);
    if (kind === "room") return number(ARG.room);
    if (kind === "handle") return concat([number(ARG.slot), number(this.slots.lastIndexOf(value))]);
    const length = kind === "context" ? CONTEXT : Number(kind.slice("bytes * ".length)) * args[i + 1]!;
    return concat([number(ARG.bytes), sized(fuzz.core.memory.slice(value, value + length))]);
  }
}

/** The file of all scenarios, for tests/fuzz/native/world.c. */
export async function makeWorld(): Promise<Bytes> {
  const module = await fuzzModule();
  const ec = concat([source("ec.pem").bytes, Uint8Array.of(0)]);
  const files = [["ec.pem", ec] as const];
  const parts = [
    number(files.length),
    ...files.map(([name, bytes]) => concat([sized(encodeText(name)), sized(bytes)])),
  ];
  parts.push(number(SCENARIOS.length));
  for (const scenario of SCENARIOS) {
    const fuzz = new FuzzCore(module);
    const recorder = new Recorder(fuzz);
    const { configs, session } = new Handshakes(fuzz).stage(scenario);
    const slots = ENDS.map((end) => recorder.slots.indexOf(configs[end].acquire().handle));
    const impostors = ENDS.reduce(
      (bits, end, i) => bits | (scenario.impostors?.includes(end) ? 1 << i : 0),
      0,
    );
    parts.push(
      ...[scenario.both?.datagrams ? 1 : 0, scenario.early ?? 0, impostors].map(number),
      sized(encodeText(`${scenario.host ?? "localhost"}\0`)),
      sized(session === undefined ? new Uint8Array(0) : SSLSession.state(session)),
      number(recorder.calls.length),
      ...recorder.calls,
      ...slots.map(number),
    );
  }
  return concat(parts);
}
