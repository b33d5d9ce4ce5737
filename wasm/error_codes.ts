/**
 * mbedTLS's error codes, from its headers.
 *
 * @module
 */

// A definition follows its comment: /** text */ #define MBEDTLS_ERR_NAME -0x1234
const DEFINITION = /(?:\/\*\*((?:[^*]|\*(?!\/))*)\*\/\s*)?#define\s+(MBEDTLS_ERR_\w+)\s+-(0x[0-9A-Fa-f]+)/g;

/**
 * Reads the error codes that mbedTLS's public headers define.
 *
 * @param files Sources by path.
 * @returns JSON: an array of `[code, name, text]`, from -1 downwards.
 */
export function errorCodes(files: Iterable<[path: string, bytes: Uint8Array]>): string {
  const codes = [...files]
    .filter(([path]) => /^mbedtls\/include\/mbedtls\/\w+\.h$/.test(path))
    .flatMap(([, bytes]) => [...new TextDecoder().decode(bytes).matchAll(DEFINITION)])
    .map(([, comment = "", name, code]) => [-Number(code), name!, sentence(comment)] as const)
    .sort(([a], [b]) => b - a);
  return `[\n${codes.map((code) => JSON.stringify(code)).join(",\n")}\n]\n`;
}

/** A comment's first paragraph on one line, without Doxygen's marks. */
function sentence(comment: string): string {
  const lines = comment.split("\n").map((line) => line.replace(/^\s*\* ?/, "").trim());
  const [first = ""] = lines.join("\n").trim().split("\n\n");
  return first.replaceAll(/\\[cp] |#(?=MBEDTLS)/g, "").replaceAll("\n", " ");
}
