/** What a fuzzer is after. */

import { SSLError } from "../../lib/errors.ts";
import { SECRETS } from "./scenarios.ts";

/** What was found. */
export type FindingKind =
  | "trap"
  | "exception"
  | "hang"
  | "leak"
  | "authentication"
  | "agreement"
  | "data"
  | "secret";

/** Something that must not be. */
export class Finding extends Error {
  /** What kind of thing it is. */
  readonly kind: FindingKind;

  constructor(kind: FindingKind, text: string, cause?: unknown) {
    super(`${kind}: ${text}`, { cause });
    this.kind = kind;
  }
}

/** Passes errors on that bytes from outside may cause; throws a {@linkcode Finding} for any other. */
export function expected(error: unknown, ...others: (new (...args: never[]) => Error)[]): Error {
  if (error instanceof Finding) throw error;
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  if (!(error instanceof SSLError) && !others.some((kind) => error instanceof kind)) {
    throw new Finding("exception", text, error);
  }
  if (error instanceof SSLError && /trapped/.test(error.message)) {
    throw new Finding("trap", String((error.cause as Error)?.stack ?? error.cause), error);
  }
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    const secret = SECRETS.find((secret) => (cause as Error).message.includes(secret));
    if (secret !== undefined) throw new Finding("secret", `an error shows one: ${cause.message}`, error);
  }
  return error as Error;
}
