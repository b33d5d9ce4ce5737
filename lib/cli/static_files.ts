/** A folder as a web site: its files, index.html, listings. */

import { join, sep } from "node:path";
import { createFileResponse, detectMimeType, html, type SafeHtml } from "./_web.ts";
import { CommandError } from "./flags.ts";

const CHUNK = 65536; // bytes; a read of this size is the fastest per byte (Deno 2.9)
const HTML = "text/html; charset=utf-8";
const BASE_HEADERS = { "x-content-type-options": "nosniff", "cache-control": "no-cache" };

/**
 * Serves a folder. What is outside of it is not there, also by a symbolic link, and neither is any name that starts with a dot.
 *
 * @param folder The folder.
 * @returns A handler of requests.
 * @throws {CommandError} If there is no such folder.
 */
export async function staticFiles(folder: string): Promise<(request: Request) => Promise<Response>> {
  const root = await rootOf(folder);
  return async (request) => {
    if (request.method !== "GET" && request.method !== "HEAD") {
      return message(405, "Method Not Allowed", { allow: "GET, HEAD" });
    }
    const { pathname } = new URL(request.url);
    try {
      const path = await resolve(root, pathname);
      const info = path && await Deno.stat(path);
      if (!path || !info) return message(404, "Not Found");
      if (info.isFile && !pathname.endsWith("/")) return await sendFile(path, info, request);
      if (!info.isDirectory) return message(404, "Not Found"); // a file as a folder, a device, a pipe
      if (!pathname.endsWith("/")) return message(301, "Moved Permanently", { location: `${pathname}/` });
      const index = await resolve(root, `${pathname}index.html`);
      const indexInfo = index && await Deno.stat(index);
      if (index && indexInfo && indexInfo.isFile) return await sendFile(index, indexInfo, request);
      return await listing(path, decodeURIComponent(pathname), request);
    } catch (error) {
      if (error instanceof Deno.errors.PermissionDenied) return message(403, "Forbidden");
      throw error;
    }
  };
}

async function rootOf(folder: string): Promise<string> {
  const problem = (state: string) => new CommandError(`Cannot serve "${folder}": ${state}`);
  try {
    const root = await Deno.realPath(folder);
    if ((await Deno.stat(root)).isDirectory) return root;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw problem("no such folder");
    if (error instanceof Deno.errors.PermissionDenied) throw problem("permission denied");
    throw error;
  }
  throw problem("it is not a folder");
}

/** The file or folder of a URL's path; `undefined` when there is none that may be seen. */
async function resolve(root: string, pathname: string): Promise<string | undefined> {
  let path: string;
  try {
    path = decodeURIComponent(pathname);
  } catch {
    return undefined; // not UTF-8
  }
  const names = path.slice(1).split("/");
  if (names.at(-1) === "") names.pop(); // of a folder
  if (names.some((name) => name === "" || name.startsWith(".") || /[\0\\]/.test(name))) return undefined;
  try {
    const real = await Deno.realPath(join(root, ...names));
    const inside = real === root || real.startsWith(root.endsWith(sep) ? root : root + sep);
    return inside ? real : undefined;
  } catch (error) {
    const { NotFound, NotADirectory, FilesystemLoop } = Deno.errors;
    if ([NotFound, NotADirectory, FilesystemLoop].some((kind) => error instanceof kind)) return undefined;
    throw error;
  }
}

async function sendFile(path: string, info: Deno.FileInfo, request: Request): Promise<Response> {
  const file: Parameters<typeof createFileResponse>[0] = {
    name: path,
    size: info.size,
    type: detectMimeType(path) ?? "application/octet-stream",
    lastModified: Math.floor(info.mtime?.getTime() ?? 0),
    stream: () => readRange(path, 0, info.size),
    slice: (start = 0, end = info.size) => ({ stream: () => readRange(path, start, end) }),
    arrayBuffer: async () => (await Deno.readFile(path)).buffer,
  };
  const response = await createFileResponse(file, request, { acceptRanges: true });
  for (const [name, value] of Object.entries(BASE_HEADERS)) response.headers.set(name, value);
  return response;
}

/** The bytes of a file from `start` to before `end`. The file is open from the first read to the end, or to a cancel. */
function readRange(path: string, start: number, end: number): ReadableStream<Uint8Array> {
  let file: Deno.FsFile | undefined;
  let at = start;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        file ??= await openAt(path, start);
        const chunk = new Uint8Array(Math.min(CHUNK, end - at));
        const n = chunk.length === 0 ? 0 : await file.read(chunk);
        if (n === null) throw new Error(`Cannot read "${path}": it became shorter`); // the length was promised
        at += n;
        if (n > 0) controller.enqueue(chunk.subarray(0, n));
        if (at < end) return;
        file.close();
        controller.close();
      } catch (error) {
        file?.close();
        throw error;
      }
    },
    cancel: () => file?.close(),
  }, { highWaterMark: 0 });
}

async function openAt(path: string, start: number): Promise<Deno.FsFile> {
  const file = await Deno.open(path);
  await file.seek(start, Deno.SeekMode.Start);
  return file;
}

function message(status: number, text: string, headers: Record<string, string> = {}): Response {
  return new Response(`${text}\n`, { status, statusText: text, headers: { ...BASE_HEADERS, ...headers } });
}

// ---- Listings -------------------------------------------------------------------------------------------

interface Entry {
  readonly name: string;
  readonly isFolder: boolean;
  readonly size: number;
  readonly modified: Date | null;
}

async function listing(path: string, pathname: string, request: Request): Promise<Response> {
  const entries = await readEntries(path);
  const page = `<!doctype html>${html`
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>${pathname}</title>
        <style>
      :root { color-scheme: light dark; }
      body { font: 16px/1.6 system-ui, sans-serif; max-width: 48rem; margin: 3rem auto; padding: 0 1rem; }
      h1 { font-size: 1.3rem; overflow-wrap: anywhere; }
      table { width: 100%; border-collapse: collapse; }
      td { padding: .3rem .5rem; border-top: 1px solid color-mix(in srgb, currentColor 15%, transparent); }
      td + td { text-align: right; white-space: nowrap; opacity: .7; font-variant-numeric: tabular-nums; }
      a { text-decoration: none; overflow-wrap: anywhere; } a:hover { text-decoration: underline; }
    </style>
      </head>
      <body>
        <h1>${pathname}</h1>
        <table>
    ${pathname === "/" ? [] : html`
      <tr>
        <td><a href="../">../</a></td>
        <td></td>
        <td></td>
      </tr>
    `}
    ${entries.map(row)}
        </table>
      </body>
    </html>
  `}`;
  const headers = {
    ...BASE_HEADERS,
    "content-type": HTML,
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
  };
  return new Response(request.method === "HEAD" ? null : page, { headers });
}

/** What a folder has to show: folders first, then by name, numbers as numbers. */
async function readEntries(path: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const { name } of Deno.readDir(path)) {
    if (name.startsWith(".")) continue;
    const info = await Deno.stat(join(path, name)).catch(() => undefined); // a link to nowhere
    if (info !== undefined) {
      entries.push({ name, isFolder: info.isDirectory, size: info.size, modified: info.mtime });
    }
  }
  const { compare } = new Intl.Collator("en", { numeric: true });
  return entries.sort((a, b) => Number(b.isFolder) - Number(a.isFolder) || compare(a.name, b.name));
}

function row({ name, isFolder, size, modified }: Entry): SafeHtml {
  const slash = isFolder ? "/" : "";
  // "./": else a name with a colon would be an address of its own.
  return html`
    <tr>
      <td><a href="./${encodeURIComponent(name)}${slash}">${name}${slash}</a></td>
      <td>${isFolder ? "" : size.toLocaleString("en")}</td>
      <td>${modified?.toISOString().slice(0, 16).replace("T", " ") ?? ""}</td>
    </tr>
  `;
}
