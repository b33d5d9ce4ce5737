/** Cases of host names (RFC 9525) and of revocation lists (RFC 5280 section 6.3). */
import { Group } from "./cases.ts";
import { integer, sequence, tlv } from "./der.ts";
import {
  authority,
  certificate,
  extension,
  intermediate,
  key,
  keyUsage,
  leaf,
  type ListFields,
  type Made,
  revocations,
  root,
} from "./maker.ts";

export const hosts = new Group("Host names");
for (
  const [what, names, host, fits] of [
    ["the host", ["dns:a.test"], "a.test", true],
    ["the second of two", ["dns:b.test", "dns:a.test"], "a.test", true],
    ["in other case", ["dns:A.TesT"], "a.test", true],
    ["asked for in other case", ["dns:a.test"], "A.TEST", true],
    ["asked for with the root's dot", ["dns:a.test"], "a.test.", true],
    ["written with the root's dot", ["dns:a.test."], "a.test", false],
    ["another host", ["dns:b.test"], "a.test", false],
    ["a host below", ["dns:a.test"], "b.a.test", false],
    ["a wildcard", ["dns:*.a.test"], "x.a.test", true],
    ["a wildcard in other case", ["dns:*.A.test"], "X.a.TEST", true],
    ["a wildcard, two labels", ["dns:*.a.test"], "x.y.a.test", false],
    ["a wildcard, no label", ["dns:*.a.test"], "a.test", false],
    ["a wildcard for a part of a label, before", ["dns:x*.a.test"], "xy.a.test", false],
    ["a wildcard for a part of a label, behind", ["dns:*y.a.test"], "xy.a.test", false],
    ["a wildcard for a part of a label, inside", ["dns:x*z.a.test"], "xyz.a.test", false],
    ["a wildcard that is not the first label", ["dns:x.*.test"], "x.a.test", false],
    ["two wildcards", ["dns:*.*.test"], "x.a.test", false],
    ["a wildcard alone", ["dns:*"], "localhost", false],
    ["a wildcard over a public suffix of one label", ["dns:*.test"], "a.test", false],
    ["a wildcard over an IDN's label", ["dns:*.a.test"], "xn--bcher-kva.a.test", true],
    ["a wildcard inside an IDN's label", ["dns:xn--*.a.test"], "xn--bcher-kva.a.test", false],
    ["an IDN", ["dns:xn--bcher-kva.test"], "bücher.test", true],
    ["an IDN in UTF-8", ["dns:bücher.test"], "bücher.test", false],
    ["a NUL inside", ["dns:a.test\0.evil.test"], "a.test", false],
    ["a NUL at the end", ["dns:a.test\0"], "a.test", false],
    ["a space at the end", ["dns:a.test "], "a.test", false],
    ["an underscore", ["dns:a_b.test"], "a_b.test", true],
    ["an empty name", ["dns:"], "a.test", false],
    ["a dot alone", ["dns:."], "a.test", false],
    ["a leading dot", ["dns:.a.test"], "x.a.test", false],
    ["a mail address that ends so", ["email:x@a.test"], "a.test", false],
    ["a URI of the host", ["uri:https://a.test/"], "a.test", false],
    ["an address", ["ip:127.0.0.1"], "127.0.0.1", true],
    ["an IPv6 address", ["ip:::1"], "::1", true],
    ["an IPv6 address, written otherwise", ["ip:2001:db8::1"], "2001:DB8:0:0::1", true],
    ["another address", ["ip:127.0.0.2"], "127.0.0.1", false],
    ["an address as a host name", ["dns:127.0.0.1"], "127.0.0.1", false],
    ["an IPv4 address in IPv6's form", ["ip:::ffff:7f00:1"], "127.0.0.1", false],
    ["an address of five bytes", ["hex:7f00000100"], "127.0.0.1", false],
    ["a wildcard for an address", ["dns:*.0.0.1"], "127.0.0.1", false],
    ["a host whose bytes are an address's", ["ip:97.46.98.99"], "a.bc", false],
  ] as const
) {
  const build = (): [Made, Made] => {
    const top = root();
    return [leaf(top, [...names]), top];
  };
  hosts[fits ? "accept" : "reject"](what, build, { host });
}
hosts.reject("no SAN, the CN is the host", () => {
  const top = root();
  return [certificate({ subject: "CN=a.test", by: top, extensions: [keyUsage("digitalSignature")] }), top];
});
hosts.reject("no SAN, the CN is an address", () => {
  const top = root();
  return [certificate({ subject: "CN=127.0.0.1", by: top, extensions: [keyUsage("digitalSignature")] }), top];
}, { host: "127.0.0.1" });
hosts.reject("the SAN has other names, the CN is the host", () => {
  const top = root();
  return [leaf(top, ["dns:b.test"], { subject: "CN=a.test" }), top];
});

export const lists = new Group("Revocation lists");

/** root, leaf, and a list of the root's. */
function listed(
  make: (top: Made, sent: Made) => Partial<ListFields>,
  of: Made = root(),
): [Made, Made, { crls: Uint8Array<ArrayBuffer>[] }] {
  const sent = leaf(of);
  return [sent, of, { crls: [revocations({ by: of, ...make(of, sent) })] }];
}

lists.accept("a list without it", () => listed(() => ({})));
lists.accept(
  "a list with another",
  (): ReturnType<typeof listed> => listed((top) => ({ revoked: [leaf(top)] })),
);
lists.reject("a list with it", () => listed((_, sent) => ({ revoked: [sent] })));
lists.reject("a list that has expired", () => listed(() => ({ until: "20210101000000Z" })));
lists.reject("a list that is not valid yet", () => listed(() => ({ from: "20480101000000Z" })));
lists.reject("a forged list", () => listed(() => ({ forged: true })));
lists.reject("a list with SHA-1", () => listed(() => ({ hash: "sha1" })), {
  alone: "others forgive a list what they do not forgive a certificate",
});
lists.reject(
  "a list of another authority of that name",
  () => listed(() => ({ by: root({ key: key("p256", "other root") }) })),
);
lists.reject(
  "a list of an authority that must not sign lists",
  () => listed(() => ({}), root({ extensions: [authority(), keyUsage("keyCertSign")] })),
);
lists.reject("only a list of somebody else", () => listed(() => ({ issuer: "CN=other" })));
lists.reject("an intermediate that is revoked", () => {
  const top = root();
  const middle = intermediate(top);
  return [[leaf(middle), middle], top, {
    crls: [revocations({ by: top, revoked: [middle] }), revocations({ by: middle })],
    options: { crlCheck: "chain" },
  }];
});
lists.accept("a serial number that another authority revoked", () => {
  const top = root();
  const middle = intermediate(top);
  const sent = leaf(middle);
  return [[sent, middle], top, {
    crls: [revocations({ by: top, revoked: [sent] }), revocations({ by: middle })],
    options: { crlCheck: "chain" },
  }];
});
lists.reject(
  "a delta list without it",
  () => listed(() => ({ extensions: [extension("2.5.29.27", integer(1), true)] })),
  { alone: "a list that builds on another says nothing by itself; it is not loaded" },
);
lists.reject(
  "a list for authorities' certificates only",
  () =>
    listed(() => ({ extensions: [extension("2.5.29.28", sequence(tlv(0x82, Uint8Array.of(255))), true)] })),
);
