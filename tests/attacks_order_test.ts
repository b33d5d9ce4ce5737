/**
 * Attacks on the order of messages and the borders of records: ChangeCipherSpec, Finished, messages left out or doubled, cut
 * and joined, floods. See docs/attacks.md.
 */
import { assert, assertEquals } from "@std/assert";
import { type Bytes, concat, EMPTY, encodeText } from "../lib/bytes.ts";
import { CERT_REQUIRED } from "../lib/policy.ts";
import { TLSVersion } from "../lib/suites.ts";
import { attack, type AttackOptions, Bystander, open, refuses } from "./attack.ts";
import { configs, credential, ENDS, EnginePair, fixedCore, peerOf, source, VERSIONS } from "./pair.ts";
import { MESSAGE, message, record, recordsOf, Sealer, SEALER_CIPHERS, TYPE } from "./records.ts";

const core = fixedCore();
const TLS12 = { sslVersion: TLSVersion.TLSv1_2 };
const TLS13 = { sslVersion: TLSVersion.TLSv1_3 };
const CCS = record(TYPE.changeCipherSpec, Uint8Array.of(1));
const MUTUAL: Partial<AttackOptions> = {
  clientOptions: { credential: credential("client") },
  serverOptions: { certReqs: CERT_REQUIRED, trust: [source("root.pem")] },
};

type Rerecord = NonNullable<AttackOptions["records"]>;

// ---- ChangeCipherSpec --------------------------------------------------------------------------------------

for (const from of ENDS) {
  Deno.test(`attack: CCS injection: before the keys, in TLS 1.2, from the ${from} (CVE-2014-0224)`, () => {
    const early = (at: number): Rerecord => (records) => records.toSpliced(at, 0, CCS);
    // The first flight: before the hello, and behind it.
    for (const at of [0, 1]) {
      refuses(core, peerOf(from), /unexpected_message/, { both: TLS12, from, records: early(at) }, true);
    }
  });

  Deno.test(`attack: CCS injection: doubled, in TLS 1.2, from the ${from}`, () => {
    const doubled: Rerecord = (records) =>
      records.flatMap((one) => one[0] === TYPE.changeCipherSpec ? [one, CCS] : [one]);
    refuses(
      core,
      peerOf(from),
      /unexpected_message|bad_record_mac/,
      { both: TLS12, from, records: doubled },
      true,
    );
  });

  Deno.test(`attack: CCS injection: of other bytes, in both versions, from the ${from}`, () => {
    for (const both of [TLS12, TLS13]) {
      for (const content of [[2], [0], [1, 1]]) {
        const other = record(TYPE.changeCipherSpec, Uint8Array.from(content));
        const records: Rerecord = (all) => all.map((one) => one[0] === TYPE.changeCipherSpec ? other : one);
        refuses(
          core,
          peerOf(from),
          /unexpected_message|decode_error|illegal_parameter/,
          { both, from, records },
          true,
        );
      }
    }
  });

  Deno.test(`attack: CCS injection: in TLS 1.3, from the ${from}: dropped in the handshake, refused behind it, a flood ends`, () => {
    const more = (count: number): Rerecord => (records) =>
      records.flatMap((one) => one[0] === TYPE.changeCipherSpec ? Array<Bytes>(count).fill(CCS) : [one]);
    using attacked = attack(core, { both: TLS13, from, records: more(2) });
    const { pair } = attacked;
    assert(pair.client.handshakeDone && pair.server.handshakeDone, "RFC 8446 section 5: dropped");
    refuses(core, peerOf(from), /unexpected_message/, { both: TLS13, from, records: more(1000) }, true);

    using other = open(core, VERSIONS[1]);
    other[peerOf(from)].receive(CCS);
    other.run();
    assertEquals(other.errors[peerOf(from)]?.reason, "MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE");
  });

  Deno.test(`attack: CCS injection: none at all, in TLS 1.2, from the ${from}: an early Finished`, () => {
    const without: Rerecord = (records) => records.filter((one) => one[0] !== TYPE.changeCipherSpec);
    refuses(core, peerOf(from), /unexpected_message|bad_record_mac|decode_error/, {
      both: TLS12,
      from,
      records: without,
    }, true);
    // In the clear, in the place of ChangeCipherSpec, right behind the hello, and as the first message.
    const finished = record(TYPE.handshake, message(MESSAGE.finished, new Uint8Array(12)));
    const instead: Rerecord = (records) =>
      records.flatMap((one) => one[0] === TYPE.changeCipherSpec ? [finished] : [one]);
    const first: Rerecord = (records) => [finished, ...records];
    const second: Rerecord = (records) => [records[0]!, finished, ...records.slice(1)];
    for (const records of [instead, first, second]) {
      refuses(core, peerOf(from), /unexpected_message|decode_error/, { both: TLS12, from, records }, true);
    }
  });
}

// ---- Messages left out, doubled, out of place --------------------------------------------------------------

/** What each end sends in a handshake with both certificates. */
const FLIGHTS = {
  "TLSv1.2": { server: [2, 11, 12, 13, 14], client: [11, 16, 15] },
  "TLSv1.3": { server: [2, 8, 13, 11, 15, 20], client: [11, 15, 20] },
};

for (const [version, sslVersion] of VERSIONS) {
  for (const from of ENDS) {
    const types = FLIGHTS[version][from];
    const common = { both: { sslVersion }, from, ...MUTUAL };

    Deno.test(`attack: state machine: a message of the ${from}'s that is left out (${version})`, () => {
      for (const type of types) {
        using attacked = attack(core, { ...common, messages: { [type]: () => undefined } });
        const { pair, alerts, changed } = attacked;
        const victim = peerOf(from);
        assertEquals(changed, 1, `message ${type}`);
        pair.eof(); // where it was the last of its flight, the victim waits for it
        assertEquals([pair.client.handshakeDone && pair.server.handshakeDone, pair[victim].handshakeDone], [
          false,
          false,
        ]);
        assert(pair.errors[victim] !== undefined, `message ${type}`);
        if (pair.errors[victim].kind === "alert") { // the request for a certificate: the server misses the answer
          assertEquals([type, alerts[from].length], [MESSAGE.certificateRequest, 1]);
          continue;
        }
        const isWaiting = pair.errors[victim].kind === "eof";
        if (!isWaiting) {
          assert(alerts[victim].length === 1, `message ${type}: ${pair.errors[victim].message}`);
        } else {assert(
            type === types.at(-1) || type === 2,
            `message ${type}: only the last leaves a victim waiting`,
          );}
      }
    });

    Deno.test(`attack: state machine: a message of the ${from}'s that comes twice (${version})`, () => {
      for (const type of types) {
        const twice = (body: Bytes) => [message(type, body), message(type, body)];
        // A second ServerHello comes in the clear, where there are keys by then.
        refuses(core, peerOf(from), /unexpected_message|decode_error|bad_record_mac/, {
          ...common,
          messages: { [type]: twice },
        });
      }
    });

    Deno.test(`attack: state machine: Finished in the place of each message of the ${from}'s (${version})`, () => {
      for (const type of types) {
        if (type === MESSAGE.finished) continue;
        const finished = () => [message(MESSAGE.finished, new Uint8Array(version === "TLSv1.2" ? 12 : 32))];
        refuses(core, peerOf(from), /unexpected_message|decode_error/, {
          ...common,
          messages: { [type]: finished },
        });
      }
    });
  }
}

Deno.test("attack: state machine: a client without a certificate's proof (CertificateVerify) gets no further", () => {
  for (const [, sslVersion] of VERSIONS) {
    using beside = new Bystander(core);
    using attacked = attack(core, {
      both: { sslVersion },
      from: "client",
      ...MUTUAL,
      messages: { 15: () => undefined },
    });
    attacked.pair.eof();
    assertEquals(attacked.pair.server.handshakeDone, false);
    assertEquals(attacked.pair.received("server").length, 0);
    beside.assertWell();
  }
});

// ---- Records -----------------------------------------------------------------------------------------------

for (const from of ENDS) {
  Deno.test(`attack: record splitting: the ${from}'s messages in pieces, in TLS 1.2`, () => {
    for (const size of [4, 5, 17, 100]) { // mbedTLS wants a message's header of 4 in one piece
      const split: Rerecord = (records) =>
        records.flatMap((one) => {
          if (one[0] !== TYPE.handshake || one.length > 5 + 16 && isSealed(one)) return [one];
          const content = one.slice(5);
          const version = one[1]! << 8 | one[2]!;
          const count = Math.ceil(content.length / size);
          return Array.from({ length: count }, (_, i) =>
            record(TYPE.handshake, content.slice(i * size, (i + 1) * size), version));
        });
      using attacked = attack(core, { both: TLS12, from, records: split });
      assertEquals(attacked.pair.errors, {}, `pieces of ${size}`);
      assert(attacked.pair.client.handshakeDone && attacked.pair.server.handshakeDone);
    }
  });

  Deno.test(`attack: record splitting: the ${from}'s first message byte by byte is refused, nothing waits`, () => {
    const split: Rerecord = (records) => {
      const [first, ...rest] = records;
      return [...Array.from(first!.slice(5), (byte) => record(TYPE.handshake, Uint8Array.of(byte))), ...rest];
    };
    for (const both of [TLS12, TLS13]) {
      refuses(core, peerOf(from), /unexpected_message|decode_error/, { both, from, records: split }, true);
    }
  });

  Deno.test(`attack: record merging: other records between the pieces of a message of the ${from}'s`, () => {
    const [half, rest] = [(one: Bytes) => one.slice(5, 45), (one: Bytes) => one.slice(45)];
    const others = [
      record(TYPE.data, encodeText("x")),
      CCS,
      record(TYPE.data, EMPTY),
      record(24, Uint8Array.of(1, 0, 0)),
    ];
    for (const both of [TLS12, TLS13]) {
      for (const other of others) {
        const between: Rerecord = ([first, ...more]) =>
          first![0] !== TYPE.handshake ? [first!, ...more] : [
            record(TYPE.handshake, half(first!), 0x0303),
            other,
            record(TYPE.handshake, rest(first!), 0x0303),
            ...more,
          ];
        refuses(core, peerOf(from), /unexpected_message|decode_error|illegal_parameter/, {
          both,
          from,
          records: between,
        }, true);
      }
    }
  });

  Deno.test(`attack: zero-length records: a flood of them in the handshake of the ${from}'s`, () => {
    for (const type of [TYPE.handshake, TYPE.alert, TYPE.changeCipherSpec, TYPE.data]) {
      for (const both of [TLS12, TLS13]) {
        const flood: Rerecord = (
          records,
        ) => [...Array<Bytes>(1000).fill(record(type, EMPTY)), ...records];
        refuses(core, peerOf(from), /unexpected_message|decode_error|illegal_parameter/, {
          both,
          from,
          records: flood,
        }, true);
      }
    }
  });
}

function isSealed(one: Bytes): boolean {
  return recordsOf(one).length === 1 && one.length === 5 + 8 + 16 + 16; // TLS 1.2: Finished under the keys
}

Deno.test("attack: record merging: TLS 1.3: more of the server's flight in the record of its ServerHello", () => {
  const merged = (
    body: Bytes,
  ) => [concat([message(MESSAGE.serverHello, body), message(8, Uint8Array.of(0, 0))])];
  refuses(core, "client", /unexpected_message|decode_error|illegal_parameter/, {
    both: TLS13,
    from: "server",
    messages: { [MESSAGE.serverHello]: merged },
  });
});

for (const end of ENDS) {
  Deno.test(`attack: record merging: TLS 1.3: something behind a KeyUpdate in its record (${end})`, () => {
    const update = message(MESSAGE.keyUpdate, Uint8Array.of(0));
    for (const behind of [update, message(MESSAGE.finished, new Uint8Array(32)), update.slice(0, 3)]) {
      using beside = new Bystander(core);
      using pair = open(core, VERSIONS[1]);
      pair[end].receive(pair.as(peerOf(end)).seal(TYPE.handshake, concat([update, behind])));
      pair.run();
      assertEquals(pair.errors[end]?.kind, "protocol");
      assertEquals(pair.received(end).length, 0);
      beside.assertWell();
    }
  });

  for (const version of VERSIONS) {
    Deno.test(`attack: 1-byte records: 20000 of data come out whole and in order (${version[0]} ${end})`, () => {
      using pair = open(core, version);
      const sealer = pair.as(peerOf(end));
      const data = Uint8Array.from({ length: 20_000 }, (_, i) => i % 251);
      const start = core.allocated;
      pair[end].receive(concat(Array.from(data, (byte) => sealer.seal(TYPE.data, Uint8Array.of(byte)))));
      pair.run();
      assertEquals(pair.received(end), data);
      assert(core.allocated - start < 100_000);
    });
  }

  Deno.test(`attack: renegotiation: a flood of requests is refused each time, bounded, and data goes on (${end})`, () => {
    using beside = new Bystander(core);
    using pair = open(core, VERSIONS[0]);
    const sealer = pair.as(peerOf(end));
    const flight = recordsOf(pair.flight("client"));
    const request = end === "client" ? message(MESSAGE.helloRequest) : flight[0]!.slice(5);
    const start = core.allocated;
    const requests = Array.from({ length: 1000 }, () => sealer.seal(TYPE.handshake, request));
    for (const one of requests) {
      pair[end].receive(one);
      pair.run();
      if (pair.errors[end] !== undefined) break;
    }
    assertEquals(pair[end].version, "TLSv1.2");
    assert(core.allocated - start < 100_000, "no memory for it");
    if (pair.errors[end] === undefined) {
      pair[end].receive(sealer.seal(TYPE.data, encodeText("after")));
      pair.run();
      assertEquals(pair.received(end), encodeText("after"));
    }
    beside.assertWell();
  });
}

Deno.test("attack: renegotiation: the insecure kind is refused: a peer that does not know RFC 5746 cannot begin another handshake", () => {
  const lines: string[] = [];
  const shared = { ...TLS12, tickets: false as const, ciphers: SEALER_CIPHERS, renegotiation: true };
  using both = configs(core, shared, { keyLog: (line) => lines.push(line) });
  using beside = new Bystander(core);
  using pair = new EnginePair(both.client, both.server).connect();
  const sealer = new Sealer(pair, lines, "client", 1);
  // The first hello again: its renegotiation_info is empty, that of a second handshake is not.
  pair.server.receive(sealer.seal(TYPE.handshake, recordsOf(pair.flight("client"))[0]!.slice(5)));
  pair.run();
  assertEquals(pair.errors.server?.kind, "protocol");
  assertEquals(pair.received("server").length, 0);
  beside.assertWell();
});

Deno.test("attack: huge chain: a Certificate message that announces 16 MB does not take them, at each end", () => {
  for (const [version, sslVersion] of VERSIONS) {
    for (const from of ENDS) {
      using beside = new Bystander(core);
      const start = core.allocated;
      const head = concat([Uint8Array.of(MESSAGE.certificate, 255, 255, 255), new Uint8Array(8000)]);
      const huge =
        () => [head, new Uint8Array(8000), ...(version === "TLSv1.2" ? [new Uint8Array(8000)] : [])];
      using attacked = attack(core, {
        both: { sslVersion },
        from,
        ...MUTUAL,
        messages: { [MESSAGE.certificate]: huge },
      });
      const { pair } = attacked;
      const victim = peerOf(from);
      pair.eof(); // in TLS 1.3, a record has room for no more than what mbedTLS waits for
      assertEquals(
        pair.errors[victim]?.kind,
        version === "TLSv1.2" ? "protocol" : "eof",
        pair.errors[victim]?.message,
      );
      assert(core.allocated - start < 200_000, "two ends of a handshake, no more");
      beside.assertWell();
    }
  }
});

Deno.test("attack: huge chain: certificates whose lengths do not add up", () => {
  const lists: Bytes[] = [
    EMPTY,
    Uint8Array.of(0, 0, 0),
    Uint8Array.of(255, 255, 255),
    Uint8Array.of(0, 0, 3, 0, 0, 0),
    Uint8Array.of(0, 0, 4, 0, 0, 9, 48),
    Uint8Array.of(0, 0, 6, 255, 255, 255, 48, 0, 0),
  ];
  for (const [version, sslVersion] of VERSIONS) {
    for (const list of lists) {
      const body = version === "TLSv1.3" ? concat([Uint8Array.of(0), list]) : list;
      refuses(
        core,
        "client",
        /decode_error|bad_certificate|unsupported_certificate|unexpected_message|handshake_failure/,
        {
          both: { sslVersion },
          from: "server",
          messages: { [MESSAGE.certificate]: () => body },
        },
      );
    }
  }
});
