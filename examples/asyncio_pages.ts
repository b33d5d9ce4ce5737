/**
 * The book's asyncio client for several pages: one function fetches them, first one after the other, then all at once
 * (asyncio.gather is `Promise.all`).
 *
 * ```sh
 * deno run --allow-net --allow-read examples/asyncio_pages.ts localhost 8443 ca.pem
 * deno run --allow-net --allow-sys examples/asyncio_pages.ts example.com 443
 * ```
 */
import { openConnection, SSLContext } from "../mod.ts";

const [hostname = "localhost", port = "8443", caCerts] = Deno.args;
const PATHS = ["/", "/temperature", "/humidity"];

using ssl = await SSLContext.create(caCerts ? { caCerts } : {}); // once for all connections

async function getPage(path: string): Promise<string> {
  const [reader, writer] = await openConnection({ hostname, port: Number(port), ssl });
  writer.write(`GET ${path} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`);
  await writer.drain();
  const answer = new TextDecoder().decode(await reader.read()); // all up to the end
  writer.close();
  await writer.waitClosed();
  return answer;
}

function report(how: string, answers: string[], start: number): void {
  console.log(`${how}: ${answers.length} pages in ${(performance.now() - start).toFixed(0)} ms`);
  for (const [i, answer] of answers.entries()) {
    console.log(`  ${PATHS[i]}: ${answer.split("\r\n")[0]}, ${answer.length} characters`);
  }
}

let start = performance.now();
const answers: string[] = [];
for (const path of PATHS) answers.push(await getPage(path));
report("One after the other", answers, start);

start = performance.now();
report("All at once", await Promise.all(PATHS.map(getPage)), start);
