/**
 * {@linkcode watchCertificates}: a server goes on with renewed certificates when their files change.
 *
 * @module
 */

import { assertSeconds, concat, encodeText, typeName } from "./bytes.ts";
import type { ContextOptions } from "./context_options.ts";
import { LONGEST } from "./deadline.ts";
import { type FileOrData, loadSource } from "./files.ts";
import { Certificate } from "./own_certificate.ts";
import { tell } from "./tell.ts";

const CHECK_EVERY = 60; // seconds; what a network's file system does not tell of is seen then
const SETTLE = 0.25; // seconds; a certificate and its key are two files, written one after the other

/** A server whose context can be changed: those of `startServer` and `serve`, with workers too. */
export interface HasContext {
  /** Goes on with another context. */
  setContext(ssl: Omit<ContextOptions, "serverSide">): Promise<void>;
}

/** Options of {@linkcode watchCertificates}. */
export interface WatchCertificatesOptions {
  /** Seconds after which the files are read again, whatever the system has told of them. @default {60} */
  checkEvery?: number;
  /** Told when new connections have what the files have now. */
  onRenewed?: () => void;
  /**
   * Told what is wrong with the files; the server goes on with what it has. The same error is told of once.
   *
   * @default {it is printed}
   */
  onError?: (error: unknown) => void;
}

/** What {@linkcode watchCertificates} does, until it is disposed of. */
export interface CertificateWatch extends AsyncDisposable {
  /** Reads the files now, and waits until the server goes on with them if they have changed. It never fails. */
  check(): Promise<void>;
}

/**
 * Follows the files of a server's certificates, keys, authorities and revocation lists: when they change, new connections have
 * the new ones (`setContext`); no connection is dropped, and sessions are resumed. Files that do not fit together, such as a
 * new certificate whose key is not there yet, change nothing until they do. Each server of a fleet watches its own files.
 *
 * It looks when the system says that something in their folders has changed, also by a link that leads elsewhere now
 * (Kubernetes), and once a minute. Needs `--allow-read` for the folders.
 *
 * @param server The server.
 * @param ssl The options that it was started with: paths of files.
 * @param options How often, and who is told.
 * @returns What it does; dispose of it before the server closes.
 * @throws {TypeError} If no option names a file.
 *
 * @example
 * ```ts
 * import { createCertificate, startServer, watchCertificates } from "tlsio";
 *
 * const folder = await Deno.makeTempDir();
 * const { certificate, key } = createCertificate({ subject: "CN=localhost", hosts: ["localhost"] });
 * await Deno.writeTextFile(`${folder}/cert.pem`, certificate);
 * await Deno.writeTextFile(`${folder}/key.pem`, key);
 *
 * const ssl = { certfile: `${folder}/cert.pem`, keyfile: `${folder}/key.pem` };
 * await using server = await startServer(() => {}, { hostname: "127.0.0.1", port: 0, ssl });
 * await using watch = await watchCertificates(server, ssl);
 * await watch.check(); // goes on with what is there now, if it has changed
 * ```
 */
export async function watchCertificates(
  server: HasContext,
  ssl: Omit<ContextOptions, "serverSide">,
  options: WatchCertificatesOptions = {},
): Promise<CertificateWatch> {
  if (typeof server?.setContext !== "function") {
    throw new TypeError(`Cannot use server: expected one with setContext(), got ${typeName(server)}`);
  }
  const watcher = new Watcher(server, ssl, filesOf(ssl), options);
  await watcher.start();
  return watcher;
}

/** A file and the option that names it. */
type Named = readonly [option: string, path: string | URL];

class Watcher implements CertificateWatch {
  readonly #server: HasContext;
  readonly #ssl: Omit<ContextOptions, "serverSide">;
  readonly #files: readonly Named[];
  readonly #options: WatchCertificatesOptions;
  readonly #checkEvery: number;
  #inUse: string | undefined; // a hash of what the server has; undefined: not known yet
  #told: string | undefined; // the error that was told of last
  #work: Promise<void> = Promise.resolve();
  #events: Deno.FsWatcher | undefined;
  #listening: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isSoon = false;
  #closed = false;

  constructor(
    server: HasContext,
    ssl: Omit<ContextOptions, "serverSide">,
    files: readonly Named[],
    options: WatchCertificatesOptions,
  ) {
    const { checkEvery = CHECK_EVERY } = options;
    assertSeconds("checkEvery", checkEvery);
    this.#server = server;
    this.#ssl = ssl;
    this.#files = files;
    this.#options = options;
    this.#checkEvery = checkEvery;
  }

  async start(): Promise<void> {
    const folders = new Set(this.#files.map(([, path]) => folderOf(path)));
    try {
      this.#events = Deno.watchFs([...folders], { recursive: false });
      this.#listening = this.#listen(this.#events);
    } catch (error) {
      this.#tell(error); // no more watches to be had: the clock will do
    }
    await this.check(); // they may have changed since the server read them
    this.#schedule(this.#checkEvery);
  }

  async #listen(events: Deno.FsWatcher): Promise<void> {
    try {
      for await (const { kind } of events) {
        if (kind !== "access" && !this.#isSoon) this.#schedule(SETTLE); // not put off by what goes on there all the time
      }
    } catch (error) {
      if (!this.#closed) this.#tell(error);
    }
  }

  #schedule(seconds: number): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#isSoon = seconds === SETTLE;
    this.#timer = setTimeout(async () => {
      this.#isSoon = false;
      await this.check();
      if (!this.#isSoon) this.#schedule(this.#checkEvery);
    }, Math.min(seconds * 1000, LONGEST));
    Deno.unrefTimer(this.#timer);
  }

  check(): Promise<void> {
    return this.#work = this.#work.then(() => this.#check());
  }

  async #check(): Promise<void> {
    if (this.#closed) return;
    try {
      const before = await this.#hash();
      if (before === this.#inUse) {
        this.#told = undefined;
        return;
      }
      const isFirst = this.#inUse === undefined;
      await this.#server.setContext(this.#ssl);
      const after = await this.#hash();
      if (after !== before) this.#schedule(SETTLE); // they changed while they were read: once more
      this.#inUse = after === before ? after : "";
      this.#told = undefined;
      if (isFirst) return;
    } catch (error) {
      return this.#tell(error);
    }
    tell(this.#options.onRenewed);
  }

  /** A hash of the files, by their order. */
  async #hash(): Promise<string> {
    const hashes = await Promise.all(this.#files.map(async ([option, path]) => {
      const { bytes } = await loadSource(option, path);
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      bytes.fill(0);
      return hash;
    }));
    return concat([encodeText("files"), ...hashes]).toHex();
  }

  #tell(error: unknown): void {
    const text = String(error);
    if (text === this.#told || this.#closed) return;
    this.#told = text;
    const { onError = report } = this.#options;
    tell(onError, error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    try {
      this.#events?.close();
    } catch {
      // its folder is gone, and it is closed
    }
    await this.#listening;
    await this.#work;
    clearTimeout(this.#timer);
  }
}

/** The files that the options name. */
function filesOf(ssl: Omit<ContextOptions, "serverSide">): readonly Named[] {
  const { certfile, keyfile, certificates = [], caCerts, crls } = ssl;
  const own = certificates instanceof Certificate ? [] : certificates;
  const lists = { caCerts, crls } as Record<string, FileOrData | readonly FileOrData[] | undefined>;
  const named: [string, FileOrData | undefined][] = [
    ["certfile", certfile],
    ["keyfile", keyfile],
    ...own.flatMap(({ certfile, keyfile }): [string, FileOrData | undefined][] => [
      ["certfile", certfile],
      ["keyfile", keyfile],
    ]),
    ...Object.entries(lists).flatMap(([option, list]) =>
      (Array.isArray(list) ? list : [list]).map((one): [string, FileOrData | undefined] => [option, one])
    ),
  ];
  const files = named.flatMap(([option, value]) =>
    value instanceof URL || (typeof value === "string" && !value.includes("-----BEGIN "))
      ? [[option, value] as const]
      : []
  );
  if (files.length === 0) throw new TypeError("Cannot watch certificates: no option is the path of a file");
  return files;
}

function folderOf(path: string | URL): string {
  if (path instanceof URL) {
    return decodeURIComponent(new URL(".", path).pathname).replace(/^\/(?=[A-Za-z]:)/, "");
  }
  return path.replace(/[^/\\]*$/, "") || ".";
}

function report(error: unknown): void {
  console.error("Cannot renew certificates; the server goes on with those that it has:", error);
}
