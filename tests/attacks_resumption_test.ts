/** Attacks on what a client resumes: the extended master secret of its session, the binder of its key. See docs/attacks.md. */
import { assertEquals } from "@std/assert";
import { TLSVersion } from "../lib/suites.ts";
import { type Change, refuses } from "./attack.ts";
import { EXTENSION, extension, type Hello, onHello, readHello, typeOf, writeHello } from "./hello_edits.ts";
import { configs, type Delivery, type End, EnginePair, fixedCore, fixedRing } from "./pair.ts";
import { MESSAGE, message, record, recordsOf, TYPE } from "./records.ts";

const core = fixedCore();
const TLS12 = { sslVersion: TLSVersion.TLSv1_2 };
const TLS13 = { sslVersion: TLSVersion.TLSv1_3 };

// ---- Extended master secret --------------------------------------------------------------------------------

for (const name of ["ticket", "session id"]) {
  Deno.test(`attack: extended master secret: a session that has it does not go on without (RFC 7627), by ${name}`, () => {
    using ring = fixedRing();
    using made = configs(core, { ...TLS12, tickets: name === "ticket" && ring });
    using first = new EnginePair(made.client, made.server).connect();
    const savedSession = first.client.session()!;
    const strips = (end: End): Delivery => ({ from, bytes }, at) => {
      if (from !== end || at > 0) return [bytes];
      const [one, ...rest] = recordsOf(bytes);
      const { head, extensions } = readHello(one!.slice(9), from);
      const left = extensions.filter((extension) => typeOf(extension) !== EXTENSION.extendedMasterSecret);
      assertEquals(left.length, extensions.length - 1);
      return [record(TYPE.handshake, message(one![5]!, writeHello({ head, extensions: left }))), ...rest];
    };
    const certificates = (pair: EnginePair) => {
      const flight = recordsOf(pair.flight("server"));
      const clear = flight.slice(0, flight.findIndex((one) => one[0] === TYPE.changeCipherSpec) >>> 0);
      return clear.filter((one) => one[5] === MESSAGE.certificate);
    };
    {
      using pair = new EnginePair(made.client, made.server, { savedSession }).connect();
      assertEquals([pair.client.sessionReused, certificates(pair).length], [true, 0], "else it goes on");
    }
    {
      using pair = new EnginePair(made.client, made.server, { savedSession, deliver: strips("client") })
        .run();
      assertEquals(certificates(pair).length, 1, "the server makes a full handshake");
    }
    {
      using pair = new EnginePair(made.client, made.server, { savedSession, deliver: strips("server") })
        .run();
      assertEquals([pair.errors.client?.reason, pair.server.handshakeDone], [
        "MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE",
        false,
      ]);
    }
  });
}

// ---- PSK ---------------------------------------------------------------------------------------------------

Deno.test("attack: PSK binder: one that is wrong ends the handshake: decrypt_error, for a ticket and a key of our own", () => {
  const flip: Change = (body) => body.with(body.length - 1, body.at(-1)! ^ 1);
  using tickets = fixedRing();
  const both = { ...TLS13, tickets };
  using made = configs(core, both);
  using pair = new EnginePair(made.client, made.server).connect();
  const savedSession = pair.client.session()!;
  const messages = { [MESSAGE.clientHello]: flip };
  refuses(core, "server", /decrypt_error|illegal_parameter/, {
    both,
    from: "client",
    messages,
    savedSession,
  });
  const psk = { identity: "device", key: new Uint8Array(32).fill(7) };
  refuses(core, "server", /decrypt_error|illegal_parameter/, {
    both: { ...TLS13, psk },
    from: "client",
    messages,
  });
});

Deno.test("attack: PSK binder: an extension behind pre_shared_key", () => {
  using tickets = fixedRing();
  const both = { ...TLS13, tickets };
  using made = configs(core, both);
  using pair = new EnginePair(made.client, made.server).connect();
  const add = ({ head, extensions }: Hello) => ({ head, extensions: [...extensions, extension(0x1234)] });
  refuses(core, "server", "illegal_parameter", {
    both,
    ...onHello("client", add),
    savedSession: pair.client.session()!,
  });
});
