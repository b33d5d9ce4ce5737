import { assert, assertEquals, assertRejects } from "@std/assert";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { NodeDuplex } from "../lib/_node_duplex.ts";
import { PATIENCE, within } from "./peers.ts";
import { pipe, type PipeEnd } from "./pipe.ts";

/** A NodeDuplex, and the other end of its connection. */
function connect(options: { sendTimeout?: number; lingerTimeout?: number } = {}): [NodeDuplex, PipeEnd] {
  const [near, far] = pipe();
  const stream = new NodeDuplex(near, { sendTimeout: 60, lingerTimeout: 5, onLimit() {}, ...options });
  stream.on("error", () => {});
  return [stream, far];
}

/** What the other end receives until the end of the stream. */
async function receive(far: PipeEnd): Promise<string> {
  const buffer = new Uint8Array(65536);
  let text = "";
  for (let n; (n = await within(far.read(buffer), PATIENCE, "receive")) !== null;) {
    text += new TextDecoder().decode(buffer.subarray(0, n));
  }
  return text;
}

/** Lets what is under way go on. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 10));

Deno.test("NodeDuplex carries bytes both ways, and says whose they are", async () => {
  const [stream, far] = connect();
  assertEquals([stream.localPort, stream.remotePort, stream.encrypted], [1, 2, false]);
  await far.write(new TextEncoder().encode("question"));
  const [chunk] = await once(stream, "data");
  assertEquals(String(chunk), "question");
  stream.end("answer");
  assertEquals(await receive(far), "answer");
  far.close();
  await stream.released;
});

Deno.test("NodeDuplex joins small writes that wait for one another", async () => {
  const [stream, far] = connect();
  stream.cork();
  for (const part of ["head, ", "size, ", "body"]) stream.write(part);
  stream.uncork();
  stream.end();
  assertEquals(await receive(far), "head, size, body");
  assertEquals(far.reads, [16]);
  far.close();
  stream.resume();
  await stream.released;
});

Deno.test("NodeDuplex writes strings in every encoding, alone and joined", async () => {
  const texts = [["ascii", "latin1"], ["caf\xe9", "latin1"], ["caf\xe9", "utf8"], ["6869", "hex"], [
    "",
    "utf8",
  ]] as const;
  const expected = Buffer.concat(texts.map(([text, encoding]) => Buffer.from(text, encoding)));
  for (const isJoined of [true, false]) {
    const [stream, far] = connect();
    if (isJoined) stream.cork();
    for (const [text, encoding] of texts) stream.write(text, encoding);
    stream.uncork();
    stream.destroySoon();
    const chunks: Uint8Array[] = [];
    const buffer = new Uint8Array(100);
    for (let n; (n = await within(far.read(buffer), PATIENCE, "receive")) !== null;) {
      chunks.push(buffer.slice(0, n));
    }
    assertEquals(Buffer.concat(chunks), expected);
    far.close();
    await stream.released;
  }
});

Deno.test("NodeDuplex gives away what it has read, and writes no more into it", async () => {
  const [stream, far] = connect();
  const sizes = [3, 1024, 5, 1025, 4096, 7, 5000];
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  for (const [i, size] of sizes.entries()) {
    await far.write(new Uint8Array(size).fill(i + 1));
    await settle();
  }
  const expected = sizes.map((size, i) => new Uint8Array(size).fill(i + 1));
  assertEquals(Buffer.concat(chunks), Buffer.concat(expected));
  stream.destroy();
  far.close();
  await stream.released;
});

Deno.test("NodeDuplex reads no more than it has room for", async () => {
  const [stream, far] = connect();
  stream.once("readable", () => {});
  const writing = far.write(new Uint8Array(65536)).then(() => far.write(new Uint8Array(65536)));
  writing.then(() => far.write(new Uint8Array(65536))).catch(() => {});
  await writing;
  await settle();
  assert(stream.readableLength <= 2 * 65536, String(stream.readableLength));
  assert(far.unread > 0);
  stream.destroy(new Error("enough"));
  far.close();
  await stream.released;
});

Deno.test("NodeDuplex asks its writer to wait until the peer reads", async () => {
  const [stream, far] = connect();
  let sent = 0;
  while (stream.write(Buffer.alloc(65536)) && sent < 100) sent++;
  assert(sent < 3, String(sent));
  const drained = once(stream, "drain");
  const buffer = new Uint8Array(65536);
  for (let total = 0; total < (sent + 1) * 65536;) total += (await far.read(buffer))!;
  await within(drained, PATIENCE, "drain");
  stream.destroy();
  far.close();
  await stream.released;
});

Deno.test("NodeDuplex ends one direction and goes on with the other", async () => {
  const [stream, far] = connect();
  stream.end("all");
  assertEquals(await receive(far), "all");
  await far.write(new TextEncoder().encode("more"));
  assertEquals(String((await once(stream, "data"))[0]), "more");
  far.close();
  await within(once(stream, "close"), PATIENCE, "close");
  await stream.released;
});

Deno.test("NodeDuplex.destroySoon() writes what waits, then closes and lets the peer finish", async () => {
  const [stream, far] = connect();
  stream.write("last");
  stream.destroySoon();
  assertEquals(await receive(far), "last");
  await far.write(new Uint8Array(100)); // no reset
  far.close();
  await within(stream.released, PATIENCE, "close");
});

Deno.test("NodeDuplex.destroySoon() gives a peer that does not close lingerTimeout", async () => {
  const [stream, far] = connect({ lingerTimeout: 0.05 });
  stream.destroySoon();
  await within(stream.released, PATIENCE, "close");
  far.close();
});

Deno.test("NodeDuplex.destroy() with an error drops the connection", async () => {
  const [stream, far] = connect();
  const closed = once(stream, "close").catch(() => {});
  stream.write("lost?");
  stream.destroy(new Error("broken"));
  await Promise.all([closed, stream.released]);
  await assertRejects(() => far.write(new Uint8Array(1)));
  far.close();
});

Deno.test("NodeDuplex fails with the error of its connection", async () => {
  const [stream, far] = connect();
  stream.resume();
  const failed = once(stream, "error");
  far.abort();
  const [error] = await within(failed, PATIENCE, "fail");
  assertEquals(error.name, "ConnectionReset");
  await stream.released;
});

Deno.test("NodeDuplex drops a peer that takes nothing for sendTimeout", async () => {
  const [stream, far] = connect({ sendTimeout: 0.05 });
  const failed = once(stream, "error");
  stream.write(Buffer.alloc(1 << 20));
  const [error] = await within(failed, PATIENCE, "fail");
  assertEquals(error.message, "Cannot send: the peer takes nothing for 0.05 seconds");
  await stream.released;
  far.close();
});

Deno.test("NodeDuplex.setTimeout() tells of silence, and not of a connection that is used", async () => {
  const [stream, far] = connect();
  let timeouts = 0;
  stream.resume();
  stream.on("timeout", () => timeouts++);
  stream.setTimeout(200);
  for (let i = 0; i < 10; i++) {
    await far.write(new Uint8Array(1));
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
  assertEquals(timeouts, 0);
  await within(once(stream, "timeout"), PATIENCE, "time out");
  stream.setTimeout(200);
  stream.destroy(); // and leaves no timer behind
  far.close();
  await stream.released;
});
