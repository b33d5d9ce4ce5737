// The profile "esp32": what its hellos say, byte for byte, and that nobody pays for it who does not use it.
import { assertEquals, assertRejects } from "@std/assert";
import { type Bytes, concat } from "../lib/bytes.ts";
import { readOptions } from "../lib/context_options.ts";
import type { Core } from "../lib/core.ts";
import { newEsp32Core } from "../lib/esp32.ts";
import { TLSConfig } from "../lib/config.ts";
import type { Source } from "../lib/credentials.ts";
import { SSLContext } from "../lib/ssl.ts";
import { clientOptions, credential, EnginePair, FixedClock, randomFrom, serverOptions } from "./pair.ts";
import { serverName, uint16s, vector } from "./hellos.ts";
import { MESSAGE, message, record, TYPE } from "./records.ts";

/** The suites of MicroPython 1.28 on ESP-IDF 5.5.1, best first. */
const SUITES = `
  c02c c030 c0ad c024 c028 c00a c014 c0af  c05d c061 c049 c04d
  c02b c02f c0ac c023 c027 c009 c013 c0ae  c05c c060 c048 c04c
  009d c09d 003d 0035  c032 c02a c00f c02e c026 c005  c0a1
  c05f c063 c051 c04b c04f c03d
  009c c09c 003c 002f  c031 c029 c00e c02d c025 c004  c0a0
  c05e c062 c050 c04a c04e c03c`.trim().split(/\s+/).map((hex) => parseInt(hex, 16));

const EXTENSION = {
  supportedGroups: 10,
  pointFormats: 11,
  signatureAlgorithms: 13,
  encryptThenMac: 22,
  extendedMasterSecret: 23,
  sessionTicket: 35,
  renegotiationInfo: 0xff01,
};
const SCSV = 0x00ff; // TLS_EMPTY_RENEGOTIATION_INFO_SCSV
const NOTHING = new Uint8Array(0);

function extensions(...list: [number, Uint8Array][]): Bytes {
  return vector(2, ...list.flatMap(([type, content]) => [uint16s(type), vector(2, content)]));
}

/** A device's core without a clock and without chance. */
async function fixedDevice(seed = 1): Promise<Core> {
  return await newEsp32Core({ now: new FixedClock().now, random: randomFrom(seed) });
}

/** The options of the profile, as a context has them. */
async function esp32Policy(options: { serverSide?: boolean; certReqs?: 0 } = {}) {
  return (await readOptions({ profile: "esp32", ...options })).policy;
}

Deno.test("profile: an esp32 client says hello as MicroPython on the board does, byte for byte", async () => {
  using client = new TLSConfig(clientOptions(await esp32Policy({ certReqs: 0 })), await fixedDevice());
  using server = new TLSConfig(serverOptions());
  using pair = new EnginePair(client, server, { serverHostname: "esp.example" });
  const hello = pair.connect().wire[0]!.bytes;
  const random = hello.subarray(11, 43);
  assertEquals(
    hello,
    record(
      TYPE.handshake,
      message(
        MESSAGE.clientHello,
        concat([
          uint16s(0x0303),
          random,
          vector(1, NOTHING), // no session
          vector(2, uint16s(...SUITES, SCSV)),
          vector(1, Uint8Array.of(0)), // no compression
          extensions(
            serverName("esp.example"),
            [EXTENSION.supportedGroups, vector(2, uint16s(23, 24, 25))],
            [
              EXTENSION.signatureAlgorithms,
              vector(2, uint16s(0x0603, 0x0601, 0x0503, 0x0501, 0x0403, 0x0401)), // PSS is never sent for TLS 1.2
            ],
            [EXTENSION.pointFormats, vector(1, Uint8Array.of(0))],
            [EXTENSION.encryptThenMac, NOTHING],
            [EXTENSION.extendedMasterSecret, NOTHING],
            [EXTENSION.sessionTicket, NOTHING],
          ),
        ]),
      ),
      0x0303,
    ),
  );
});

for (
  const [key, suite] of [["ec", 0xc02c], ["rsa", 0xc030]] as const
) {
  Deno.test(`profile: an esp32 server with ${key}.pem answers as the board does, byte for byte`, async () => {
    const policy = await esp32Policy({ serverSide: true });
    using server = new TLSConfig(
      serverOptions({ ...policy, credential: credential(key) }),
      await fixedDevice(),
    );
    using client = new TLSConfig(clientOptions());
    using pair = new EnginePair(client, server);
    pair.connect();
    const flight = pair.flight("server");
    const [random, sessionId] = [flight.subarray(11, 43), flight.subarray(44, 76)];
    const expected = record(
      TYPE.handshake,
      message(
        MESSAGE.serverHello,
        concat([
          uint16s(0x0303),
          random,
          vector(1, sessionId), // mbedTLS gives one though nobody keeps it
          uint16s(suite), // the server's first, though the client likes another one better
          Uint8Array.of(0),
          extensions(
            [EXTENSION.renegotiationInfo, vector(1, NOTHING)],
            [EXTENSION.extendedMasterSecret, NOTHING],
            [EXTENSION.pointFormats, vector(1, Uint8Array.of(0))],
          ),
        ]),
      ),
      0x0303,
    );
    assertEquals(flight.subarray(0, expected.length), expected);
    assertEquals(pair.server.group, "secp256r1");

    const savedSession = pair.client.session();
    using again = new EnginePair(client, server, { ...(savedSession && { savedSession }) });
    assertEquals(again.connect().client.sessionReused, false, "the device resumes nothing");
  });
}

Deno.test("profile: an esp32 server takes records of 16384 bytes and sends 4096 at most", async () => {
  const policy = await esp32Policy({ serverSide: true });
  using server = new TLSConfig(serverOptions(policy), await fixedDevice());
  using client = new TLSConfig(clientOptions());
  using pair = new EnginePair(client, server);
  pair.connect();
  const data = new Uint8Array(20000).fill(7);
  assertEquals(pair.send("client", data), data);
  const before = pair.flight("server").length;
  assertEquals(pair.send("server", data), data);
  const sent = pair.flight("server").subarray(before);
  const sizes = [];
  for (let at = 0; at < sent.length; at += 5 + sizes.at(-1)!) sizes.push(sent[at + 3]! << 8 | sent[at + 4]!);
  assertEquals(sizes, [4096, 4096, 4096, 4096, 3616].map((size) => size + 24)); // AES-GCM: 8 of IV, 16 of tag
});

Deno.test("profile: what the device's mbedTLS lacks is refused by name", async () => {
  const refused = (options: object, text: string) =>
    assertRejects(() => SSLContext.create({ profile: "esp32", ...options }), Error, text);
  await refused({ sslVersion: 0x0304 }, 'Cannot use sslVersion: the profile "esp32" has TLS 1.2 alone');
  await refused({ groups: ["x25519"] }, 'Cannot use groups: the profile "esp32" has no "x25519"');
  await refused({ alpnProtocols: ["h2"] }, 'Cannot use alpnProtocols: the profile "esp32" has no ALPN');
  await refused(
    { psk: { identity: "a", key: new Uint8Array(32) } },
    'Cannot use psk: the profile "esp32" has no pre-shared keys',
  );
  await refused(
    { ciphers: ["TLS_AES_128_GCM_SHA256"] },
    'Cannot use ciphers: the profile "esp32" has no "TLS_AES',
  );
  const { chain, key } = credential("ec") as { chain: Source; key: Source };
  const server = { serverSide: true, certfile: chain.bytes, keyfile: key.bytes };
  await refused({ ...server, maxEarlyData: 1024 }, "maxEarlyData");
  await refused(
    { ...server, alpnCallback: () => undefined },
    'Cannot use alpnCallback: the profile "esp32" has no',
  );
  await refused(
    { ...server, pskCallback: () => undefined },
    'Cannot use pskCallback: the profile "esp32" has no',
  );
});

Deno.test("profile: importing mod.ts does not compile the device's core", async () => {
  const program = `
    const compiled = [];
    const { Instance } = WebAssembly;
    WebAssembly.Instance = function (module, imports) {
      compiled.push(WebAssembly.Module.exports(module).some(({ name }) => name === "heap_limit"));
      return new Instance(module, imports);
    };
    const { SSLContext } = await import("${new URL("../mod.ts", import.meta.url)}");
    (await SSLContext.create({ certReqs: 0 }))[Symbol.dispose]();
    console.log(compiled.join());
    (await SSLContext.create({ profile: "esp32" }))[Symbol.dispose]();
    console.log(compiled.join());`;
  const command = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-lock", "--ext=js", program],
    cwd: new URL("../", import.meta.url), // for the import map
    env: { NO_COLOR: "1" },
  });
  const { stdout, stderr } = await command.output();
  assertEquals(new TextDecoder().decode(stdout), "false\nfalse,true\n", new TextDecoder().decode(stderr));
});
