/** The other devices' profiles: what their hellos say, byte for byte, against lists written out here. */
import { assertEquals, assertRejects } from "@std/assert";
import { type Bytes, concat } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { readOptions } from "../lib/context_options.ts";
import type { Core } from "../lib/core.ts";
import { LACKS } from "../lib/device.ts";
import { DEVICE_PROFILES } from "../lib/device_profiles.ts";
import { newEsp32Core } from "../lib/esp32.ts";
import type { TLSConfigOptions } from "../lib/policy.ts";
import { PROFILE_NAMES } from "../lib/profile.ts";
import { SSLContext } from "../lib/ssl.ts";
import { TicketKeyRing } from "../lib/tickets.ts";
import { serverName, uint16s, vector } from "./hellos.ts";
import { clientOptions, EnginePair, FixedClock, randomFrom, serverOptions } from "./pair.ts";
import { MESSAGE, message, record, TYPE } from "./records.ts";

const NOTHING = new Uint8Array(0);
const SCSV = 0x00ff; // TLS_EMPTY_RENEGOTIATION_INFO_SCSV

/** Extensions, as these devices write them. */
const EXTENSION = {
  groups: (...ids: number[]): [number, Bytes] => [10, vector(2, uint16s(...ids))],
  pointFormats: [11, vector(1, Uint8Array.of(0))] as [number, Bytes],
  schemes: [13, vector(2, uint16s(0x0603, 0x0601, 0x0503, 0x0501, 0x0403, 0x0401))] as [number, Bytes],
  encryptThenMac: [22, NOTHING] as [number, Bytes],
  extendedMasterSecret: [23, NOTHING] as [number, Bytes],
  sessionTicket: [35, NOTHING] as [number, Bytes],
  maxFragmentLength: [1, Uint8Array.of(1)] as [number, Bytes],
  renegotiationInfo: [0xff01, vector(1, NOTHING)] as [number, Bytes],
};
const { groups, pointFormats, schemes, encryptThenMac, extendedMasterSecret, sessionTicket } = EXTENSION;
const { maxFragmentLength, renegotiationInfo } = EXTENSION;

interface Device {
  /** Hexadecimal. */
  readonly suites: string;
  /** Of a ClientHello, behind the server's name. */
  readonly offered: [number, Bytes][];
  /** Of a ServerHello to a client that offers everything. */
  readonly answered: [number, Bytes][];
  /** Likewise to one that asks for records of 512 bytes and AES-CBC. */
  readonly answeredOld: [number, Bytes][];
  readonly group: string;
  /** Bytes of plaintext in the records that it sends, of 20000. */
  readonly records: number[];
}

const SMALL_RECORDS = [4096, 4096, 4096, 4096, 3616];

const DEVICES: Record<string, Device> = {
  // ESP-IDF 5.5.1's Kconfig: MicroPython's suites, and the curves that MicroPython leaves out.
  "esp32-idf": {
    suites: `
      c02c c030 c0ad c024 c028 c00a c014 c0af  c05d c061 c049 c04d
      c02b c02f c0ac c023 c027 c009 c013 c0ae  c05c c060 c048 c04c
      009d c09d 003d 0035  c032 c02a c00f c02e c026 c005  c0a1
      c05f c063 c051 c04b c04f c03d
      009c c09c 003c 002f  c031 c029 c00e c02d c025 c004  c0a0
      c05e c062 c050 c04a c04e c03c`,
    offered: [
      groups(29, 23, 24, 25, 26, 27, 28),
      schemes,
      pointFormats,
      encryptThenMac,
      extendedMasterSecret,
      sessionTicket,
    ],
    answered: [renegotiationInfo, extendedMasterSecret, pointFormats],
    answeredOld: [renegotiationInfo, maxFragmentLength, encryptThenMac, extendedMasterSecret, pointFormats],
    group: "x25519",
    records: SMALL_RECORDS,
  },
  // MicroPython's mbedtls_config_common.h: AES with CBC and GCM, three curves, and no extension that is not needed.
  rp2: {
    suites: `
      c02c c030 c024 c028 c00a c014
      c02b c02f c023 c027 c009 c013
      009d 003d 0035  009c 003c 002f`,
    offered: [groups(23, 24, 25), schemes, pointFormats],
    answered: [renegotiationInfo, pointFormats],
    answeredOld: [renegotiationInfo, pointFormats],
    group: "secp256r1",
    records: SMALL_RECORDS,
  },
  // Pycom's sdkconfig.h; mbedTLS 2.x has the strongest group first. Extensions are in the order of mbedTLS 3.6.
  pycom: {
    suites: `
      c02c c030 c0ad c024 c028 c00a c014 c0af
      c02b c02f c0ac c023 c027 c009 c013 c0ae
      009d c09d 003d 0035  c032 c02a c00f c02e c026 c005  c0a1
      009c c09c 003c 002f  c031 c029 c00e c02d c025 c004  c0a0`,
    offered: [
      groups(25, 28, 24, 27, 23, 22, 26, 21, 20, 19, 18),
      schemes,
      pointFormats,
      encryptThenMac,
      extendedMasterSecret,
      sessionTicket,
    ],
    answered: [renegotiationInfo, extendedMasterSecret, pointFormats],
    answeredOld: [renegotiationInfo, maxFragmentLength, encryptThenMac, extendedMasterSecret, pointFormats],
    group: "secp521r1",
    records: [16384, 3616],
  },
};

function extensions(list: readonly [number, Uint8Array][]): Bytes {
  return vector(2, ...list.flatMap(([type, content]) => [uint16s(type), vector(2, content)]));
}

/** A device of that profile, without a clock and without chance. */
async function fixedDevice(profile: string): Promise<Core> {
  const { build } = DEVICE_PROFILES.get(profile)!;
  return await newEsp32Core({ now: new FixedClock().now, random: randomFrom(1) }, build);
}

async function policyOf(profile: string, options: { serverSide?: boolean } = {}): Promise<TLSConfigOptions> {
  return (await readOptions({ profile, certReqs: 0, ...options })).policy;
}

/** A ServerHello of what a server has sent. */
function serverHello(flight: Bytes, suite: number, list: readonly [number, Uint8Array][]): Bytes {
  const [random, sessionId] = [flight.subarray(11, 43), flight.subarray(44, 76)];
  return record(
    TYPE.handshake,
    message(
      MESSAGE.serverHello,
      concat([
        uint16s(0x0303),
        random,
        vector(1, sessionId),
        uint16s(suite),
        Uint8Array.of(0), // no compression
        extensions(list),
      ]),
    ),
    0x0303,
  );
}

for (const [profile, device] of Object.entries(DEVICES)) {
  const suites = device.suites.trim().split(/\s+/).map((hex) => parseInt(hex, 16));

  Deno.test(`profile: a client of ${profile} says hello as the device does, byte for byte`, async () => {
    using client = new TLSConfig(clientOptions(await policyOf(profile)), await fixedDevice(profile));
    using server = new TLSConfig(serverOptions());
    using pair = new EnginePair(client, server, { serverHostname: "esp.example" });
    const hello = pair.connect().wire[0]!.bytes;
    const body = concat([
      uint16s(0x0303),
      hello.subarray(11, 43), // random
      vector(1, NOTHING), // no session
      vector(2, uint16s(...suites, SCSV)),
      vector(1, Uint8Array.of(0)), // no compression
      extensions([serverName("esp.example"), ...device.offered]),
    ]);
    assertEquals(hello, record(TYPE.handshake, message(MESSAGE.clientHello, body), 0x0303));
    assertEquals(pair.client.cipher!.name, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
  });

  Deno.test(`profile: a server of ${profile} answers as the device does, byte for byte`, async () => {
    const policy = await policyOf(profile, { serverSide: true });
    using server = new TLSConfig(serverOptions(policy), await fixedDevice(profile));
    const all = [...["x25519", "secp256r1", "secp384r1", "secp521r1"]];
    using client = new TLSConfig(clientOptions({ groups: all }));
    using pair = new EnginePair(client, server);
    const flight = pair.connect().flight("server");
    const expected = serverHello(flight, 0xc02c, device.answered);
    assertEquals(flight.subarray(0, expected.length), expected);
    assertEquals(pair.server.group, device.group);

    const data = new Uint8Array(20000).fill(7);
    const before = pair.flight("server").length;
    assertEquals(pair.send("server", data), data);
    const sent = pair.flight("server").subarray(before);
    const sizes = [];
    for (let at = 0; at < sent.length; at += 5 + sizes.at(-1)!) {
      sizes.push(sent[at + 3]! << 8 | sent[at + 4]!);
    }
    assertEquals(sizes, device.records.map((size) => size + 24)); // AES-GCM: 8 of IV, 16 of tag

    const ciphers = ["TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"];
    using oldClient = new TLSConfig(clientOptions({ ciphers, maxFragmentLength: 512 }));
    using old = new EnginePair(oldClient, server);
    const answer = old.connect().flight("server");
    // A server that keeps to 512 bytes sends its ServerHello in a record of its own size, too: there is more behind it.
    const oldHello = serverHello(answer, 0xc023, device.answeredOld);
    assertEquals(answer.subarray(0, oldHello.length), oldHello);
    assertEquals(old.send("client", data), data);
  });
}

Deno.test("profile: what a profile's device lacks is refused by name", async () => {
  const refused = (profile: string, options: object, text: string) =>
    assertRejects(() => SSLContext.create({ profile, certReqs: 0, ...options }), TypeError, text);
  await refused("rp2", { maxFragmentLength: 512 }, 'Cannot use maxFragmentLength: the profile "rp2" has no');
  await refused("rp2", { renegotiation: true }, 'Cannot use renegotiation: the profile "rp2" has no');
  await refused(
    "rp2",
    { ciphers: ["TLS_RSA_WITH_AES_128_CCM"] },
    'Cannot use ciphers: the profile "rp2" has no',
  );
  await refused(
    "pycom",
    { alpnProtocols: ["h2"] },
    'Cannot use alpnProtocols: the profile "pycom" has no ALPN',
  );
  await refused(
    "esp32",
    { groups: ["brainpoolP256r1"] },
    'Cannot use groups: the profile "esp32" has no "brain',
  );
  await refused("default", { groups: ["brainpoolP256r1"] }, 'unknown name "brainpoolP256r1"');
  await refused(
    "esp32",
    { tickets: new TicketKeyRing() },
    'Cannot use tickets: the profile "esp32" resumes no',
  );
  await refused(
    "esp8266",
    {},
    `Cannot use profile: unknown name "esp8266"; known are ${PROFILE_NAMES.join(", ")}`,
  );
});

Deno.test("profile: esp32-idf has ALPN, and rp2 pre-shared keys", async () => {
  const alpnProtocols = ["http/1.1"];
  const idf = { ...await policyOf("esp32-idf", { serverSide: true }), alpnProtocols };
  using server = new TLSConfig(serverOptions(idf), await fixedDevice("esp32-idf"));
  using client = new TLSConfig(clientOptions({ alpnProtocols: ["h2", "http/1.1"] }));
  using pair = new EnginePair(client, server);
  assertEquals(pair.connect().client.alpnProtocol, "http/1.1");

  const psk = { identity: "pico", key: new Uint8Array(32).fill(1) };
  using rp2 = new TLSConfig({ ...await policyOf("rp2"), psk }, await fixedDevice("rp2"));
  using other = new TLSConfig({ serverSide: true, psk, ciphers: ["TLS_PSK_WITH_AES_128_GCM_SHA256"] });
  using keyed = new EnginePair(rp2, other);
  assertEquals(keyed.connect().client.cipher!.name, "TLS_PSK_WITH_AES_128_GCM_SHA256");
});

Deno.test("profile: lib/device.ts and wasm/device/build.c have the same bits", async () => {
  const text = await Deno.readTextFile(new URL("../wasm/device/build.c", import.meta.url));
  const bits = Object.entries(LACKS).map(([name, bit]) =>
    `LACKS_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()} = ${bit}`
  );
  assertEquals(/enum \{ (.*?) \}/.exec(text)![1], bits.join(", "));
});
