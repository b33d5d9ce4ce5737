/**
 * ClientChoice: lets a server choose its config by the ClientHello, before the engine has seen a byte of it.
 *
 * @module
 */

import { type Bytes, concat, EMPTY } from "./bytes.ts";
import { type ClientHello, readClientHello } from "./client_hello.ts";
import type { TLSConfig } from "./config.ts";
import { CODE, errorFromCode } from "./errors.ts";
import type { Certificate } from "./own_certificate.ts";
import type { Pump } from "./pump.ts";
import { callbackError, Stage } from "./stage.ts";

/** Who the client is, besides what it says. */
export interface ClientInfo {
  /** Its address, where the connection below has one. */
  readonly remoteAddr: Deno.Addr | undefined;
}

/** What is chosen for a client. */
export interface ChosenConfig {
  readonly config: TLSConfig;
  /** The certificate to show, where it is not the config's. */
  readonly certificate?: Certificate | undefined;
  /** The ALPN protocol to agree on; `undefined`: the config's list decides. */
  readonly alpnProtocol?: string | undefined;
}

/** Chooses the config for a client. Its errors are the handshake's. */
export type ConfigChooser = (hello: ClientHello, info: ClientInfo) => Promise<ChosenConfig>;

/** The first stage of a server's handshake. */
export class ClientChoice extends Stage {
  readonly #choose: ConfigChooser;

  constructor(pump: Pump, choose: ConfigChooser) {
    super(pump);
    this.#choose = choose;
  }

  /** @internal Reads the hello, asks for the config, gives both to the engine. */
  protected override async decide(): Promise<void> {
    const { engine, duplex } = this.pump;
    const { hello, bytes } = await this.#readHello();
    const chosen = await this.#choose(hello, { remoteAddr: duplex.remoteAddr });
    this.pump.assertUsable(); // it may have been closed meanwhile, or late
    const received = concat([bytes, this.#take()]);
    this.#apply(chosen);
    if (chosen.alpnProtocol !== undefined) engine.chooseAlpn(chosen.alpnProtocol);
    engine.receive(received);
  }

  async #readHello(): Promise<{ hello: ClientHello; bytes: Bytes }> {
    let bytes = this.#take();
    for (;;) {
      const outcome = readClientHello(bytes);
      if (outcome.state === "done") return { hello: outcome.hello, bytes };
      for (const wanted = bytes.length + outcome.bytes; bytes.length < wanted;) {
        await this.pump.fill();
        this.pump.assertUsable();
        bytes = concat([bytes, this.#take()]);
      }
    }
  }

  /** What the engine has been given, as a copy: the pump uses its arrays again. */
  #take(): Bytes {
    const { engine } = this.pump;
    const bytes = engine.takeUnread();
    if (bytes.length > 0) return bytes.slice();
    if (!engine.wantsRecords) throw errorFromCode("complete TLS handshake", CODE.CONN_EOF);
    return EMPTY;
  }

  #apply({ config, certificate }: ChosenConfig): void {
    const { engine } = this.pump;
    try {
      if (certificate !== undefined) config.withCertificate(certificate, (own) => engine.useConfig(own));
      else if (config !== engine.config) engine.useConfig(config);
    } catch (cause) {
      throw callbackError(certificate === undefined ? "getConfigForClient" : "getCertificate", cause);
    }
  }
}
