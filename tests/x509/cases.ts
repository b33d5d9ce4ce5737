/**
 * Chains and what to think of them: one list for tlsio and for other verifiers. In the manner of x509-limbo, BetterTLS and PKITS.
 *
 * @module
 */
import type { Bytes } from "../../lib/bytes.ts";
import type { TLSConfigOptions } from "../../lib/policy.ts";
import type { Made } from "./maker.ts";

export type Verdict = "accept" | "reject";

export interface Chain {
  /** The leaf first. */
  readonly sent: readonly Made[];
  readonly trust: readonly Made[];
  readonly crls?: readonly Bytes[];
  readonly options?: TLSConfigOptions;
}

export interface Case {
  readonly name: string;
  /** By RFC 5280, RFC 9525 and the web's rules. */
  readonly expected: Verdict;
  readonly host: string;
  /** Who looks at the chain. */
  readonly role: "client" | "server";
  /** Why tlsio sees it otherwise. */
  readonly differs?: string;
  /** Why no other verifier that we ask expects this. */
  readonly alone?: string;
  /** Other verifiers cannot be asked: why. */
  readonly unasked?: string;
  /** Our own end would not send it as it is: TLS 1.2, with another chain in the Certificate message. */
  readonly byHand?: boolean;
  build(): Chain;
}

type Build = () => [sent: Made | Made[], trust: Made | Made[], more?: Omit<Chain, "sent" | "trust">];
type More = Partial<Pick<Case, "host" | "role" | "differs" | "alone" | "unasked" | "byHand">>;

/** What tlsio says. */
export function verdictOf({ expected, differs }: Case): Verdict {
  return differs === undefined ? expected : expected === "accept" ? "reject" : "accept";
}

/** Cases under one heading. */
export class Group {
  readonly cases: Case[] = [];

  constructor(readonly title: string) {}

  accept(name: string, build: Build, more: More = {}): void {
    this.#add(name, "accept", build, more);
  }

  reject(name: string, build: Build, more: More = {}): void {
    this.#add(name, "reject", build, more);
  }

  #add(name: string, expected: Verdict, build: Build, more: More): void {
    const chain = (): Chain => {
      const [sent, trust, rest] = build();
      return { sent: [sent].flat(), trust: [trust].flat(), ...rest };
    };
    this.cases.push({ name, expected, host: "a.test", role: "client", ...more, build: chain });
  }
}
