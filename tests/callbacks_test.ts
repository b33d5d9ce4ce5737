/** Callbacks that the core runs and that misuse it: what they give up is freed, and the other connections go on. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { encodeText } from "../lib/bytes.ts";
import { Core } from "../lib/core.ts";
import { TLSConfig } from "../lib/config.ts";
import { SSLError } from "../lib/errors.ts";
import { SSLContext, wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { EnginePair, serverOptions, source } from "./pair.ts";
import { pipe } from "./pipe.ts";
import { pem } from "./refusals.ts";
import { assertTalk, CLIENT, closeBoth, pair, SERVER, test } from "./sockets.ts";

const PSK = { identity: "one", key: new Uint8Array(16).fill(1) };

/** Who calls `hook`, and what it then takes for an answer. */
const CALLERS: Record<string, (hook: () => void) => { ours: WrapSocketOptions; theirs: WrapSocketOptions }> =
  {
    trace: (hook) => ({ ours: { ...CLIENT, trace: hook }, theirs: SERVER }),
    keyLog: (hook) => ({ ours: { ...CLIENT, keyLog: hook }, theirs: SERVER }),
    verifyCallback: (hook) => ({ ours: { ...CLIENT, verifyCallback: () => (hook(), 0) }, theirs: SERVER }),
    pskCallback: (hook) => ({
      ours: { serverSide: true, pskCallback: () => (hook(), PSK.key) },
      theirs: { ...CLIENT, psk: PSK },
    }),
    sign: (hook) => {
      const sign = () => (hook(), encodeText("no signature"));
      return {
        ours: { serverSide: true, certificates: [{ certfile: pem("ec.pem"), sign }] },
        theirs: CLIENT,
      };
    },
  };

for (
  const [name, measure, caller] of Object.entries(CALLERS).flatMap(([name, caller]) =>
    [[name, false, caller], [name, true, caller]] as const
  )
) {
  test(`${name}: one that drops its own connection ends that one alone, and leaves nothing${measure ? " (measured)" : ""}`, async () => {
    const core = Core.shared();
    const other = await pair();
    await assertTalk(other.client, other.server);
    const before = core.allocated;
    const [near, far] = pipe();
    const sockets: SSLSocket[] = [];
    let calls = 0;
    const { ours, theirs } = caller(() => {
      calls++;
      sockets[0]?.abort();
    });
    sockets.push(await wrapSocket(near, { ...ours, measure, doHandshake: false }));
    const peer = wrapSocket(far, theirs);
    const [error] = await Promise.all([
      assertRejects(() => sockets[0]!.handshake(), SSLError, "it was aborted"),
      assertRejects(() => peer, SSLError),
    ]);
    assertEquals(error.kind, "closed");
    assert(calls > 0);
    if (measure) assertEquals(sockets[0]!.cost().handshake.network.complete, false);
    assertEquals([core.retired, core.allocated], [false, before]);
    await assertTalk(other.client, other.server);
    await closeBoth(other.client, other.server);
  });
}

test("verifyCallback: a context that it disposes of, and one that it tries to use, are freed", async () => {
  const core = Core.shared();
  const { serverHostname: _, ...given } = CLIENT;
  const before = core.allocated;
  const [used, idle] = await Promise.all([SSLContext.create(given), SSLContext.create(given)]);
  const [near] = pipe();
  const failures: string[] = [];
  const verifyCallback = () => {
    idle[Symbol.dispose]();
    try {
      SSLContext.start(used, near, { serverHostname: "localhost" });
    } catch (error) {
      failures.push((error as Error).message);
    }
    return 0;
  };
  const { client, server } = await pair({ client: { verifyCallback } });
  assertEquals(failures, Array(2).fill("Cannot call connection_new: the core is running"));
  await assertTalk(client, server);
  await closeBoth(client, server);
  used[Symbol.dispose]();
  assertEquals(core.allocated, before);
});

Deno.test("TLSEngine: one that a callback disposes of says that it is closed", () => {
  using trusting = new TLSConfig({
    trust: [source("root.pem")],
    verifyCallback: () => {
      engines.client[Symbol.dispose]();
      return 0;
    },
  });
  using serving = new TLSConfig(serverOptions());
  using engines = new EnginePair(trusting, serving);
  engines.run();
  assertStringIncludes(String(engines.errors.client), "the connection is closed");
  assertEquals(Core.shared().retired, false);
});

test("verifyCallback, pskCallback, sign: a promise is a wrong answer, and no uncaught error when it rejects", async () => {
  const wait = () => Promise.reject(new Error("nobody waits")) as never;
  const signer = { certificates: [{ certfile: pem("ec.pem"), sign: wait }] };
  for (
    const [ours, theirs] of [
      [{ ...CLIENT, verifyCallback: wait }, SERVER],
      [{ serverSide: true, pskCallback: wait }, { ...CLIENT, psk: PSK }],
      [{ serverSide: true, ...signer }, CLIENT],
    ] as [WrapSocketOptions, WrapSocketOptions][]
  ) {
    const [near, far] = pipe();
    await Promise.all([
      assertRejects(() => wrapSocket(near, ours), SSLError, "got Promise"),
      assertRejects(() => wrapSocket(far, theirs), SSLError),
    ]);
  }
});
