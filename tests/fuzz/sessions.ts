/** Sessions to begin with: of real handshakes. */

import { TLSConfig } from "../../lib/config.ts";
import { SSLSession } from "../../lib/session.ts";
import { TLSVersion } from "../../lib/suites.ts";
import { clientOptions, credential, EnginePair, fixedRing, serverOptions } from "../pair.ts";
import { withState } from "../session_bytes.ts";
import type { FuzzCore } from "./core.ts";

/** A session of each version, with the configs that it is for. */
export function sessionsOf(fuzz: FuzzCore) {
  const ring = fixedRing();
  const make = (sslVersion: TLSVersion) => ({
    client: new TLSConfig(clientOptions({ sslVersion }), fuzz.core),
    server: new TLSConfig(
      serverOptions({ sslVersion, tickets: ring, sessionCacheSize: 0, credential: credential("ec") }),
      fuzz.core,
    ),
  });
  const configs = { "TLSv1.2": make(TLSVersion.TLSv1_2), "TLSv1.3": make(TLSVersion.TLSv1_3) };
  const sessions = Object.values(configs).map(({ client, server }) => {
    using pair = new EnginePair(client, server).connect();
    return pair.client.session()!;
  });
  // What mbedTLS allocates once for all, of sessions that do not resume.
  using pair = new EnginePair(configs["TLSv1.3"].client, configs["TLSv1.3"].server, {
    savedSession: withState(sessions[1]!, SSLSession.state(sessions[1]!)),
  });
  pair.connect();
  return { sessions, configs, ring };
}
