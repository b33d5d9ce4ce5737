/**
 * Published answers of elliptic curves, and of RSA by OpenSSL, in hexadecimal.
 *
 * @module
 */

/** RFC 6979 appendix A.2.5 to A.2.7. */
export const ECDSA = {
  "P-256": {
    key: "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
    point: "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6" +
      "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
    signatures: [
      {
        text: "sample",
        bits: 224,
        r: "53b2fff5d1752b2c689df257c04c40a587fababb3f6fc2702f1343af7ca9aa3f",
        s: "b9afb64fdc03dc1a131c7d2386d11e349f070aa432a4acc918bea988bf75c74c",
      },
      {
        text: "sample",
        bits: 256,
        r: "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
        s: "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
      },
      {
        text: "sample",
        bits: 384,
        r: "0eafea039b20e9b42309fb1d89e213057cbf973dc0cfc8f129edddc800ef7719",
        s: "4861f0491e6998b9455193e34e7b0d284ddd7149a74b95b9261f13abde940954",
      },
      {
        text: "sample",
        bits: 512,
        r: "8496a60b5e9b47c825488827e0495b0e3fa109ec4568fd3f8d1097678eb97f00",
        s: "2362ab1adbe2b8adf9cb9edab740ea6049c028114f2460f96554f61fae3302fe",
      },
      {
        text: "test",
        bits: 224,
        r: "c37edb6f0ae79d47c3c27e962fa269bb4f441770357e114ee511f662ec34a692",
        s: "c820053a05791e521fcaad6042d40aea1d6b1a540138558f47d0719800e18f2d",
      },
      {
        text: "test",
        bits: 256,
        r: "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367",
        s: "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
      },
      {
        text: "test",
        bits: 384,
        r: "83910e8b48bb0c74244ebdf7f07a1c5413d61472bd941ef3920e623fbccebeb6",
        s: "8ddbec54cf8cd5874883841d712142a56a8d0f218f5003cb0296b6b509619f2c",
      },
      {
        text: "test",
        bits: 512,
        r: "461d93f31b6540894788fd206c07cfa0cc35f46fa3c91816fff1040ad1581a04",
        s: "39af9f15de0db8d97e72719c74820d304ce5226e32dedae67519e840d1194e55",
      },
    ],
  },
  "P-384": {
    key: "6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5",
    point:
      "04ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13" +
      "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720",
    signatures: [{
      text: "sample",
      bits: 384,
      r: "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa73d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46",
      s: "99ef4aeb15f178cea1fe40db2603138f130e740a19624526203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8",
    }],
  },
  "P-521": {
    key:
      "00fad06daa62ba3b25d2fb40133da757205de67f5bb0018fee8c86e1b68c7e75caa896eb32f1f47c70855836a6d16fcc14" +
      "66f6d8fbec67db89ec0c08b0e996b83538",
    point:
      "0401894550d0785932e00eaa23b694f213f8c3121f86dc97a04e5a7167db4e5bcd371123d46e45db6b5d5370a7f20fb633" +
      "155d38ffa16d2bd761dcac474b9a2f5023a400493101c962cd4d2fddf782285e64584139c2f91b47f87ff82354d6630f" +
      "746a28a0db25741b5b34a828008b22acc23f924faafbd4d33f81ea66956dfeaa2bfdfcf5",
    signatures: [{
      text: "sample",
      bits: 512,
      r: "00c328fafcbd79dd77850370c46325d987cb525569fb63c5d3bc53950e6d4c5f174e25a1ee9017b5d450606add152b5349" +
        "31d7d4e8455cc91f9b15bf05ec36e377fa",
      s: "00617cce7cf5064806c467f678d3b4080d6f1cc50af26ca209417308281b68af282623eaa63e5b5c0723d8b8c37ff0777b" +
        "1a20f8ccb1dccc43997f1ee0e44da4a67a",
    }],
  },
} as const;

/** RFC 5903 section 8.1. */
export const ECDH = {
  keys: [
    "c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433",
    "c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53",
  ],
  points: [
    "04dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c3772581180" +
    "5271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
    "04d12dfb5289c8d4f81208b70270398c342296970a0bccb74c736fc7554494bf63" +
    "56fbf3ca366cc23e8157854c13c58d6aac23f046ada30f8353e74f33039872ab",
  ],
  secret: "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
} as const;

/** RFC 7748 section 5.2. */
export const X25519 = [
  {
    scalar: "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
    u: "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
    output: "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
  },
  {
    scalar: "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
    u: "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
    output: "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
  },
] as const;

/** RFC 7748 section 5.2: what becomes of 9 after so many iterations. */
export const X25519_ITERATED = {
  1: "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
  1000: "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
} as const;

/** What OpenSSL 3.0 made of the text "tlsio" with the first 2048-bit key of rsa_keys.ts. */
export const RSA = {
  text: "tlsio",
  key: "2048",
  signatures: [
    {
      pss: false,
      bits: 256,
      signature:
        "6206dde721df80639ba705c6c892788a5b073bb1a4bce4804f8b52890d446fb14cd9eaedf8dee6ea127252bca71179ec" +
        "363707e696e517f0172819171b02c9edd93a019787180d29721ff75cef7b54906e4c4ef9736cd50935f4f84d67f9cd75" +
        "32c2b243503ca82b8806f93e7cd6a1d1a05ab9e1cd37faf36b901e5a95282b470d818e96eca521bc271be5d437e1a4ef" +
        "9ea3021c397639cd2682d11467a37daa47d3545ecfe33fbd610a4f37283ad135ac7df3bdc1036e6edb45db40fb420f33" +
        "598d91b2ab26ff652e238b3b40360b60e6b018d584a884a5df95960a2be2f44af11601e3b6eb35b763030f0ad37a3e30" +
        "beab55baed78bc3cd064b9dcbd03642c",
    },
    {
      pss: true,
      bits: 256,
      signature:
        "5af88486c75dd5136dff29ede03908f6a676827975894ab4dac1846b1329ba26493576f35f4a70baaec7ef76d4cc58a2" +
        "c125454186413e6e6125268caf32b13a21ba431c0a64a48957bc7dd1e8f00279212e706ff23ee3430c6f0a6f6eb303b8" +
        "e2a4802ac885246e9dee188ddeabd9823599496faa495f4887882c0e1e65a13f6b62af26359f90b2e77988d2a413c286" +
        "ec67a79598a235326a3a81baa3bada4cbca687439a02f82cefcd942c4f98182ee1617f7ba8eaf32a16995c435f5530af" +
        "2edafabfdd3fb1f70efc5530557b435c19e1c4fef467812133743f194385c183d9db76483a73390f888c00bd6c8a7efb" +
        "ef7dab81630700dd7e175e4ca8cf14aa",
    },
    {
      pss: true,
      bits: 512,
      signature:
        "6485dbee0f271f6791a6e9693fc46ce757d797f2e9c9720077a014c673950de71c8e4c879add52c92b18309d331c26fd" +
        "caf02fa4d1dc577df324b4d42659ab449609c2a82b3dcfe45d632f564503fc070a9c2b9b90b15b24afe4adeb08cd273b" +
        "34fa537e986d2cd56b1b0e2a87472d14fdc88b16b67d88fc3471f56ed6f8dc4bea7cbdfec9e44b81fe24fe77615ae953" +
        "348e38b226d756f685d98c4c988e65ac078ad4ecc2ddc314ba8b18a75bff42b6438b42ee69f691e8168bc8aeb5dc2adf" +
        "37e7e6d7dc6086447558e4b5e4f982162db74148a128e46a74ca18ba6c973c67c108842dca6cef059934f1953138649e" +
        "b32e7f5e7b4bc5c40bb49d70e591fb7c",
    },
  ],
  encrypted:
    "8383faaa7cb85a73b1f7ce890fb84a14c2d9932c965a1fb5791805e9bf639c25613f7469afbc6ed3cadbed4c8033d36d" +
    "9a4f876a785959d8eea7bc4c30e2b1f402431be234cc92ca559c6f6b6078f19b6107c59cd9f113d287da383f72ece213" +
    "874abc9d443c5f184a004504c2f90012cc8f712339551f60f021c9b102de76af4210c63ee4acfcc9df26d6ec36d31887" +
    "0f8f10882967401fbffe70f8f01cb8842e5451d894cdcf16369e7e8b5442fa5ea6a10d5fcfa625741060063329cbef07" +
    "8b1db491f46dd4769fe5d6cb635bb784539507fbbac21c6528b47f2a8202b518dc84715750ca2eeaf8866baf5abe7461" +
    "71e8bd99205b95da9d5297b5dc216ea3",
} as const;
