// @ts-self-types="./_progress.d.ts"
// A well-known progress bar. A module that is imported from a URL does not see the import map, so the specifier is whole.
export { SingleBar } from "npm:cli-progress@3.12.0";
