/** What every peer looks like: a program that can be a server, or a client, of some scenarios. */

import type { Identity } from "../identities.ts";
import type { SharedKey } from "../policies.ts";
import type { End, Scenario } from "../result.ts";

/** What a peer's end needs: files of an identity, for programs that read no other, or a key. */
export interface Material {
  readonly identity?:
    | (Identity & { readonly files: Readonly<Record<"certificate" | "key" | "ca", string>> })
    | undefined;
  readonly psk?: SharedKey & { readonly hex: string; readonly file: string } | undefined;
  /** Where a client may keep its session. */
  readonly sessionFile: string;
}

/** A peer that listens on 127.0.0.1. */
export interface PeerServer extends AsyncDisposable {
  readonly port: number;
  /** Its CPU so far, in milliseconds. */
  cpuMs?(): Promise<number | undefined>;
}

/** A peer that connects to 127.0.0.1. */
export interface PeerClient extends AsyncDisposable {
  /**
   * Makes a connection, and ends it when the server does.
   *
   * @param resume With the session of the last one.
   * @returns Milliseconds of CPU for it, if they can be told.
   */
  connect(port: number, resume: boolean): Promise<number | undefined>;
}

/** A peer. */
export interface PeerProgram {
  /** As `--peers` has it. */
  readonly name: string;
  /** Why its server is started only for those who name it; `undefined`: there is no such reason. */
  readonly caution?: string;
  /**
   * Name and version.
   *
   * @throws {Unavailable} It is not installed.
   */
  version(): Promise<string>;
  /** Why it cannot be this end of such a handshake; `undefined`: it can. */
  absence(end: End, scenario: Scenario): string | undefined;
  server(scenario: Scenario, material: Material): Promise<PeerServer>;
  client(scenario: Scenario, material: Material): Promise<PeerClient>;
}
