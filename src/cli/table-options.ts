import { getopt } from "./getopt.ts";

/** What the options of postmap(1) and postalias(1) ask for. */
export interface TableOptions {
  configDirectory: string | undefined;
  /** -d, -q: the key, "-" for standard input. */
  delete: string | undefined;
  query: string | undefined;
  /** -s */
  list: boolean;
  /** -i */
  incremental: boolean;
  /** Not with -f. */
  fold: boolean;
  /** -F */
  valuesFromFiles: boolean;
  /** -b, -h, -m */
  bodyKeys: boolean;
  headerKeys: boolean;
  mimeKeys: boolean;
  /** -N, -n */
  nul: "with" | "without" | "either";
  /** Not with -o. */
  asOwner: boolean;
  /** Not with -p. */
  keepPermissions: boolean;
  /** -r, -w */
  duplicates: "warn" | "ignore" | "replace";
  /** Not with -u. */
  utf8: boolean;
  /** -U */
  forceUtf8: boolean;
}

/** Ends a command: "postmap: fatal: …", exit status 1. */
export class Fatal extends Error {}

const onlyOne = "specify only one of -s -q or -d";

type Set = (options: TableOptions, value: string) => void;

const setters: Readonly<Record<string, Set>> = {
  b: (options) => (options.bodyKeys = true),
  c: (options, value) => (options.configDirectory = value),
  d: (options, value) => {
    if (options.list || options.query !== undefined || options.delete !== undefined) throw new Fatal(onlyOne);
    options.delete = value;
  },
  f: (options) => (options.fold = false),
  F: (options) => (options.valuesFromFiles = true),
  h: (options) => (options.headerKeys = true),
  i: (options) => (options.incremental = true),
  m: (options) => (options.mimeKeys = true),
  N: (options) => (options.nul = "with"),
  n: (options) => (options.nul = "without"),
  o: (options) => (options.asOwner = false),
  p: (options) => (options.keepPermissions = false),
  q: (options, value) => {
    if (options.list || options.query !== undefined || options.delete !== undefined) throw new Fatal(onlyOne);
    options.query = value;
  },
  r: (options) => (options.duplicates = "replace"),
  s: (options) => {
    if (options.query !== undefined || options.delete !== undefined) {
      throw new Fatal("specify only one of -s or -q or -d");
    }
    options.list = true;
  },
  u: (options) => (options.utf8 = false),
  U: (options) => (options.forceUtf8 = true),
  v: () => {},
  w: (options) => (options.duplicates = "ignore"),
};

export interface Usage {
  /** getopt(3)'s letters. */
  readonly letters: string;
  /** What is said behind "usage: ". */
  readonly usage: string;
}

/** Reads the options. `complain` gets getopt's own words. Throws Fatal. */
export function parseTableOptions(
  args: readonly string[],
  { letters, usage }: Usage,
  complain: (text: string) => void,
): { readonly options: TableOptions; readonly operands: readonly string[] } {
  const { options: given, operands, problem } = getopt(args, letters);
  const options: TableOptions = {
    configDirectory: undefined,
    delete: undefined,
    query: undefined,
    list: false,
    incremental: false,
    fold: true,
    valuesFromFiles: false,
    bodyKeys: false,
    headerKeys: false,
    mimeKeys: false,
    nul: "either",
    asOwner: true,
    keepPermissions: true,
    duplicates: "warn",
    utf8: true,
    forceUtf8: false,
  };
  for (const { letter, value } of given) setters[letter]?.(options, value);
  if (problem !== undefined) {
    complain(problem);
    throw new Fatal(`usage: ${usage}`);
  }
  return { options, operands };
}
