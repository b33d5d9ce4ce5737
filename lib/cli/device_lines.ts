/** What `tlsio serve --profile esp32` prints: the device, its heap and sockets, a line for each connection. */

import type { HandshakeCost } from "../cost/cost.ts";
import { type Estimate, estimate } from "../cost/estimate.ts";
import type { SSLSocket } from "../socket.ts";
import type { Board } from "./device_board.ts";
import { mbedtlsError, micropythonError } from "./device_errors.ts";
import type { DeviceLink } from "./device_link.ts";
import type { DeviceReport } from "./device_server.ts";
import { address, clock, serverError } from "./site.ts";
import { fold, oneLine, outputStyle, terminalWidth } from "./terminal.ts";

/** How the server is set up. */
export interface DeviceMode {
  readonly oneAtATime: boolean;
  readonly slow: boolean;
  readonly clock: boolean;
}

/** The rows that say what the device is, for the announcement. */
export function deviceRows(board: Board, mode: DeviceMode): [label: string, text: string][] {
  const {
    facts: { behaviour: { sockets, backlog }, device, description, table, behaviour },
    heap,
  } = board;
  const rows: [string, string][] = [
    ["Device", behaviour.profile === table ? device!.description : description],
    ["Core", `${board.version}, TLS 1.2 alone, no resumption`],
    [
      "Modelled",
      "mbedTLS and its settings, the heap that it takes, the sockets, what goes wrong without room",
    ],
    [
      "Not modelled",
      "fragmentation, WiFi, lwIP's buffers, the interpreter and its heap, speed: times are estimates",
    ],
    [
      "Heap",
      heap === undefined
        ? CRASHED
        : `${kib(heap.budget)}, blocks to ${kib(heap.largestBlock)}; in use ${kib(heap.used)}`,
    ],
    ["Sockets", `${sockets}, backlog ${backlog}; ${serving(board, mode)}`],
  ];
  if (mode.clock) {
    rows.push(["Clock", `${new Date(board.now()).toISOString().slice(0, 19)}Z when it started`]);
  }
  if (mode.slow) rows.push(["Slow", "a simulation: answers wait as long as the device would likely take"]);
  return rows;
}

const CRASHED = "the board has crashed";

function serving({ facts }: Board, { oneAtATime }: DeviceMode): string {
  if (oneAtATime) return "one client after the other, a new context for each (ssl.wrap_socket)";
  const context = facts.behaviour.key === "its own" ? "a new context for each" : "one context";
  const purge = facts.behaviour.whenFull === "wait" ? "" : ", the least recently used makes room";
  return `all at once, ${context}${facts.requests === 1 ? ", one request a connection" : ""}${purge}`;
}

/** Prints what becomes of the connections of a board. */
export class DeviceLog implements DeviceReport {
  readonly #board: Board;
  readonly #mode: DeviceMode;
  readonly #sockets: () => number;
  readonly #quiet: boolean;
  #opened = 0;
  #failed = 0;

  /** `sockets` are those in use; `quiet`: no lines but the last. */
  constructor(board: Board, mode: DeviceMode, sockets: () => number, quiet: boolean) {
    [this.#board, this.#mode, this.#sockets, this.#quiet] = [board, mode, sockets, quiet];
  }

  #line(link: DeviceLink, text: string): void {
    if (this.#quiet) return;
    const from = `${clock()} ${address(link.remoteAddr)}`;
    console.log(`${outputStyle().dim(from)} ${fold(text, terminalWidth(), from.length + 1, "; ")}`);
  }

  /** A handshake is done: its facts. */
  open(socket: SSLSocket, link: DeviceLink): void {
    this.#opened++;
    const { handshake } = socket.cost();
    const { up, down } = handshake.network;
    const name = handshake.resumed ? "resumed" : "handshake";
    this.#line(
      link,
      [
        `${name} ${socket.version()} ${socket.cipher()!.name} ${socket.group() ?? "no group"}`,
        `${up.bytes} B in, ${down.bytes} B out`,
        ...(handshake.heap
          ? [`heap peak ${kib(handshake.heap.peak)}, then ${kib(handshake.heap.live)}`]
          : []),
        this.#time(handshake, link),
        this.#state(),
      ].join("; "),
    );
  }

  #time(handshake: HandshakeCost, { pace }: DeviceLink): string {
    const { device, behaviour: { profile } } = this.#board.facts;
    const estimated = device && estimate(handshake, device);
    if (estimated === undefined || estimated.likely === 0) {
      return `nobody has published how long it takes on ${profile}`;
    }
    return pace === undefined
      ? estimateText(estimated)
      : `${estimateText(estimated)}; SIMULATED, the client waits ${seconds(pace.total)}`;
  }

  /** A connection has failed: what the device would say. */
  failed(error: unknown, link: DeviceLink): void {
    this.#failed++;
    const say = this.#board.facts.errors === "MicroPython" ? micropythonError : mbedtlsError;
    this.#line(link, `${outputStyle().bad("failed")}: ${say(error)}; ${this.#state()}`);
  }

  /** It had to make room. */
  purged(link: DeviceLink): void {
    this.#line(link, `closed for a new one: it was used least recently; ${this.#state()}`);
  }

  /** This machine's trouble, not the device's. */
  acceptFailed(error: unknown): void {
    console.error(`tlsio serve: Cannot accept: ${oneLine(error)}`);
  }

  /** A handler threw. */
  serverError(error: unknown): Response {
    return serverError(error);
  }

  #state(): string {
    const { heap, facts: { behaviour } } = this.#board;
    const sockets = `${this.#sockets()} of ${behaviour.sockets} sockets`;
    if (heap === undefined) return `${CRASHED}, ${sockets}`;
    const refused = heap.refused === 0 ? "" : `, ${heap.refused} refused`;
    const memory = `board ${tenths(heap.used)} of ${kib(heap.budget)}, peak ${tenths(heap.peak)}${refused}`;
    return `${memory}, ${sockets}`;
  }

  /** What there was, for the end. */
  summary(): string {
    const { heap } = this.#board;
    const memory = heap === undefined
      ? CRASHED
      : `heap: ${tenths(heap.peak)} of ${kib(heap.budget)} at its peak, blocks refused: ${heap.refused}`;
    const slow = this.#mode.slow ? "; all waits were a simulation" : "";
    return `Handshakes: ${this.#opened}, failed: ${this.#failed}; ${memory}${slow}`;
  }
}

/** `"0.61 s on the device (0.47 to 0.84, derived)"`. */
export function estimateText({ likely, low, high, reliability, missing }: Estimate): string {
  const without = missing.length === 0 ? "" : `, without ${missing.join(", ")}`;
  return `${seconds(likely)} on the device (${seconds(low)} to ${seconds(high)}, ${reliability}${without})`;
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

function kib(bytes: number): string {
  return `${tenths(bytes)} KiB`;
}

function tenths(bytes: number): string {
  return (bytes / 1024).toFixed(1);
}
