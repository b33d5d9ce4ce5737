/**
 * Published answers of authenticated ciphers, in hexadecimal.
 *
 * @module
 */

import type { Cipher } from "./aead.ts";

/** One message. */
export interface AeadVector {
  source: string;
  cipher: Cipher;
  key: string;
  iv: string;
  aad: string;
  input: string;
  output: string;
  tag: string;
}

const KEY = "feffe9928665731c6d6a8f9467308308";
const TEXT = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" +
  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255";
const SHORT = TEXT.slice(0, 120);
const AAD = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
const IV = "cafebabefacedbaddecaf888";
const IV_8 = "cafebabefacedbad";
const IV_60 = "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728" +
  "c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b";
const ZERO = "00".repeat(16);

const C3 = "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e" +
  "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985";
const C9 = "3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c" +
  "7d773d00c144c525ac619d18c84a3f4718e2448b2fe324d9ccda2710acade256";
const C15 = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa" +
  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad";

/** D. McGrew, J. Viega: The Galois/Counter Mode of Operation, appendix B, test cases 1 to 18. */
const GCM = ([
  [ZERO, "00".repeat(12), "", "", "", "58e2fccefa7e3061367f1d57a4e7455a"],
  [ZERO, "00".repeat(12), "", ZERO, "0388dace60b6a392f328c2b971b2fe78", "ab6e47d42cec13bdf53a67b21257bddf"],
  [KEY, IV, "", TEXT, C3, "4d5c2af327cd64a62cf35abd2ba6fab4"],
  [KEY, IV, AAD, SHORT, C3.slice(0, 120), "5bc94fbc3221a5db94fae95ae7121a47"],
  [
    KEY,
    IV_8,
    AAD,
    SHORT,
    "61353b4c2806934a777ff51fa22a4755699b2a714fcdc6f83766e5f97b6c7423" +
    "73806900e49f24b22b097544d4896b424989b5e1ebac0f07c23f4598",
    "3612d2e79e3b0785561be14aaca2fccb",
  ],
  [
    KEY,
    IV_60,
    AAD,
    SHORT,
    "8ce24998625615b603a033aca13fb894be9112a5c3a211a8ba262a3cca7e2ca7" +
    "01e4a9a4fba43c90ccdcb281d48c7c6fd62875d2aca417034c34aee5",
    "619cc5aefffe0bfa462af43c1699d050",
  ],
  ["00".repeat(24), "00".repeat(12), "", "", "", "cd33b28ac773f74ba00ed1f312572435"],
  [
    "00".repeat(24),
    "00".repeat(12),
    "",
    ZERO,
    "98e7247c07f0fe411c267e4384b0f600",
    "2ff58d80033927ab8ef4d4587514f0fb",
  ],
  [KEY + KEY.slice(0, 16), IV, "", TEXT, C9, "9924a7c8587336bfb118024db8674a14"],
  [KEY + KEY.slice(0, 16), IV, AAD, SHORT, C9.slice(0, 120), "2519498e80f1478f37ba55bd6d27618c"],
  [
    KEY + KEY.slice(0, 16),
    IV_8,
    AAD,
    SHORT,
    "0f10f599ae14a154ed24b36e25324db8c566632ef2bbb34f8347280fc4507057" +
    "fddc29df9a471f75c66541d4d4dad1c9e93a19a58e8b473fa0f062f7",
    "65dcc57fcf623a24094fcca40d3533f8",
  ],
  [
    KEY + KEY.slice(0, 16),
    IV_60,
    AAD,
    SHORT,
    "d27e88681ce3243c4830165a8fdcf9ff1de9a1d8e6b447ef6ef7b79828666e45" +
    "81e79012af34ddd9e2f037589b292db3e67c036745fa22e7e9b7373b",
    "dcf566ff291c25bbb8568fc3d376a6d9",
  ],
  ["00".repeat(32), "00".repeat(12), "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"],
  [
    "00".repeat(32),
    "00".repeat(12),
    "",
    ZERO,
    "cea7403d4d606b6e074ec5d3baf39d18",
    "d0d1c8a799996bf0265b98b5d48ab919",
  ],
  [KEY + KEY, IV, "", TEXT, C15, "b094dac5d93471bdec1a502270e3cc6c"],
  [KEY + KEY, IV, AAD, SHORT, C15.slice(0, 120), "76fc6ece0f4e1768cddf8853bb2d551b"],
  [
    KEY + KEY,
    IV_8,
    AAD,
    SHORT,
    "c3762df1ca787d32ae47c13bf19844cbaf1ae14d0b976afac52ff7d79bba9de0" +
    "feb582d33934a4f0954cc2363bc73f7862ac430e64abe499f47c9b1f",
    "3a337dbf46a792c45e454913fe2ea8f2",
  ],
  [
    KEY + KEY,
    IV_60,
    AAD,
    SHORT,
    "5a8def2f0c9e53f1f75d7853659e2a20eeb2b22aafde6419a058ab4f6f746bf4" +
    "0fc0c3b780f244452da3ebf1c5d82cdea2418997200ef82e44ae7e3f",
    "a44a8266ee1c8eb0c8b5d4cf5ae9f19a",
  ],
] as const).map(([key, iv, aad, input, output, tag], index): AeadVector => ({
  source: `GCM test case ${index + 1}`,
  cipher: "gcm",
  key,
  iv,
  aad,
  input,
  output,
  tag,
}));

/** NIST SP 800-38C appendix C, examples 1 to 3. */
const CCM = ([
  ["10111213141516", "0001020304050607", "20212223", "7162015b", "4dac255d"],
  [
    "1011121314151617",
    "000102030405060708090a0b0c0d0e0f",
    "202122232425262728292a2b2c2d2e2f",
    "d2a1f0e051ea5f62081a7792073d593d",
    "1fc64fbfaccd",
  ],
  [
    "101112131415161718191a1b",
    "000102030405060708090a0b0c0d0e0f10111213",
    "202122232425262728292a2b2c2d2e2f3031323334353637",
    "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5",
    "484392fbc1b09951",
  ],
] as const).map(([iv, aad, input, output, tag], index): AeadVector => ({
  source: `SP 800-38C example ${index + 1}`,
  cipher: "ccm",
  key: "404142434445464748494a4b4c4d4e4f",
  iv,
  aad,
  input,
  output,
  tag,
}));

const CHACHAPOLY: AeadVector = {
  source: "RFC 8439 section 2.8.2",
  cipher: "chachapoly",
  key: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
  iv: "070000004041424344454647",
  aad: "50515253c0c1c2c3c4c5c6c7",
  input: new TextEncoder().encode(
    "Ladies and Gentlemen of the class of '99: " +
      "If I could offer you only one tip for the future, sunscreen would be it.",
  ).toHex(),
  output: "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b" +
    "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc" +
    "3ff4def08e4b7a9de576d26586cec64b6116",
  tag: "1ae10b594f09e26a7e902ecbd0600691",
};

/** Every message. */
export const AEADS: readonly AeadVector[] = [...GCM, ...CCM, CHACHAPOLY];
