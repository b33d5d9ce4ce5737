/** CBC records that were MACed first and padded then: what Lucky 13 and POODLE are about (RFC 5246 section 6.2.3.2). */
import { assert, assertEquals } from "@std/assert";
import type { Bytes } from "../lib/bytes.ts";
import { TLSConfig } from "../lib/config.ts";
import { TLSEngine } from "../lib/engine.ts";
import { SSLError } from "../lib/errors.ts";
import { CBC_SUITES, CbcServer, type CbcSuite } from "./cbc_peer.ts";
import { bytesFrom, fixedCore } from "./pair.ts";
import { TYPE } from "./records.ts";

const core = fixedCore();
const PSK = { identity: "device-7", key: bytesFrom(7, 32) };
const BLOCK = 16;

/** Connects a client with a server that does not know encrypt-then-MAC. */
function connect(suite: CbcSuite) {
  const config = new TLSConfig({ psk: PSK, ciphers: [suite] }, core);
  const client = new TLSEngine(config);
  const server = new CbcServer(client, suite, PSK.key);
  return {
    client,
    server,
    [Symbol.dispose]() {
      client[Symbol.dispose]();
      config[Symbol.dispose]();
    },
  };
}

function read(client: TLSEngine): Bytes {
  const buffer = new Uint8Array(1024);
  const outcome = client.read(buffer);
  return buffer.slice(0, outcome.state === "data" ? outcome.bytes : 0);
}

for (const suite of Object.keys(CBC_SUITES) as CbcSuite[]) {
  const { macSize } = CBC_SUITES[suite];
  /** Bytes of content with which `padding` fills the last block, at least `least`. */
  const sizeFor = (padding: number, least = 0) => {
    const rest = (macSize + padding + 1 + least) % BLOCK;
    return least + (rest === 0 ? 0 : BLOCK - rest);
  };

  Deno.test(`ciphers: ${suite} without encrypt-then-MAC: every padding that may be is read`, () => {
    using pair = connect(suite);
    for (let padding = 0; padding <= 255; padding++) {
      const content = bytesFrom(padding, sizeFor(padding, 1));
      pair.client.receive(pair.server.seal(TYPE.data, content, padding));
      assertEquals(read(pair.client), content, `${padding} bytes of padding`);
    }
  });

  Deno.test(`ciphers: ${suite} without encrypt-then-MAC: a wrong padding and a wrong MAC are the same error`, () => {
    const last = (plain: Bytes) => plain.length - 1;
    const changes: Record<string, [padding: number, change: (plain: Bytes) => void]> = {
      "the MAC": [15, (plain) => plain[last(plain) - 16]! ^= 1],
      "the MAC before a long padding": [255, (plain) => plain[last(plain) - 256]! ^= 1],
      "the MAC before no padding": [0, (plain) => plain[last(plain) - 1]! ^= 1],
      "the content": [15, (plain) => plain[0]! ^= 1],
      "the padding's first byte": [255, (plain) => plain[last(plain) - 255]! ^= 1],
      "the padding's last byte": [255, (plain) => plain[last(plain) - 1]! ^= 1],
      "its length, to less": [15, (plain) => plain[last(plain)] = 14],
      "its length, to more": [15, (plain) => plain[last(plain)] = 16],
      "its length, to more than the record": [15, (plain) => plain[last(plain)] = 255],
      "all of the MAC and the padding": [31, (plain) => plain.fill(0, plain.length - 32 - macSize)],
    };
    const seen = new Set<string>();
    for (const [what, [padding, change]] of Object.entries(changes)) {
      using pair = connect(suite);
      pair.client.receive(pair.server.seal(TYPE.data, bytesFrom(1, sizeFor(padding, 20)), padding, change));
      let error: unknown;
      try {
        read(pair.client);
      } catch (caught) {
        error = caught;
      }
      assertEquals(error instanceof SSLError ? error.reason : error, "MBEDTLS_ERR_SSL_INVALID_MAC", what);
      const alert = pair.client.takeRecords();
      assert(alert.length > 0 && alert[0] === TYPE.alert, what);
      seen.add(`${(error as SSLError).message}, and ${alert.length} bytes`);
    }
    assertEquals(seen.size, 1, [...seen].join("\n"));
  });
}
