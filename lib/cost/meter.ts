/** Meter: what one connection has cost, while it lives and afterwards. */

import type { Tracer } from "../trace.ts";
import type { ConnectionCost, WorkCost } from "./cost.ts";
import { NetworkCounter, type Traffic } from "./network_cost.ts";

/** Counts for one end of one connection. */
export class Meter {
  readonly #network: NetworkCounter;
  #work: () => WorkCost = () => ({});
  #handshake: { resumed: boolean; work: () => WorkCost } | undefined;

  /** Makes a meter that has counted nothing. */
  constructor(role: "client" | "server") {
    this.#network = new NetworkCounter({ role });
  }

  /** Takes what the core tells of records and messages, and hands it on. */
  tracer(next: Tracer | undefined): Tracer {
    const { take } = this.#network;
    if (next === undefined) return take;
    return (...numbers) => {
      take(...numbers);
      next(...numbers);
    };
  }

  /** What the core has counted so far; `undefined`: nothing new. */
  update(work: (() => WorkCost) | undefined): void {
    if (work !== undefined) this.#work = work;
  }

  /** The first handshake is over: what follows is none of its cost. */
  endHandshake(resumed: boolean): void {
    this.#handshake ??= { resumed, work: this.#work };
  }

  /** What it has come to. */
  cost(): ConnectionCost {
    const network = this.#network.cost();
    const { resumed = false, work = this.#work } = this.#handshake ?? {};
    return {
      handshake: { resumed, network, ...work() },
      total: {
        up: sum(network.up, network.rest.up),
        down: sum(network.down, network.rest.down),
        ...this.#work(),
      },
    };
  }
}

function sum(a: Traffic, b: Traffic): Traffic {
  return {
    bytes: a.bytes + b.bytes,
    records: a.records + b.records,
    certificateBytes: a.certificateBytes + b.certificateBytes,
    ticketBytes: a.ticketBytes + b.ticketBytes,
    dataBytes: a.dataBytes + b.dataBytes,
  };
}
