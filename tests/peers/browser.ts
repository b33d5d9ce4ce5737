/** Chromium as a reader: at a phone's width, in the dark, on paper, without a network for files; by its DevTools protocol. */
import { Program, within } from "./process.ts";
import { tempDir } from "./server.ts";

/** A busy machine takes seconds for what a browser does. */
const BROWSER_PATIENCE = 60_000; // milliseconds

/** How a page is looked at. */
export interface View {
  /** CSS pixels. */
  width: number;
  height?: number;
  dark?: boolean;
  /** As paper shows it. */
  print?: boolean;
}

/** A part of a page, in CSS pixels. */
export interface Part {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A browser with one page. */
export interface Browser extends AsyncDisposable {
  /** Opens a page, and waits until it has loaded. */
  open(url: string, view: View): Promise<void>;
  /** What an expression comes to in the page, as JSON can say it. */
  evaluate<T>(expression: string): Promise<T>;
  /** The whole page as a PNG, or a part of it, in CSS pixels. */
  screenshot(part?: Part): Promise<Uint8Array<ArrayBuffer>>;
  /** The page as a PDF of A4. */
  pdf(): Promise<Uint8Array<ArrayBuffer>>;
  /** What its console, its log and its scripts complained of since {@linkcode Browser.open}. */
  readonly complaints: readonly string[];
  /** The addresses that it asked for, besides the page's own. */
  readonly requests: readonly string[];
}

// deno-lint-ignore no-explicit-any
type Message = any;

/** Starts one. With the network off it opens files alone. */
export async function browser({ offline = true } = {}): Promise<Browser> {
  await using stack = new AsyncDisposableStack();
  const home = stack.use(await tempDir());
  const program = stack.use(
    new Program("chromium", [
      "--headless",
      ...(Deno.uid() === 0 ? ["--no-sandbox"] : []), // it refuses to run as root otherwise
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--hide-scrollbars",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
      `--user-data-dir=${home.path}/profile`,
      "--remote-debugging-port=0",
      "about:blank",
    ], {
      env: {
        HOME: home.path,
        XDG_CONFIG_HOME: `${home.path}/.config`,
        XDG_CACHE_HOME: `${home.path}/.cache`,
      },
    }),
  );
  const [, address] = await program.waitFor(/listening on (ws:\S+)/, BROWSER_PATIENCE);
  const link = stack.adopt(await connect(address!), (link) => link.close());
  const { targetId } = await link.call("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await link.call("Target.attachToTarget", { targetId, flatten: true });
  const call = (method: string, params: object = {}) => link.call(method, params, sessionId);
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await call(`${domain}.enable`);
  await call("Network.emulateNetworkConditions", {
    ...{ offline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 },
  });
  const [complaints, requests]: [string[], string[]] = [[], []];
  let page = "";
  link.listen(({ method, params }) => {
    if (method === "Runtime.consoleAPICalled") complaints.push(JSON.stringify(params.args));
    if (method === "Runtime.exceptionThrown") complaints.push(params.exceptionDetails.text);
    if (method === "Log.entryAdded") complaints.push(params.entry.text);
    const url = params?.request?.url;
    if (method === "Network.requestWillBeSent" && url !== page && !url.startsWith("data:")) {
      requests.push(url);
    }
  });
  const owned = stack.move();
  return {
    complaints,
    requests,
    async open(url, { width, height = 800, dark = false, print = false }) {
      await call("Emulation.setDeviceMetricsOverride", {
        ...{ width, height, deviceScaleFactor: 1, mobile: width < 600 },
      });
      await call("Emulation.setEmulatedMedia", {
        media: print ? "print" : "screen",
        features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }],
      });
      complaints.length = 0;
      requests.length = 0;
      page = url;
      const loaded = link.event("Page.loadEventFired");
      const { errorText } = await call("Page.navigate", { url });
      if (errorText !== undefined) throw new Error(`Cannot open ${url}: ${errorText}`);
      await within(loaded, BROWSER_PATIENCE, `open ${url}`);
    },
    async evaluate(expression) {
      const { result, exceptionDetails } = await call("Runtime.evaluate", {
        expression,
        returnByValue: true,
      });
      if (exceptionDetails) throw new Error(`Cannot evaluate ${expression}: ${exceptionDetails.text}`);
      return result.value;
    },
    async screenshot(part) {
      const clip = part && { clip: { ...part, scale: 1 } };
      const { data } = await call("Page.captureScreenshot", { captureBeyondViewport: true, ...clip });
      return Uint8Array.fromBase64(data);
    },
    async pdf() {
      const { data } = await call("Page.printToPDF", {
        paperWidth: 8.27,
        paperHeight: 11.69,
        preferCSSPageSize: true,
      });
      return Uint8Array.fromBase64(data);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The protocol: a call has a number and an answer, an event a name. */
async function connect(address: string) {
  const socket = new WebSocket(address);
  const opened = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const waiting = new Map<number, PromiseWithResolvers<Message>>();
  const listeners = new Set<(message: Message) => void>();
  socket.onopen = () => opened.resolve();
  socket.onclose = socket.onerror = () => {
    gone.resolve();
    for (const each of [opened, ...waiting.values()]) {
      each.reject(new Error("Cannot ask the browser: it is gone"));
    }
  };
  socket.onmessage = ({ data }) => {
    const message: Message = JSON.parse(data);
    if (message.id === undefined) return listeners.forEach((listener) => listener(message));
    const each = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.error) each?.reject(new Error(`Cannot ask the browser: ${message.error.message}`));
    else each?.resolve(message.result);
  };
  await within(opened.promise, BROWSER_PATIENCE, "reach the browser");
  let id = 0;
  return {
    call(method: string, params: object, sessionId?: string): Promise<Message> {
      const answer = Promise.withResolvers<Message>();
      waiting.set(++id, answer);
      socket.send(JSON.stringify({ id, method, params, ...(sessionId && { sessionId }) }));
      return within(answer.promise, BROWSER_PATIENCE, `do ${method}`);
    },
    listen: (listener: (message: Message) => void) => void listeners.add(listener),
    event(name: string): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>();
      const listener = ({ method }: Message) => {
        if (method !== name) return;
        listeners.delete(listener);
        resolve();
      };
      listeners.add(listener);
      return promise;
    },
    async close() {
      socket.close();
      await within(gone.promise, BROWSER_PATIENCE, "leave the browser");
    },
  };
}
