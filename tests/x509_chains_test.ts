/** tests/x509/: chains, what RFC 5280 and the web's rules say of them, what tlsio does, and what others do. */
import { assert, assertEquals } from "@std/assert";
import { type Group, verdictOf } from "./x509/cases.ts";
import { JUDGES } from "./x509/judges.ts";
import { GROUPS } from "./x509/list.ts";
import { ask } from "./x509/verdict.ts";

for (const { title, cases } of GROUPS) {
  for (const one of cases) {
    Deno.test(`x509: ${title}: ${one.name}: ${verdictOf(one)}`, () => {
      const { verdict, error } = ask(one, one.build());
      assertEquals(verdict, verdictOf(one), error?.message);
      if (error !== undefined) assert(["verify", "protocol", "config"].includes(error.kind), error.message);
    });
  }
}

/** For each case what each judge says. */
async function judged({ cases }: Group): Promise<Map<string, string[]>> {
  const folder = await Deno.makeTempDir();
  const rows = new Map<string, string[]>();
  try {
    for (const one of cases) {
      const chain = one.build();
      const said: string[] = [];
      for (const judge of Object.values(JUDGES)) said.push(await judge(one, chain, folder) ?? "-");
      rows.set(one.name, said);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return rows;
}

for (const group of GROUPS) {
  Deno.test(`x509: ${group.title}: what we expect, OpenSSL, GnuTLS or webpki expects, too`, async () => {
    const rows = await judged(group);
    const odd = group.cases.filter(({ name, expected, alone, unasked }) =>
      alone === undefined && unasked === undefined && !rows.get(name)!.includes(expected)
    );
    assertEquals(odd.map(({ name, expected }) => `${name}: ${expected}`), []);
  });
}

Deno.test("x509: docs/x509.md has each case, with what is expected and what tlsio does", () => {
  const page = Deno.readTextFileSync(new URL("../docs/x509.md", import.meta.url));
  const rows = [...page.matchAll(/^\| (.+?) +\| (accept|reject) +\| (accept|reject) +\| .*\|$/gm)];
  assertEquals(
    rows.map(([, name, expected, verdict]) => `${name}: ${expected}, ${verdict}`),
    GROUPS.flatMap(({ cases }) => cases.map((one) => `${one.name}: ${one.expected}, ${verdictOf(one)}`)),
  );
});
