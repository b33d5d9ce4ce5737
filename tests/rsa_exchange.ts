/** What a hostile client of RSA key exchange can encrypt: blocks of PKCS #1 v1.5, good and bad (RFC 5246 section 7.4.7.1). */

import { type Bytes, concat } from "../lib/bytes.ts";
import { bytesFrom, source } from "./pair.ts";

const VERSION = Uint8Array.of(3, 3);
const SECRET = 46; // bytes behind the version

/** A block: 00 `type` padding 00 content, as long as the modulus. */
function block(size: number, content: Bytes, { first = 0, type = 2, zero = 0 } = {}): Bytes {
  const padding = bytesFrom(5, size - 3 - content.length).map((byte) => byte || 1);
  return concat([Uint8Array.of(first, type), padding, Uint8Array.of(zero), content]);
}

/** Blocks by what is wrong with them; the first is good, of a secret that is not the client's. */
export const BLOCKS: Readonly<Record<string, (size: number) => Bytes>> = {
  "good": (size) => block(size, concat([VERSION, bytesFrom(6, SECRET)])),
  "another version": (size) => block(size, concat([Uint8Array.of(3, 1), bytesFrom(6, SECRET)])),
  "a secret that is short": (size) => block(size, concat([VERSION, bytesFrom(6, SECRET - 1)])),
  "a secret that is long": (size) => block(size, concat([VERSION, bytesFrom(6, SECRET + 1)])),
  "no secret": (size) => block(size, new Uint8Array(0)),
  "no zero": (size) =>
    block(size, concat([VERSION, bytesFrom(6, SECRET).map((byte) => byte || 1)]), { zero: 1 }),
  "a zero among the first eight": (size) => block(size, concat([VERSION, bytesFrom(6, SECRET)])).with(4, 0),
  "another type": (size) => block(size, concat([VERSION, bytesFrom(6, SECRET)]), { type: 1 }),
  "another first byte": (size) => block(size, concat([VERSION, bytesFrom(6, SECRET)]), { first: 1 }),
};

/** Encrypts a block, as it is, for the key of tests/certs/rsa.pem. */
export async function encrypter(): Promise<(make: (size: number) => Bytes) => Bytes> {
  const { bytes } = source("rsa.key.der");
  const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("pkcs8", bytes, algorithm, true, ["sign"]);
  const { n, e } = await crypto.subtle.exportKey("jwk", key);
  const [modulus, exponent] = [n!, e!].map((text) => Uint8Array.fromBase64(text, { alphabet: "base64url" }));
  const big = (bytes: Uint8Array) => BigInt(`0x${bytes.toHex()}`);
  return (make) => {
    let [power, base] = [1n, big(make(modulus!.length))];
    for (let bits = big(exponent!); bits > 0n; bits >>= 1n) {
      if (bits & 1n) power = power * base % big(modulus!);
      base = base * base % big(modulus!);
    }
    return Uint8Array.fromHex(power.toString(16).padStart(2 * modulus!.length, "0"));
  };
}
