/**
 * Attacks on a handshake: someone in between, or a peer that lies. What is sent is changed on its way; then the victim must
 * have refused by an alert, given no data, and done no harm to the other connections of its core.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { type Bytes, concat, encodeText } from "../lib/bytes.ts";
import type { Core } from "../lib/core.ts";
import type { TLSConfigOptions } from "../lib/policy.ts";
import {
  configs,
  type End,
  EnginePair,
  type Packet,
  type PairOptions,
  peerOf,
  type VERSIONS,
} from "./pair.ts";
import { message, record, recordsOf, reseal, Sealer, SEALER_CIPHERS, TYPE } from "./records.ts";

/** Gets the body of a handshake message and gives another; several messages, whole; or `undefined`: it is not sent. */
export type Change = (body: Bytes) => Bytes | Bytes[] | undefined;

export interface AttackOptions extends PairOptions {
  both?: TLSConfigOptions;
  clientOptions?: TLSConfigOptions;
  serverOptions?: TLSConfigOptions;
  /** Whose messages are changed. */
  from: End;
  /** Messages by type; the first of each, or all with `always`. */
  messages?: Readonly<Record<number, Change>>;
  always?: boolean;
  /** All records that `from` sends at once, behind the changes above. */
  records?: (records: Bytes[], packet: Packet) => Bytes[];
}

export interface Attacked extends Disposable {
  readonly pair: EnginePair;
  /** The alerts that each end has sent. */
  readonly alerts: Readonly<Record<End, string[]>>;
  /** How many messages were changed. */
  readonly changed: number;
}

/** The handshake messages in the content of a record. */
export function messagesOf(content: Bytes): Bytes[] {
  const found: Bytes[] = [];
  for (let at = 0; at < content.length;) {
    const length = 4 + (content[at + 1]! << 16 | content[at + 2]! << 8 | content[at + 3]!);
    found.push(content.slice(at, at + length));
    at += length;
  }
  return found;
}

/** Runs a handshake under attack, as far as it goes. TLS 1.3 messages are changed under the handshake keys. */
export function attack(core: Core, options: AttackOptions): Attacked {
  const { both = {}, clientOptions = {}, serverOptions = {}, from, messages = {}, always, records, ...rest } =
    options;
  const lines: string[] = [];
  const keyLog = (line: string) => lines.push(line);
  const shared: TLSConfigOptions = { ciphers: SEALER_CIPHERS, tickets: false, keyLog, ...both };
  using made = configs(core, shared, clientOptions, serverOptions);
  const seen = new Set<number>();
  let changed = 0, sequence = 0, isClear = true;

  const change = (content: Bytes): Bytes[] =>
    messagesOf(content).flatMap((one) => {
      const edit = messages[one[0]!];
      if (edit === undefined || (seen.has(one[0]!) && !always)) return [one];
      seen.add(one[0]!);
      changed++;
      const result = edit(one.slice(4));
      if (result === undefined) return [];
      return Array.isArray(result) ? result : [message(one[0]!, result)];
    });

  const secret = () =>
    lines.find((line) => line.startsWith(`${from.toUpperCase()}_HANDSHAKE_TRAFFIC_SECRET `));
  const sealed = (one: Bytes): Bytes[] => {
    const key = secret();
    if (key === undefined) return [one];
    try {
      const other = reseal(Uint8Array.fromHex(key.split(" ")[2]!), sequence, one, (inner) => {
        const end = inner.findLastIndex((byte) => byte !== 0); // the type; behind it is padding
        if (inner[end] !== TYPE.handshake) return inner;
        return concat([...change(inner.slice(0, end)), inner.slice(end)]);
      });
      sequence++;
      return [other];
    } catch {
      return [one]; // under other keys
    }
  };

  const deliver = (packet: Packet): Bytes[] => {
    if (packet.from !== from) return [packet.bytes];
    const out = recordsOf(packet.bytes).flatMap((one) => {
      if (one[0] === TYPE.changeCipherSpec) isClear = false;
      if (one[0] === TYPE.data) return sealed(one);
      const isSealed = !isClear && lines.some((line) => line.startsWith("CLIENT_RANDOM ")); // TLS 1.2
      if (one[0] !== TYPE.handshake || isSealed) return [one];
      const version = one[1]! << 8 | one[2]!;
      return change(one.slice(5)).map((whole) => record(TYPE.handshake, whole, version));
    });
    return [concat([new Uint8Array(0), ...records?.(out, packet) ?? out])];
  };

  const alerts: Record<End, string[]> = { client: [], server: [] };
  const tracer = (end: End): PairOptions["serverTrace"] => ({ layer, direction, contentType, name }) => {
    if (layer === "message" && direction === "sent" && contentType === "alert") alerts[end].push(name!);
  };
  const pair = new EnginePair(made.client, made.server, {
    deliver,
    trace: tracer("client"),
    serverTrace: tracer("server"),
    ...rest,
  }).run();
  return {
    pair,
    alerts,
    get changed() {
      return changed;
    },
    [Symbol.dispose]: () => pair[Symbol.dispose](),
  };
}

/** A connection beside the attacked one: it must go on. */
export class Bystander implements Disposable {
  readonly #pair: EnginePair;

  constructor(readonly core: Core) {
    using both = configs(core);
    this.#pair = new EnginePair(both.client, both.server).connect();
  }

  /** Sends both ways. */
  assertWell(): void {
    assert(!this.core.retired, "the core goes on");
    for (const end of ["client", "server"] as const) {
      assertEquals(this.#pair.send(end, encodeText("hello")), encodeText("hello"));
    }
  }

  [Symbol.dispose](): void {
    this.#pair[Symbol.dispose]();
  }
}

/** The victim has refused by this alert, and no data came out at either end. */
export function assertRefused(
  { pair, alerts, changed }: Attacked,
  victim: End,
  alert: string,
  beside: Bystander,
): void {
  assert(changed > 0, "the attack was made");
  assertRefusedAnyhow({ pair, alerts }, victim, alert, beside);
}

/** Likewise, where the attack takes nothing away: records are added or cut alone. */
export function assertRefusedAnyhow(
  { pair, alerts }: Pick<Attacked, "pair" | "alerts">,
  victim: End,
  alert: string,
  beside: Bystander,
): void {
  const error = pair.errors[victim];
  assert(error !== undefined, "the victim has noticed");
  assertEquals([error.kind, alerts[victim].at(-1)], ["protocol", alert], error.message);
  assertEquals(pair[victim].handshakeDone && !pair[peerOf(victim)].handshakeDone, false, "it is not open");
  assertEquals([pair.received("client").length, pair.received("server").length], [0, 0], "no data");
  beside.assertWell();
}

/** Attacks: the victim must refuse, and tell the peer by one of `alerts`. `anyhow` as above. */
export function refuses(
  core: Core,
  victim: End,
  alerts: string | RegExp,
  options: AttackOptions,
  anyhow = false,
): void {
  using beside = new Bystander(core);
  using attacked = attack(core, options);
  const { pair } = attacked;
  const sent = attacked.alerts[victim].at(-1) ?? "nothing";
  const isRight = typeof alerts === "string" ? alerts === sent : alerts.test(sent);
  assert(isRight, `${sent}: ${pair.errors[victim]?.message ?? `it is ${pair[victim].state}`}`);
  (anyhow ? assertRefusedAnyhow : assertRefused)(attacked, victim, sent, beside);
}

/** A connected pair, and the means to speak in the place of one of its ends. */
export function open(core: Core, [name, sslVersion]: (typeof VERSIONS)[number]) {
  const lines: string[] = [];
  const shared = { sslVersion, tickets: false, ciphers: SEALER_CIPHERS } as const;
  using both = configs(core, shared, { keyLog: (line) => lines.push(line) });
  const pair = new EnginePair(both.client, both.server).connect();
  return Object.assign(pair, {
    as: (end: End) => new Sealer(pair, lines, end, name === "TLSv1.2" ? 1 : 0),
  });
}
