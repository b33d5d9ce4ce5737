/** A handshake that ends while the fleet's sessions are looked up: what comes then is nobody's. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { SSLContext, SSLError, TLSVersion, wrapSocket } from "tlsio";
import { pipe } from "./pipe.ts";
import { assertTalk, CLIENT, closeBoth, CREDENTIAL, test, wrapBoth } from "./sockets.ts";
import { bytesFrom } from "./pair.ts";
import type { Bytes } from "../lib/bytes.ts";

const WITHOUT = { sslVersion: TLSVersion.TLSv1_2, tickets: false } as const;

for (const how of ["deadline", "abort"] as const) {
  test(`sessionCache: a session that comes too late (${how}) is wiped, and no handshake's`, async () => {
    const kept = new Map<string, Bytes>();
    const { promise, resolve } = Promise.withResolvers<Bytes | undefined>();
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
    const base = {
      idKeys: [bytesFrom(1, 32)],
      keep: (_: string, id: Bytes, session: Bytes) => void kept.set(id.toHex(), session),
      forget: () => {},
    };
    const own = { serverSide: true, ...CREDENTIAL };
    using first = await SSLContext.create({
      ...own,
      sessionCache: { ...base, find: () => Promise.resolve(undefined) },
    });
    using second = await SSLContext.create({
      ...own,
      sessionCache: { ...base, find: () => (ask(), promise) },
    });
    const ends = await wrapBoth(...pipe(), { client: { ...CLIENT, ...WITHOUT }, server: { context: first } });
    await assertTalk(...ends);
    await closeBoth(...ends);
    const [near, far] = pipe();
    const client = wrapSocket(near, { ...CLIENT, ...WITHOUT, savedSession: ends[0].session! }).catch((e) =>
      e
    );
    const server = await wrapSocket(far, {
      context: second,
      doHandshake: false,
      timeout: how === "deadline" ? 0.3 : 20,
    });
    const failing = assertRejects(() => server.handshake(), SSLError);
    await asked;
    const [session] = kept.values();
    assert(session!.some((byte) => byte !== 0));
    if (how === "abort") server.abort();
    else await failing;
    resolve(session);
    assertEquals((await failing).kind, how === "deadline" ? "timeout" : "closed");
    await new Promise((done) => setTimeout(done, 20));
    assert(session!.every((byte) => byte === 0), "it is wiped");
    assertEquals(second.sessionStats().hits, 0);
    await client;
  });
}
