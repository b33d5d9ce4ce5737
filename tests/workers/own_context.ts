/** A handler's module that makes its context itself: with a function among its options. */
import { SSLContext } from "../../lib/ssl.ts";

export { default } from "./streams.ts";

const certs = new URL("../certs/", import.meta.url);
export const options = {
  ssl: await SSLContext.create({
    serverSide: true,
    certfile: new URL("ec.pem", certs),
    keyfile: new URL("ec.key", certs),
    sessionCacheSize: 0,
    keyLog: () => {},
  }),
};
