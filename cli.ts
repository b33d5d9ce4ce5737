/**
 * The program: `tlsio serve`, `tlsio connect`, `tlsio trace`, `tlsio cert`, `tlsio bench`.
 *
 * ```sh
 * deno run -A cli.ts --help
 * ```
 *
 * @module
 */

import config from "./deno.json" with { type: "json" };
import { bench } from "./lib/cli/bench.ts";
import { cert } from "./lib/cli/cert.ts";
import { connect } from "./lib/cli/connect.ts";
import { columns, type Command, helpText, parse, UsageError } from "./lib/cli/flags.ts";
import { serve } from "./lib/cli/serve.ts";
import { oneLine } from "./lib/cli/terminal.ts";
import { trace } from "./lib/cli/trace.ts";
import { Core } from "./lib/core.ts";

const COMMANDS: readonly Command[] = [serve, connect, trace, cert, bench];

const HELP = `TLS for Deno, on the TLS library of an ESP32.

Usage: tlsio <command> [flags]

Commands:
${columns(COMMANDS.map(({ name, summary }) => [name, summary]))}

Flags:
${
  columns([["--help, -h", "show this, or after a command what it takes"], [
    "--version, -V",
    "show the version",
  ]])
}

Exit code: 0 done, 1 failed, 2 wrong arguments.`;

/**
 * Runs the program.
 *
 * @param args Its arguments, without its name.
 * @returns The exit code: 0 done, 1 failed, 2 wrong arguments.
 */
export async function main(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  const command = COMMANDS.find((command) => command.name === name);
  try {
    if (command !== undefined) return await runCommand(command, rest);
    if (name === undefined) {
      console.error(HELP);
      return 2;
    }
    if (name === "--help" || name === "-h") console.log(HELP);
    else if (name === "--version" || name === "-V") {
      console.log(`tlsio ${config.version} (${Core.shared().version})`);
    } else throw new UsageError(`unknown ${name.startsWith("-") ? "flag" : "command"} "${name}"`);
    return 0;
  } catch (error) {
    const program = command === undefined ? "tlsio" : `tlsio ${command.name}`;
    const wrong = error instanceof UsageError;
    console.error(`${program}: ${oneLine(error)}${wrong ? `; see "${program} --help"` : ""}`);
    return wrong ? 2 : 1;
  }
}

async function runCommand(command: Command, args: readonly string[]): Promise<number> {
  const { help, values, operands } = parse(command, args);
  if (!help) return await command.run(values, operands);
  console.log(helpText(command));
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
