/** PEM, DER and the times of a certificate, against CPython's own functions. */
import { assertEquals, assertThrows } from "@std/assert";
import { certTimeToSeconds, derToPem, pemToDer } from "tlsio";
import { certFile, run } from "./peers.ts";
import { bytesFrom } from "./pair.ts";

const CERTS = ["ec", "rsa", "root-rsa", "self", "expired"];

/** What a Python expression over `argv` gives, as JSON. */
async function python(expression: string, ...argv: string[]): Promise<unknown> {
  const script = `import json, ssl, sys\nargv = sys.argv[1:]\nprint(json.dumps(${expression}))`;
  const { code, stdout, stderr } = await run("python3", ["-c", script, ...argv]);
  assertEquals([code, stderr], [0, ""]);
  return JSON.parse(stdout);
}

Deno.test("pemToDer: the bytes that CPython's PEM_cert_to_DER_cert gives", async () => {
  const texts = CERTS.map((name) => Deno.readTextFileSync(certFile(`${name}.pem`)));
  const theirs = await python("[ssl.PEM_cert_to_DER_cert(text).hex() for text in argv]", ...texts);
  assertEquals(texts.map((text) => pemToDer(text).toHex()), theirs);
});

Deno.test("derToPem: the text that CPython's DER_cert_to_PEM_cert gives", async () => {
  for (const length of [1, 2, 3, 47, 48, 49, 96, 97, 1000]) {
    const der = bytesFrom(length, length);
    const theirs = await python("ssl.DER_cert_to_PEM_cert(bytes.fromhex(argv[0]))", der.toHex());
    assertEquals(derToPem(der), theirs, `${length} bytes`);
    assertEquals(pemToDer(derToPem(der)), der);
    assertEquals(
      pemToDer(`notes\r\n${derToPem(der, "PRIVATE KEY").replaceAll("\n", "\r\n")}`, "PRIVATE KEY"),
      der,
    );
  }
});

Deno.test("pemToDer: takes the first block of its label, and says what is wrong with one that it cannot read", () => {
  const [one, two] = [bytesFrom(1, 10), bytesFrom(2, 10)];
  assertEquals(pemToDer(derToPem(two, "PRIVATE KEY") + derToPem(one) + derToPem(two)), one);
  const bad: [string, string][] = [
    ["", 'it has no "-----BEGIN CERTIFICATE-----"'],
    [derToPem(one, "PRIVATE KEY"), "it has no"],
    [derToPem(one).slice(0, -10), "it is cut short"],
    [derToPem(one).replace("=", "*"), "is not Base64"],
    [derToPem(one).replace("==\n", "\n"), "is not Base64"],
    ["-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "is not Base64"],
    [
      "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n\nMAA=\n-----END CERTIFICATE-----\n",
      "is encrypted",
    ],
  ];
  for (const [text, message] of bad) assertThrows(() => pemToDer(text), SyntaxError, message);
  assertThrows(() => pemToDer(new Uint8Array(1) as unknown as string), TypeError, "expected a string");
  assertThrows(() => derToPem("x" as unknown as Uint8Array), TypeError, "Cannot use der");
  assertThrows(() => derToPem(one, "a\nb"), TypeError, "Cannot use label");
});

Deno.test("certTimeToSeconds: the seconds that CPython's cert_time_to_seconds gives", async () => {
  const texts = [
    "Jan  5 09:34:43 2018 GMT",
    "Jan 05 09:34:43 2018 GMT",
    "Feb 29 23:59:59 2024 GMT",
    "Dec 31 00:00:00 1969 GMT",
    "Jan  1 00:00:00 1970 GMT",
    "Dec 31 23:59:59 9999 GMT",
    "may 17 1:2:3 2030 gmt",
    "Dec 31 23:59:60 2008 GMT",
  ];
  const theirs = await python("[ssl.cert_time_to_seconds(text) for text in argv]", ...texts);
  assertEquals(texts.map(certTimeToSeconds), theirs);
});

Deno.test("certTimeToSeconds: refuses what is no time", () => {
  const bad = [
    "",
    "Jan  5 09:34:43 2018",
    "Jan  5 09:34:43 2018 UTC",
    "Foo  5 09:34:43 2018 GMT",
    "Feb 30 09:34:43 2018 GMT",
    "Feb 29 09:34:43 2018 GMT",
    "Jan  0 09:34:43 2018 GMT",
    "Jan 32 09:34:43 2018 GMT",
    "Jan  5 24:00:00 2018 GMT",
    "Jan  5 09:60:43 2018 GMT",
    "Jan  5 09:34:61 2018 GMT",
    "Jan  5 09:34:43 18 GMT",
    "Jan  5 09:34:43 0000 GMT",
    " Jan  5 09:34:43 2018 GMT",
  ];
  for (const text of bad) assertThrows(() => certTimeToSeconds(text), SyntaxError, "Cannot read the time");
});
