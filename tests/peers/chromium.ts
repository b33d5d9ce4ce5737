/** Chromium, headless, as the browser that a server's user would have. */
import { nssDatabase, nssTrust } from "./nss.ts";
import { PATIENCE, Program } from "./process.ts";
import { tempDir } from "./server.ts";

/** Starting a browser on a busy machine takes seconds. */
const BROWSER_PATIENCE = 3 * PATIENCE;

/** Options of {@linkcode chromium}. */
export interface ChromiumOptions {
  /** Path of the authorities that this browser trusts besides its own, in PEM. */
  ca?: string;
  /** Take a screenshot instead of the page's DOM. */
  screenshot?: boolean;
  /** How long the page's own scripts may go on, in milliseconds of the page's clock. Default 5000. */
  budgetMs?: number;
  args?: readonly string[];
  timeoutMs?: number;
}

/** What the browser made of a page. */
export interface ChromiumResult {
  /** The DOM after the page's scripts have run, as HTML; empty when the page did not load. */
  dom: string;
  /** A PNG. */
  screenshot: Uint8Array<ArrayBuffer> | undefined;
  /** `"ERR_CERT_AUTHORITY_INVALID"` and the like, when the page did not load. */
  error: string | undefined;
  stderr: string;
}

/**
 * Opens a page in a browser with a profile of its own. Trust comes by the certificate database that a user of
 * the machine would have, so that the browser really verifies. Names other than localhost and the tests' own,
 * `example.test` and `*.wild.test`, do not resolve: a browser likes to call home.
 */
export async function chromium(url: string, options: ChromiumOptions = {}): Promise<ChromiumResult> {
  await using home = await tempDir();
  const { ca, budgetMs = 5000, timeoutMs = BROWSER_PATIENCE } = options;
  if (ca !== undefined) {
    await nssTrust(await nssDatabase(`${home.path}/.pki/nssdb`), ca);
  }
  const png = `${home.path}/page.png`;
  await using program = new Program("chromium", [
    "--headless",
    ...(Deno.uid() === 0 ? ["--no-sandbox"] : []), // it refuses to run as root otherwise
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--host-resolver-rules=MAP example.test 127.0.0.1, MAP *.wild.test 127.0.0.1, MAP * ~NOTFOUND, " +
    "EXCLUDE localhost, EXCLUDE 127.0.0.1",
    `--user-data-dir=${home.path}/profile`,
    `--virtual-time-budget=${budgetMs}`,
    ...(options.screenshot ? [`--screenshot=${png}`, "--window-size=800,600"] : ["--dump-dom"]),
    ...(options.args ?? []),
    url,
  ], {
    env: { HOME: home.path, XDG_CONFIG_HOME: `${home.path}/.config`, XDG_CACHE_HOME: `${home.path}/.cache` },
  });
  await program.exit(timeoutMs);
  const { stdout, stderr } = program;
  return {
    dom: stdout,
    screenshot: options.screenshot ? await Deno.readFile(png).catch(() => undefined) : undefined,
    error: stderr.match(/Page load failed: net::(ERR_\w+)/)?.[1],
    stderr,
  };
}
