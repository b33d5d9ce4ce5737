/**
 * Remix's packages for the fetch API: HTML that escapes what is put into it, and files with ETag, Range and conditions.
 * A module that is imported from a URL does not see the import map, so the specifiers are whole.
 */
export { html, type SafeHtml } from "npm:@remix-run/html-template@0.3.1";
export { detectMimeType } from "npm:@remix-run/mime@0.4.2";
export { createFileResponse } from "npm:@remix-run/response@0.3.5/file";
