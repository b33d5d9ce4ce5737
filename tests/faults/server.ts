/**
 * A server in a process of its own, for faults that hit a whole process. It prints its port; then it does what each line
 * says: `stats n` prints that and its counts, `exit` exits at once, `fill` takes all of the core's
 * memory, up to its maximum, and `free` gives it back.
 *
 * Clients say `echo` by sending bytes; one that begins with "flood" gets bytes without end.
 */
import { Core } from "../../lib/core.ts";
import { startServer } from "../../lib/net.ts";
import { exhaust } from "../full_core.ts";
import { CREDENTIAL } from "../sockets.ts";

let taken: number[] = [];

Deno.addSignalListener("SIGUSR2", () => {}); // Deno 2.9.6 opens files for signals soon after its start, and panics if it cannot

await using server = await startServer(async (reader, writer) => {
  for (let bytes = await reader.read(65536); bytes.length > 0; bytes = await reader.read(65536)) {
    const isFlood = new TextDecoder().decode(bytes.subarray(0, 5)) === "flood";
    do {
      writer.write(isFlood ? new Uint8Array(1 << 16).fill(7) : bytes);
      await writer.drain();
    } while (isFlood);
  }
}, { hostname: "127.0.0.1", port: 0, ssl: CREDENTIAL, onError() {} });
console.log((server.addr as Deno.NetAddr).port);

for await (const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  for (const line of text.split("\n")) {
    if (line.startsWith("stats ")) console.log(`${line} ${JSON.stringify(server.stats)}`);
    if (line === "exit") Deno.exit(7);
    if (line === "fill") {
      taken = exhaust(Core.shared(), 0);
      console.log("full");
    }
    if (line === "free") {
      for (const at of taken) Core.shared().free(at);
      console.log("free");
    }
  }
}
