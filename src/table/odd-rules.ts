import { usualBytes } from "./byte-table.ts";
import { cidr } from "./cidr.ts";
import { type Random, seeded } from "./damage.ts";
import type { OddOptions } from "./odd-answers.ts";
import { pcre, regexp } from "./patterns.ts";
import { type TableContext, TableError } from "./table.ts";

/**
 * Odd tables of patterns and networks, for tests and for `npm run fuzz`: whatever stands in a source, opening it ends, with a table
 * or a TableError; and whatever the key, so does looking it up.
 */
export const ruleTypes = [regexp, pcre, cidr] as const;

/** How many tables were opened, how many not; how many look-ups had an answer, none, or could not tell. */
export interface RulesOutcome {
  opened: number;
  refused: number;
  found: number;
  absent: number;
  unable: number;
  /** What the slowest table took with all its look-ups. */
  slowest_ms: number;
}

/** Reads `count` odd tables of a type, and asks each for a few keys; throws what must not be thrown. */
export async function readOddRules(
  { name, openBytes }: (typeof ruleTypes)[number],
  { seed, count, broken }: OddOptions,
  now_ms: () => number,
): Promise<RulesOutcome> {
  const random = seeded(seed);
  const outcome: RulesOutcome = { opened: 0, refused: 0, found: 0, absent: 0, unable: 0, slowest_ms: 0 };
  for (let round = 0; round < count; round++) {
    const source = name === "cidr" ? oddNetworks(random) : oddPatterns(random);
    const keys = Array.from({ length: 3 }, () => oddKey(random, name === "cidr"));
    const begun_ms = now_ms();
    try {
      await readOne(openBytes, source, keys, outcome);
    } catch (error) {
      broken?.(Buffer.from(`${source}\n--\n${keys.join("\n")}`, "latin1"));
      throw error;
    }
    outcome.slowest_ms = Math.max(outcome.slowest_ms, now_ms() - begun_ms);
  }
  return outcome;
}

async function readOne(
  openBytes: (typeof ruleTypes)[number]["openBytes"],
  source: string,
  keys: readonly string[],
  outcome: RulesOutcome,
): Promise<void> {
  const bytes = Buffer.from(source, "latin1");
  const context: TableContext = { foldCase: true, read: async () => ({ bytes, mtime_ms: 0 }), warn: () => {} };
  const table = await openBytes("/rules", context, usualBytes).catch((error: unknown) => {
    if (!(error instanceof TableError)) throw error;
    outcome.refused++;
    return undefined;
  });
  if (!table) return;
  outcome.opened++;
  for (const key of keys) {
    try {
      const found = await table.find(Buffer.from(key, "latin1"));
      outcome[found === undefined ? "absent" : "found"]++;
    } catch (error) {
      if (!(error instanceof TableError)) throw error;
      outcome.unable++;
    }
  }
}

const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)] as T;

/** What patterns are made of, sound or not. */
const pieces = [
  ..."a b c @ . ^ $ * + ? | ( ) [ ] { } \\ / - , 1 0 : = ! < > # _".split(" "),
  ..."a+ a* b? .* .+ (a|b) (?:a) [a-c] [^a] [[:alpha:]] [[.a.]] [[=a=]] [] [^]] \\. \\/ \\d \\w \\s \\b \\B \\1 \\2 \\n".split(
    " ",
  ),
  ..."{2} {2,} {1,3} {,3} {0} {99999} (?i) (?-i) (?x) (?=a) (?!a) (?<=a) (?>a) a++ (?# x ) (?P<n>a) (?<n>b) \\k<n> \\Q \\E".split(
    " ",
  ),
  ..."\\x41 \\x{41} \\0 \\101 \\c@ \\A \\z \\Z \\G \\R \\h \\p{L} (?1) (?R) (*FAIL) \\< \\> \\` \\' \xe9 \xff".split(
    " ",
  ),
  "(a*)*",
  "(a|a)*",
  "(a+)+b",
  "((((",
  "))))",
  " ",
  "\t",
];

function oddPattern(random: Random): string {
  let text = "";
  for (let count = random(9); count >= 0; count--) text += pick(random, pieces);
  return text;
}

const values = ["x", "$1", "${1}", "$(1)", "$2 $1", "$$", "$", "${", "$9", "REJECT no", "", " ", "a$1b${2}c"];

function oddPatterns(random: Random): string {
  let text = "";
  for (let count = random(4); count >= 0; count--) {
    const kind = random(12);
    const delimiter = pick(random, ["/", "/", "/", "!", "|", "#", "a", '"']);
    const flags = pick(random, ["", "", "i", "m", "x", "U", "A", "s", "E", "ixm", "q"]);
    const pattern = `${pick(random, ["", "", "!", "!!", "! "])}${delimiter}${oddPattern(random)}${pick(random, [delimiter, delimiter, ""])}${flags}`;
    if (kind === 0) text += `if ${pattern}\n`;
    else if (kind === 1) text += pick(random, ["endif\n", "ENDIF x\n", "IF\n", "# comment\n", "  more\n", "\n"]);
    else if (kind === 2) text += `${pattern}!${delimiter}${oddPattern(random)}${delimiter} x\n`;
    else text += `${pattern} ${pick(random, values)}\n`;
  }
  return text;
}

const networkPieces = [
  ..."1 10 192 255 256 0 . . . : :: /8 /24 /32 /33 /128 /129 / [ ] ! fe80 2001:db8 1.2.3.0/24 10.0.0.0/8 ::1 ::ffff:1.2.3.4".split(
    " ",
  ),
  ..."0.0.0.0/0 ::/0 a x if endif IF ENDIF # % -1 1e1 01".split(" "),
  " ",
];

const networks = "1.2.3.0/24 10.0.0.0/8 0.0.0.0/0 ::/0 [2001:db8::]/32 ::1 1.2.3.4".split(" ");

function oddNetworks(random: Random): string {
  let text = "";
  for (let count = random(6); count >= 0; count--) {
    text += pick(random, ["", "", "!", "if ", ...networks, ...networks]);
    for (let parts = random(2) * random(4); parts > 0; parts--) text += pick(random, networkPieces);
    text += pick(random, [" value\n", " value\n", "\n", " \n", "\n more\n"]);
  }
  return text;
}

const keyPieces = [
  ..."a b c aa ab abab @ . com example - + 1 \xe9 \xc3\xa9 [ ] $ \\ / A B".split(" "),
  " ",
  "\t",
  "\n",
  "\0",
];
const addressPieces = "1 10 192 255 256 0 . . . : :: fe80 2001:db8 1.2.3.4 10.1.2.3 ::1 ::ffff:1.2.3.4 x".split(" ");

const addresses = "1.2.3.4 10.1.2.3 255.255.255.255 ::1 2001:db8::1 fe80::1 ::ffff:1.2.3.4".split(" ");

function oddKey(random: Random, isAddress: boolean): string {
  if (isAddress && random(2) === 0) return pick(random, addresses);
  let text = "";
  for (let count = random(10); count >= 0; count--) text += pick(random, isAddress ? addressPieces : keyPieces);
  return text;
}
