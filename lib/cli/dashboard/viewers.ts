/**
 * Who watches: each viewer has a stream of server-sent events, and all of them one timer, which runs as long as there is one.
 *
 * @module
 */

/** Viewers at once: a team and its wall. */
export const VIEWERS_MAX = 16;
/** Events that wait for a viewer who does not read; at the next it is dropped. */
const BEHIND_MAX = 8;
const INTERVAL = 1000; // milliseconds
const RETRY = 2000; // milliseconds after which a browser tries again

/** What is shown. */
export interface Show {
  /** The first viewer has come, or the last one has gone. */
  watched(isWatched: boolean): void;
  /** What a viewer is told first, by the names of events. */
  greeting(): Readonly<Record<string, unknown>>;
  /** What all are told now. */
  now(): Promise<unknown>;
}

type Stream = ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;

/** The viewers. */
export class Viewers implements Disposable {
  readonly #show: Show;
  readonly #interval: number;
  readonly #streams = new Set<Stream>();
  readonly #encoder = new TextEncoder();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  /** Nobody watches yet. */
  constructor(show: Show, interval = INTERVAL) {
    this.#show = show;
    this.#interval = interval;
  }

  /** How many there are. */
  get size(): number {
    return this.#streams.size;
  }

  /** The stream of one more; `undefined`: there are {@linkcode VIEWERS_MAX}. */
  join(): ReadableStream<Uint8Array<ArrayBuffer>> | undefined {
    if (this.#streams.size >= VIEWERS_MAX || this.#isClosed) return undefined;
    const events = Object.entries(this.#show.greeting()).map(([name, data]) => event(data, name));
    let own: Stream;
    return new ReadableStream({
      start: (stream) => {
        own = stream;
        this.#streams.add(stream);
        stream.enqueue(this.#encoder.encode(`retry: ${RETRY}\n\n${events.join("")}`));
        if (this.#streams.size > 1) return;
        this.#show.watched(true);
        this.#timer = setTimeout(() => this.#tell());
      },
      cancel: () => this.#leave(own),
    }, new CountQueuingStrategy({ highWaterMark: BEHIND_MAX }));
  }

  /** Tells all, and again a second after this began. */
  async #tell(): Promise<void> {
    const timer = this.#timer;
    const started = performance.now();
    const message = await this.#show.now().then((now) => this.#encoder.encode(event(now)), () => undefined);
    if (this.#timer !== timer) return; // all have left meanwhile
    for (const stream of this.#streams) {
      if ((stream.desiredSize ?? 0) <= 0) {
        stream.error(new Error("Cannot go on with the events: the viewer does not read them"));
        this.#leave(stream);
      } else if (message !== undefined) stream.enqueue(message);
    }
    if (this.#streams.size === 0) return;
    const left = Math.max(0, this.#interval - (performance.now() - started));
    this.#timer = setTimeout(() => this.#tell(), left);
  }

  #leave(stream: Stream): void {
    if (!this.#streams.delete(stream) || this.#streams.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#show.watched(false);
  }

  /** Ends all streams. */
  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const stream of [...this.#streams]) {
      stream.close();
      this.#leave(stream);
    }
  }
}

/** An event as it is sent. */
function event(data: unknown, name?: string): string {
  return `${name === undefined ? "" : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`; // JSON has no line breaks
}
