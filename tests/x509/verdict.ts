/** What tlsio thinks of a chain: real handshakes with a server or a client that shows it. */
import { assert, assertEquals } from "@std/assert";
import { type Bytes, concat, encodeText } from "../../lib/bytes.ts";
import { TLSConfig } from "../../lib/config.ts";
import type { Source } from "../../lib/credentials.ts";
import { SSLError } from "../../lib/errors.ts";
import { normalizeHostname } from "../../lib/hostname.ts";
import { derToPem } from "../../lib/pem.ts";
import { CERT_REQUIRED, type TLSConfigOptions } from "../../lib/policy.ts";
import type { TLSVersion } from "../../lib/suites.ts";
import { credential, type Delivery, EnginePair, fixedCore, peerOf, source, VERSIONS } from "../pair.ts";
import { MESSAGE, message, record, recordsOf, TYPE } from "../records.ts";
import type { Case, Chain, Verdict } from "./cases.ts";
import { altNames, certificate, key as keyOf, type Made, privatePem } from "./maker.ts";

const core = fixedCore();

export interface Opinion {
  readonly verdict: Verdict;
  /** Why not. */
  readonly error?: SSLError;
  /** Whether whole handshakes were done: not with chains that our own end would not load. */
  readonly whole: boolean;
}

const pems = (made: readonly Made[]) => made.map(({ der }) => derToPem(der)).join("");
const file = (name: string, text: string): Source => ({ name, bytes: encodeText(text) });

/** The length in three bytes, and the bytes. */
const vector = (bytes: Bytes) =>
  concat([Uint8Array.of(bytes.length >> 16, bytes.length >> 8 & 255, bytes.length & 255), bytes]);

/** Puts another chain into a Certificate message, which TLS 1.2 sends in the clear. */
export function swapCertificates(from: "client" | "server", sent: readonly Bytes[]): Delivery {
  const body = vector(concat(sent.map(vector)));
  return (packet) => {
    if (packet.from !== from) return [packet.bytes];
    return [concat(
      recordsOf(packet.bytes).flatMap((one) => {
        if (one[0] !== TYPE.handshake || one[5] !== MESSAGE.certificate) return [one];
        const length = one[6]! << 16 | one[7]! << 8 | one[8]!;
        const behind = one.slice(9 + length);
        const whole = message(MESSAGE.certificate, body);
        const parts: Bytes[] = [];
        for (let at = 0; at < whole.length; at += 16000) {
          parts.push(record(TYPE.handshake, whole.slice(at, at + 16000)));
        }
        return behind.length === 0 ? parts : [...parts, record(TYPE.handshake, behind)];
      }),
    )];
  };
}

/** Throws {@linkcode NotOurs} where our own end does not show the chain. */
function handshake(
  { host, role }: Case,
  chain: Chain,
  sslVersion: TLSVersion,
  own: boolean,
): SSLError | undefined {
  const [leaf] = chain.sent as [Made];
  const key = own || leaf.key.isLoadable ? leaf.key : keyOf("p256", "by hand");
  // By hand, the leaf's key signs for another certificate: the handshake goes on behind the one that is put in its place.
  const sent = own ? chain.sent : [certificate({ key, extensions: [altNames("dns:a.test")] })];
  const shown = {
    sslVersion,
    credential: { chain: file("chain", pems(sent)), key: file("key", privatePem(key)) },
  };
  using asked = new TLSConfig({ sslVersion, ...asking(role, chain) }, core);
  using shows = new TLSConfig(
    role === "client" ? { serverSide: true, ...shown } : { trust: [source("root.pem")], ...shown },
    core,
  );
  const [client, server] = role === "client" ? [asked, shows] : [shows, asked];
  const deliver = own ? {} : {
    deliver: swapCertificates(role === "client" ? "server" : "client", chain.sent.map(({ der }) => der)),
  };
  const serverHostname = role === "client" ? normalizeHostname(host) : "localhost";
  using pair = new EnginePair(client, server, { serverHostname, ...deliver }).run();
  const error = pair.errors[role];
  const told = pair.errors[peerOf(role)];
  if (error?.kind === "alert") { // it had nothing against the chain
    if (own) throw new NotOurs();
    assertEquals([role, error.alert?.name, pair.client.verifyFlags], ["client", "bad_record_mac", 0]);
    return undefined;
  }
  if (error === undefined) {
    assert(pair[role].handshakeDone && pair[role].verifyFlags === 0, "it is done, and good");
  } else assertCertificateAlert(told, error);
  return error;
}

/** The alert is one about certificates: nothing else was wrong. */
function assertCertificateAlert(told: SSLError | undefined, { message }: SSLError): void {
  const number = told?.alert?.description ?? 0;
  assert(number >= 42 && number <= 49, `the peer is told: ${told?.message}, ${message}`);
}

class NotOurs extends Error {}

function asking(role: Case["role"], { trust, crls, options }: Chain): TLSConfigOptions {
  const server = { serverSide: true, certReqs: CERT_REQUIRED, credential: credential("ec") } as const;
  return {
    trust: [file("trust", pems(trust))],
    ...(crls === undefined ? {} : { crls: crls.map((bytes, i) => ({ name: `crl ${i}`, bytes })) }),
    ...(role === "server" ? server : {}),
    ...options,
  };
}

function configError(make: () => unknown): Error | undefined {
  try {
    make();
    return undefined;
  } catch (error) {
    if (error instanceof NotOurs || (error instanceof SSLError && error.kind === "config")) return error;
    throw error;
  }
}

/** Asks in both versions; throws if they do not agree. */
export function ask(one: Case, chain: Chain): Opinion {
  const noTrust = configError(() => new TLSConfig(asking(one.role, chain), core)[Symbol.dispose]());
  if (noTrust instanceof SSLError) return { verdict: "reject", whole: false, error: noTrust };
  let errors: (SSLError | undefined)[] = [];
  const notOurs = one.byHand ||
    configError(() => errors = VERSIONS.map(([, version]) => handshake(one, chain, version, true)));
  if (notOurs) errors = [handshake(one, chain, VERSIONS[0][1], false)];
  const [error, ...others] = errors;
  for (const other of others) assertEquals(other === undefined, error === undefined, "the versions agree");
  return { verdict: error === undefined ? "accept" : "reject", whole: !notOurs, ...(error && { error }) };
}
