/**
 * Generated table sources through Debian's postmap and ours: what is odd about sources in any mixture (comments, continued lines,
 * white space, quotes, keys that come twice, UTF-8 and what is none, NULs, missing values), built, asked, listed, added
 * to and deleted from. A case is a seed, and the same each time.
 */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { type Random, seeded } from "../../src/table/damage.ts";
import { needs } from "../lab/needs.ts";
import { type Outcome, postmapLab } from "../lab/postmap.ts";

const pick = <T>(random: Random, list: readonly T[]): T => list[random(list.length)] as T;
const some = (random: Random, most: number, make: () => string): string => {
  let text = "";
  for (let count = random(most + 1); count > 0; count--) text += make();
  return text;
};

const words = [
  "a",
  "A",
  "b",
  "user",
  "User",
  "example.com",
  "@example.com",
  "user@example.com",
  "x:",
  "0",
  "-",
  "$x",
  "#",
];
const letters = ["ß", "ẞ", "Σ", "ς", "İ", "ı", "é", "É", "Ω", "ﬁ", "日", "\u{1f600}"].map((each) =>
  Buffer.from(each).toString("latin1"),
);
const odd = ["\xff", "\xc3", "\x01", "\x7f", "\0", "\\", '"', "'", "\\ ", '\\"', "%", "="];
const white = [" ", "\t", "  ", " \t ", "\v", "\f", "\r"];

/** Characters of Latin 1, a byte each. */
function key(random: Random): string {
  const kind = random(12);
  if (kind < 6) return pick(random, words);
  if (kind < 8) return pick(random, words) + pick(random, letters) + some(random, 2, () => pick(random, letters));
  if (kind === 8) return `"${pick(random, words)}${pick(random, white)}${pick(random, words)}"`;
  if (kind === 9) return pick(random, words) + pick(random, odd) + pick(random, words);
  if (kind === 10) return pick(random, words).repeat(1 + random(20));
  return pick(random, words) + random(1000);
}

function value(random: Random): string {
  const kind = random(10);
  if (kind < 5) return pick(random, ["x", "value", "two words", "smtp:[relay]:25", "REJECT no", "user:pass word"]);
  if (kind < 7) return some(random, 3, () => pick(random, [...words, ...letters, ...white]));
  if (kind === 7) return pick(random, odd) + pick(random, words);
  if (kind === 8) return "v".repeat(random(300));
  return "";
}

function line(random: Random): string {
  const kind = random(20);
  if (kind === 0) return `#${value(random)}`;
  if (kind === 1) return pick(random, ["", " ", "\t", " \v\f"]);
  if (kind === 2) return `${pick(random, white)}${value(random)}`;
  if (kind === 3) return `${pick(random, white)}# ${value(random)}`;
  if (kind === 4) return key(random);
  return `${key(random)}${pick(random, white)}${value(random)}${some(random, 1, () => pick(random, white))}`;
}

function source(random: Random): string {
  const end = random(8) === 0 ? "\r\n" : "\n";
  const lines = Array.from({ length: random(25) }, () => line(random));
  return lines.join(end) + (random(5) === 0 ? "" : end);
}

/** Lines of keys: those of the source, as they stand and otherwise. */
function questions(random: Random, text: string): string {
  const taken = text.split("\n").map((each) => each.replace(/[ \t-\r].*$/s, ""));
  const more = Array.from({ length: 6 }, () => key(random));
  const all = [...taken, ...more].filter((each) => each !== "" && !/[\n]/.test(each));
  return `${all.map((each) => (random(4) === 0 ? each.replace(/[a-z]/g, (char) => char.toUpperCase()) : each)).join("\n")}\n`;
}

const lab = postmapLab("generated");
after(() => lab.remove());

/** Debian's postmap and ours do this to a directory each, in which everything is called the same. */
class Pair {
  readonly #mine: string;
  readonly #debians: string;
  readonly #type: string;

  constructor(type: string, text: string) {
    const files = { T: Buffer.from(text, "latin1") };
    this.#type = type;
    this.#mine = lab.place(files);
    this.#debians = lab.place(files);
  }

  async both(args: readonly string[], input = ""): Promise<Outcome> {
    const given = Buffer.from(input, "latin1");
    const line = (directory: string) => [...args, `${this.#type}:${directory}/T`];
    const ours = await lab.ours("postmap", this.#mine, line(this.#mine), given);
    const debian = await lab.debian("postmap", this.#debians, line(this.#debians), given);
    assert.deepEqual(comparable(ours, args), comparable(debian, args), args.join(" "));
    return ours;
  }

  /** What each made answers the other. */
  async crosswise(keys: string): Promise<void> {
    const given = Buffer.from(keys, "latin1");
    const ask = ["-q", "-"];
    const wanted = await lab.debian("postmap", this.#mine, [...ask, `${this.#type}:${this.#mine}/T`], given);
    const got = await lab.ours("postmap", this.#debians, [...ask, `${this.#type}:${this.#debians}/T`], given);
    assert.deepEqual(comparable(got, ask), comparable(wanted, ask));
  }
}

/**
 * A hash has its entries in an order of its own, which is not compared. Where a look-up ends the program, Debian's
 * drops what it has not written yet.
 */
function comparable({ status, out, err }: Outcome, args: readonly string[]): Outcome {
  if (args.includes("-s")) return { status, err, out: out.split("\n").sort().join("\n") };
  return /fatal:/.test(err) ? { status, err, out: "" } : { status, err, out };
}

const indexed = ["hash", "btree", "lmdb", "cdb"];
const seeds = 60;

describe("generated sources", { ...needs({ programs: ["/usr/sbin/postmap"] }), concurrency: 16 }, () => {
  for (let seed = 1; seed <= seeds; seed++) {
    const type = indexed[seed % indexed.length] ?? "hash";
    it(`seed ${seed}, ${type}: both build, answer, list and change alike`, async () => {
      const random = seeded(seed);
      const text = source(random);
      const pair = new Pair(type, text);
      const how = pick(random, [[], [], ["-w"], ["-r"], ["-f"], ["-u"], ["-N"], ["-n"]]);
      await pair.both(how);
      const keys = questions(random, text);
      const asking = how.filter((flag) => flag !== "-w" && flag !== "-r");
      await pair.both([...asking, "-q", "-"], keys);
      await pair.crosswise(keys);
      if (type === "cdb") return;
      await pair.both([...asking, "-s"]);
      const more = source(random);
      await pair.both([...asking, pick(random, ["-i", "-ir", "-iw"])], more);
      await pair.both([...asking, "-s"]);
      await pair.both(
        [...asking, "-d", "-"],
        questions(random, text + more)
          .split("\n")
          .slice(0, 8)
          .join("\n"),
      );
      await pair.both([...asking, "-s"]);
    });
  }

  for (let seed = 101; seed <= 120; seed++) {
    it(`seed ${seed}, texthash: both answer and list alike`, async () => {
      const random = seeded(seed);
      const text = source(random);
      const pair = new Pair("texthash", text);
      const how = pick(random, [["-w"], ["-r"], ["-w", "-f"], ["-w", "-u"]]);
      await pair.both([...how, "-q", "-"], questions(random, text));
      await pair.both([...how, "-s"]);
    });
  }
});
