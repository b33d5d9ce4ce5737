// TLS between a core with kernels and mbedTLS alone: every suite and group, both ways, in records of every size.
import { assertEquals } from "@std/assert";
import { Core } from "../../lib/core.ts";
import { GROUPS, suitesOf, TLSVersion } from "../../lib/suites.ts";
import { TLSConfig } from "../../lib/config.ts";
import type { TLSConfigOptions } from "../../lib/policy.ts";
import { DIST, folderOf } from "../../wasm/build.ts";
import {
  bytesFrom,
  clientOptions,
  credential,
  ENDS,
  EnginePair,
  FixedClock,
  serverOptions,
} from "../pair.ts";
import { randomFrom } from "../pair.ts";
import { KERNEL_HARNESSES } from "./each_core.ts";

async function load(name: string, folder: URL): Promise<Core> {
  const module = await WebAssembly.compile(await Deno.readFile(new URL(`${name}.wasm`, folder)));
  return new Core({ module, now: new FixedClock().now, random: randomFrom(1) });
}

const stock = await load("stock", folderOf("stock"));
const KERNELS = [
  ...KERNEL_HARNESSES.map(({ core }) => [core, folderOf(core)] as const),
  ["core.simd", DIST] as const, // which this engine does not choose by itself
];

/** A certificate of `tests/certs` with its key: `ecdh-rsa` has that of `ecdh`. */
const identity = (name: string) => credential(name, name.replace(/^ecdh-rsa$/, "ecdh"));

/** Which one a suite needs. */
function certificateFor(suite: string): string {
  if (suite.startsWith("TLS_ECDH_")) return suite.startsWith("TLS_ECDH_RSA") ? "ecdh-rsa" : "ecdh";
  return /RSA.WITH/.test(suite) ? "rsa" : "ec";
}

/** A handshake, one record of each size both ways, and one handshake that resumes. Returns the group. */
function talk(client: Core, server: Core, options: TLSConfigOptions, key: string): string | undefined {
  using a = new TLSConfig(clientOptions(options), client);
  using b = new TLSConfig(serverOptions({ ...options, credential: identity(key) }), server);
  using pair = new EnginePair(a, b);
  pair.connect();
  for (const size of [1, 15, 16, 17, 63, 64, 255, 256, 257, 1000, 4096, 16383, 16384, 50_000]) {
    for (const end of ENDS) {
      const data = bytesFrom(size, size);
      assertEquals(pair.send(end, data), data, `${size} bytes from the ${end}`);
    }
  }
  const session = pair.client.session();
  using again = new EnginePair(a, b, session === undefined ? {} : { savedSession: session });
  again.connect();
  assertEquals(again.client.sessionReused, session !== undefined);
  return pair.client.group;
}

const suites = suitesOf(stock).map(({ name }) => name).filter((name) => !name.includes("PSK"));

for (const [name, folder] of KERNELS) {
  const core = await load(name, folder);

  for (const suite of suites) {
    Deno.test(`TLS: ${suite}, ${name} and mbedTLS alone`, () => {
      const sslVersion = suite.includes("WITH") ? TLSVersion.TLSv1_2 : TLSVersion.TLSv1_3;
      const options = { ciphers: [suite], sslVersion };
      const key = certificateFor(suite);
      talk(core, stock, options, key);
      talk(stock, core, options, key);
    });
  }

  for (const group of GROUPS.keys()) {
    Deno.test(`TLS: key exchange by ${group}, ${name} and mbedTLS alone`, () => {
      const groups = [group, ...[...GROUPS.keys()].filter((other) => other !== group)]; // certificates need theirs
      for (const sslVersion of [TLSVersion.TLSv1_2, TLSVersion.TLSv1_3]) {
        for (const key of ["ec", "p384", "p521", "rsa"]) {
          for (const [client, server] of [[core, stock], [stock, core]] as const) {
            const agreed = talk(client, server, { groups, sslVersion }, key);
            assertEquals(agreed, group);
          }
        }
      }
    });
  }
}
