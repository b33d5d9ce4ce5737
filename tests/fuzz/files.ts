/**
 * What tlsio reads from files and stores: certificates, keys, revocation lists, sessions, tickets, ticket keys.
 *
 * @module
 */

import { createCipheriv } from "node:crypto";
import { type Bytes, concat, encodeText } from "../../lib/bytes.ts";
import { TLSConfig } from "../../lib/config.ts";
import { TLSEngine } from "../../lib/engine.ts";
import { certificateBinding, peerCertificate, readCertificate } from "../../lib/peer_certificate.ts";
import type { TLSConfigOptions } from "../../lib/policy.ts";
import { SSLSession } from "../../lib/session.ts";
import { TicketKeyRing } from "../../lib/tickets.ts";
import { EnginePair, fixedRing, source } from "../pair.ts";
import { ticketOf, withTicket } from "../session_bytes.ts";
import type { FuzzCore } from "./core.ts";
import { expected, Finding } from "./finding.ts";
import { sessionsOf } from "./sessions.ts";
import type { Target } from "./target.ts";

const PASSWORD = "tlsio";
const name = "the input";

/** Seeds: files of tests/certs. */
function files(...names: string[]): Bytes[] {
  return names.map((name) => source(name).bytes);
}

/** A target that makes a config of the input. */
function configTarget(
  name: string,
  seeds: () => Bytes[],
  fuzz: FuzzCore,
  options: (bytes: Bytes) => TLSConfigOptions,
): Target {
  return {
    name,
    seeds,
    run(bytes) {
      const before = fuzz.core.allocated;
      let outcome = "a config";
      try {
        new TLSConfig(options(bytes), fuzz.core)[Symbol.dispose]();
      } catch (error) {
        outcome = expected(error).message;
      }
      noLeak(fuzz, before);
      return outcome;
    },
  };
}

function noLeak(fuzz: FuzzCore, before: number): void {
  const leaked = fuzz.core.allocated - before;
  if (leaked !== 0) throw new Finding("leak", `${leaked} bytes of the core's heap`);
}

/** Certificates, as a peer's and in a file. */
export function certificateTarget(fuzz: FuzzCore): Target {
  return {
    name: "certificate",
    seeds: () =>
      files(
        "ec.der",
        "rsa.der",
        "book.der",
        "chain.pem",
        "wildcard-partial.pem",
        "ip-in-dns.pem",
        "sha1.pem",
        "ed25519.pem",
      ),
    run(bytes) {
      const before = fuzz.core.allocated;
      const outcomes = [
        () => readCertificate(fuzz.core, bytes),
        () => new TLSConfig({ trust: [{ name, bytes }], certReqs: 0 }, fuzz.core)[Symbol.dispose](),
        () => peerCertificate(bytes),
        () => certificateBinding(bytes),
      ].map((read) => {
        try {
          return JSON.stringify(read() ?? null).length > 100 ? "read" : "none";
        } catch (error) {
          return expected(error).message;
        }
      });
      noLeak(fuzz, before);
      return outcomes.join("; ");
    },
  };
}

/** Private keys, plain and encrypted. */
export function keyTarget(fuzz: FuzzCore): Target {
  const seeds = () =>
    files(
      "ec.key.der",
      "ec.sec1.der",
      "rsa.pkcs1.der",
      "rsa.key.der",
      "ec.key",
      "ec.pbes2.key",
      "ec.proctype.key",
      "rsa.pbes2.key",
    );
  const target = configTarget("key", seeds, fuzz, (bytes) => ({
    serverSide: true,
    tickets: false,
    credential: { chain: source("ec.pem"), key: { name, bytes }, password: PASSWORD },
  }));
  return { ...target, run: (bytes) => iterations(bytes) > ITERATIONS_MAX ? "too slow" : target.run(bytes) };
}

/** A key's file says how often its password is hashed: what is more than this is no fault of ours, and no news. */
const ITERATIONS_MAX = 20_000;
const PBKDF2 = "2a864886f70d01050c";
const PKCS12 = "2a864886f70d010c01";

/** How often a PKCS#8 key's password is hashed, at most. */
function iterations(bytes: Bytes): number {
  const text = new TextDecoder("latin1").decode(bytes);
  const pem = /-----BEGIN [^-]*-----\s*([A-Za-z0-9+/=\s]*)/.exec(text)?.[1]?.replaceAll(/\s/g, "");
  let der = bytes;
  try {
    if (pem !== undefined) der = Uint8Array.fromBase64(pem, { lastChunkHandling: "loose" });
  } catch {
    // as it is
  }
  const hex = der.toHex();
  if (!hex.includes(PBKDF2) && !hex.includes(PKCS12)) return 0;
  const numbers = [...hex.matchAll(/02(02|03|04|05)((?:..){2,5})/g)].map(([, length, digits]) =>
    Number.parseInt(digits!.slice(0, 2 * Number(length)), 16)
  );
  return Math.max(0, ...numbers);
}

/** Revocation lists. */
export function crlTarget(fuzz: FuzzCore): Target {
  return configTarget("crl", () => [crl(0), crl(3), derToPem(crl(2))], fuzz, (bytes) => ({
    trust: [source("root.pem")],
    crls: [{ name, bytes }],
  }));
}

/** Sessions: what `SSLSession.from()` reads, with the checksum made right, and what a core makes of it. */
export function sessionTarget(fuzz: FuzzCore): Target {
  const { sessions, configs } = sessionsOf(fuzz);
  return {
    name: "session",
    seeds: () => sessions.map((session) => session.toBytes()),
    run(bytes) {
      const before = fuzz.core.allocated;
      let outcome: string;
      try {
        const session = SSLSession.from(withChecksum(fuzz, bytes));
        String(session.id) + session.timeout + session.time + session.hasTicket;
        const { facts } = session;
        const version = facts.version === "TLSv1.3" ? "TLSv1.3" : "TLSv1.2";
        const config = configs[version].client;
        // Under the trust and for the host that the engine wants, whatever the bytes say.
        const fitting = new SSLSession({
          ...facts,
          trust: config.trustId,
          serverHostname: "localhost",
          version,
        }, SSLSession.state(session));
        using engine = new TLSEngine(config, { serverHostname: "localhost", savedSession: fitting });
        outcome = engine.handshake().state;
        engine.takeRecords();
      } catch (error) {
        outcome = expected(error, SyntaxError).message;
      }
      noLeak(fuzz, before);
      return outcome;
    },
  };
}

/** The bytes with the checksum that `SSLSession.from()` wants behind them. */
function withChecksum(fuzz: FuzzCore, bytes: Bytes): Bytes {
  const body = bytes.subarray(0, -8);
  return concat([body, fuzz.core.sha256(body).subarray(0, 8)]);
}

/**
 * Tickets that a client brings back. The first byte says of which version, and whether the rest is sealed with the server's key
 * first: what is inside must be read with care even then, a fleet may share its keys with older versions of us.
 */
export function ticketTarget(fuzz: FuzzCore): Target {
  const { sessions, configs, ring } = sessionsOf(fuzz);
  const versions = ["TLSv1.2", "TLSv1.3"] as const;
  const key = ring.keys()[0]!;
  return {
    name: "ticket",
    seeds: () =>
      sessions.flatMap((session, i) => {
        const ticket = ticketOf(session);
        const context = Uint8Array.fromHex(configs[versions[i]!].server.trustId);
        return [
          concat([Uint8Array.of(2 * i), ticket]),
          concat([Uint8Array.of(2 * i + 1), opened(ticket, key, context)]),
        ];
      }),
    run(bytes) {
      const kind = (bytes[0] ?? 0) & 3;
      const version = versions[kind >> 1]!;
      const { client, server } = configs[version];
      const inside = bytes.subarray(1, 12_000);
      const ticket = kind & 1 ? sealed(inside, key, Uint8Array.fromHex(server.trustId)) : inside;
      const before = fuzz.core.allocated;
      fuzz.rewind(1);
      let outcome: string;
      {
        using pair = new EnginePair(client, server, {
          savedSession: withTicket(sessions[kind >> 1]!, ticket),
        }).run();
        const errors = [pair.errors.client, pair.errors.server].filter((error) => error !== undefined);
        outcome = errors.map((error) => expected(error).message).join("; ") ||
          `reused ${pair.client.sessionReused}`;
      }
      noLeak(fuzz, before);
      return outcome;
    },
  };
}

/** The keys of tickets, as they are passed on between servers. */
export function ringTarget(): Target {
  return {
    name: "ring",
    seeds: () => [fixedRing(1).toBytes(), fixedRing(2).toBytes()],
    run(bytes) {
      try {
        using ring = TicketKeyRing.from(bytes, { now: () => 0 });
        using _copy = TicketKeyRing.from(ring.toBytes());
        return `${ring.size} keys`;
      } catch (error) {
        return expected(error, SyntaxError, RangeError).message.replaceAll(/\d+/g, "N");
      }
    },
  };
}

// ---- Seeds ----------------------------------------------------------------------------------------------

const NAME = 16;
const IV = 12;
const TAG = 16;

/** A ticket of wasm/glue/tickets.c. */
function sealed(state: Bytes, key: Bytes, context: Bytes): Bytes {
  const header = concat([key.slice(0, NAME), new Uint8Array(IV)]);
  const cipher = createCipheriv("aes-256-gcm", key.subarray(NAME), header.subarray(NAME));
  cipher.setAAD(concat([header, context]));
  const parts = [cipher.update(state), cipher.final(), cipher.getAuthTag()];
  return concat([header, ...parts.map((part) => new Uint8Array(part))]);
}

/** What is inside of a ticket. GCM encrypts as it decrypts. */
function opened(ticket: Bytes, key: Bytes, context: Bytes): Bytes {
  const iv = ticket.subarray(NAME, NAME + IV);
  const cipher = createCipheriv("aes-256-gcm", key.subarray(NAME), iv);
  cipher.setAAD(context);
  const state = new Uint8Array(cipher.update(ticket.subarray(NAME + IV, -TAG)));
  cipher.final();
  return state;
}

function der(tag: number, ...parts: Uint8Array[]): Bytes {
  const body = concat(parts.map((part) => new Uint8Array(part)));
  const { length } = body;
  const header = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return concat([Uint8Array.of(tag, ...header), body]);
}

/** A revocation list with so many entries, and a signature that is none. */
function crl(entries: number): Bytes {
  const oid = (hex: string) => der(6, Uint8Array.fromHex(hex));
  const time = (text: string) => der(0x17, encodeText(text));
  const algorithm = der(0x30, oid("2a8648ce3d040302"));
  const issuer = der(0x30, der(0x31, der(0x30, oid("550403"), der(0x0c, encodeText("tlsio test root")))));
  const revoked = Array.from(
    { length: entries },
    (_, i) =>
      der(
        0x30,
        der(2, Uint8Array.of(i + 1)),
        time("240101000000Z"),
        der(0x30, der(0x30, oid("551d15"), der(4, der(10, Uint8Array.of(1))))),
      ),
  );
  const number = der(0xa0, der(0x30, der(0x30, oid("551d14"), der(4, der(2, Uint8Array.of(1))))));
  const list = der(
    0x30,
    der(2, Uint8Array.of(1)),
    algorithm,
    issuer,
    time("240101000000Z"),
    time("490101000000Z"),
    ...(entries > 0 ? [der(0x30, ...revoked)] : []),
    number,
  );
  return der(
    0x30,
    list,
    algorithm,
    der(3, Uint8Array.of(0), der(0x30, der(2, Uint8Array.of(1)), der(2, Uint8Array.of(1)))),
  );
}

function derToPem(bytes: Bytes): Bytes {
  const lines = bytes.toBase64().match(/.{1,64}/g)!.join("\n");
  return encodeText(`-----BEGIN X509 CRL-----\n${lines}\n-----END X509 CRL-----\n`);
}
