/** Flags of a command: one table, from which parsing, checks, types and the help text all come. */

import { parseArgs } from "../_std/cli.js";
import { fold } from "./terminal.ts";

/** One flag. */
export interface Flag {
  /** What stands for its value in the help text; none: a switch. */
  readonly value?: string;
  /** It may be given without its value, then it is `"-"`; a value follows "=". */
  readonly optional?: true;
  /** It may be given several times. */
  readonly many?: true;
  /** What it does. */
  readonly help: string;
}

/** The flags of a command by name. */
export type Flags = Readonly<Record<string, Flag>>;

/** What was given: a switch is `true`, a flag its text, a flag of many the list of its texts. */
export type Values<F extends Flags> = {
  readonly [Name in keyof F]?: F[Name] extends { many: true } ? string[]
    : F[Name] extends { value: string } ? string
    : true;
};

/** A command of the program. */
export interface Command<F extends Flags = Flags> {
  readonly name: string;
  /** What it does, in a line. */
  readonly summary: string;
  /** Its arguments in the help text: `"[dir]"`. */
  readonly operands: string;
  /** How many arguments it takes. */
  readonly arity: readonly [least: number, most: number];
  readonly flags: F;
  /** What else the help text says. */
  readonly notes: string;
  /** Does it; returns the exit code. */
  run(values: Values<F>, operands: readonly string[]): Promise<number>;
}

/** Wrong arguments: exit code 2. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
}

/** Something that the user has to change, in words that need no stack trace: exit code 1. */
export class CommandError extends Error {
  override readonly name: string = "CommandError";
}

/** An error of a layer below, with its names of options replaced by those of our flags. */
export function inFlags(error: unknown, flags: Readonly<Record<string, string>>): unknown {
  if (!(error instanceof Error)) return error;
  const names = new RegExp(`\\b(${Object.keys(flags).join("|")})\\b(?= "|:)`, "g");
  error.message = error.message.replace(names, (name) => flags[name]!);
  return error;
}

/** For the inference of the types of `values`. */
export function defineCommand<const F extends Flags>(command: Command<F>): Command {
  return command as unknown as Command;
}

/** What {@linkcode parse} found. */
export interface Parsed {
  readonly help: boolean;
  readonly values: Values<Flags>;
  readonly operands: readonly string[];
}

/**
 * Parses the arguments of a command.
 *
 * @throws {UsageError} Naming the argument that is wrong.
 */
export function parse(command: Command, args: readonly string[]): Parsed {
  const { flags, operands, arity: [least, most] } = command;
  const names = Object.keys(flags);
  const ends = args.indexOf("--");
  for (const arg of args.slice(0, ends === -1 ? undefined : ends)) {
    const [, name] = /^--([^=]+)=/.exec(arg) ?? [];
    if (name !== undefined && Object.hasOwn(flags, name) && flags[name]!.value === undefined) {
      throw new UsageError(`--${name} takes no value`);
    }
    if (/^(-[^-]*_|--(no-)?_(=|$))/.test(arg)) throw new UsageError(`unknown flag "${arg}"`); // parseArgs() keeps operands in "_"
  }
  const withValues = args.map((arg) =>
    flags[arg.slice(2)]?.optional && arg.startsWith("--") ? `${arg}=-` : arg
  );
  const { _, help, h: __, ...given } = parseArgs(withValues, {
    string: ["_", ...names.filter((name) => flags[name]!.value !== undefined)],
    boolean: ["help", ...names.filter((name) => flags[name]!.value === undefined)],
    collect: names.filter((name) => flags[name]!.many),
    alias: { help: "h" },
    unknown: (arg, key) => {
      if (key !== undefined) throw new UsageError(`unknown flag "${arg}"`);
      return true;
    },
  });
  if (help === true) return { help, values: {}, operands: [] };

  const values = Object.entries(given).filter(([, value]) => value !== false);
  for (const [name, value] of values) {
    if (value === "" || (Array.isArray(value) && value.includes(""))) {
      throw new UsageError(`--${name} needs a value, ${flags[name]!.value}`);
    }
  }
  const rest = _.map(String);
  if (rest.length > most) throw new UsageError(`unexpected argument "${rest[most]}"`);
  if (rest.length < least) throw new UsageError(`missing argument ${operands}`);
  const found = values.filter(([, value]) => !(Array.isArray(value) && value.length === 0));
  return { help: false, values: Object.fromEntries(found) as Values<Flags>, operands: rest };
}

/** The help text of a command. */
export function helpText({ name, summary, operands, flags, notes }: Command): string {
  const rows = Object.entries({ ...flags, "help, -h": { help: "show this" } as Flag })
    .map(([flag, { value, optional, help }]) => {
      const shown = value === undefined ? "" : optional ? `[=${value}]` : ` ${value}`;
      return [`--${flag}${shown}`, help] as const;
    });
  return [
    `${summary}`,
    "",
    `Usage: tlsio ${name} ${operands === "" ? "" : `${operands} `}[flags]`,
    "",
    "Flags:",
    columns(rows),
    ...(notes === "" ? [] : ["", notes.trim()]),
  ].join("\n");
}

/** A row of {@linkcode columns}; `"whole"`: it is to be copied, and not folded. */
export type Row = readonly [left: string, right: string, whole?: "whole"];

/** Two columns, the first as wide as it needs; the second is folded where both are wider than `most`. */
export function columns(rows: readonly Row[], most = Infinity): string {
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return rows.map(([left, right, whole]) =>
    `  ${left.padEnd(width)}${fold(right, whole ? Infinity : most, 2 + width)}`
  ).join("\n");
}

/** A whole number in a range. */
export function wholeNumber(flag: string, text: string, least: number, most: number): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < least || number > most) {
    throw new UsageError(`--${flag} takes a whole number from ${least} to ${most}, not "${text}"`);
  }
  return number;
}

/** One of a few words, in any case; as the list spells it. */
export function oneOf<T extends string>(flag: string, text: string, known: readonly T[]): T {
  const found = known.find((word) => word.toLowerCase() === text.toLowerCase());
  if (found === undefined) throw new UsageError(`--${flag} takes ${known.join(", ")}, not "${text}"`);
  return found;
}

/** The items of a list that may be given at once, with commas, or one by one. */
export function items(texts: readonly string[]): string[] {
  return texts.flatMap((text) => text.split(",")).map((item) => item.trim()).filter((item) => item !== "");
}
