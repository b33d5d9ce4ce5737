/**
 * Bytes for an engine that has got as far as a recorded peer took it: each engine has its randomness from a seed, so the flights
 * of a recorded connection fit it once more, up to where they were changed.
 *
 * @module
 */

import { concat } from "../../lib/bytes.ts";
import type { TLSConfig } from "../../lib/config.ts";
import { TLSEngine } from "../../lib/engine.ts";
import { type End, ENDS, EnginePair, peerOf } from "../pair.ts";
import { FuzzCore } from "./core.ts";
import { expected, Finding } from "./finding.ts";
import { configsOf, SCENARIOS } from "./scenarios.ts";
import type { Target } from "./target.ts";

/** Connections that are whole without a session from before. */
const RECORDED = SCENARIOS.filter(({ both, server, resumes, impostors }) =>
  both?.datagrams === undefined && server?.sessionCacheSize === undefined && !resumes && !impostors
);
const READS_MAX = 1000;

/** The first byte says which recording, of which end; the rest is what that end receives. */
export function recordsTarget(fuzz: FuzzCore, module: WebAssembly.Module): Target {
  const other = new FuzzCore(module); // of the peer: each end's randomness is its own
  const configs = RECORDED.map((scenario) => {
    return { made: configsOf(scenario, fuzz.core), peer: configsOf(scenario, other.core) };
  });
  const buffer = new Uint8Array(20000);
  const rewind = () => {
    fuzz.rewind(1);
    other.rewind(2);
  };
  const engineOf = (config: TLSConfig, end: End) =>
    new TLSEngine(config, end === "client" ? { serverHostname: "localhost" } : {});
  fuzz.begin(new Uint8Array(2));
  other.begin(new Uint8Array(2));
  return {
    name: "records",
    seeds: () =>
      configs.flatMap(({ made, peer }, i) =>
        ENDS.map((end) => {
          rewind();
          const both = { [end]: made[end], [peerOf(end)]: peer[peerOf(end)] } as Record<End, TLSConfig>;
          using pair = new EnginePair(both.client, both.server).connect();
          pair.send(peerOf(end), new TextEncoder().encode("hello"));
          pair.close();
          return concat([Uint8Array.of(2 * i + ENDS.indexOf(end)), pair.flight(peerOf(end))]);
        })
      ),
    run(bytes) {
      const which = (bytes[0] ?? 0) % (2 * configs.length);
      const end = ENDS[which & 1]!;
      const config = configs[which >> 1]!.made[end];
      rewind();
      const before = fuzz.core.allocated;
      let outcome = "";
      {
        using engine = engineOf(config, end);
        try {
          engine.handshake();
          engine.receive(bytes.slice(1));
          for (let i = 0;; i++) {
            if (i === READS_MAX) throw new Finding("hang", "it goes on reading");
            const read = engine.handshake().state === "done" ? engine.read(buffer).state : "need-records";
            if (read !== "data") break;
          }
          engine.receiveEof();
          engine.read(buffer);
          outcome = engine.state;
        } catch (error) {
          outcome = `${engine.handshakeDone} ${expected(error).message}`;
        }
        engine.takeRecords();
      }
      const leaked = fuzz.core.allocated - before;
      if (leaked !== 0) throw new Finding("leak", `${leaked} bytes of the core's heap`);
      return outcome;
    },
  };
}
