/**
 * Public-key primitives to measure.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import * as node from "node:crypto";
import { COORDINATE, CURVES } from "../tests/crypto/asymmetric.ts";
import { pkcs1, rsaNumbers } from "../tests/crypto/numbers.ts";
import { RSA_KEYS } from "../tests/crypto/rsa_keys.ts";
import { place, type PrimitiveCore, type PrimitiveRow } from "./primitive.ts";

const KEY = new Uint8Array(32).fill(0x3c);
const DIGEST = new Uint8Array(32).map((_, i) => i * 11);
/** Bytes: the harness writes up to so many, and PSA wipes what is left of them. */
const POINT_MAX = 134;
const DER_MAX = 141; // bytes

type NistCurve = "P-256" | "P-384";
const NODE_CURVES = { "P-256": "prime256v1", "P-384": "secp384r1" } as const;

/** Key generation, agreement and signatures on one curve. */
function curve(name: NistCurve): PrimitiveRow[] {
  const size = name === "P-256" ? 32 : 48;
  const peer = node.createECDH(NODE_CURVES[name]);
  const point = new Uint8Array(peer.generateKeys());
  const scalar = new Uint8Array(size).fill(0x5a);
  const keys = node.generateKeyPairSync("ec", { namedCurve: NODE_CURVES[name] });
  const algorithm = { name: "ECDSA", namedCurve: name, hash: "SHA-256" };
  const signed = node.sign("sha256", DIGEST, { key: keys.privateKey, dsaEncoding: "ieee-p1363" });
  const pair = () =>
    crypto.subtle.generateKey(algorithm, false, ["sign", "verify"]) as Promise<CryptoKeyPair>;
  return [{
    name: `${name} new key`,
    core(harness) {
      const [d, q] = [place(harness, size), place(harness, POINT_MAX)];
      return () => harness.call.ecp_keygen(CURVES[name], d, q);
    },
    node: () => () => node.createECDH(NODE_CURVES[name]).generateKeys(),
    web: () =>
      Promise.resolve(() =>
        crypto.subtle.generateKey({ name: "ECDH", namedCurve: name }, false, ["deriveBits"])
      ),
  }, {
    name: `${name} ECDH`,
    core(harness) {
      const [d, q, out] = [place(harness, scalar), place(harness, point), place(harness, POINT_MAX)];
      return () => harness.call.ecdh_shared(CURVES[name], d, size, q, point.length, out);
    },
    node: () => {
      const ours = node.createECDH(NODE_CURVES[name]);
      ours.generateKeys();
      return () => ours.computeSecret(point);
    },
    openssl: { args: [`ecdhp${name.slice(2)}`], line: 7 },
  }, {
    name: `${name} ECDHE as in TLS 1.3, by PSA`,
    core(harness) {
      const [q, mine, out] = [place(harness, point), place(harness, POINT_MAX), place(harness, POINT_MAX)];
      return () => harness.call.psa_exchange(CURVES[name], q, point.length, mine, out);
    },
  }, {
    name: `${name} ECDSA sign`,
    core(harness) {
      const [d, h, out] = [place(harness, scalar), place(harness, DIGEST), place(harness, DER_MAX)];
      return () => harness.call.ecdsa_write(CURVES[name], d, size, 256, h, 32, out, DER_MAX);
    },
    node: () => () => node.sign("sha256", DIGEST, keys.privateKey),
    openssl: { args: [`ecdsap${name.slice(2)}`], line: 5 },
    async web() {
      const { privateKey } = await pair();
      return () => crypto.subtle.sign(algorithm, privateKey, DIGEST);
    },
  }, {
    name: `${name} ECDSA verify`,
    core(harness) {
      const { call } = harness;
      const [d, h, rs] = [place(harness, scalar), place(harness, DIGEST), place(harness, 2 * size)];
      call.ecdsa_sign(CURVES[name], d, size, 256, h, 32, rs);
      const q = place(harness, POINT_MAX);
      const length = call.ecp_public(CURVES[name], d, size, q);
      return () => call.ecdsa_verify(CURVES[name], q, length, h, 32, rs, size, rs + size, size);
    },
    node: () => () =>
      node.verify("sha256", DIGEST, { key: keys.publicKey, dsaEncoding: "ieee-p1363" }, signed),
    async web() {
      const { publicKey, privateKey } = await pair();
      const signature = await crypto.subtle.sign(algorithm, privateKey, DIGEST);
      return () => crypto.subtle.verify(algorithm, publicKey, signature, DIGEST);
    },
    openssl: { args: [`ecdsap${name.slice(2)}`], line: 6 },
  }];
}

const X25519: PrimitiveRow[] = [{
  name: "X25519 new key",
  core(harness) {
    const [d, q] = [place(harness, 32), place(harness, POINT_MAX)];
    return () => harness.call.ecp_keygen(CURVES.X25519, d, q);
  },
  node: () => () => node.generateKeyPairSync("x25519"),
}, {
  name: "X25519 ECDH",
  core(harness) {
    const [d, q, out] = [place(harness, KEY), place(harness, DIGEST), place(harness, POINT_MAX)];
    return () => harness.call.ecdh_shared(CURVES.X25519, d, 32, q, 32, out);
  },
  node: () => {
    const [ours, theirs] = [node.generateKeyPairSync("x25519"), node.generateKeyPairSync("x25519")];
    return () => node.diffieHellman({ privateKey: ours.privateKey, publicKey: theirs.publicKey });
  },
  openssl: { args: ["ecdhx25519"], line: 7 },
}, {
  name: "X25519 ECDHE as in TLS 1.3, by PSA",
  core(harness) {
    const [q, mine, out] = [place(harness, DIGEST), place(harness, POINT_MAX), place(harness, POINT_MAX)];
    return () => harness.call.psa_exchange(CURVES.X25519, q, 32, mine, out);
  },
}];

/** Without a kernel, and without Deno's node:crypto, which has no P-521: what the limbs of big numbers are worth. */
const P521: PrimitiveRow[] = [{
  name: "P-521 new key",
  core(harness) {
    const [d, q] = [place(harness, COORDINATE["P-521"]), place(harness, POINT_MAX)];
    return () => harness.call.ecp_keygen(CURVES["P-521"], d, q);
  },
}, {
  name: "P-521 ECDSA sign",
  core(harness) {
    const size = COORDINATE["P-521"];
    const [d, h] = [place(harness, new Uint8Array(size).fill(0x5a, 1)), place(harness, DIGEST)];
    const out = place(harness, DER_MAX);
    return () => harness.call.ecdsa_write(CURVES["P-521"], d, size, 256, h, 32, out, DER_MAX);
  },
}];

function rsa(size: "2048" | "3072" | "4096"): PrimitiveRow[] {
  const der = pkcs1(rsaNumbers(RSA_KEYS.find(({ name }) => name === size)!));
  const key = node.createPrivateKey({ key: Buffer.from(der), format: "der", type: "pkcs1" });
  const signature = node.sign("sha256", DIGEST, key);
  const load = (harness: PrimitiveCore) => {
    const context = harness.call.rsa_new();
    harness.call.rsa_parse(context, 1, place(harness, der), der.length);
    return context;
  };
  return [{
    name: `RSA-${size} sign`,
    core(harness) {
      const [context, h, out] = [load(harness), place(harness, DIGEST), place(harness, Number(size) / 8)];
      return () => harness.call.rsa_sign(context, 0, 256, h, 32, 0, out);
    },
    node: () => () => node.sign("sha256", DIGEST, key),
    openssl: { args: [`rsa${size}`], line: 1 },
  }, {
    name: `RSA-${size} verify`,
    core(harness) {
      const [context, h, at] = [load(harness), place(harness, DIGEST), place(harness, Number(size) / 8)];
      harness.call.rsa_sign(context, 0, 256, h, 32, 0, at);
      return () => harness.call.rsa_verify(context, 0, 256, 256, h, 32, 0, at, signature.length);
    },
    node: () => {
      const publicKey = node.createPublicKey(key);
      return () => node.verify("sha256", DIGEST, publicKey, signature);
    },
    openssl: { args: [`rsa${size}`], line: 2 },
  }];
}

/** Every row. */
export const PUBLIC_KEY_ROWS: readonly PrimitiveRow[] = [
  ...curve("P-256"),
  ...X25519,
  ...curve("P-384"),
  ...P521,
  ...rsa("2048"),
  ...rsa("3072"),
  ...rsa("4096"),
];
