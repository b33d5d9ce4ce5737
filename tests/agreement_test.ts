// What C and TypeScript must both know: the two sides are compared here, so that neither is kept in step by hand.
import { assertEquals } from "@std/assert";
import { OPTION } from "../lib/configure.ts";
import { PSK_MAX } from "../lib/policy.ts";
import { ASKS, PAUSED, WORKING } from "../lib/engine_state.ts";
import { FACT_ORDER } from "../lib/facts.ts";
import { TICKET_ID } from "../lib/core.ts";
import { EARLY } from "../lib/early_data.ts";
import { KEYS_MAX } from "../lib/tickets.ts";

const read = (path: string) => Deno.readTextFileSync(new URL(path, import.meta.url));
const header = read("../wasm/glue/tlsio.h");
const config = read("../wasm/config/default.h");

function define(source: string, name: string): number {
  return Number(source.match(new RegExp(`#define ${name} +(\\d+)`))?.[1]);
}

Deno.test("FACT_ORDER is the order of enum fact in the glue", () => {
  const body = header.match(/enum fact \{([^}]*)\}/)![1]!;
  const names = [...body.matchAll(/FACT_(\w+)[,\s]/g)].map(([, name]) => name!);
  assertEquals(names, [...FACT_ORDER, "COUNT"]);
});

Deno.test("OPTION holds the option bits of the glue", () => {
  const bits = [...header.matchAll(/OPTION_(\w+) = (\d+)/g)].map(([, name, bit]) => [name, Number(bit)]);
  assertEquals(Object.fromEntries(bits), { ...OPTION });
});

Deno.test("EARLY has the states of the glue", () => {
  const body = header.match(/enum \{ \/\* early data \*\/([^}]*)\}/)![1]!;
  const names = [...body.matchAll(/EARLY_(\w+),/g)].map(([, name]) => name!);
  assertEquals(Object.keys(EARLY), names);
  assertEquals(Object.values(EARLY), [...names.keys()]);
});

Deno.test("TICKET_ID is as long as the glue's", () => {
  assertEquals(TICKET_ID, define(header, "TICKET_ID"));
});

Deno.test("KEYS_MAX is as many ticket keys as the glue holds", () => {
  assertEquals(KEYS_MAX, define(header, "TICKET_KEYS"));
});

Deno.test("PSK_MAX is what mbedTLS is built for", () => {
  assertEquals(PSK_MAX, define(config, "MBEDTLS_PSK_MAX_LEN"));
});

Deno.test("WORKING is what connection_handshake() returns amid a signature", () => {
  assertEquals(WORKING, define(header, "HANDSHAKE_WORKING"));
});

Deno.test("ASKS is what connection_handshake() returns for a session of the fleet's", () => {
  assertEquals(ASKS, define(header, "HANDSHAKE_ASKS"));
});

Deno.test("PAUSED is what connection_handshake() returns for a pause", () => {
  assertEquals(PAUSED, define(header, "HANDSHAKE_PAUSED"));
});
