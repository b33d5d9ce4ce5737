// NIST's test suite for paths of certificates, PKITS: tlsio does as it expects, but for what tests/x509/pkits.ts explains.
import { assert, assertEquals } from "@std/assert";
import { askPkits, differenceOf, pkits, pkitsPage, type PkitsTest, SECTIONS } from "./x509/pkits.ts";

let all: PkitsTest[] | undefined;

for (const [section, title] of SECTIONS) {
  Deno.test(`x509: PKITS ${section}, ${title}: as NIST expects, or as it is explained`, () => {
    const tests = (all ??= pkits()).filter((test) => test.section === section);
    assert(tests.length > 0);
    const odd = tests.flatMap((test) => {
      const { verdict, why } = askPkits(test);
      return (verdict === test.expected) === (differenceOf(test) === undefined)
        ? []
        : [`${test.name}: expected ${test.expected}, got ${verdict} ${why}`];
    });
    assertEquals(odd, []);
  });
}

Deno.test("x509: PKITS: all tests have a section, and docs/x509.md says what came of them", () => {
  all ??= pkits();
  assertEquals(all.filter(({ section }) => section === "").map(({ name }) => name), []);
  assertEquals(all.length, 224);
  const words = (text: string) => text.replaceAll(/[\s|-]+/g, " ");
  const page = Deno.readTextFileSync(new URL("../docs/x509.md", import.meta.url));
  assert(words(page).includes(words(pkitsPage()).trim()), "run deno run -A tests/x509/table.ts");
});
