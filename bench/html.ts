/**
 * The report as one HTML file that needs nothing else: data, style and script are in it, Observable Plot too.
 *
 * @module
 */

import type { RunData } from "./page/data.ts";

/**
 * Makes the page.
 *
 * @throws {Error} With what the bundler says, if it cannot.
 */
export async function toHtml(data: RunData): Promise<string> {
  const style = await Deno.readTextFile(new URL("page/page.css", import.meta.url));
  const script = await bundle(new URL("page/page.ts", import.meta.url));
  // In a script nothing but "</script" and "<!--" ends the text; JSON may write "<" in another way.
  const json = JSON.stringify(data).replaceAll("<", "\\u003c");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>tlsio: speed beside its peers</title>
<style>
${style}</style>
</head>
<body>
<main></main>
<script type="application/json" id="data">${json}</script>
<script type="module">
${script.replaceAll(/<(?=\/script|!--)/gi, "\\x3c")}
</script>
</body>
</html>
`;
}

async function bundle(entry: URL): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "tlsio_bench_" });
  try {
    const output = `${folder}/page.js`;
    const args = ["bundle", "--quiet", "--platform", "browser", "--minify", "-o", output, entry.pathname];
    const { success, stderr } = await new Deno.Command(Deno.execPath(), { args, stdout: "null" }).output();
    if (!success) throw new Error(`Cannot bundle the page: ${new TextDecoder().decode(stderr)}`);
    return await Deno.readTextFile(output);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
