/** Early data of a client that has the keys of its ticket, and lies. */
import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { type Bytes, concat, encodeText } from "../lib/bytes.ts";
import { SSLError } from "../lib/errors.ts";
import { earlyConfigs, EarlyPair, sessionFor } from "./early.ts";
import { fixedCore } from "./pair.ts";
import { message, recordsOf, sealAs, SEALER_CIPHERS, TYPE, unseal } from "./records.ts";

const REQUEST = encodeText("GET /");
const core = fixedCore();

/** What an honest client would send when it has read the server's flight. */
interface LastFlight {
  /** Messages. */
  readonly endOfEarlyData: Bytes;
  readonly finished: Bytes;
  /** The next record under the keys of early data, or of the handshake. */
  readonly early: (type: number, content: Bytes) => Bytes;
  readonly handshake: (type: number, content: Bytes) => Bytes;
}

/** Without its type and padding. */
function messageOf(inner: Bytes): Bytes {
  return inner.slice(0, inner.findLastIndex((byte) => byte !== 0));
}

/** How a server ends whose client has sent its early data, and then what `lie` makes. */
function serve(lie: (flight: LastFlight) => Bytes[]): { error: unknown; isDone: boolean; data: Bytes } {
  const lines: string[] = [];
  const shared = { ciphers: SEALER_CIPHERS.slice(0, 1) };
  using both = earlyConfigs(core, shared, { ...shared, keyLog: (line) => lines.push(line) });
  const savedSession = sessionFor(both.client, both.server);
  lines.splice(0);
  using pair = new EarlyPair(both.client, both.server, { savedSession, earlyData: REQUEST });
  const [end, finished] = recordsOf(pair.answer(pair.serve(pair.first))).filter(([type]) =>
    type === TYPE.data
  );
  const secretOf = (label: string) =>
    Uint8Array.fromHex(lines.find((line) => line.startsWith(`${label} `))!.split(" ")[2]!);
  const early = secretOf("CLIENT_EARLY_TRAFFIC_SECRET");
  const handshake = secretOf("CLIENT_HANDSHAKE_TRAFFIC_SECRET");
  const sealer = (secret: Bytes, sequence: number) => (type: number, content: Bytes) =>
    sealAs(secret, sequence++, concat([content, Uint8Array.of(type)]));
  const records = lie({
    endOfEarlyData: messageOf(unseal(early, 1, end!)),
    finished: messageOf(unseal(handshake, 0, finished!)),
    early: sealer(early, 1), // the data was number 0
    handshake: sealer(handshake, 0),
  });
  let error: unknown;
  try {
    for (const record of records) pair.serve(record);
  } catch (thrown) {
    error = thrown;
  }
  return { error, isDone: pair.server.handshakeDone, data: concat([pair.early, pair.read.server]) };
}

const LIES: Record<string, (flight: LastFlight) => Bytes[]> = {
  "its Finished in the record of EndOfEarlyData, under its keys": ({ early, endOfEarlyData, finished }) => [
    early(TYPE.handshake, concat([endOfEarlyData, finished])),
  ],
  "the beginning of its Finished there": ({ early, handshake, endOfEarlyData, finished }) => [
    early(TYPE.handshake, concat([endOfEarlyData, finished.slice(0, 9)])),
    handshake(TYPE.handshake, finished.slice(9)),
  ],
  "Finished under the keys of early data": ({ early, endOfEarlyData, finished }) => [
    early(TYPE.handshake, endOfEarlyData),
    early(TYPE.handshake, finished),
  ],
  "no EndOfEarlyData": ({ handshake, finished }) => [handshake(TYPE.handshake, finished)],
  "Finished in its place": ({ early, finished }) => [early(TYPE.handshake, finished)],
  "EndOfEarlyData with a body": ({ early, handshake, finished }) => [
    early(TYPE.handshake, message(5, new Uint8Array(1))),
    handshake(TYPE.handshake, finished),
  ],
  "EndOfEarlyData twice": ({ early, handshake, endOfEarlyData, finished }) => [
    early(TYPE.handshake, endOfEarlyData),
    handshake(TYPE.handshake, endOfEarlyData),
    handshake(TYPE.handshake, finished),
  ],
  "data behind EndOfEarlyData": ({ early, handshake, endOfEarlyData, finished }) => [
    early(TYPE.handshake, endOfEarlyData),
    handshake(TYPE.data, encodeText("more")),
    handshake(TYPE.handshake, finished),
  ],
  "data amid EndOfEarlyData": ({ early, handshake, endOfEarlyData, finished }) => [
    early(TYPE.handshake, endOfEarlyData.slice(0, 2)),
    early(TYPE.data, encodeText("more")),
    early(TYPE.handshake, endOfEarlyData.slice(2)),
    handshake(TYPE.handshake, finished),
  ],
  "empty records without end": ({ early }) =>
    Array.from({ length: 100 }, () => early(TYPE.data, new Uint8Array())),
  "close_notify": ({ early, handshake, endOfEarlyData, finished }) => [
    early(TYPE.alert, Uint8Array.of(1, 0)),
    early(TYPE.handshake, endOfEarlyData),
    handshake(TYPE.handshake, finished),
  ],
};
for (const type of [0, 1, 2, 4, 8, 11, 13, 15, 20, 24, 99]) {
  LIES[`a message of type ${type}`] = ({ early, handshake, endOfEarlyData, finished }) => [
    early(TYPE.handshake, message(type, new Uint8Array(32))),
    early(TYPE.handshake, endOfEarlyData),
    handshake(TYPE.handshake, finished),
  ];
}

for (const [what, lie] of Object.entries(LIES)) {
  Deno.test(`maxEarlyData: a client that sends ${what} is refused`, () => {
    const { error, isDone, data } = serve(lie);
    assertInstanceOf(error, SSLError);
    assertEquals([isDone, data], [false, REQUEST]);
    assert(error.kind === "protocol" || what === "close_notify", error.message);
    assert(!core.retired);
  });
}

Deno.test("maxEarlyData: a client that does not lie is served", () => {
  const { error, isDone, data } = serve(({ early, handshake, endOfEarlyData, finished }) => [
    early(TYPE.data, encodeText(" HTTP")),
    early(TYPE.handshake, endOfEarlyData),
    handshake(TYPE.handshake, finished),
  ]);
  assertEquals([error, isDone, data], [undefined, true, encodeText("GET / HTTP")]);
});
