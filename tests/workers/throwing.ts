/** A handler's module that throws. */
export default () => {};

throw new Error("this module throws");
