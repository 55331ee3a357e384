import { getopt } from "../getopt.ts";

/** What is wrong with a command line, in Postfix's words. `notice` is what goes to standard error before. */
export class RequestError extends Error {
  readonly notice: string | undefined;

  constructor(message: string, notice?: string) {
    super(message);
    this.notice = notice;
  }
}

/** A command line of postconf. */
export interface Request {
  /** Options without a value, and those with one, by letter. One of `aAblmMpFPtT` is there. */
  readonly letters: ReadonlySet<string>;
  readonly classes: ReadonlySet<string>;
  /** As given with -c. */
  readonly directory: string | undefined;
  readonly overrides: readonly string[];
  /** The value of -T. */
  readonly tls: string;
  readonly operands: readonly string[];
}

/** Options that say what is shown or edited: one at a time. */
const major = "aAblmtpMFPT";

/** Of each of these at most one makes sense. */
const exclusive = [major, "den#X", "fe#X", "xe#X", "ode#X", "he#XH"];

/** What goes with a letter; -C, -c, -q and -v go with all. */
const companions: Readonly<Record<string, string>> = {
  ...Object.fromEntries([..."aAblmTt"].map((letter) => [letter, ""])),
  p: "eX#fhxdnoHj",
  M: "eX#foxj",
  F: "efhoxHj",
  P: "eXfhoxHj",
  j: "pMFPoxnd",
};

/** The order in which messages list options. */
const listed = "aAbdefFhHjlmMnopPtTxX#";

const usage =
  "usage: postconf [-a (server SASL types)] [-A (client SASL types)] [-b (bounce templates)] [-c config_dir]" +
  " [-C param_class] [-d (parameter defaults)] [-e (edit configuration)] [-f (fold lines)] [-F (master.cf fields)]" +
  " [-h (no names)] [-H (no values)] [-j (JSON)] [-l (lock types)] [-m (map types)] [-M (master.cf)]" +
  " [-n (non-default parameters)] [-o name=value (override parameter value)] [-p (main.cf, default)]" +
  " [-P (master.cf parameters)] [-q (no warnings)] [-t (bounce templates)]" +
  " [-T compile-version|run-version|public-key-algorithms] [-v (verbose)] [-x (expand parameter values)]" +
  " [-X (exclude)] [-# (comment-out)] [name...]";

/** Reads a command line. Throws RequestError. */
export function parseRequest(args: readonly string[]): Request {
  const { options, operands, problem } = getopt(args, "aAbc:C:deEfFhHjlmMno:pPqtT:vxX#");
  const given = options.map(({ letter }) => letter);
  if (given.filter((letter) => letter === "b" || letter === "t").length > 1)
    throw new RequestError("specify one of -b and -t");
  if (given.filter((letter) => letter === "T").length > 1)
    throw new RequestError("At most one -T <mode> option may be specified");
  if (problem !== undefined) throw new RequestError(usage, problem);
  // A letter that Postfix's list of options has, and no meaning in any version.
  if (given.includes("E")) throw new RequestError(usage);
  const letters = new Set(given);
  if (![...letters].some((letter) => major.includes(letter))) letters.add("p");
  const edits = operands[0]?.includes("=") && [..."pMFP"].some((letter) => letters.has(letter));
  if (edits) letters.add("e");
  checkCombination(letters);
  if (letters.has("e") && operands.length === 0) throw new RequestError("-e requires name=value argument");
  const last = (letter: string) => options.findLast((each) => each.letter === letter)?.value;
  return {
    letters,
    classes: parseClasses(last("C")),
    directory: last("c"),
    overrides: options.filter(({ letter }) => letter === "o").map(({ value }) => value),
    tls: last("T") ?? "",
    operands,
  };
}

function checkCombination(letters: ReadonlySet<string>): void {
  const named = (some: readonly string[]) => some.map((letter) => `-${letter}`).join(" ");
  const given = [...listed].filter((letter) => letters.has(letter));
  for (const group of exclusive) {
    const both = given.filter((letter) => group.includes(letter));
    if (both.length > 1) throw new RequestError(`specify one of ${named(both)}`);
  }
  for (const [letter, allowed] of Object.entries(companions)) {
    if (!letters.has(letter)) continue;
    const excess = given.filter((each) => each !== letter && !allowed.includes(each));
    if (excess.length > 0) throw new RequestError(`with option -${letter}, do not specify ${named(excess)}`);
  }
}

function parseClasses(text = "all"): Set<string> {
  const classes = new Set<string>();
  for (const word of text
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean)) {
    if (word === "all") for (const each of ["builtin", "service", "user"]) classes.add(each);
    else if (["builtin", "service", "user"].includes(word)) classes.add(word);
    else throw new RequestError(`unknown -C option value "${word}" in "${text}"`);
  }
  return classes;
}
