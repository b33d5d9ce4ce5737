/**
 * Published answers of hashes and ciphers. Everything is hexadecimal unless it is named text.
 *
 * @module
 */

/** FIPS 180-4's examples (NIST, "Secure Hashing" example values), and the hash of nothing. */
export const HASHES = [
  { text: "", bits: 256, digest: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
  { text: "abc", bits: 224, digest: "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7" },
  { text: "abc", bits: 256, digest: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
  {
    text: "abc",
    bits: 384,
    digest:
      "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
  },
  {
    text: "abc",
    bits: 512,
    digest: "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a" +
      "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
  },
  {
    text: "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
    bits: 256,
    digest: "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
  },
  {
    text: "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn" +
      "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
    bits: 384,
    digest:
      "09330c33f71147e83d192fc782cd1b4753111b173b3b05d22fa08086e3b0f712fcc7c71a557e2db966c3e9fa91746039",
  },
  {
    text: "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn" +
      "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
    bits: 512,
    digest: "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018" +
      "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909",
  },
  {
    text: "a".repeat(1_000_000),
    bits: 256,
    digest: "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
  },
  {
    text: "a".repeat(1_000_000),
    bits: 512,
    digest: "e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973eb" +
      "de0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b",
  },
] as const;

/** RFC 4231, test cases 2 and 6 (a key longer than the block). */
export const HMACS = [
  {
    key: "4a656665",
    text: "what do ya want for nothing?",
    bits: 256,
    mac: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  },
  {
    key: "4a656665",
    text: "what do ya want for nothing?",
    bits: 384,
    mac: "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
  },
  {
    key: "aa".repeat(131),
    text: "Test Using Larger Than Block-Size Key - Hash Key First",
    bits: 256,
    mac: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
  },
  {
    key: "aa".repeat(131),
    text: "Test Using Larger Than Block-Size Key - Hash Key First",
    bits: 512,
    mac: "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352" +
      "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598",
  },
] as const;

/** RFC 5869, test cases 1 and 3. */
export const HKDFS = [
  {
    bits: 256,
    ikm: "0b".repeat(22),
    salt: "000102030405060708090a0b0c",
    info: "f0f1f2f3f4f5f6f7f8f9",
    okm: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
  },
  {
    bits: 256,
    ikm: "0b".repeat(22),
    salt: "",
    info: "",
    okm: "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
  },
] as const;

/** FIPS 197 appendix C. */
export const AES_BLOCKS = [
  { key: "000102030405060708090a0b0c0d0e0f", output: "69c4e0d86a7b0430d8cdb78070b4c55a" },
  { key: "000102030405060708090a0b0c0d0e0f1011121314151617", output: "dda97ca4864cdfe06eaf70a0ec0d7191" },
  {
    key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    output: "8ea2b7ca516745bfeafc49904b496089",
  },
].map((vector) => ({ ...vector, input: "00112233445566778899aabbccddeeff" }));

/** NIST SP 800-38A appendix F.2. */
export const CBCS = [
  {
    key: "2b7e151628aed2a6abf7158809cf4f3c",
    output: "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2" +
      "73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
  },
  {
    key: "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
    output: "4f021db243bc633d7178183a9fa071e8b4d9ada9ad7dedf4e5e738763f69145a" +
      "571b242012fb7ae07fa9baac3df102e008b0e27988598881d920a9e64f5615cd",
  },
  {
    key: "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
    output: "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d" +
      "39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
  },
].map((vector) => ({
  ...vector,
  iv: "000102030405060708090a0b0c0d0e0f",
  input: "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51" +
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710",
}));

/** RFC 8439 section 2.4.2. */
export const CHACHA20 = {
  key: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
  nonce: "000000000000004a00000000",
  counter: 1,
  text: "Ladies and Gentlemen of the class of '99: " +
    "If I could offer you only one tip for the future, sunscreen would be it.",
  output: "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0bf91b65c5524733ab8f593dabcd62b357" +
    "1639d624e65152ab8f530c359f0861d807ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736" +
    "5af90bbf74a35be6b40b8eedf2785e42874d",
};

const R2 = "02" + "00".repeat(15);
const R1 = "01" + "00".repeat(15);
const R5 = "01000000000000000400000000000000";
const ZERO = "00".repeat(16);
const ONES = "ff".repeat(16);

/** RFC 8439 section 2.5.2, and of appendix A.3 the carries: test vectors 7 to 11. */
export const POLY1305 = [
  {
    key: "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b",
    input: "43727970746f6772617068696320466f72756d2052657365617263682047726f7570",
    tag: "a8061dc1305136c6c22b8baf0c0127a9",
  },
  { key: R2 + ZERO, input: ONES, tag: "03" + "00".repeat(15) },
  { key: R2 + ONES, input: R2, tag: "03" + "00".repeat(15) },
  {
    key: R1 + ZERO,
    input: ONES + "f0" + "ff".repeat(15) + "11" + "00".repeat(15),
    tag: "05" + "00".repeat(15),
  },
  { key: R1 + ZERO, input: ONES + "fb" + "fe".repeat(15) + "01".repeat(16), tag: ZERO },
  { key: R2 + ZERO, input: "fd" + "ff".repeat(15), tag: "fa" + "ff".repeat(15) },
  {
    key: R5 + ZERO,
    input: "e33594d7505e43b900000000000000003394d7505e4379cd01000000000000000000000000000000" +
      "0000000000000000" + "01000000000000000000000000000000",
    tag: "14000000000000005500000000000000",
  },
  {
    key: R5 + ZERO,
    input: "e33594d7505e43b900000000000000003394d7505e4379cd010000000000000000000000000000000000000000000000",
    tag: "13" + "00".repeat(15),
  },
];
