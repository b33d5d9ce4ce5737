/** A callback for the workers of `startServer()`: each line is a command. */
import type { ClientConnected } from "../../lib/net.ts";

const self = crypto.randomUUID(); // each Worker has an instance of this module of its own
const decoder = new TextDecoder();

const COMMANDS: Record<string, () => string | Promise<string>> = {
  who: () => self,
  slow: () => new Promise((resolve) => setTimeout(resolve, 500, "done")),
  never: () => new Promise(() => {}),
  throw: () => {
    setTimeout(() => {
      throw new RangeError("thrown on purpose");
    });
    return new Promise(() => {});
  },
  reject: () => {
    Promise.reject(new RangeError("rejected on purpose"));
    return new Promise(() => {});
  },
  exit: () => Deno.exit(3),
  close: () => {
    globalThis.close();
    return new Promise(() => {});
  },
  fail: () => {
    throw new RangeError("the callback failed on purpose");
  },
};

const answer: ClientConnected = async (reader, writer) => {
  for await (const line of reader) {
    const command = decoder.decode(line).trim();
    writer.write(`${await COMMANDS[command]!()}\n`);
    await writer.drain();
  }
};

export default answer;
