/**
 * ClientChoice: lets a server choose its config by the ClientHello, before the engine has seen a byte of it.
 *
 * @module
 */

import { type Bytes, concat, EMPTY } from "./bytes.ts";
import { type ClientHello, readClientHello } from "./client_hello.ts";
import type { TLSConfig } from "./config.ts";
import { alertForCode, CODE, errorFromCode, SSLError } from "./errors.ts";
import type { Pump } from "./pump.ts";

/** What is chosen for a client. */
export interface Choice {
  /** Its config; `undefined`: the server's own. */
  readonly config?: TLSConfig | undefined;
  /** The ALPN protocol to agree on; `undefined`: the config's list decides. */
  readonly alpnProtocol?: string | undefined;
}

/** Chooses for a client. Its errors are the handshake's. */
export type ConfigChooser = (hello: ClientHello) => Promise<Choice>;

const INTERNAL_ERROR = 80; // an AlertDescription

/** The first stage of a server's handshake. The deadline is its user's: it covers the chooser, too. */
export class ClientChoice {
  readonly #pump: Pump;
  readonly #choose: ConfigChooser;
  #running: Promise<void> | undefined;
  #done = false;

  constructor(pump: Pump, choose: ConfigChooser) {
    this.#pump = pump;
    this.#choose = choose;
  }

  /** Whether the engine has its config and the bytes of the client. */
  get done(): boolean {
    return this.#done;
  }

  /** Whether it has begun and not ended: it reads by itself, and wakes who waits. */
  get running(): boolean {
    return this.#running !== undefined && !this.#done;
  }

  /** Reads the hello, asks for the config, gives both to the engine. Calling it again waits for the same. */
  run(): Promise<void> {
    return this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    const { engine } = this.#pump;
    try {
      const { hello, bytes } = await this.#readHello();
      const { config, alpnProtocol } = await this.#choose(hello);
      this.#pump.assertUsable(); // it may have been closed meanwhile, or late
      const received = concat([bytes, this.#take()]);
      if (config !== undefined && config !== engine.config) this.#apply(config);
      if (alpnProtocol !== undefined) engine.chooseAlpn(alpnProtocol);
      engine.receive(received);
      this.#done = true;
    } catch (error) {
      if (this.#pump.failure !== undefined || !(error instanceof SSLError)) {
        throw this.#pump.fail(error as Error);
      }
      this.#pump.step(() => engine.refuse(error, alertFor(error)));
    } finally {
      this.#pump.wake();
    }
  }

  async #readHello(): Promise<{ hello: ClientHello; bytes: Bytes }> {
    let bytes = this.#take();
    for (;;) {
      const outcome = readClientHello(bytes);
      if (outcome.state === "done") return { hello: outcome.hello, bytes };
      for (const wanted = bytes.length + outcome.bytes; bytes.length < wanted;) {
        await this.#pump.fill();
        this.#pump.assertUsable();
        bytes = concat([bytes, this.#take()]);
      }
    }
  }

  /** What the engine has been given, as a copy: the pump uses its arrays again. */
  #take(): Bytes {
    const { engine } = this.#pump;
    const bytes = engine.takeUnread();
    if (bytes.length > 0) return bytes.slice();
    if (!engine.wantsRecords) throw errorFromCode("complete TLS handshake", CODE.CONN_EOF);
    return EMPTY;
  }

  #apply(config: TLSConfig): void {
    try {
      this.#pump.engine.useConfig(config);
    } catch (cause) {
      throw chooserError("getConfigForClient", cause);
    }
  }
}

/** The alert that tells the peer; `undefined` for one that is gone. The chooser's own errors have no code. */
function alertFor({ alert, code }: SSLError): number | undefined {
  return alert?.description ?? (code === 0 ? INTERNAL_ERROR : alertForCode(code));
}

/** What a callback threw, as an SSLError that names it. */
export function chooserError(callback: string, cause: unknown): SSLError {
  if (cause instanceof SSLError) return cause;
  const state = cause instanceof Error ? cause.message : String(cause);
  return new SSLError(`Cannot complete TLS handshake: ${callback} failed: ${state}`, {
    kind: "config",
    cause,
  });
}
