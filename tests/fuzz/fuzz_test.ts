/** The fuzzer's corpus runs and finds nothing, in wasm and natively under sanitizers; and the fuzzer can find what it looks for. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type Bytes, encodeText } from "../../lib/bytes.ts";
import { Connection } from "../../lib/connection.ts";
import { WORKING } from "../../lib/engine_state.ts";
import { SSLError } from "../../lib/errors.ts";
import { bytesFrom, NOW } from "../pair.ts";
import { FuzzCore, fuzzModule } from "./core.ts";
import { expected, Finding } from "./finding.ts";
import { Fuzzer } from "./fuzzer.ts";
import { Handshakes } from "./handshake.ts";
import { shorterScripts } from "./mutate.ts";
import { NATIVE_TARGETS, runNative, whyNotNative } from "./native.ts";
import { NAMES, SCENARIOS, SECRETS } from "./scenarios.ts";
import {
  BYTE_OPS,
  decode,
  type Edit,
  encode,
  encodeEdit,
  MESSAGE_OPS,
  OPS,
  type Script,
  show,
} from "./script.ts";
import { readSeeds } from "./store.ts";
import { openTarget, TARGET_NAMES } from "./targets.ts";

const fuzz = new FuzzCore(await fuzzModule());

function edit(given: Partial<Edit>): Edit {
  return {
    end: "client",
    layer: "wire",
    index: 0,
    op: "XOR",
    a: 0,
    b: 0,
    payload: new Uint8Array(0),
    ...given,
  };
}

/** What comes of bytes under one edit, in hexadecimal. */
function edited(given: Partial<Edit>, bytes: Bytes): string {
  return fuzz.edit(encodeEdit(edit(given)), bytes).toHex();
}

Deno.test("fuzz: the operations of scripts are those of wasm/fuzz/fuzz.h, in their order", async () => {
  const text = await Deno.readTextFile(new URL("../../wasm/fuzz/fuzz.h", import.meta.url));
  const body = /enum fuzz_op \{([^}]*)\}/.exec(text)![1]!.replaceAll(/\/\*.*?\*\//gs, "");
  const names = body.split(",").map((name) => name.trim()).filter((name) => name !== "");
  assertEquals(
    names.map((name) => name.replace(/ =.*/, "")).filter((name) => !/OP_(BYTES_END|COUNT)$/.test(name)),
    OPS.map((op) => `OP_${op}`),
  );
  assertEquals([OPS[BYTE_OPS], OPS[MESSAGE_OPS]], ["DROP", "DOUBLE"]);
});

Deno.test("fuzz: a script is read as it was written", () => {
  const edits = [
    edit({
      end: "server",
      layer: "message",
      index: 3,
      op: "EXT_DATA",
      a: 1,
      b: 65535,
      payload: bytesFrom(1, 255),
    }),
    edit({ op: "CUT" }),
  ];
  const script: Script = { scenario: 4, seed: 5, edits };
  assertEquals(decode(encode(script)), script);
  assertEquals(decode(encode(script).subarray(0, -1)).edits.length, 1, "cut short");
  assert(show(script, NAMES).startsWith("tls12-ticket seed 5; server message 3: EXT_DATA 1 65535 "));
  assert(
    [...shorterScripts(encode(script))].every((bytes) =>
      bytes.length < encode(script).length || decode(bytes).edits.length === 2
    ),
  );
});

Deno.test("fuzz: an edit changes bytes, extensions and DER, with the lengths around them", () => {
  const hex = (text: string) => Uint8Array.fromHex(text.replaceAll(" ", ""));
  assertEquals(edited({ op: "XOR", a: 1, b: 0xff }, hex("010203")), "01fd03");
  assertEquals(edited({ op: "INSERT", a: 2, payload: hex("aabb") }, hex("010203")), "0102aabb03");
  assertEquals(edited({ op: "DELETE", a: 1, b: 9 }, hex("010203")), "01");
  const list = hex("000d 0001 0002 aabb 0002 0003 cccccc");
  assertEquals(edited({ op: "EXT_REMOVE", a: 0 }, list), "000700020003cccccc");
  assertEquals(edited({ op: "EXT_SWAP", a: 0, b: 1 }, list), "000d00020003cccccc00010002aabb");
  assertEquals(edited({ op: "EXT_DOUBLE", a: 0 }, list), "001300010002aabb00010002aabb00020003cccccc");
  assertEquals(edited({ op: "EXT_DATA", a: 1, payload: hex("01") }, list), "000b00010002aabb0002000101");
  assertEquals(
    edited({ op: "EXT_ADD", a: 5, payload: hex("01") }, list),
    "00120005000101" + "00010002aabb00020003cccccc",
  );
  const der = hex("3009 0201 05 3004 0202 0102");
  assertEquals(edited({ op: "DER_REMOVE", a: 1 }, der), "3006300402020102");
  assertEquals(
    edited({ op: "DER_VALUE", a: 3, payload: hex("070809") }, der),
    "300a020105" + "30050203070809",
  );
  assertEquals(edited({ op: "DER_TAG", a: 2, b: 0x31 }, der), "3009020105310402020102");
  assertEquals(
    edited({ op: "DER_GROW", a: 0, b: 200 }, hex("0401ff")),
    `04 01 ff ${"5a".repeat(200)}`.replaceAll(" ", ""),
    "no room for it",
  );
});

Deno.test("fuzz: a script meddles with the records and the messages of a connection", () => {
  const handshakes = new Handshakes(fuzz);
  const run = (name: string, ...edits: Partial<Edit>[]) =>
    handshakes.run(encode({ scenario: NAMES.indexOf(name), seed: 1, edits: edits.map(edit) }));
  for (const name of ["tls12", "tls13", "dtls12"]) {
    assertEquals(run(name).split(/\s+/).join(" "), "client closed 3000 ; server closed 700 ", name);
  }
  assert(
    run("tls13", { end: "server", layer: "message", index: 0, op: "EXT_REMOVE" }).includes("client failed"),
  );
  assert(
    run("tls13", { end: "server", layer: "message", index: 3, op: "XOR", a: 4, b: 1 }).includes(
      "client failed",
    ),
    "a CertificateVerify",
  );
  assert(run("tls12", { op: "DROP" }).startsWith("client handshake 0"), "it waits");
  assert(run("tls12", { op: "SPLIT", a: 20 }).startsWith("client closed 3000"), "a hello in two records");
  assert(
    run("tls12", { op: "CUT", a: 9 }).includes("server failed 0 MBEDTLS_ERR_SSL_CONN_EOF"),
    "a hello that ends",
  );
  assert(run("tls13", { end: "server", index: 2, op: "REFLECT" }).includes("client failed"));
});

Deno.test("fuzz: with half of the seeds a server signs in steps, and nothing else is other for it", () => {
  const { handshake } = Connection.prototype;
  const run = (seed: number, ...edits: Partial<Edit>[]) => {
    let steps = 0;
    Connection.prototype.handshake = function (inSteps: boolean) {
      const code = handshake.call(this, inSteps);
      if (code === WORKING) steps++;
      return code;
    };
    try {
      const scenario = NAMES.indexOf("tls12-rsa");
      return { outcome: new Handshakes(fuzz).run(encode({ scenario, seed, edits: edits.map(edit) })), steps };
    } finally {
      Connection.prototype.handshake = handshake;
    }
  };
  for (const edits of [[], [{ op: "DOUBLE" }], [{ op: "CUT", a: 300 }]] as const) {
    const [once, inSteps] = [run(1, ...edits), run(3, ...edits)];
    assertEquals(inSteps.outcome, once.outcome);
    assertEquals(once.steps, 0);
    if (edits.length === 0) assert(inSteps.steps > 0);
  }
});

Deno.test("fuzz: who completes a handshake with an impostor is found, and what has no business in an error", () => {
  const honest = { ...SCENARIOS[0]!, impostors: ["server"] as const };
  assertThrows(() => new Handshakes(fuzz).stage(honest), Error, "done: true");
  assertThrows(() => expected(new RangeError("offset is out of bounds")), Finding, "exception: RangeError");
  assertThrows(
    () => expected(new SSLError(`Cannot use ${SECRETS[1]}`, { kind: "config" })),
    Finding,
    "secret",
  );
  const cause = new Error(`it was ${SECRETS[0]}`);
  assertThrows(() => expected(new SSLError("Cannot go on", { kind: "config", cause })), Finding, "secret");
  assertEquals(expected(new SyntaxError("Cannot read"), SyntaxError).message, "Cannot read");
});

Deno.test("fuzz: the same seed makes the same inputs", async () => {
  const run = async (seed: number) => {
    const fuzzer = await Fuzzer.open("certificate", seed);
    await fuzzer.add(fuzzer.seeds());
    for (let i = 0; i < 300; i++) assertEquals(await fuzzer.step(), undefined);
    return fuzzer.corpus;
  };
  const first = await run(1);
  assert(first.length > 20, "edges of the core guide it");
  assertEquals(await run(1), first);
  assert(JSON.stringify(await run(2)) !== JSON.stringify(first));
});

Deno.test("fuzz: what it finds is made small, and comes again", async () => {
  const run = (bytes: Bytes) => {
    if (bytes.includes(0x42)) throw new Finding("data", "it has a B");
    if (bytes.length > 30) throw new RangeError("it is long");
    return String(bytes.length);
  };
  const target = { name: "letters", seeds: () => [encodeText("aaaa")], run };
  const fuzzer = await Fuzzer.open("letters", 1, undefined, () => Promise.resolve({ target, fuzz }));
  const [found, other] = await fuzzer.add([
    encodeText("aaaaaaaaaaaaaaBaaaaaaaaBa"),
    encodeText("c".repeat(100)),
    ...fuzzer.seeds(),
  ]);
  assertEquals([found!.finding.kind, found!.input.toHex(), found!.text], ["data", "42", "42"]);
  assertEquals(
    [other!.finding.kind, other!.input.length],
    ["exception", 31],
    "any exception that a target does not expect",
  );
  assertEquals(fuzzer.corpus.length, 1);
  for (let i = 0; i < 20_000; i++) {
    if (await fuzzer.step() !== undefined) return;
  }
  throw new Error("It did not find it by itself");
});

Deno.test("tickets: one that was authenticated in the future, or before time began, is not resumed (found by the fuzzer)", async () => {
  const { target } = await openTarget("ticket");
  const [, tls12, , tls13] = target.seeds(); // sealed with the server's key by the target
  for (const seed of [tls12!, tls13!]) {
    assertEquals(await target.run(seed), "reused true");
    for (const time of [2n ** 63n - 1n, -(2n ** 63n), 2n ** 62n, BigInt(NOW) + 1000n]) {
      const changed = seed.slice();
      new DataView(changed.buffer).setBigInt64(1 + 4, time); // behind the kind and the verify flags
      assertEquals(await target.run(changed), "reused false", String(time));
    }
  }
});

Deno.test("fuzz: a target that there is not, and an input that is none", async () => {
  await assertRejects(() => openTarget("quic"), TypeError, 'Cannot fuzz "quic": there are handshake');
  const fuzzer = await Fuzzer.open("handshake", 1);
  assertEquals(
    await fuzzer.add([new Uint8Array(0), encodeText("not a script at all, but it is read as one")]),
    [],
  );
});

for (const name of TARGET_NAMES) {
  Deno.test(`fuzz: the corpus of ${name} finds nothing`, async () => {
    const fuzzer = await Fuzzer.open(name, 1);
    const crashes = await fuzzer.add([...fuzzer.seeds(), ...await readSeeds(name)]);
    assertEquals(crashes.map(({ finding, text }) => `${finding.message}: ${text}`), []);
    assert(fuzzer.runs > 1);
  });
}

for (const name of NATIVE_TARGETS) {
  Deno.test(`fuzz: natively, under sanitizers, the corpus of ${name} finds nothing`, async () => {
    assertEquals(await whyNotNative(), undefined);
    const { target } = await openTarget(name);
    const inputs = [...target.seeds(), ...await readSeeds(name)];
    const { finding, runs, edges } = await runNative(name, inputs);
    assertEquals(finding, undefined);
    assert(runs >= inputs.length, `${runs} runs of ${inputs.length} inputs`);
    assert(edges > 100, `${edges} edges`);
  });
}
