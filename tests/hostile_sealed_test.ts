/**
 * TLS 1.3 messages that are wrong under the right keys: a peer that holds the keys, and lies. `TLSIO_HOSTILE=all` changes
 * every byte instead of a sample.
 */
import { assert, assertEquals } from "@std/assert";
import { type Bytes, concat } from "../lib/bytes.ts";
import { CERT_REQUIRED } from "../lib/policy.ts";
import {
  bytesFrom,
  configs,
  credential,
  type Delivery,
  type End,
  ENDS,
  EnginePair,
  fixedCore,
} from "./pair.ts";
import { peerOf, source, VERSIONS } from "./pair.ts";
import { recordsOf, reseal, SEALER_CIPHERS, TYPE } from "./records.ts";

const STRIDE = Deno.env.get("TLSIO_HOSTILE") === "all" ? 1 : 11;
const core = fixedCore();

/** A handshake in which `change` gets the inside of each record that `end` sends under its handshake keys. */
function handshake(end: End, change: (inner: Bytes, index: number) => Bytes): EnginePair {
  const lines: string[] = [];
  const keyLog = (line: string) => lines.push(line);
  const shared = {
    sslVersion: VERSIONS[1][1],
    tickets: false,
    ciphers: SEALER_CIPHERS.slice(0, 1),
    certReqs: CERT_REQUIRED,
    trust: [source("root.pem")],
  } as const;
  using both = configs(core, shared, { credential: credential("client"), keyLog }, {
    credential: credential("chain"),
    keyLog,
  });
  let sequence = 0;
  let isOver = false;
  const deliver: Delivery = ({ from, bytes }) => {
    if (from !== end || isOver) return [bytes];
    return [concat(
      recordsOf(bytes).map((one) => {
        const secret = lines.find((line) =>
          line.startsWith(`${end.toUpperCase()}_HANDSHAKE_TRAFFIC_SECRET `)
        );
        if (one[0] !== TYPE.data || secret === undefined || isOver) return one;
        try {
          return reseal(
            Uint8Array.fromHex(secret.split(" ")[2]!),
            sequence,
            one,
            (inner) => change(inner, sequence++),
          );
        } catch {
          isOver = true; // from here on, other keys
          return one;
        }
      }),
    )];
  };
  return new EnginePair(both.client, both.server, { deliver }).run();
}

/** The inside of each record that `end` sends under its handshake keys. */
function insides(end: End): Bytes[] {
  const seen: Bytes[] = [];
  using pair = handshake(end, (inner) => {
    seen.push(inner);
    return inner;
  });
  assertEquals(pair.errors, {}, "the same bytes make the same handshake");
  assert(pair.client.handshakeDone && pair.server.handshakeDone);
  return seen;
}

/** The victim refuses, the core is well, nothing was read. */
function judge(pair: EnginePair, end: End, what: string): void {
  const victim = peerOf(end);
  assert(!core.retired, what);
  pair.eof();
  const error = pair.errors[victim];
  assert(error !== undefined, `${what}: nothing was noticed`);
  assert(
    ["protocol", "verify", "eof", "alert"].includes(error.kind),
    `${what}: ${error.message} (${error.reason})`,
  );
  assertEquals(pair.received(victim).length, 0, what);
}

for (const end of ENDS) {
  const messages = insides(end);

  Deno.test(`TLSEngine refuses a message of the ${end}'s with a bit flipped under the handshake keys`, () => {
    for (const [index, { length }] of messages.entries()) {
      for (let at = 0; at < length; at += at < 8 || at > length - 4 ? 1 : STRIDE) {
        const mask = 1 << (at % 8);
        using pair = handshake(end, (inner, i) => {
          if (i !== index) return inner;
          const flipped = inner.slice();
          flipped[at]! ^= mask;
          return flipped;
        });
        judge(pair, end, `record ${index}, byte ${at}, mask ${mask}`);
      }
    }
  });

  Deno.test(`TLSEngine refuses a message of the ${end}'s that is cut, longer, empty or of other bytes`, () => {
    for (const [index, message] of messages.entries()) {
      const type = message.slice(-1);
      const body = message.slice(0, -1);
      const others: Bytes[] = [
        type,
        new Uint8Array(0), // not even a type
        new Uint8Array(100), // padding alone
        concat([body.slice(0, 4), type]),
        concat([body.slice(0, -1), type]),
        concat([body, Uint8Array.of(0), type]),
        concat([body, body, type]),
        concat([body.slice(0, 4), bytesFrom(index, body.length - 4), type]),
        concat([body.slice(0, 4), new Uint8Array(body.length - 4).fill(255), type]),
        concat([Uint8Array.of(body[0]!, 255, 255, 255), body.slice(4), type]),
        concat([body, Uint8Array.of(TYPE.data)]),
        concat([body, Uint8Array.of(TYPE.alert)]),
        bytesFrom(index, 16385),
      ];
      for (const [i, other] of others.entries()) {
        using pair = handshake(end, (inner, at) => at === index ? other : inner);
        judge(pair, end, `record ${index}, change ${i}`);
      }
    }
  });

  Deno.test(`TLSEngine refuses a flight of the ${end}'s in which a message is missing`, () => {
    for (const index of messages.keys()) {
      // A record of nothing but padding would be refused for that: the message after it takes its place.
      using pair = handshake(end, (inner, at) => at >= index ? messages[at + 1] ?? inner : inner);
      judge(pair, end, `without record ${index}`);
    }
  });
}

Deno.test("TLSEngine takes padding behind a message (RFC 8446 section 5.4)", () => {
  for (const end of ENDS) {
    using pair = handshake(end, (inner) => concat([inner, new Uint8Array(100)]));
    assertEquals(pair.errors, {});
    assert(pair.client.handshakeDone && pair.server.handshakeDone);
  }
});
