/** The hooks of a handshake, asked outside the core, and programs that misuse them: an error says what they did, and nothing is left. */
import { assert, assertEquals } from "@std/assert";
import { Core } from "../lib/core.ts";
import { SSLError } from "../lib/errors.ts";
import { Certificate } from "../lib/own_certificate.ts";
import type { SSLSocket } from "../lib/socket.ts";
import { SSLContext, wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import { pipe } from "./pipe.ts";
import { assertTalk, CLIENT, closeBoth, CREDENTIAL, pair, SERVER, SHORT, test } from "./sockets.ts";

type Hook = () => unknown;

/** The end with the hook, and what the hook may answer. */
interface Case {
  readonly options: (hook: Hook) => WrapSocketOptions;
  readonly answer: unknown;
}

const certificate = await Certificate.load(CREDENTIAL);
const { serverHostname: _, ...CLIENTS } = CLIENT;
const HOOKS: Record<string, Case> = {
  getConfigForClient: {
    options: (hook) => ({ ...SERVER, getConfigForClient: hook as never }),
    answer: undefined,
  },
  getCertificate: { options: (hook) => ({ ...SERVER, getCertificate: hook as never }), answer: certificate },
  alpnCallback: { options: (hook) => ({ ...SERVER, alpnCallback: hook as never }), answer: "x" },
  "verifyConnection of a server": {
    options: (hook) => ({ ...SERVER, verifyConnection: hook as never }),
    answer: undefined,
  },
  "verifyConnection of a client": {
    options: (hook) => ({ ...CLIENTS, verifyConnection: hook as never }),
    answer: undefined,
  },
  onUnknownPeer: {
    options: (hook) => ({ ...CLIENTS, caCerts: [], onUnknownPeer: hook as never }),
    answer: true,
  },
};

interface Scene {
  readonly answer: unknown;
  readonly socket: () => SSLSocket;
  readonly context: SSLContext;
  /** Settles when the handshake has. */
  readonly over: Promise<unknown>;
}

/** What a hook does, and how the handshake of its end then comes out. */
const MISUSES: Record<string, { act: (scene: Scene) => unknown; outcome: RegExp | undefined }> = {
  "throws": {
    act: () => {
      throw new Error("no luck");
    },
    outcome: /no luck/,
  },
  "rejects with what is no Error": { act: () => Promise.reject("no luck"), outcome: /no luck/ },
  "answers what it must not": { act: () => 5, outcome: /expected .*, got number/ },
  "answers when it is too late": {
    act: ({ answer, over }) => over.then(() => answer),
    outcome: /timed out after 0.2 seconds/,
  },
  "aborts its socket": { act: ({ answer, socket }) => (socket().abort(), answer), outcome: /it was aborted/ },
  "closes its socket and waits for it": {
    act: async ({ answer, socket }) => (await socket().close(), answer),
    outcome: /it is closed/,
  },
  "disposes of its context": {
    act: ({ answer, context }) => (context[Symbol.dispose](), answer),
    outcome: undefined,
  },
  "makes connections of its own": {
    act: async ({ answer }) => {
      const { client, server } = await pair();
      await assertTalk(client, server);
      await closeBoth(client, server);
      return answer;
    },
    outcome: undefined,
  },
};

for (const [name, { options, answer }] of Object.entries(HOOKS)) {
  test(`${name}: whatever it does, the connection ends as it should, and leaves nothing`, async () => {
    const core = Core.shared();
    const first = await pair(); // what the core makes once
    await closeBoth(first.client, first.server);
    for (const [what, { act, outcome }] of Object.entries(MISUSES)) {
      const before = core.allocated;
      const { promise: over, resolve } = Promise.withResolvers<void>();
      const sockets: SSLSocket[] = [];
      let asked = 0;
      const hook = () => {
        asked++;
        return act({ answer, over, context, socket: () => sockets[0]! });
      };
      const own = options(hook);
      const context = await SSLContext.create(own);
      const [near, far] = pipe();
      sockets.push(
        await context.wrapSocket(near, {
          doHandshake: false,
          timeout: what.includes("late") ? SHORT : 10,
          ...(own.serverSide ? {} : { serverHostname: "localhost" }),
        }),
      );
      const other = wrapSocket(far, own.serverSide ? { ...CLIENT, alpnProtocols: ["x"] } : SERVER);
      const [ours, theirs] = await Promise.allSettled([sockets[0]!.handshake(), other]);
      resolve();
      const said = ours.status === "rejected" ? String(ours.reason) : "done";
      if (outcome === undefined) assertEquals(said, "done", what);
      else {
        assert(ours.status === "rejected" && ours.reason instanceof SSLError, `${what}: ${said}`);
        assert(outcome.test(said), `${what}: ${said}`);
      }
      assertEquals(asked, 1, what);
      if (theirs.status === "fulfilled") await closeBoth(sockets[0]!, theirs.value);
      else await sockets[0]!.close();
      context[Symbol.dispose]();
      await new Promise((done) => setTimeout(done)); // answers that come late
      assertEquals([core.retired, core.allocated], [false, before], what);
    }
  });
}
