/** The server that a command connects to, and the client that it is: flags that `tlsio connect` and `tlsio trace` share. */

import { isIP } from "node:net";
import type { ContextOptions } from "../context_options.ts";
import { SSLContext } from "../ssl.ts";
import { TLSVersion } from "../suites.ts";
import { STARTTLS_PROTOCOLS, startTlsPort, type StartTlsProtocol } from "./starttls.ts";
import { type Flags, inFlags, items, oneOf, UsageError, type Values } from "./flags.ts";

const HTTPS_PORT = 443;
const TIMEOUT = 10; // seconds; as wrapSocket()
const TIMEOUT_MAX = 3600; // seconds
const VERSIONS = { "1.2": TLSVersion.TLSv1_2, "1.3": TLSVersion.TLSv1_3 } as const;

/** The flags. */
export const TARGET_FLAGS = {
  "servername": { value: "<name>", help: "the name to ask for and to check (default the host)" },
  "ca": { value: "<file>", help: "trust these certificates instead of the Mozilla roots" },
  "cert": { value: "<file>", help: "a certificate of our own to show to the server" },
  "key": { value: "<file>", help: "its key" },
  "alpn": { value: "<names>", many: true, help: "protocols to offer, best first, as in h2,http/1.1" },
  "tls": { value: "<version>", help: "1.2 or 1.3 (default the best of both)" },
  "ciphers": { value: "<names>", many: true, help: "cipher suites to offer, best first" },
  "groups": { value: "<names>", many: true, help: "groups to offer, best first, as in x25519,secp256r1" },
  "profile": { value: "<name>", help: "which defaults of TLS to use (default default)" },
  "timeout": { value: "<seconds>", help: `for connecting, and for a handshake (default ${TIMEOUT})` },
  "starttls": { value: "<protocol>", help: `ask for TLS first: ${STARTTLS_PROTOCOLS.join(", ")}` },
  "no-check": { help: "do not check the certificate" },
} as const satisfies Flags;

type TargetValues = Values<typeof TARGET_FLAGS>;

/** Their notes in the help text. */
export const TARGET_NOTES = `The port is ${HTTPS_PORT} when none is given, or that of --starttls.`;

/** What they say. */
export interface TargetOptions {
  readonly host: string;
  readonly port: number;
  readonly servername: string;
  /** Seconds for each step. */
  readonly timeout: number;
  /** Whether the certificate is checked. */
  readonly check: boolean;
  /** The protocols to offer. */
  readonly alpn: readonly string[];
  /** What is spoken before TLS. */
  readonly starttls?: StartTlsProtocol;
  /** Of the client's context, but for `certReqs`. */
  readonly context: ContextOptions;
}

/**
 * Reads them.
 *
 * @throws {UsageError} If one of them, or the operand, is wrong.
 */
export function targetOf(values: TargetValues, operand: string): TargetOptions {
  const { ca, cert, key, profile } = values;
  const check = !values["no-check"];
  const [alpn, ciphers, groups] = [values.alpn, values.ciphers, values.groups].map((names) =>
    items(names ?? [])
  );
  if ((cert === undefined) !== (key === undefined)) throw new UsageError("--cert and --key go together");
  const tls = values.tls && oneOf("tls", values.tls, Object.keys(VERSIONS) as (keyof typeof VERSIONS)[]);
  const starttls = values.starttls && oneOf("starttls", values.starttls, STARTTLS_PROTOCOLS);
  const address = parseOperand(operand, starttls ? startTlsPort(starttls) : HTTPS_PORT);
  return {
    ...address,
    servername: values.servername ?? address.host,
    timeout: seconds(values.timeout ?? String(TIMEOUT)),
    check,
    alpn: alpn!,
    ...(starttls && { starttls }),
    context: {
      ...(ca && check && { caCerts: ca }),
      ...(cert && key && { certfile: cert, keyfile: key }),
      ...(alpn!.length > 0 && { alpnProtocols: alpn! }),
      ...(tls && { sslVersion: VERSIONS[tls] }),
      ...(ciphers!.length > 0 && { ciphers: ciphers! }),
      ...(groups!.length > 0 && { groups: groups! }),
      ...(profile && { profile }),
    },
  };
}

/**
 * The client's context.
 *
 * @throws {UsageError} For options that do not go together or do not exist, by the names of their flags.
 */
export async function clientContext(options: ContextOptions): Promise<SSLContext> {
  const flags = {
    ...{
      caCerts: "--ca",
      certfile: "--cert",
      keyfile: "--key",
      alpnProtocols: "--alpn",
      sslVersion: "--tls",
    },
    ...{ ciphers: "--ciphers", groups: "--groups", profile: "--profile", psk: "--psk" },
  };
  try {
    return await SSLContext.create(options);
  } catch (error) {
    const named = inFlags(error, flags);
    const isUsage = named instanceof TypeError || named instanceof RangeError;
    throw isUsage ? new UsageError(named.message, { cause: error }) : named;
  }
}

/** `host`, `host:port`, `[::1]:port`, `::1`. */
export function parseOperand(text: string, usual = HTTPS_PORT): { host: string; port: number } {
  if (isIP(text) === 6) return { host: text, port: usual };
  const [, literal, name, port = String(usual)] = text.match(/^(?:\[([^\]]+)\]|([^:/\s]+))(?::(\d+))?$/) ??
    [];
  const host = literal ?? name;
  if (
    host === undefined || (literal !== undefined && isIP(literal) !== 6) || !(+port >= 1 && +port <= 65535)
  ) {
    throw new UsageError(`cannot connect to "${text}": expected host:port, port from 1 to 65535`);
  }
  return { host, port: Number(port) };
}

function seconds(text: string): number {
  const number = Number(text);
  if (!(number > 0 && number <= TIMEOUT_MAX)) {
    throw new UsageError(`--timeout takes seconds, above 0 to ${TIMEOUT_MAX}, not "${text}"`);
  }
  return number;
}
