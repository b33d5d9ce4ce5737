/**
 * Texts that are read: hosts and addresses, PEM, times, the key of a store, answers of mail servers before STARTTLS, the arguments of the
 * command line.
 *
 * @module
 */

import { isIP } from "node:net";
import { type Bytes, concat, encodeText } from "../../lib/bytes.ts";
import { bench } from "../../lib/cli/bench.ts";
import { cert } from "../../lib/cli/cert.ts";
import { connect } from "../../lib/cli/connect.ts";
import { CommandError, parse, UsageError } from "../../lib/cli/flags.ts";
import { serve } from "../../lib/cli/serve.ts";
import { askForTls, STARTTLS_PROTOCOLS } from "../../lib/cli/starttls.ts";
import { parseOperand } from "../../lib/cli/target.ts";
import { trace } from "../../lib/cli/trace.ts";
import { normalizeHostname } from "../../lib/hostname.ts";
import { parseAddress } from "../../lib/ip_address.ts";
import { certTimeToSeconds, derToPem, pemToDer } from "../../lib/pem.ts";
import { StoreKey } from "../../lib/stores/store_key.ts";
import { expected, Finding } from "./finding.ts";
import type { Target } from "./target.ts";

interface Reader {
  readonly seeds: readonly string[];
  /** What comes of it, in a word or two. */
  read(text: string, bytes: Bytes): string | Promise<string>;
}

const VARIABLE = `TLSIO_FUZZ_${crypto.randomUUID()}`; // each thread its own: they share the environment
const ASCII = /^[!-~]*$/;

const READERS: readonly Reader[] = [
  {
    seeds: ["127.0.0.1", "::1", "2001:db8::ffff:192.0.2.1", "1.2.3.04"],
    read(text) {
      const address = parseAddress(text);
      const version = address === undefined ? 0 : address.length === 4 ? 4 : 6;
      if (version !== isIP(text)) {
        throw new Finding("data", `an address of version ${version}, not ${isIP(text)}`);
      }
      return `version ${version}`;
    },
  },
  {
    seeds: ["Example.COM.", "[::1]", "bücher.example", "0x7f.1"],
    read(text) {
      const host = normalizeHostname(text);
      if (normalizeHostname(host) !== host) throw new Finding("data", `"${host}" is not what it becomes`);
      const same = text.toLowerCase().replace(/\.$/, "");
      if (
        ASCII.test(text) && host !== same && `[${host}]` !== same.replace(/^\[(.*)\]$/, "[$1]") &&
        isIP(host) === 0
      ) {
        throw new Finding("data", `it is taken for another host, "${host}"`);
      }
      return `a host of kind ${isIP(host)}`;
    },
  },
  {
    seeds: [derToPem(Uint8Array.of(0x30, 0)), `x\n${derToPem(new Uint8Array(100))}y`],
    read(text) {
      const der = pemToDer(text);
      if (pemToDer(derToPem(der)).toHex() !== der.toHex()) throw new Finding("data", "its PEM is another's");
      return "der";
    },
  },
  {
    seeds: ["Jan  5 09:34:43 2018 GMT", "Feb 29 23:59:60 2000 GMT"],
    read(text) {
      if (!Number.isSafeInteger(certTimeToSeconds(text))) throw new Finding("data", "no number of seconds");
      return "a time";
    },
  },
  {
    seeds: [
      new Uint8Array(32).toBase64(),
      `${new Uint8Array(33).toBase64()} ${new Uint8Array(40).toBase64()}\n`,
    ],
    async read(text) {
      Deno.env.set(VARIABLE, text.replaceAll("\0", "0"));
      return Deno.inspect(await StoreKey.fromEnv(VARIABLE));
    },
  },
  {
    seeds: [
      "\x00\x10220 mail\r\n250-mail\r\n250 STARTTLS\r\n220 go\r\n",
      "\x01\x07* OK imap\r\na OK go\r\n",
      "\x02\x7f+OK pop\r\n+OK\r\n",
    ],
    async read(_, bytes) {
      const [protocol = 0, piece = 0] = bytes;
      const rest = bytes.subarray(2);
      let at = 0;
      const conn = {
        read(buffer: Uint8Array) {
          if (at >= rest.length) return Promise.resolve(null);
          const part = rest.subarray(at, at + Math.min(1 + piece, buffer.length));
          buffer.set(part);
          at += part.length;
          return Promise.resolve(part.length);
        },
        write: (sent: Uint8Array) => Promise.resolve(sent.length),
        close() {},
      } as unknown as Deno.Conn;
      await askForTls(conn, STARTTLS_PROTOCOLS[protocol % STARTTLS_PROTOCOLS.length], 30);
      return "starts TLS";
    },
  },
  {
    seeds: ["example.com:443", "[::1]:8443", "::1"],
    read(text) {
      const { host, port } = parseOperand(text);
      if (host === "" || !(port >= 1 && port <= 65535)) throw new Finding("data", `${host} ${port}`);
      return "an operand";
    },
  },
  {
    seeds: [
      "\x00example.com:443\0--ca\0x.pem",
      "\x01--port=1\0site\0--trace",
      "\x02--host\0a",
      "\x03-h",
      "\x04--json\0b:1",
    ],
    read(text) {
      const commands = [connect, serve, cert, trace, bench];
      const { help, operands } = parse(
        commands[text.charCodeAt(0) % 5] ?? connect,
        text.slice(1).split("\0"),
      );
      return help ? "help" : `${operands.length} operands`;
    },
  },
];

/** Texts; the first byte says what they are read as. */
export function textTarget(): Target {
  return {
    name: "text",
    seeds: () =>
      READERS.flatMap(({ seeds }, i) => seeds.map((text) => concat([Uint8Array.of(i), encodeText(text)]))),
    async run(bytes) {
      const i = (bytes[0] ?? 0) % READERS.length;
      const content = bytes.slice(1);
      try {
        return `${i} ${await READERS[i]!.read(new TextDecoder().decode(content), content)}`;
      } catch (error) {
        const { name, message } = expected(
          error,
          TypeError,
          RangeError,
          SyntaxError,
          UsageError,
          CommandError,
        );
        // Ours say what cannot be done; JavaScript's own would be a slip.
        if (!(error instanceof UsageError) && !/^Cannot (use|read the|read PEM|start TLS)/.test(message)) {
          throw new Finding("exception", message, error);
        }
        return `${i} ${name} ${message.slice(0, 12)}`;
      }
    },
  };
}
