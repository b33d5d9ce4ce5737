/** Servers that tlsio's client must refuse, and what it tells them. */
import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import { CERT_NONE, CERT_OPTIONAL, SSLCertVerificationError } from "tlsio";
import { closeInOrder, tlsioClient } from "./interop.ts";
import { certFile, opensslServer, runSteps } from "./peers.ts";

/** Certificates of `certs/` with what is wrong, and what OpenSSL's server makes of our alert. */
const BAD = {
  "expired": { key: "ec", alert: "certificate expired" },
  "future": { key: "ec" },
  "cn-only": { key: "ec" },
  "wildcard-suffix": { key: "ec" },
  "wildcard-partial": { key: "ec" },
  "wrong-eku": { key: "ec", alert: "unsupported certificate" },
  "sha1": { key: "ec" },
  "rsa1024": { key: "rsa1024" },
  "leaf-issued": { key: "ec" },
  "pathlen": { key: "ec" },
  "impostor": { key: "impostor", alert: "unknown ca" },
  "chain-leaf": { key: "chain", alert: "unknown ca" },
  "self": { key: "self", alert: "unknown ca" },
} as const;

for (const tls of ["1.2", "1.3"] as const) {
  for (const [name, { key, ...expected }] of Object.entries(BAD)) {
    Deno.test(`interop tlsio -> openssl s_server TLSv${tls} certificate ${name}: refused, by an alert that it reads`, async () => {
      const cert = certFile(`${name}.pem`);
      const args = ["-cipher", "ALL:@SECLEVEL=0"]; // else it does not load the weak ones
      await using server = await opensslServer({ cert, key: certFile(`${key}.key`), chain: cert, tls, args });
      const error = await assertRejects(() => tlsioClient(server.port));
      assertInstanceOf(error, SSLCertVerificationError, `${error}`);
      assertEquals(error.kind, "verify");
      assert(error.verifyFlags !== 0 && error.verifyMessage !== "", error.message);
      await server.program.waitFor(/SSL alert number (4[0-9]|51)/);
      if ("alert" in expected) assertMatch(server.program.stderr, new RegExp(`alert ${expected.alert}`));

      const optional = await tlsioClient(server.port, { certReqs: CERT_OPTIONAL });
      assertEquals([optional.verifyFlags, optional.getpeercert()], [error.verifyFlags, {}]);
      assertEquals((await runSteps(optional, ["LINE hello"]))[0]?.line, "olleh");
      await closeInOrder(optional);
      const none = await tlsioClient(server.port, { certReqs: CERT_NONE });
      assertEquals((await runSteps(none, ["LINE hello"]))[0]?.line, "olleh");
      await closeInOrder(none);
    });
  }
}
