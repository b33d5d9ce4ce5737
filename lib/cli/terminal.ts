/** What the program prints: colours where a terminal shows them, and nothing of a peer's that a terminal obeys. */

/** Puts a colour on text. */
export type Paint = (text: string) => string;

/** The colours in use. */
export interface Style {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly good: Paint;
  readonly bad: Paint;
}

/** Colours for standard output: only on a terminal, and not with NO_COLOR (https://no-color.org). */
export function outputStyle(): Style {
  const on = Deno.stdout.isTerminal() && !Deno.noColor;
  const paint = (code: number): Paint => (text) => on ? `\x1b[${code}m${text}\x1b[0m` : text;
  return { bold: paint(1), dim: paint(2), good: paint(32), bad: paint(31) };
}

/** Columns of the terminal; `otherwise`: the output goes to a file or another program, which wants its lines whole. */
export function terminalWidth(otherwise = Infinity): number {
  try {
    return Deno.stdout.isTerminal() ? Deno.consoleSize().columns : otherwise;
  } catch {
    return otherwise;
  }
}

/**
 * Text in lines of `width` columns, which end behind a `mark` where one fits. The first begins in column `indent`, and so do
 * the others.
 */
export function fold(text: string, width: number, indent: number, mark = " "): string {
  const lines: string[] = [];
  let line = "";
  for (const part of text.split(new RegExp(`(?<=${RegExp.escape(mark)})`))) {
    if (line !== "" && indent + shown(line + part) > width) {
      lines.push(line.trimEnd());
      line = "";
    }
    line += part;
  }
  return [...lines, line].join(`\n${" ".repeat(indent)}`);
}

function shown(text: string): number {
  // deno-lint-ignore no-control-regex -- Style's colours
  return text.replaceAll(/\x1b\[\d+m/g, "").trimEnd().length;
}

// Controls, and format characters such as those that turn the direction of the text.
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Text from outside, safe to print: `"\x1b"` becomes the six characters `\u{1b}`. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`);
}

/** `"12.3 ms"`. */
export function milliseconds(ms: number): string {
  return `${ms < 100 ? ms.toFixed(1) : ms.toFixed(0)} ms`;
}

/** Quotes a word for a shell when it needs it. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** What to tell of an error: its message, in one line. */
export function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message || error.name : String(error);
  return printable(message.replace(/\s*\n\s*/g, "; "));
}

/** Whether the operating system refused something, as opposed to Deno's permissions or a defect. */
export function isSystemError(error: unknown): error is Error {
  return error instanceof Error && / \(os error \d+\)/.test(error.message);
}

/** What the system says of an error: `"Permission denied (os error 13): open 'x'"` is `"permission denied"`. */
export function systemReason(error: unknown): string {
  const text = oneLine(error);
  if (!isSystemError(error)) return text;
  const [reason = ""] = text.split(" (os error ");
  return reason.slice(0, 1).toLowerCase() + reason.slice(1);
}
