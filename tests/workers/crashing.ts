/** A handler's module that lets its Worker crash soon after it has started to listen. */
export { default } from "./streams.ts";

setTimeout(() => {
  throw new Error("crashes whatever happens");
}, 300);
