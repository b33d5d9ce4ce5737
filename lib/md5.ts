/** MD5 (RFC 1321), for the hash of a JA3 fingerprint alone: it protects nothing. */

import type { Bytes } from "./bytes.ts";

const BLOCK = 64; // bytes
/** Bits of the rotations: four in turn for each round of 16 steps. */
const ROTATIONS = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]] as const;
const SINES = Uint32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32));

/** The MD5 hash of `bytes`: 16 bytes. */
export function md5(bytes: Uint8Array): Bytes {
  const padded = new Uint8Array(Math.ceil((bytes.length + 9) / BLOCK) * BLOCK);
  padded.set(bytes);
  padded[bytes.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - 8, BigInt(bytes.length) * 8n, true);

  const state = Uint32Array.of(0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476);
  for (let at = 0; at < padded.length; at += BLOCK) addBlock(state, view, at);

  const hash = new DataView(new ArrayBuffer(16));
  state.forEach((word, i) => hash.setUint32(i * 4, word, true));
  return new Uint8Array(hash.buffer);
}

function addBlock(state: Uint32Array, view: DataView, at: number): void {
  let [a, b, c, d] = state as unknown as [number, number, number, number];
  for (let i = 0; i < 64; i++) {
    const round = i >> 4;
    const [mixed, word] = mix(round, i, b, c, d);
    const sum = (a + mixed + SINES[i]! + view.getUint32(at + word * 4, true)) | 0;
    const bits = ROTATIONS[round]![i & 3]!;
    [a, d, c, b] = [d, c, b, (b + (sum << bits | sum >>> (32 - bits))) | 0];
  }
  state[0]! += a;
  state[1]! += b;
  state[2]! += c;
  state[3]! += d;
}

/** The function of a round, and the index of the word that step `i` adds. */
function mix(round: number, i: number, b: number, c: number, d: number): [number, number] {
  switch (round) {
    case 0:
      return [(b & c) | (~b & d), i];
    case 1:
      return [(d & b) | (~d & c), (5 * i + 1) % 16];
    case 2:
      return [b ^ c ^ d, (3 * i + 5) % 16];
    default:
      return [c ^ (b | ~d), (7 * i) % 16];
  }
}
