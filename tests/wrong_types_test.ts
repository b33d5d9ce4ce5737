/** Options of the wrong type, where they would be taken for true or false or fail only once they are needed. */
import { assertRejects, assertThrows } from "@std/assert";
import { createCertificate, SSLContext, startServer } from "tlsio";
import { TLSEngine } from "tlsio/engine";
import { type HttpServeOptions, serve } from "tlsio/http";
import { configs, fixedCore } from "./pair.ts";

const WRONG: unknown[] = [null, 0, 1, "false", "", {}, Symbol("true")];

Deno.test("SSLContext.create() refuses flags that are not true or false: each could turn a check off", async () => {
  for (
    const option of ["checkHostname", "allowCommonName", "renegotiation", "preferClientOrder", "measure"]
  ) {
    for (const value of WRONG) {
      const made = SSLContext.create({ psk: { identity: "a", key: new Uint8Array(16) }, [option]: value });
      await assertRejects(() => made, TypeError, `Cannot use ${option}: expected true or false`);
    }
  }
});

Deno.test("TLSEngine refuses a suppressRaggedEofs that is not true or false", () => {
  using made = configs(fixedCore());
  for (const value of WRONG) {
    const options = { serverHostname: "localhost", suppressRaggedEofs: value as boolean };
    assertThrows(() => new TLSEngine(made.client, options), TypeError, "Cannot use suppressRaggedEofs");
  }
});

Deno.test("serve() and startServer() refuse callbacks, signals and backlogs of the wrong type before they listen", async () => {
  const where = { hostname: "127.0.0.1", port: 0 };
  for (const option of ["onListen", "onError", "onConnectionError", "signal"]) {
    for (const value of WRONG) {
      const options = { ...where, [option]: value } as HttpServeOptions;
      await assertRejects(
        () => serve(() => new Response(), options),
        TypeError,
        `Cannot use ${option}: expected`,
      );
    }
  }
  for (const value of WRONG) {
    const onError = value as () => void;
    await assertRejects(
      () => startServer(() => {}, { ...where, onError }),
      TypeError,
      "Cannot use onError: expected",
    );
  }
  for (const backlog of [-1, 1.5, NaN, "5" as unknown as number]) {
    await assertRejects(() => startServer(() => {}, { ...where, backlog }), RangeError, "Cannot use backlog");
  }
});

Deno.test("createCertificate() refuses hosts that are no names", () => {
  for (const host of WRONG.filter((value) => typeof value !== "string")) {
    const options = { subject: "CN=a", hosts: [host as string] };
    assertThrows(() => createCertificate(options), TypeError, "Cannot use hosts: expected names");
  }
});
