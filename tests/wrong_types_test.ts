/** Options of the wrong type, where they would be taken for true or false or fail only once they are needed. */
import { assertRejects, assertThrows } from "@std/assert";
import { createCertificate, SSLContext, startServer, startUnixServer } from "tlsio";
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

Deno.test("serve() and startServer() refuse options that are none: a host name would be a server without TLS", async () => {
  for (const options of ["127.0.0.1", 8443, null] as unknown as HttpServeOptions[]) {
    const message = "Cannot use options: expected an object";
    await assertRejects(() => serve(() => new Response(), options), TypeError, message);
    await assertRejects(() => startServer(() => {}, options as { port: number }), TypeError, message);
    await assertRejects(() => startUnixServer(() => {}, options as never), TypeError, message);
  }
});

Deno.test("serve() and startServer() with workers refuse callbacks and signals of the wrong type", async () => {
  const options = { workers: 1, port: 0 };
  for (const value of WRONG as never[]) {
    for (const option of ["onConnectionError", "signal"]) {
      const wrong = { ...options, [option]: value };
      await assertRejects(() => serve("file:///a.ts", wrong), TypeError, `Cannot use ${option}: expected`);
    }
    const wrong = { ...options, onError: value };
    await assertRejects(() => startServer("file:///a.ts", wrong), TypeError, "Cannot use onError: expected");
  }
});

Deno.test("serve() names a limit that is no number, whatever it is", async () => {
  for (
    const limit of ["maxConnections", "maxPendingBytes", "maxHeaderSize", "maxBodySize", "headersTimeout"]
  ) {
    for (const value of ["5", {}, Symbol("5"), 5n, NaN, -1]) {
      const options = { port: 0, [limit]: value } as HttpServeOptions;
      await assertRejects(() => serve(() => new Response(), options), RangeError, `Cannot use ${limit}: `);
    }
  }
});

Deno.test("createCertificate() refuses hosts that are no names", () => {
  for (const host of WRONG.filter((value) => typeof value !== "string")) {
    const options = { subject: "CN=a", hosts: [host as string] };
    assertThrows(() => createCertificate(options), TypeError, "Cannot use hosts: expected names");
  }
});
