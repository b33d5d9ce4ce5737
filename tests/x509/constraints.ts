/** Cases of name constraints (RFC 5280 section 4.2.1.10). */
import { type Bytes, encodeText } from "../../lib/bytes.ts";
import { Group } from "./cases.ts";
import {
  altNames,
  authority,
  CA,
  certificate,
  type Constraints,
  extension,
  type Fields,
  intermediate,
  key,
  leaf,
  type Made,
  nameConstraints,
  root,
} from "./maker.ts";
import { integer, tlv } from "./der.ts";

export const constraints = new Group("Name constraints");

/** A chain root, intermediate, leaf in which the intermediate has the constraints. */
function chain(constraint: Constraints | Bytes, names: string[], fields: Fields = {}): [Made[], Made] {
  const top = root();
  const extra = constraint instanceof Uint8Array ? constraint : nameConstraints(constraint);
  const middle = intermediate(top, [extra]);
  return [[leaf(middle, names, fields), middle], top];
}

const { accept, reject } = {
  accept: constraints.accept.bind(constraints),
  reject: constraints.reject.bind(constraints),
};

for (
  const [what, permitted, names, isInside] of [
    ["the host itself", "dns:a.test", ["dns:a.test"], true],
    ["a host below", "dns:test", ["dns:a.test"], true],
    ["in other case", "dns:A.TEST", ["dns:a.test"], true],
    ["another host", "dns:b.test", ["dns:a.test"], false],
    ["a host that ends alike", "dns:a.test", ["dns:a.test", "dns:na.test"], false],
    ["one of two names outside", "dns:a.test", ["dns:a.test", "dns:b.test"], false],
    ["a wildcard inside", "dns:test", ["dns:a.test", "dns:*.a.test"], true],
    ["a wildcard wider than it", "dns:a.b.test", ["dns:a.b.test", "dns:*.b.test"], false],
    ["a leading dot, a host below", "dns:.test", ["dns:a.test"], true],
    ["a leading dot, the host itself", "dns:.a.test", ["dns:a.test"], false],
    ["all hosts", "dns:", ["dns:a.test"], true],
    ["a host, names of other kinds are free", "dns:a.test", ["dns:a.test", "ip:192.0.2.1"], true],
    ["an address, hosts are free", "net:192.0.2.0/255.255.255.0", ["dns:a.test"], true],
    ["an address of another network", "net:192.0.2.0/255.255.255.0", ["dns:a.test", "ip:192.0.3.1"], false],
    ["an address inside", "net:192.0.2.0/255.255.255.0", ["dns:a.test", "ip:192.0.2.9"], true],
    ["an IPv6 address inside", "net:2001:db8::/ffff:ffff::", ["dns:a.test", "ip:2001:db8::1"], true],
    ["an IPv6 address outside", "net:2001:db8::/ffff:ffff::", ["dns:a.test", "ip:2001:db9::1"], false],
    ["IPv4 only, an IPv6 address", "net:0.0.0.0/0.0.0.0", ["dns:a.test", "ip:2001:db8::1"], false],
    ["a mask with a hole", "net:192.0.2.0/255.0.255.0", ["dns:a.test", "ip:192.0.2.9"], false],
    ["an address of five bytes", "hex:c000020018", ["dns:a.test", "ip:192.0.2.9"], false],
    ["a mailbox, another one", "email:x@a.test", ["dns:a.test", "email:y@a.test"], false],
    ["a mailbox, itself", "email:x@a.test", ["dns:a.test", "email:x@A.test"], true],
    ["a mail host, empty, which RFC 5280 does not define", "email:", ["dns:a.test", "email:x@a.test"], false],
    ["a mail host, a mailbox there", "email:a.test", ["dns:a.test", "email:y@a.test"], true],
    ["a mail host, a mailbox below", "email:a.test", ["dns:a.test", "email:y@b.a.test"], false],
    ["a mail domain, a mailbox below", "email:.a.test", ["dns:a.test", "email:y@b.a.test"], true],
    ["a URI's host, itself", "uri:a.test", ["dns:a.test", "uri:https://u@a.test:8443/x"], true],
    ["a URI's host, another", "uri:a.test", ["dns:a.test", "uri:https://b.test/a.test"], false],
    ["a URI's host, a URI without one", "uri:a.test", ["dns:a.test", "uri:urn:a.test"], false],
    ["a URI's host, which stands behind it", "uri:a.test", ["dns:a.test", "uri:urn:x?y=z://a.test/"], false],
    ["a URI's host, one that ends with a digit", "uri:a1", ["dns:a.test", "uri:https://a1"], true],
    ["a URI's host, an address", "uri:a.test", ["dns:a.test", "uri:https://192.0.2.1/"], false],
    [
      "a name of a kind that nobody can compare, and such a name",
      "other:x",
      ["dns:a.test", "other:x"],
      false,
    ],
    ["a registered identifier, and such a name", "id:1.2.3", ["dns:a.test", "id:1.2.3"], false],
    ["a name of a kind that nobody can compare, and none such", "id:1.2.3", ["dns:a.test"], true],
  ] as const
) {
  constraints[isInside ? "accept" : "reject"](
    `permitted: ${what}`,
    () => chain({ permitted: [permitted] }, [...names]),
  );
}

for (
  const [what, excluded, names, isInside] of [
    ["the host itself", "dns:a.test", ["dns:a.test"], true],
    ["in other case", "dns:A.tesT", ["dns:a.test"], true],
    ["a host below", "dns:test", ["dns:a.test"], true],
    ["another host", "dns:b.test", ["dns:a.test"], false],
    ["one of two names", "dns:b.test", ["dns:a.test", "dns:b.test"], true],
    ["all hosts", "dns:", ["dns:a.test"], true],
    ["a wildcard that covers it", "dns:x.a.test", ["dns:a.test", "dns:*.a.test"], true],
    ["a wildcard elsewhere", "dns:x.b.test", ["dns:a.test", "dns:*.a.test"], false],
    ["a name with the root's dot", "dns:b.test", ["dns:a.test", "dns:x.b.test."], true],
    ["an address inside", "net:192.0.2.0/255.255.255.0", ["dns:a.test", "ip:192.0.2.9"], true],
    ["an address outside", "net:192.0.2.0/255.255.255.0", ["dns:a.test", "ip:192.0.3.9"], false],
    ["all of IPv4 and an IPv6 address", "net:0.0.0.0/0.0.0.0", ["dns:a.test", "ip:2001:db8::1"], false],
    ["an IPv6 address", "net:2001:db8::/ffff:ffff::", ["dns:a.test", "ip:2001:db8::1"], true],
    ["a mail host, empty: none may pass", "email:", ["dns:a.test", "email:x@a.test"], true],
    ["a mailbox without a name", "email:@a.test", ["dns:a.test", "email:x@a.test"], true],
    ["a mail host, with the root's dot", "email:b.test.", ["dns:a.test", "email:x@b.test"], true],
    ["a mail host elsewhere", "email:b.test", ["dns:a.test", "email:x@a.test"], false],
    ["a URI's host, escaped", "uri:b.test", ["dns:a.test", "uri:https://%62.test/"], true],
    ["a directory name, in other case and spaces", "dir:O=Evil Corp", [
      "dns:a.test",
      "dir:O= evil  CORP,CN=x",
    ], true],
    ["a directory name, in two bytes a letter", "dir:O=Evil", ["dns:a.test", "bmpdir:O=Evil,CN=x"], true],
    ["another directory name", "dir:O=Evil", ["dns:a.test", "dir:O=Good,CN=x"], false],
    ["a directory name deeper than the name", "dir:O=Evil,CN=y", ["dns:a.test", "dir:O=Evil"], false],
  ] as const
) {
  constraints[isInside ? "reject" : "accept"](
    `excluded: ${what}`,
    () => chain({ excluded: [excluded] }, [...names]),
  );
}

accept(
  "permitted and excluded: beside the hole",
  () => chain({ permitted: ["dns:test"], excluded: ["dns:b.test"] }, ["dns:a.test"]),
);
reject(
  "permitted and excluded: in the hole",
  () => chain({ permitted: ["dns:test"], excluded: ["dns:b.test"] }, ["dns:a.test", "dns:x.b.test"]),
);
accept("permitted: one of two", () => chain({ permitted: ["dns:b.test", "dns:a.test"] }, ["dns:a.test"]));
accept(
  "permitted: the subject is within the directory name",
  () => chain({ permitted: ["dir:O=Example"] }, ["dns:a.test"], { subject: "O=Example,CN=a" }),
);
reject(
  "permitted: the subject is not within the directory name",
  () => chain({ permitted: ["dir:O=Example"] }, ["dns:a.test"], { subject: "O=Other,CN=a" }),
);
reject(
  "permitted: the SAN's directory name is within, the subject is not",
  () => chain({ permitted: ["dir:O=Example"] }, ["dns:a.test", "dir:O=Example,CN=a"], { subject: "O=Other" }),
);
reject(
  "permitted: a mail address in the subject, of another host",
  () => chain({ permitted: ["email:a.test"] }, ["dns:a.test"], { subject: "CN=a,emailAddress=x@b.test" }),
);
accept(
  "permitted: an empty subject has no directory name",
  () => chain({ permitted: ["dir:O=Example"] }, ["dns:a.test"], { subject: "" }),
);
reject(
  "permitted, not critical: enforced all the same",
  () => chain(nameConstraints({ permitted: ["dns:b.test"] }, false), ["dns:a.test"]),
);
accept(
  "permitted, not critical: a host inside",
  () => chain(nameConstraints({ permitted: ["dns:a.test"] }, false), ["dns:a.test"]),
);
reject("twice in one certificate", () => {
  const top = root();
  const twice = [
    nameConstraints({ permitted: ["dns:a.test"] }),
    nameConstraints({ permitted: ["dns:a.test"] }),
  ];
  const middle = intermediate(top, twice);
  return [[leaf(middle), middle], top];
});
reject(
  "minimum 1",
  () =>
    chain(nameConstraints({ permitted: ["dns:a.test"] }, true, [tlv(0x80, Uint8Array.of(1))]), [
      "dns:a.test",
    ]),
);
reject("no SEQUENCE", () => chain(extension("2.5.29.30", integer(1), true), ["dns:a.test"]));
reject("cut short", () => chain(extension("2.5.29.30", encodeText("\x30\x10\xa0"), true), ["dns:a.test"]));
reject("of a trust anchor: enforced, too", () => {
  const top = root({ extensions: [...CA, nameConstraints({ permitted: ["dns:b.test"] })] });
  return [leaf(top), top];
});
accept("of a trust anchor: a host inside", () => {
  const top = root({ extensions: [...CA, nameConstraints({ permitted: ["dns:a.test"] })] });
  return [leaf(top), top];
});
reject("of a trust anchor, not critical", () => {
  const top = root({ extensions: [...CA, nameConstraints({ excluded: ["dns:a.test"] }, false)] });
  return [leaf(top), top];
});
reject("two authorities: the second widens the first", () => {
  const top = root();
  const upper = intermediate(top, [nameConstraints({ permitted: ["dns:b.test"] })], { subject: "CN=upper" });
  const lower = intermediate(upper, [nameConstraints({ permitted: ["dns:a.test"] })], {
    key: key("p256", "lower"),
  });
  return [[leaf(lower), lower, upper], top];
});
reject("an authority in between has a name outside", () => {
  const top = root();
  const upper = intermediate(top, [nameConstraints({ permitted: ["dir:O=Example"] })], {
    subject: "CN=upper",
  });
  const lower = intermediate(upper, [], { subject: "O=Other", key: key("p256", "lower") });
  return [[leaf(lower, ["dns:a.test"], { subject: "O=Example" }), lower, upper], top];
});
accept("a self-issued authority in between is not bound by them", () => {
  const top = root();
  const upper = intermediate(top, [nameConstraints({ permitted: ["dir:O=Example"] })]);
  const renewed = intermediate(upper, [], { key: key("p256", "renewed") });
  return [[leaf(renewed, ["dns:a.test"], { subject: "O=Example" }), renewed, upper], top];
});
reject("a self-issued leaf is bound by them", () => {
  const top = root();
  const middle = intermediate(top, [nameConstraints({ permitted: ["dns:b.test"] })]);
  return [[leaf(middle, ["dns:a.test"], { subject: "CN=intermediate" }), middle], top];
});
accept("of the leaf itself: they are for those below it", () => {
  const top = root();
  const extensions = [altNames("dns:a.test"), nameConstraints({ permitted: ["dns:b.test"] }, false)];
  return [certificate({ by: top, extensions }), top];
});
reject("a client's mail address outside", () => chain({ permitted: ["email:a.test"] }, ["email:x@b.test"]), {
  role: "server",
});
accept("a client's mail address inside", () => chain({ permitted: ["email:a.test"] }, ["email:x@a.test"]), {
  role: "server",
});
reject("more constraints of other kinds of names than anyone should read", () => {
  const others = nameConstraints({ permitted: Array.from({ length: 1600 }, () => "email:") });
  return chain(others, ["dns:a.test", ...Array.from({ length: 1200 }, (_, i) => `dns:${i}`)]);
}, { unasked: "a bound on work is no rule" });
reject("more comparisons than anyone should make", () => {
  const top = root({
    extensions: [
      authority(),
      nameConstraints({ excluded: Array.from({ length: 4000 }, (_, i) => `dns:${i}.test`) }),
    ],
  });
  return [leaf(top, ["dns:a.test", ...Array.from({ length: 300 }, (_, i) => `dns:a${i}.example`)]), top];
}, { unasked: "a bound on work is no rule" });
