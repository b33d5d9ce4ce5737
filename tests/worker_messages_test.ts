/** What crosses to a Worker and back: options by copy, errors with their class and fields. */

import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { CODE, SSLCertVerificationError, SSLEOFError, SSLError } from "../lib/errors.ts";
import { copyForWorker, errorData, errorFrom } from "../lib/worker_messages.ts";

const throughClone = (error: unknown) => errorFrom(structuredClone(errorData(error)));

Deno.test("errorFrom() makes an SSLError of errorData(), of the same class and fields", () => {
  const alert = { description: 48, name: "unknown_ca" };
  const errors = [
    new SSLError("Cannot shake hands", { kind: "alert", code: CODE.FATAL_ALERT, alert }),
    new SSLEOFError("Cannot read", { kind: "eof", code: CODE.CONN_EOF }),
    new SSLCertVerificationError("Cannot trust", {
      kind: "verify",
      code: CODE.CERT_VERIFY_FAILED,
      verifyFlags: 8,
      verifyMessage: "not trusted",
    }),
  ];
  for (const error of errors) {
    const again = throughClone(error) as SSLError;
    assertEquals(again.constructor, error.constructor);
    assertEquals({ ...again }, { ...error });
    assertEquals([again.name, again.message, again.stack], [error.name, error.message, error.stack]);
  }
});

Deno.test("errorFrom() makes errors of JavaScript and Deno of errorData(), of the same class", () => {
  for (const error of [new TypeError("a"), new RangeError("b"), new Deno.errors.AddrInUse("c")]) {
    const again = throughClone(error);
    assertEquals([again.constructor, again.message], [error.constructor, error.message]);
  }
  class OwnError extends Error {
    override readonly name = "OwnError";
  }
  const own = throughClone(new OwnError("d"));
  assertInstanceOf(own, Error);
  assertEquals(String(own), "OwnError: d");
  for (const name of ["constructor", "toString", "__proto__"]) {
    const odd = throughClone(Object.assign(new Error("e"), { name }));
    assertInstanceOf(odd, Error);
    assertEquals([odd.name, odd.message], [name, "e"]);
  }
  assertEquals(throughClone("thrown text").message, "thrown text");
  assertEquals(throughClone(undefined).message, "undefined");
});

Deno.test("copyForWorker() copies plain values, and moves copies of bytes", () => {
  const key = new Uint8Array([1, 2, 3]);
  const transfer: ArrayBuffer[] = [];
  const given = { list: ["a", 1, null], key: key.subarray(1), range: { minimum: 1 }, none: undefined };
  const copy = copyForWorker("ssl", given, transfer) as typeof given;
  assertEquals(copy, given);
  assertEquals(transfer, [copy.key.buffer]);
  assert(copy.key.buffer !== key.buffer && copy.key.buffer.byteLength === 2);
});

Deno.test("copyForWorker() does not move the memory that a Buffer shares with others", () => {
  const key = Buffer.from("a key");
  const transfer: ArrayBuffer[] = [];
  const copy = copyForWorker("key", key, transfer) as Uint8Array;
  assertEquals([copy.buffer === key.buffer, transfer.length], [false, 1]);
  structuredClone(copy, { transfer });
  assertEquals(key.toString(), "a key");
});

Deno.test("copyForWorker() names what cannot cross", () => {
  const refuse = (value: unknown, message: string) =>
    assertThrows(() => copyForWorker("ssl", value, []), TypeError, message);
  refuse({ keyLog: () => {} }, "Cannot use ssl.keyLog with workers: it is a function");
  refuse({ psk: { identity: new Date() } }, "Cannot use ssl.psk.identity with workers: it is of type Date");
  refuse([Symbol("s")], "Cannot use ssl with workers: it is a symbol");
});
