/** Resumption passes over no check: a session that began without one is not resumed by who makes it, or is judged again. */
import { assertEquals } from "@std/assert";
import { publicKeyPin } from "../lib/peer_policy.ts";
import { CERT_OPTIONAL, CERT_REQUIRED } from "../lib/policy.ts";
import { saveSession, SSLContext, wrapSocket, type WrapSocketOptions } from "../lib/ssl.ts";
import { TicketKeyRing } from "../lib/tickets.ts";
import { pipe } from "./pipe.ts";
import { MUTUAL_CLIENT, MUTUAL_SERVER, pem } from "./refusals.ts";
import { assertTalk, CLIENT, closeBoth, SERVER, test, VERSIONS } from "./sockets.ts";

let asked = 0;
const roots = { caCerts: [pem("root.pem"), pem("root-rsa.pem")] };

/** What is added, and whether a session without it is resumed: only where the hook was asked, too. */
const ADDED: Record<string, { options: (peer: string) => WrapSocketOptions; resumed: boolean }> = {
  "nothing": { options: () => ({}), resumed: true },
  pins: { options: (peer) => ({ pins: [publicKeyPin(pem(peer))] }), resumed: false },
  verifyCallback: { options: () => ({ verifyCallback: () => (asked++, 0) }), resumed: false },
  onUnknownPeer: { options: () => ({ onUnknownPeer: () => ++asked > 0 }), resumed: false },
  verifyConnection: { options: () => ({ verifyConnection: () => void asked++ }), resumed: true },
  minRsaBits: { options: () => ({ minRsaBits: 3072 }), resumed: false },
  caCerts: { options: () => roots, resumed: false },
};

for (const [name, sslVersion] of Object.entries(VERSIONS)) {
  test(`savedSession: ${name}, a client that checks more resumes none of before, or asks again`, async () => {
    for (const [added, { options, resumed }] of Object.entries(ADDED)) {
      const client = { ...CLIENT, sslVersion };
      assertEquals(
        await visit([client, { ...client, ...options("ec.pem") }], [SERVER, SERVER]),
        resumed,
        added,
      );
      if (added === "verifyConnection" || added === "verifyCallback") assertEquals(asked > 0, true, added);
    }
  });

  test(`tickets: ${name}, a server that checks more resumes none of before, or asks again`, async () => {
    for (const [added, { options, resumed }] of Object.entries(ADDED)) {
      const client = { ...CLIENT, ...MUTUAL_CLIENT, sslVersion };
      using tickets = new TicketKeyRing();
      const server = { ...SERVER, ...MUTUAL_SERVER, tickets };
      const stricter = { ...server, ...options("client.pem") };
      assertEquals(await visit([client, client], [server, stricter]), resumed, added);
      if (added === "verifyConnection" || added === "verifyCallback") assertEquals(asked > 0, true, added);
    }
    using tickets = new TicketKeyRing();
    const server = { ...SERVER, ...MUTUAL_SERVER, tickets };
    const lax = { ...server, certReqs: CERT_OPTIONAL } as const;
    const strict = { ...server, certReqs: CERT_REQUIRED } as const;
    const client = { ...CLIENT, ...MUTUAL_CLIENT, sslVersion };
    assertEquals(await visit([client, client], [lax, strict]), false, "certReqs");
  });
}

/** Whether the second of two visits resumes the first. */
async function visit(
  clients: [WrapSocketOptions, WrapSocketOptions],
  servers: [WrapSocketOptions, WrapSocketOptions],
): Promise<boolean> {
  asked = 0;
  using began = await SSLContext.create(servers[0]);
  using goesOn = servers[0] === servers[1] ? began : await SSLContext.create(servers[1]);
  const [near, far] = pipe();
  const first = await Promise.all([wrapSocket(near, clients[0]), began.wrapSocket(far)]);
  await assertTalk(...first);
  const savedSession = saveSession(first[0])!;
  await closeBoth(...first);
  const [there, here] = pipe();
  const again = await Promise.all([
    wrapSocket(there, { ...clients[1], savedSession }),
    goesOn.wrapSocket(here),
  ]);
  await assertTalk(...again);
  const { sessionReused } = again[1];
  await closeBoth(...again);
  return sessionReused;
}
