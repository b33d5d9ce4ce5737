/** `tlsio serve --profile esp32`: its flags, and the server that they make. */

import type { ContextOptions } from "../context_options.ts";
import type { Device } from "../cost/device.ts";
import { estimate } from "../cost/estimate.ts";
import type { HttpHandler } from "../http.ts";
import type { SSLSocket } from "../socket.ts";
import { Board, type BoardFacts, boardFacts, hasFigures } from "./device_board.ts";
import { DeviceLog, deviceRows } from "./device_lines.ts";
import { Pace, Processor, type Work } from "./device_pace.ts";
import type { DeviceServer } from "./device_server.ts";
import { UsageError, wholeNumber } from "./flags.ts";
import type { ServeTrace } from "./serve_trace.ts";

const HEAP = { least: 40, most: 110 }; // KiB; what reports say is left on an ESP32 with WiFi

/** The flags that make sense for a device alone. */
export const DEVICE_FLAGS = {
  "heap": { value: "<KiB>", help: "a device's heap for TLS, 40 to 110 (default the profile's, 60)" },
  "clock": { value: "<date>", help: "what a device's clock says: 1970, or 2000-01-01, as before NTP" },
  "one-at-a-time": { help: "accept, wrap, serve, close: the loop of the book's programs" },
  "slow": { help: "simulate a device's time: answers wait as long as they likely take there" },
} as const;

/** What was given of them, and of those that a device does not have. */
export interface DeviceValues {
  readonly profile?: string;
  readonly heap?: string;
  readonly clock?: string;
  readonly "one-at-a-time"?: true;
  readonly slow?: true;
  readonly workers?: string;
}

/** What they say. */
export interface DeviceOptions {
  readonly facts: BoardFacts;
  /** Bytes. */
  readonly heap: number | undefined;
  /** Milliseconds since the Unix epoch. */
  readonly clock: number | undefined;
  readonly oneAtATime: boolean;
  readonly slow: boolean;
}

/**
 * Checks the flags; `undefined`: the profile is no device's.
 *
 * @throws {UsageError} For a flag that the profile has no use for.
 */
export function deviceOptions(values: DeviceValues): DeviceOptions | undefined {
  const { profile } = values;
  const facts = boardFacts(profile);
  if (facts === undefined) {
    const name = (Object.keys(DEVICE_FLAGS) as (keyof typeof DEVICE_FLAGS)[]).find((flag) => values[flag]);
    if (name === undefined) return undefined;
    throw new UsageError(`--${name} is for a device: give its --profile, too, such as esp32`);
  }
  if (values.workers !== undefined) {
    throw new UsageError(
      `--workers and --profile ${profile} exclude each other: a device has one processor and one heap`,
    );
  }
  if (values["one-at-a-time"] && facts.behaviour.whenFull !== "wait") {
    throw new UsageError(
      `--one-at-a-time is not for --profile ${profile}: its server keeps its clients at once`,
    );
  }
  if (values.clock !== undefined && !facts.dates) {
    throw new UsageError(`--clock is not for --profile ${profile}: its mbedTLS does not look at dates`);
  }
  if (values.slow && !hasFigures(facts)) {
    throw new UsageError(`--slow is not for --profile ${profile}: nobody has published how long it takes`);
  }
  return {
    facts,
    heap: values.heap === undefined
      ? undefined
      : 1024 * wholeNumber("heap", values.heap, HEAP.least, HEAP.most),
    clock: values.clock === undefined ? undefined : date(values.clock),
    oneAtATime: values["one-at-a-time"] ?? false,
    slow: values.slow ?? false,
  };
}

/** A year, a day, or a time in UTC. */
function date(text: string): number {
  const known = /^\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d)?Z?)?)?)?$/.test(text);
  const time = known ? Date.parse(text.includes("T") && !text.endsWith("Z") ? `${text}Z` : text) : NaN;
  if (time >= 0 && new Date(time).toISOString().startsWith(text.slice(0, 10))) return time; // no 31st of February
  throw new UsageError(
    `--clock takes a date from 1970 on, such as 1970, 2000-01-01 or 2026-11-21T12:00, not "${text}"`,
  );
}

/** What `tlsio serve` serves with when its profile is a device's. */
export interface ServingDevice extends Disposable {
  /** What the announcement says of it. */
  readonly rows: readonly [label: string, text: string][];
  /** Starts the server. */
  start(
    handler: HttpHandler,
    listen: (backlog: number) => Deno.TcpListener,
    trace?: ServeTrace,
  ): DeviceServer;
  /** Ends all simulated waits: the server is to close. */
  hurry(): void;
  /** What is to be said at the end. */
  summary(): string;
}

/** Makes the board. Its server starts later. */
export async function openDevice(
  { facts, heap, clock, oneAtATime, slow }: DeviceOptions,
  ssl: ContextOptions,
  quiet: boolean,
): Promise<ServingDevice> {
  const { DeviceServer } = await import("./device_server.ts"); // here: it loads node:http, which other commands do not need
  const board = await Board.open(facts, ssl, {
    heap,
    clock,
    contextForEach: oneAtATime || facts.behaviour.key === "its own",
  });
  const mode = { oneAtATime, slow, clock: clock !== undefined };
  const processor = new Processor();
  let server: DeviceServer | undefined;
  const log = new DeviceLog(board, mode, () => server?.sockets ?? 0, quiet);
  return {
    rows: deviceRows(board, mode),
    start: (handler, listen, trace) =>
      server = new DeviceServer({
        board,
        handler,
        oneAtATime,
        listener: listen(facts.behaviour.backlog),
        report: log,
        ...(trace && { watch: (link) => trace.watch(link) }),
        ...(slow && {
          prepare: (socket, link) => void (link.pace = new Pace(processor, workOf(socket, facts.device!))),
        }),
      }),
    hurry: () => processor.hurry(),
    summary: () => log.summary(),
    [Symbol.dispose]: () => board[Symbol.dispose](),
  };
}

/** What a device does for a connection. */
function workOf(socket: SSLSocket, device: Device): Work {
  const { fixed } = device;
  return {
    computed() {
      const { handshake, total } = socket.cost();
      return estimate({ ...handshake, ...total }, device).groups.cpu.likely;
    },
    perKib: device.transfer?.likely ?? 0,
    fixed: Object.values(fixed).reduce((sum, { likely }) => sum + likely, 0),
  };
}
