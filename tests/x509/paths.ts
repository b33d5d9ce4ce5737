/** Cases of chains: who may sign, for what, when, how; and which chain is found. */
import { type Bytes, encodeText } from "../../lib/bytes.ts";
import { Group } from "./cases.ts";
import {
  altNames,
  authority,
  CA,
  certificate,
  extension,
  type Fields,
  intermediate,
  key,
  keyUsage,
  leaf,
  type Made,
  purposes,
  root,
  rsaKey,
} from "./maker.ts";
import { name, oid, sequence, set, string, tlv } from "./der.ts";

const SAN = altNames("dns:a.test");

/** root, intermediate with these fields, leaf. */
function under(fields: Fields, leafFields: Fields = {}): [Made[], Made] {
  const top = root();
  const middle = intermediate(top, [], fields);
  return [[leaf(middle, ["dns:a.test"], leafFields), middle], top];
}

/** root, leaf with these fields. */
function direct(fields: Fields, rootFields: Fields = {}): [Made, Made] {
  const top = root(rootFields);
  return [leaf(top, ["dns:a.test"], fields), top];
}

/** A leaf below authorities with these path lengths, the uppermost first. */
function tower(...lengths: (number | undefined)[]): [Made[], Made] {
  const [first, ...rest] = lengths.map((length) => [authority(length), keyUsage("keyCertSign")]);
  const top = root({ extensions: first! });
  const sent: Made[] = [];
  let by = top;
  for (const [i, extensions] of rest.entries()) {
    by = certificate({
      subject: `CN=authority ${i}`,
      key: key("p256", `authority ${i % 8}`),
      by,
      extensions,
    });
    sent.unshift(by);
  }
  return [[leaf(by), ...sent], top];
}

export const lengths = new Group("Path length and basic constraints");
lengths.accept("no intermediate, path length 0", () => tower(0));
lengths.accept("one intermediate, no path lengths", () => tower(undefined, undefined));
lengths.reject("one intermediate, the root's path length is 0", () => tower(0, undefined));
lengths.reject("two intermediates, the upper one's path length is 0", () => tower(undefined, 0, 0));
lengths.accept("two intermediates, path lengths 2, 1, 0", () => tower(2, 1, 0));
lengths.reject("a lower path length cannot widen a higher one", () => tower(1, 5, 5, 5));
lengths.accept("a self-issued intermediate is not counted", () => {
  const top = root({ extensions: [authority(1), keyUsage("keyCertSign")] });
  const upper = intermediate(top);
  const renewed = intermediate(upper, [], { key: key("p256", "renewed") });
  return [[leaf(renewed), renewed, upper], top];
});
lengths.reject(
  "the intermediate is no authority",
  () => under({ extensions: [authority(undefined, false)] }),
);
lengths.reject(
  "the intermediate has no basic constraints",
  () => under({ extensions: [keyUsage("keyCertSign")] }),
);
lengths.reject("the intermediate is an ordinary leaf", () => under({ extensions: [SAN] }));
lengths.reject(
  "the trust anchor is no authority",
  () => direct({}, { extensions: [authority(undefined, false)] }),
);
lengths.reject("the trust anchor has no basic constraints", () => direct({}, { extensions: [SAN] }));
lengths.accept(
  "an authority as a server: no rule against it",
  () => direct({ extensions: [...CA.slice(0, 1), SAN] }),
);
lengths.accept(
  "basic constraints that are not critical",
  () => under({ extensions: [extension("2.5.29.19", sequence(tlv(1, Uint8Array.of(255))))] }),
);
lengths.reject(
  "basic constraints that begin with a number",
  () => under({ extensions: [extension("2.5.29.19", sequence(tlv(2, Uint8Array.of(1))), true)] }),
);
lengths.accept("a trust anchor of version 1", () => direct({}, { version: 1 }));
lengths.reject("an intermediate of version 1", () => under({ version: 1 }));
lengths.reject("an intermediate of version 2", () => under({ version: 2 }));

export const usages = new Group("Key usage and extended key usage");
usages.reject(
  "an intermediate that must not sign certificates",
  () => under({ extensions: [authority(), keyUsage("digitalSignature", "cRLSign")] }),
);
usages.accept("an intermediate without key usage", () => under({ extensions: [authority()] }));
usages.reject(
  "a trust anchor that must not sign certificates",
  () => direct({}, { extensions: [authority(), keyUsage("digitalSignature")] }),
);
usages.reject("a leaf that must not sign", () => direct({ extensions: [SAN, keyUsage("keyEncipherment")] }));
usages.accept("a leaf that may sign", () => direct({ extensions: [SAN, keyUsage("digitalSignature")] }));
for (
  const [who, role, good, bad] of [["server", "client", "server", "client"], [
    "client",
    "server",
    "client",
    "server",
  ]] as const
) {
  usages.accept(`a ${who}'s leaf for ${who}s`, () => direct({ extensions: [SAN, purposes(good)] }), { role });
  usages.reject(`a ${who}'s leaf for ${bad}s alone`, () => direct({ extensions: [SAN, purposes(bad)] }), {
    role,
  });
  usages.accept(`a ${who}'s leaf for both`, () => direct({ extensions: [SAN, purposes(bad, good)] }), {
    role,
  });
  usages.accept(`a ${who}'s intermediate for ${who}s`, () => under({ extensions: [...CA, purposes(good)] }), {
    role,
  });
  usages.reject(
    `a ${who}'s intermediate for ${bad}s alone`,
    () => under({ extensions: [...CA, purposes(bad)] }),
    { role },
  );
  usages.reject(
    `a ${who}'s trust anchor for ${bad}s alone`,
    () => direct({}, { extensions: [...CA, purposes(bad)] }),
    {
      role,
    },
  );
  usages.accept(
    `a ${who}'s intermediate for all purposes`,
    () => under({ extensions: [...CA, purposes("any")] }),
    {
      role,
      alone: "RFC 5280 section 4.2.1.12 leaves it to us; Go takes it, and authorities of companies have it",
    },
  );
}
usages.accept("a server's leaf without extended key usage", () => direct({}));
usages.accept("a server's leaf for all purposes", () => direct({ extensions: [SAN, purposes("any")] }));
usages.reject("a server's leaf for signing code", () => direct({ extensions: [SAN, purposes("code")] }));
usages.reject("extended key usage without a purpose", () => direct({ extensions: [SAN, purposes()] }));

export const times = new Group("Validity");
const PAST = { from: "20200101000000Z", until: "20210101000000Z" };
const FUTURE = { from: "20480101000000Z", until: "20490101000000Z" };
times.reject("an expired leaf", () => direct(PAST));
times.reject("a leaf that is not valid yet", () => direct(FUTURE));
times.reject("an expired intermediate", () => under(PAST));
times.reject("an intermediate that is not valid yet", () => under(FUTURE));
times.reject("an expired trust anchor", () => direct({}, PAST));
times.accept("from 1950 until 9999", () => direct({ from: "19500101000000Z", until: "99991231235959Z" }));
times.reject("it ends before it begins", () => direct({ from: "20300101000000Z", until: "20200101000000Z" }));
times.reject("the 31st of February", () => direct({ until: "20490231000000Z" }));

export const algorithms = new Group("Signatures and keys");
const rsa = key("rsa2048", "root");
algorithms.accept("RSA-2048 with SHA-256", () => direct({}, { key: rsa }));
algorithms.accept("ECDSA with SHA-384", () => direct({ hash: "sha384" }));
algorithms.reject("a signature with a bit flipped", () => direct({ forged: true }));
algorithms.reject("an intermediate's signature with a bit flipped", () => under({ forged: true }));
algorithms.reject("SHA-1", () => direct({ hash: "sha1" }));
algorithms.reject("RSA with SHA-1", () => direct({ hash: "sha1" }, { key: rsa }));
algorithms.reject("RSA with MD5", () => direct({ hash: "md5" }, { key: rsa }));
algorithms.reject("an intermediate with SHA-1", () => under({ hash: "sha1" }));
algorithms.accept("a trust anchor that signed itself with SHA-1", () => direct({}, { hash: "sha1" }));
algorithms.reject("a leaf with an RSA-1024 key", () => direct({ key: key("rsa1024") }));
algorithms.reject(
  "an intermediate with an RSA-1024 key",
  () => under({ key: key("rsa1024", "intermediate") }),
);
algorithms.reject("a trust anchor with an RSA-1024 key", () => direct({}, { key: key("rsa1024", "root") }));
algorithms.reject("an intermediate on secp224r1", () => under({ key: key("p224", "intermediate") }), {
  alone: "the web's curves begin at 256 bits (Baseline Requirements, section 6.1.5)",
});
algorithms.reject("a leaf on secp256k1", () => direct({ key: key("secp256k1") }));
algorithms.reject("the algorithm inside is another than that outside", () => direct({ outside: "sha384" }));
algorithms.reject("an intermediate whose key is of another kind than the signature", () => {
  const top = root();
  const middle = intermediate(top, [], { spki: key("rsa2048", "other").spki });
  return [[leaf(middle), middle], top];
});
const HUGE = new Uint8Array(1024).fill(0xc5);

/** root, an intermediate with this RSA key, and a leaf whose signature by it looks like one. */
function costly(modulus: Bytes, exponent: Bytes): [Made[], Made] {
  const top = root();
  const middle = intermediate(top, [], {
    spki: rsaKey(modulus, exponent),
    key: key("rsa2048", "intermediate"),
  });
  return [[leaf(middle, ["dns:a.test"], { signature: new Uint8Array(modulus.length).fill(5) }), middle], top];
}

const NO_SIGNATURE = { unasked: "the signature below it is none", byHand: true };
algorithms.reject("an RSA exponent of 8191 bits", () => costly(HUGE, HUGE.with(0, 0x45)), NO_SIGNATURE);
algorithms.reject(
  "an RSA key of 16384 bits",
  () => costly(new Uint8Array(2048).fill(0xc5), Uint8Array.of(1, 0, 1)),
  NO_SIGNATURE,
);

export const fields = new Group("Serial numbers, versions, extensions, names");
fields.accept("serial number 0", () => direct({ serial: Uint8Array.of(0) }));
fields.accept("a serial number below 0", () => direct({ serial: Uint8Array.of(0xf0) }));
fields.accept("a serial number of 40 bytes", () => direct({ serial: new Uint8Array(40).fill(7) }));
fields.accept(
  "an extension that nobody knows, not critical",
  () => direct({ extensions: [SAN, extension("1.2.3.4.5", tlv(5))] }),
);
fields.reject(
  "an extension that nobody knows, critical",
  () => direct({ extensions: [SAN, extension("1.2.3.4.5", tlv(5), true)] }),
);
fields.reject(
  "an intermediate with a critical extension that nobody knows",
  () => under({ extensions: [...CA, extension("1.2.3.4.5", tlv(5), true)] }),
);
fields.reject(
  "an extension twice",
  () => direct({ extensions: [SAN, keyUsage("digitalSignature"), keyUsage("digitalSignature")] }),
);
fields.reject("an extension that nobody knows twice", () => {
  const one = extension("1.2.3.4.5", tlv(5));
  return direct({ extensions: [SAN, one, one] });
});
fields.reject("an intermediate with an extension that nobody knows twice", () => {
  const one = extension("1.2.3.4.5", tlv(5));
  return under({ extensions: [...CA, one, one] });
});
fields.reject(
  "an intermediate with 100 extensions",
  () =>
    under({
      extensions: [...CA, ...Array.from({ length: 98 }, (_, i) => extension(`1.2.3.4.${i}`, tlv(5)))],
    }),
  {
    unasked: "a bound on work is no rule",
  },
);
fields.reject("bytes behind the certificate", () => direct({ behind: Uint8Array.of(0, 0, 0) }), {
  byHand: true,
  unasked: "their files can hold several values",
});
fields.reject("extensions in a version 1 certificate do not count: no SAN", () => direct({ version: 1 }));
fields.accept("names in UTF-8", () => direct({ subject: "O=Grüße,CN=日本" }));
fields.accept("names in BMPString", () => direct({ subject: name("O=Grüße,CN=x", "bmp") }));
fields.accept(
  "the issuer's name in PrintableString, the authority's in UTF-8",
  () => direct({ issuer: name("CN=root", "printable") }),
);
fields.accept("the issuer's name in other case", () => direct({ issuer: "CN=ROOT" }));
fields.reject("the issuer's name in another order", () => {
  const top = root({ subject: "O=Example,CN=root" });
  return [leaf(top, ["dns:a.test"], { issuer: "CN=root,O=Example" }), top];
});
fields.reject("the issuer is somebody else, the signature is good", () => direct({ issuer: "CN=other" }));
fields.reject("an issuer without a name", () => direct({ issuer: "" }, { subject: "" }));
fields.accept("an empty subject, a critical SAN", () => {
  const value = sequence(tlv(0x82, encodeText("a.test")));
  return direct({ subject: "", extensions: [extension("2.5.29.17", value, true)] });
});
fields.accept("two attributes in one RDN", () => {
  const both = set(
    sequence(oid("2.5.4.3"), string("a")),
    sequence(oid("2.5.4.10"), string("b")),
  );
  return direct({ subject: sequence(both) });
});
fields.reject("a SAN without names", () => direct({ extensions: [altNames()] }));
fields.reject(
  "policies that must be understood",
  () => direct({ extensions: [SAN, extension("2.5.29.36", sequence(tlv(0x80, Uint8Array.of(0))), true)] }),
);

export const building = new Group("Which chain is found");
building.accept("the certificates in no order", () => {
  const top = root();
  const upper = intermediate(top, [], { subject: "CN=upper" });
  const lower = intermediate(upper, [], { key: key("p256", "lower") });
  return [[leaf(lower), upper, lower], top];
}, {
  differs: "mbedTLS looks for an issuer behind the certificate only, where RFC 5246 section 7.4.2 puts it",
});
building.accept("with the root", () => {
  const top = root();
  const middle = intermediate(top);
  return [[leaf(middle), middle, top], top];
});
building.accept("with certificates that have nothing to do with it", () => {
  const top = root();
  const middle = intermediate(top);
  const others = ["x", "y"].map((one) => root({ subject: `CN=${one}`, key: key("p256", one) }));
  return [[leaf(middle), ...others, middle], top];
});
building.reject("the intermediate is missing", () => {
  const middle = intermediate(root());
  return [leaf(middle), root()];
});
building.accept("the trust anchor is an intermediate", () => {
  const middle = intermediate(root());
  return [leaf(middle), middle];
});
building.accept("the trust anchor is the leaf, which signed itself", () => {
  const only = certificate({ extensions: [SAN] });
  return [only, only];
});
building.reject("another leaf signed itself, with the same name and key", () => {
  const build = () => certificate({ extensions: [SAN] });
  return [build(), build()];
});
building.accept("the trust anchor is the leaf, which another signed", () => {
  const only = leaf(root());
  return [only, only];
}, {
  differs: "a leaf is its own anchor only if it signed itself, as MicroPython has it; see docs/verify.md",
});
building.accept("two roots of one name, the second signed", () => {
  const other = root({ key: key("p256", "other root") });
  const top = root();
  return [leaf(top), [other, top]];
});
building.accept("cross-signed: one way has expired, it comes first", () => {
  const [top, old] = [root(), root({ subject: "CN=old", key: key("p256", "old") })];
  const good = intermediate(top);
  const expired = intermediate(old, [], PAST);
  return [[leaf(good), expired, good], [top, old]];
});
building.accept("cross-signed: the way to an unknown root comes first", () => {
  const top = root();
  const unknown = root({ subject: "CN=unknown", key: key("p256", "unknown") });
  const good = intermediate(top);
  return [[leaf(good), intermediate(unknown), good], top];
}, {
  differs:
    "mbedTLS takes the first certificate that fits by its name and does not turn back; it is the safe side",
});
building.accept("the root, cross-signed by one that has expired, is trusted itself", () => {
  const top = root();
  const old = root({ subject: "CN=old", key: key("p256", "old"), ...PAST });
  return [[leaf(top), certificate({ subject: "CN=root", key: top.key, by: old, extensions: CA })], [
    top,
    old,
  ]];
});
building.reject("two authorities that signed each other, neither trusted", () => {
  const [one, other] = [key("p256", "one"), key("p256", "other")];
  const first = certificate({
    subject: "CN=1",
    key: one,
    by: { subject: name("CN=2"), key: other },
    extensions: CA,
  });
  const second = certificate({ subject: "CN=2", key: other, by: first, extensions: CA });
  return [[leaf(first), second, first], root()];
});
building.reject("an authority of the root's name and another key", () => {
  const top = root();
  const impostor = root({ key: key("p256", "impostor") });
  return [[leaf(impostor), impostor], top];
});
building.accept("eight intermediates", () => tower(...Array(9).fill(undefined)));
building.accept("nine intermediates", () => tower(...Array(10).fill(undefined)), {
  differs: "mbedTLS stops at eight; the web's chains have one or two",
});
building.reject("fifty intermediates", () => tower(...Array(51).fill(undefined)), {
  unasked: "a bound on work is no rule",
});
building.reject("a wood of forty expired authorities of one name", () => {
  const top = root();
  const twins = Array.from(
    { length: 40 },
    () => root({ subject: "CN=twin", key: key("p256", "twin"), ...PAST }),
  );
  return [[leaf(twins[0]!), ...twins], top];
});
