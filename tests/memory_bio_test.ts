/** TLS over memory: what CPython's MemoryBIO and SSLObject do, where it can be told without CPython. */
import { assertEquals, assertThrows } from "@std/assert";
import { MemoryBIO, SSLContext, SSLEOFError, SSLError } from "tlsio";
import { decodeText, encodeText } from "../lib/bytes.ts";
import type { SSLBio } from "../lib/memory_bio.ts";
import { CLIENT, CREDENTIAL, test } from "./sockets.ts";

interface End {
  readonly tls: SSLBio;
  readonly incoming: MemoryBIO;
  readonly outgoing: MemoryBIO;
}

/** Two ends; `carry()` takes what each has sent to the other. */
class BioPair implements Disposable {
  readonly #contexts: [SSLContext, SSLContext];
  readonly client: End;
  readonly server: End;

  private constructor(client: SSLContext, server: SSLContext) {
    this.#contexts = [client, server];
    this.client = end(client, { serverHostname: "localhost" });
    this.server = end(server, {});
  }

  static async create(): Promise<BioPair> {
    return new BioPair(
      await SSLContext.create({ caCerts: CLIENT.caCerts! }),
      await SSLContext.create({ serverSide: true, ...CREDENTIAL }),
    );
  }

  carry(): void {
    this.server.incoming.write(this.client.outgoing.read());
    this.client.incoming.write(this.server.outgoing.read());
  }

  connect(): this {
    for (let i = 0; i < 3; i++) {
      for (const { tls } of [this.client, this.server]) {
        tls.handshake();
        this.carry();
      }
    }
    return this;
  }

  [Symbol.dispose](): void {
    for (const { tls } of [this.client, this.server]) tls[Symbol.dispose]();
    for (const context of this.#contexts) context[Symbol.dispose]();
  }
}

function end(context: SSLContext, options: { serverHostname?: string }): End {
  const [incoming, outgoing] = [new MemoryBIO(), new MemoryBIO()];
  return { tls: context.wrapBio(incoming, outgoing, options), incoming, outgoing };
}

test("MemoryBIO: read() gives all for a negative number, as CPython's, and refuses what is no count", async () => {
  const bio = new MemoryBIO();
  bio.write(Uint8Array.of(1, 2, 3));
  for (const wrong of [NaN, 1.5, "2", null, 2n]) {
    assertThrows(() => bio.read(wrong as number), RangeError, "Cannot use n: expected a whole number");
  }
  assertEquals([bio.read(0).length, bio.pending], [0, 3]);
  assertEquals([bio.read(-1), bio.read(-1)], [Uint8Array.of(1, 2, 3), new Uint8Array()]);
  bio.write(Uint8Array.of(4));
  assertEquals([bio.read(9), bio.pending], [Uint8Array.of(4), 0]);
  await Promise.resolve();
});

for (const isAtEnd of [false, true]) {
  test(`SSLBio: what comes behind close_notify stays in incoming, whatever is called (writeEof(): ${isAtEnd})`, async () => {
    using both = await BioPair.create();
    const { client: { tls, incoming, outgoing }, server } = both.connect();
    assertEquals(server.tls.unwrap(), { state: "want-read" });
    both.carry();
    incoming.write(encodeText("plain"));
    if (isAtEnd) incoming.writeEof();
    const buffer = new Uint8Array(9);
    assertEquals(tls.read(buffer), { state: "eof" });
    assertEquals(tls.unwrap(), { state: "ok" });
    assertEquals([tls.read(buffer), tls.unwrap()], [{ state: "eof" }, { state: "ok" }]);
    assertThrows(() => tls.write(buffer), SSLError, "the connection is closed");
    assertEquals([decodeText(incoming.read()), incoming.eof], ["plain", isAtEnd]);
    server.incoming.write(outgoing.read());
    assertEquals(server.tls.unwrap(), { state: "ok" });
  });
}

test("SSLBio: unwrap() before the handshake is over is refused, and harms nothing", async () => {
  using both = await BioPair.create();
  for (const { tls } of [both.client, both.server]) {
    assertThrows(() => tls.unwrap(), SSLError, "Cannot unwrap: the TLS handshake is not over");
  }
  assertEquals(both.connect().client.tls.version(), "TLSv1.3");
});

test("SSLBio: a failure stays, and the alert is in outgoing once", async () => {
  using both = await BioPair.create();
  const { tls, incoming, outgoing } = both.client;
  tls.handshake();
  outgoing.read();
  incoming.write(new Uint8Array(100).fill(7));
  const calls = [
    () => tls.handshake(),
    () => tls.read(new Uint8Array(1)),
    () => tls.write(new Uint8Array(1)),
    () => tls.unwrap(),
  ];
  const errors = calls.map((call) => assertThrows(call, SSLError, "an invalid SSL record"));
  assertEquals(new Set(errors).size, 1);
  assertEquals(outgoing.read().length, 7);
});

test("SSLBio: an end without close_notify is an SSLEOFError, each time; disposed, it is closed", async () => {
  using both = await BioPair.create();
  const { tls, incoming } = both.connect().client;
  assertEquals(tls.read(new Uint8Array(1)).state, "want-read");
  incoming.writeEof();
  for (let i = 0; i < 2; i++) assertThrows(() => tls.read(new Uint8Array(1)), SSLEOFError);
  const { server } = both;
  server.tls[Symbol.dispose]();
  server.incoming.write(Uint8Array.of(1));
  assertThrows(() => server.tls.read(new Uint8Array(1)), SSLError, "the connection is closed");
  assertEquals(server.incoming.pending > 0, true);
});

test("wrapBio: refuses what is no MemoryBIO, one for both ways, and options that need a socket", async () => {
  using context = await SSLContext.create({ caCerts: CLIENT.caCerts! });
  const [a, b] = [new MemoryBIO(), new MemoryBIO()];
  const wrap = (incoming: unknown, outgoing: unknown, options = {}) => () =>
    context.wrapBio(incoming as MemoryBIO, outgoing as MemoryBIO, {
      serverHostname: "localhost",
      ...options,
    });
  assertThrows(wrap({}, b), TypeError, "Cannot use incoming: expected a MemoryBIO, got Object");
  assertThrows(wrap(a, undefined), TypeError, "Cannot use outgoing: expected a MemoryBIO, got undefined");
  assertThrows(wrap(a, a), TypeError, "Cannot use outgoing: it is incoming, too");
  const others = { timeout: 1, earlyData: new Uint8Array(1), initialData: new Uint8Array(1), trace() {} };
  for (const [name, value] of Object.entries(others)) {
    assertThrows(wrap(a, b, { [name]: value }), TypeError, `Cannot wrapBio(): ${name} needs a socket`);
  }
});
