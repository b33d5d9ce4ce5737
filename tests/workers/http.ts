/** A handler for the workers of `serve()`: the path is a command. */
import type { HttpHandler } from "../../lib/http.ts";

const self = crypto.randomUUID(); // each Worker has an instance of this module of its own

const handler: HttpHandler = async (request, info) => {
  switch (new URL(request.url).pathname) {
    case "/slow": {
      await new Promise((resolve) => setTimeout(resolve, 500));
      return new Response("done");
    }
    case "/fail":
      throw new RangeError("the handler failed on purpose");
    case "/crash":
      setTimeout(() => Deno.exit(3));
      return new Promise(() => {});
    default:
      return Response.json({ self, reused: info.tls?.sessionReused, version: info.tls?.version });
  }
};

export default handler;
export const options = {
  onError: (error: unknown) => new Response(`from the module: ${(error as Error).message}`, { status: 500 }),
};
