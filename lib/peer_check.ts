/** PeerCheck: asks the program about a peer that has proved who it is, before any data is given or sent. */

import { typeName } from "./bytes.ts";
import { CODE, errorFromCode, SSLError, verifyError } from "./errors.ts";
import type { ConnectionState } from "./peer_policy.ts";
import { Stage } from "./stage.ts";

const BAD_CERTIFICATE = 42; // AlertDescriptions
const UNKNOWN_CA = 48;
const HANDSHAKE_FAILURE = 40;
const CERTIFICATE_REQUIRED = 116;
const MISSING = 0x40; // flags: MBEDTLS_X509_BADCERT_*
const REVOKED = 0x02;
const NOT_TRUSTED = 0x08;

/** What each may answer: a `false`, or an Error that is not thrown, must not pass for consent. */
const ANSWERS = {
  onUnknownPeer: { type: "boolean", words: "true or false" },
  verifyConnection: { type: "undefined", words: "nothing, or a throw" },
} as const;

/** The last stage of a handshake whose config has `onUnknownPeer` or `verifyConnection`. */
export class PeerCheck extends Stage {
  /** @internal Asks, and lets the engine go on. */
  protected override async decide(): Promise<void> {
    const { engine, duplex } = this.pump;
    const { onUnknownPeer, verifyConnection } = engine.config.options;
    const state = engine.connectionState(duplex.remoteAddr);
    if (onUnknownPeer !== undefined && state.verifyFlags !== 0) {
      if (!mayBeUnknown(state) || !await this.#ask("onUnknownPeer", () => onUnknownPeer(state))) {
        throw this.#notTrusted(state);
      }
      this.pump.assertUsable(); // it may have been closed meanwhile, or late
    }
    if (verifyConnection !== undefined) await this.#ask("verifyConnection", () => verifyConnection(state));
    this.pump.assertUsable();
    engine.accept();
  }

  async #ask<T>(name: keyof typeof ANSWERS, ask: () => T | Promise<T>): Promise<T> {
    const { type, words } = ANSWERS[name];
    try {
      const answer = await ask();
      const given: string = typeof answer;
      if (given !== type) throw new TypeError(`expected ${words}, got ${typeName(answer)}`);
      return answer;
    } catch (cause) {
      if (cause instanceof SSLError) throw cause;
      const state = cause instanceof Error ? cause.message : String(cause);
      throw this.pump.engine.distrust(`${name} refuses the peer: ${state}`, cause);
    }
  }

  /** What CERT_REQUIRED comes to. */
  #notTrusted({ verifyFlags, verifyMessage, serverHostname }: ConnectionState): SSLError {
    const { serverSide } = this.pump.engine.config;
    const peer = serverSide || serverHostname === undefined ? "" : ` with ${JSON.stringify(serverHostname)}`;
    const action = `complete TLS handshake${peer}`;
    return (verifyFlags & MISSING) !== 0
      ? errorFromCode(action, CODE.NO_CLIENT_CERTIFICATE)
      : verifyError(action, CODE.CERT_VERIFY_FAILED, verifyFlags, verifyMessage, serverHostname);
  }

  /** @internal As mbedTLS has it for CERT_REQUIRED. */
  protected override alertFor({ alert, code }: SSLError): number {
    if (alert !== undefined) return alert.description;
    if (code === CODE.CERT_VERIFY_FAILED) return UNKNOWN_CA;
    if (code !== CODE.NO_CLIENT_CERTIFICATE) return BAD_CERTIFICATE;
    return this.pump.engine.version === "TLSv1.3" ? CERTIFICATE_REQUIRED : HANDSHAKE_FAILURE;
  }
}

/** Whether no authority vouches for the peer: one whose certificate is known to be bad is not merely unknown. */
function mayBeUnknown({ verifyFlags }: ConnectionState): boolean {
  return (verifyFlags & NOT_TRUSTED) !== 0 && (verifyFlags & REVOKED) === 0;
}
