/** What the program exports, or a promise of it. `source` is its file below the root. */
export function load(directory: string, name: string, source: string): unknown;
/** Stands for the contents of files below the root. */
export function contentHash(files: readonly string[], read?: (file: string) => Uint8Array): string;
/** Of the first line of a program: it was made from what is there now. */
export function isFresh(head: { node: string; hash: string; inputs: readonly (string | number)[] }): boolean;
