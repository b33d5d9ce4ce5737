/** Servers that tlsio's client must refuse, and what it tells them; names and authorities that it must take. */
import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import { CERT_NONE, CERT_OPTIONAL, SSLCertVerificationError, SSLError } from "tlsio";
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

  Deno.test(`interop tlsio -> openssl s_server TLSv${tls} self-signed, given as its own authority: accepted, alone`, async () => {
    const self = { cert: certFile("self.pem"), key: certFile("self.key") };
    await using server = await opensslServer({ ...self, tls });
    const socket = await tlsioClient(server.port, { caCerts: self.cert });
    assertEquals([socket.verifyFlags, socket.getVerifiedChain().length], [0, 1]);
    await closeInOrder(socket);
    await using another = await opensslServer({ cert: certFile("ec.pem"), key: certFile("ec.key"), tls });
    await assertRejects(() => tlsioClient(another.port, { caCerts: self.cert }), SSLCertVerificationError);
  });

  Deno.test(`interop tlsio -> openssl s_server TLSv${tls} by any of its names, whatever address was dialled`, async () => {
    const named = ["-servername", "a.wild.test"];
    const args = [...named, "-servername_fatal"]; // it refuses who asks for another name
    const ec = { cert: certFile("ec.pem"), key: certFile("ec.key") };
    await using server = await opensslServer({
      ...ec,
      tls,
      args: [...args, "-cert2", ec.cert, "-key2", ec.key],
    });
    const wild = await tlsioClient(server.port, { serverHostname: "a.wild.test" }); // SNI, and a wildcard
    await closeInOrder(wild);
    await assertRejects(() => tlsioClient(server.port, { serverHostname: "b.wild.test" }), SSLError);
    for (const serverHostname of ["127.0.0.1", "::1", "[::1]"]) { // IP addresses in the SAN, never in SNI
      await closeInOrder(await tlsioClient(server.port, { serverHostname }));
    }
    for (const serverHostname of ["127.0.0.2", "::2"]) {
      await assertRejects(() => tlsioClient(server.port, { serverHostname }), SSLCertVerificationError);
    }
  });
}
