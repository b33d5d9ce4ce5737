/**
 * The book's decode tool: turns a certificate or key from PEM, which is text, to DER, the bytes that a small device
 * keeps. `certfile`, `keyfile` and `caCerts` take both.
 *
 * ```sh
 * deno run --allow-read --allow-write=server.der examples/pem_to_der.ts server.pem server.der
 * ```
 */
const [input = "server.pem", output = input.replace(/\.\w+$/, "") + ".der"] = Deno.args;

const pem = await Deno.readTextFile(input);
const [, label, base64] = pem.match(/-----BEGIN ([^-]+)-----\r?\n([A-Za-z0-9+/=\s]+)-----END \1-----/) ?? [];
if (base64 === undefined) throw new Error(`Cannot decode ${input}: it holds no PEM, or an encrypted key`);

const der = Uint8Array.fromBase64(base64);
await Deno.writeFile(output, der, { mode: 0o600 }); // it may be a key
console.log(`${output}: ${label}, ${der.length} bytes`);
