/**
 * Prints docs/x509.md: what the verifiers of this machine say of each chain.
 *
 * ```sh
 * deno run -A tests/x509/table.ts > docs/x509.md && deno fmt docs/x509.md
 * ```
 */
import { verdictOf } from "./cases.ts";
import { JUDGES } from "./judges.ts";
import { GROUPS } from "./list.ts";
import { pkitsPage } from "./pkits.ts";

const names = Object.keys(JUDGES);
console.log(`# Which chains are accepted?

Chains of certificates, made anew for each run of the tests, with what RFC 5280, RFC 9525 and the web's rules
expect, what tlsio does (as a client; "a client's ..." as a server), and what others do with the same bytes:
\`openssl verify\` at security level 2, GnuTLS's \`certtool --verify\` with its profile "medium", and webpki by a
handshake with Deno's rustls. "-": it cannot be asked, because it does not check clients, or our own end does
not load the chain. The kinds of cases are those of x509-limbo and BetterTLS. NIST's own collection, PKITS, is at the
[end](#pkits).

\`deno run -A tests/x509/table.ts\` prints this page; \`tests/x509_chains_test.ts\` checks each row.
`);
const notes: string[] = [];
const folder = await Deno.makeTempDir();
for (const { title, cases } of GROUPS) {
  console.log(
    `## ${title}\n\n| case | expected | tlsio | ${names.join(" | ")} |\n| ${"- | ".repeat(3 + names.length)}`,
  );
  for (const one of cases) {
    const chain = one.build();
    const said: string[] = [];
    for (const judge of Object.values(JUDGES)) said.push(await judge(one, chain, folder) ?? "-");
    console.log(`| ${one.name} | ${one.expected} | ${verdictOf(one)} | ${said.join(" | ")} |`);
    if (one.differs !== undefined) {
      notes.push(`- ${title}, "${one.name}": tlsio does otherwise: ${one.differs}.`);
    }
    if (one.alone !== undefined) notes.push(`- ${title}, "${one.name}": tlsio is alone: ${one.alone}.`);
    if (one.unasked !== undefined) {
      notes.push(`- ${title}, "${one.name}": others are not expected to agree: ${one.unasked}.`);
    }
  }
  console.log();
}
await Deno.remove(folder, { recursive: true });
console.log(`## Notes\n\n${notes.join("\n")}\n`);
console.log(`## PKITS

NIST's Public Key Interoperability Test Suite, as Debian's package \`python3-cryptography-vectors\` has it:
\`tests/x509_pkits_test.ts\` has a server ask for a certificate, shows it the path of each test, and gives it that test's
revocation lists, with \`crlCheck: "chain"\`. Policies are those of a server that asks for none in particular. A test is named by
NIST's numbers.

${pkitsPage()}`);
