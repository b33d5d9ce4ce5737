/**
 * What messages and operations are for, each kind with its colour, the same in all drawings.
 *
 * @module
 */

import type { LegendEntry } from "./page.ts";
import { KINDS, REST } from "./style.ts";

/** A kind, as the legend has it. */
export interface Kind extends LegendEntry {
  /** Short, for a part of a bar. */
  readonly short: string;
}

const kind = (short: string, colour: number, name = short): Kind => ({ name, short, colour: KINDS[colour]! });

/** Kinds of messages, in the order of a bar. */
const MESSAGES: readonly (readonly [kind: Kind, names: readonly string[]])[] = [
  [kind("certificates", 3), ["certificate", "certificate_status", "compressed_certificate"]],
  [kind("hellos", 0, "hellos, extensions"), [
    ...["client_hello", "server_hello", "hello_retry_request", "encrypted_extensions"],
  ]],
  [kind("keys, signatures", 1), ["server_key_exchange", "client_key_exchange", "certificate_verify"]],
  [kind("tickets", 2), ["new_session_ticket"]],
  [kind("finished", 5), ["finished", "change_cipher_spec"]],
];
const OTHER_MESSAGES = kind("other", 4, "other messages");

/** All kinds of messages, in the order of a bar. */
export const MESSAGE_KINDS: readonly Kind[] = [...MESSAGES.map(([kind]) => kind), OTHER_MESSAGES];

/** What a message is for, by its name in the trace. */
export function messageKind(name: string): Kind {
  return MESSAGES.find(([, names]) => names.includes(name))?.[0] ?? OTHER_MESSAGES;
}

const OPERATIONS: readonly (readonly [kind: Kind, pattern: RegExp])[] = [
  [kind("key agreement", 0), / multiply$/],
  [kind("signing", 1, "signing, decrypting"), / sign$| private (cold|warm)$/],
  [kind("verifying", 2, "verifying, encrypting"), / verify$| public$/],
];
const OTHER_OPERATIONS: Kind = {
  ...{ name: "all else: messages, hashes, ciphers, the engine", short: "other", colour: REST },
};

/** All kinds of operations, in the order of a bar. */
export const OPERATION_KINDS: readonly Kind[] = [...OPERATIONS.map(([kind]) => kind), OTHER_OPERATIONS];

/** What an operation is for, by its name. */
export function operationKind(name: string): Kind {
  return OPERATIONS.find(([, pattern]) => pattern.test(name))?.[0] ?? OTHER_OPERATIONS;
}

/** Whether it is an operation with a key: what takes the time. */
export function isKeyOperation(name: string): boolean {
  return OPERATIONS.some(([, pattern]) => pattern.test(name));
}
