/** `--starttls`: the words in plain text that a server of mail wants to hear before TLS. */

import { inTime } from "../deadline.ts";
import { CommandError } from "./flags.ts";
import { oneLine } from "./terminal.ts";

/** Something to say, and how the answer ends and begins if it is good. */
interface Step {
  /** `undefined`: the server speaks first. */
  readonly say?: string;
  /** The last line of the answer. */
  readonly last: RegExp;
  readonly good: RegExp;
}

const SMTP = { last: /^\d{3}(?!-)/ } as const; // RFC 5321 section 4.2.1: lines before it have a hyphen

/** The protocols, with their ports in plain text and their dialogs (RFC 3207, RFC 9051 section 6.2.1, RFC 2595). */
const PROTOCOLS = {
  smtp: {
    port: 25,
    steps: [
      { ...SMTP, good: /^220/ },
      { ...SMTP, say: "EHLO tlsio.invalid", good: /^250/ },
      { ...SMTP, say: "STARTTLS", good: /^220/ },
    ],
  },
  imap: {
    port: 143,
    steps: [{ last: /^\* /, good: /^\* OK/i }, { say: "a STARTTLS", last: /^a /, good: /^a OK/i }],
  },
  pop3: {
    port: 110,
    steps: [{ last: /^[+-]/, good: /^\+OK/ }, { say: "STLS", last: /^[+-]/, good: /^\+OK/ }],
  },
} as const satisfies Record<string, { port: number; steps: readonly Step[] }>;

/** A protocol. */
export type StartTlsProtocol = keyof typeof PROTOCOLS;

/** Their names. */
export const STARTTLS_PROTOCOLS = Object.keys(PROTOCOLS) as StartTlsProtocol[];

/** Where such servers are. */
export function startTlsPort(protocol: StartTlsProtocol): number {
  return PROTOCOLS[protocol].port;
}

const ANSWER_MAX = 16384; // bytes; a server's list of what it can do is below 1000

/**
 * Asks a server for TLS. If it will not, the connection is closed.
 *
 * @param protocol `undefined`: it speaks TLS from the first byte.
 * @param timeout Seconds for all of it.
 * @throws {CommandError} With what it said.
 */
export async function askForTls(
  conn: Deno.Conn,
  protocol: StartTlsProtocol | undefined,
  timeout: number,
): Promise<void> {
  if (protocol === undefined) return;
  const late = () => new Error(`timed out after ${timeout} seconds`);
  try {
    await inTime(talk(conn, PROTOCOLS[protocol].steps), timeout, late);
  } catch (error) {
    conn.close();
    throw new CommandError(`Cannot start TLS by ${protocol}: ${oneLine(error)}`, { cause: error });
  }
}

async function talk(conn: Deno.Conn, steps: readonly Step[]): Promise<void> {
  for (const { say, last, good } of steps) {
    if (say !== undefined) await writeAll(conn, `${say}\r\n`);
    const line = await lastLine(conn, last);
    if (!good.test(line)) throw new Error(`the server says ${JSON.stringify(line)}`);
  }
}

async function writeAll(conn: Deno.Conn, text: string): Promise<void> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

/** Reads an answer; what came behind it in plain text could be anyone's. */
async function lastLine(conn: Deno.Conn, last: RegExp): Promise<string> {
  const buffer = new Uint8Array(ANSWER_MAX);
  for (let length = 0; length < buffer.length;) {
    const n = await conn.read(buffer.subarray(length));
    if (n === null) throw new Error("the server has closed the connection");
    length += n;
    const lines = new TextDecoder().decode(buffer.subarray(0, length)).split("\n");
    const rest = lines.pop()!;
    const end = lines.findIndex((line) => last.test(line));
    if (end === -1) continue;
    if (end < lines.length - 1 || rest !== "") throw new Error("the server has sent more than its answer");
    return lines[end]!.trimEnd();
  }
  throw new Error("the server's answer has no end");
}
