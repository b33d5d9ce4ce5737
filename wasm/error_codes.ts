/**
 * mbedTLS's error codes, from its headers.
 *
 * @module
 */

// A definition has its comment before it or, as /**< text */, behind it.
const COMMENT = String.raw`((?:[^*]|\*(?!/))*)\*/`;
const DEFINITION = new RegExp(
  String
    .raw`(?:/\*\*(?!<)${COMMENT}\s*)?#define (MBEDTLS_ERR_\w+)\s+-(0x[0-9A-Fa-f]+)(?:[ \t]*/\*\*<${COMMENT})?`,
  "g",
);

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
    .map(([, before = "", name, code, behind = before]) => [-Number(code), name!, sentence(behind)] as const)
    .sort(([a], [b]) => b - a);
  return `[\n${codes.map((code) => JSON.stringify(code)).join(",\n")}\n]\n`;
}

/** A comment's first paragraph on one line, without Doxygen's marks. */
function sentence(comment: string): string {
  const lines = comment.split("\n").map((line) => line.replace(/^\s*\* ?/, "").trim());
  const [first = ""] = lines.join("\n").trim().split("\n\n");
  return first.replaceAll(/\\[cp] |#(?=MBEDTLS)/g, "").replaceAll("\n", " ").replace(/\.$/, "");
}
