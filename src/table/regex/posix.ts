import {
  alternatives,
  around,
  joined,
  lineEnd,
  lineStart,
  noWordEdge,
  type Piece,
  places,
  Reading,
  syntax,
  textEnd,
  textStart,
  untranslatable,
  wordEdge,
} from "./builder.ts";
import { type Bytes, between, bothCases, bytesOf, classes, except, space, union, without, word } from "./bytes.ts";
import type { Translated } from "./compile.ts";

/** regcomp(3)'s flags. `newline`: `.` and negated classes exclude it, and ^ and $ match around it. */
export interface PosixFlags {
  readonly extended: boolean;
  readonly ignoreCase: boolean;
  readonly newline: boolean;
}

/** Reads a POSIX regular expression, extended or basic (IEEE Std 1003.1 chapter 9), with what glibc adds. Throws PatternError. */
export function readPosix(text: string, flags: PosixFlags): Translated {
  const reading = new Reading(text);
  const whole = new Posix(reading, flags).expression(false);
  if (!reading.done) throw syntax("Unmatched ) or \\)");
  return reading.translated(whole);
}

const newline = 0x0a;

class Posix {
  readonly #in: Reading;
  readonly #flags: PosixFlags;

  constructor(reading: Reading, flags: PosixFlags) {
    this.#in = reading;
    this.#flags = flags;
  }

  expression(inGroup: boolean): Piece {
    const branches = [this.#branch(inGroup)];
    while (this.#takeOperator("|")) branches.push(this.#branch(inGroup));
    return alternatives(branches);
  }

  /** In basic expressions operators have a backslash in front. */
  #takeOperator(operator: string): boolean {
    return this.#in.take(this.#flags.extended ? operator : `\\${operator}`);
  }

  #atOperator(operator: string): boolean {
    return this.#in.text.startsWith(this.#flags.extended ? operator : `\\${operator}`, this.#in.at);
  }

  #branch(inGroup: boolean): Piece {
    const pieces: Piece[] = [];
    for (;;) {
      if (this.#in.done || this.#atOperator("|")) break;
      if (this.#atOperator(")") && (inGroup || !this.#flags.extended)) break;
      const atom = this.#atom(pieces.length === 0, inGroup);
      pieces.push(this.#repeated(atom));
    }
    return joined(pieces);
  }

  #repeated(atom: Piece): Piece {
    // Behind the ^ of a basic expression, a * is an ordinary one.
    if (places.has(atom) && !this.#flags.extended) return atom;
    let whole = atom;
    for (;;) {
      const count = this.#quantifier();
      if (count === undefined) return whole;
      if (places.has(atom)) throw syntax("Invalid preceding regular expression");
      whole = around("(?:", whole, `)${count}`);
    }
  }

  #quantifier(): string | undefined {
    if (this.#in.take("*")) return "*";
    for (const operator of ["+", "?"]) if (this.#takeOperator(operator)) return operator;
    if (!this.#takeOperator("{")) return undefined;
    const close = this.#flags.extended ? "}" : "\\}";
    const [, low = "", comma, high = ""] = this.#in.match(/(\d*)(,?)(\d*)/y) ?? [];
    if (!this.#in.take(close)) throw syntax(this.#in.done ? "Unmatched { or \\{" : "Invalid content of \\{\\}");
    if (low === "" && !comma) throw syntax("Invalid preceding regular expression");
    const [from, to] = [Number(low), comma ? (high === "" ? undefined : Number(high)) : Number(low)];
    if (from > 32767 || (to ?? 0) > 32767) throw syntax("Regular expression too big");
    if (to !== undefined && to < from) throw syntax("Invalid content of \\{\\}");
    return `{${from},${to ?? ""}}`;
  }

  #atom(first: boolean, inGroup: boolean): Piece {
    const { extended } = this.#flags;
    const input = this.#in;
    if (this.#takeOperator("(")) {
      return input.capture(() => {
        const inside = this.expression(true);
        if (!this.#takeOperator(")")) throw syntax("Unmatched ( or \\(");
        return inside;
      });
    }
    const char = input.char;
    input.at++;
    if (char === "[") return this.#bracket();
    if (char === ".") return this.#set(this.#flags.newline ? without(any, newline) : any);
    if (char === "^" && (extended || first)) return this.#flags.newline ? lineStart : textStart;
    if (char === "$" && (extended || this.#atEnd(inGroup))) return this.#flags.newline ? lineEnd : textEnd;
    if (extended && first && "*+?{".includes(char)) throw syntax("Invalid preceding regular expression");
    return char === "\\" ? this.#escape() : this.#set(bytesOf(char));
  }

  #atEnd(inGroup: boolean): boolean {
    return this.#in.done || this.#atOperator("|") || (inGroup && this.#atOperator(")"));
  }

  #set(set: Bytes): Piece {
    return this.#in.set(set, this.#flags.ignoreCase);
  }

  #escape(): Piece {
    const input = this.#in;
    if (input.done) throw syntax("Trailing backslash");
    const before = input.text[input.at - 2] ?? "";
    const char = input.char;
    input.at++;
    const set = escapes[char];
    if (set) return this.#set(set);
    if (char === "b" || char === "B") return char === "b" ? wordEdge : noWordEdge;
    if (char === "`") return textStart;
    if (char === "'") return textEnd;
    if (char === "<" || char === ">") {
      // The edge of a word, on whose other side the word is known to be.
      if (/\w/.test(char === "<" ? input.char : before)) return wordEdge;
      throw untranslatable(`\\${char} that is not beside a letter`);
    }
    if (/[1-9]/.test(char)) {
      if (!input.closed.has(Number(char))) throw syntax("Invalid back reference");
      return input.reference(Number(char), this.#flags.ignoreCase);
    }
    return this.#set(bytesOf(char));
  }

  /** Behind the "[". */
  #bracket(): Piece {
    const input = this.#in;
    const negated = input.take("^");
    let set: Bytes = new Set();
    for (let first = true; first || input.char !== "]"; first = false) {
      if (input.done) throw syntax("Unmatched [, [^, [:, [., or [=");
      const named = input.match(/\[:([a-z]*):\]/y);
      if (named) {
        const found = Object.hasOwn(classes, named[1] ?? "") ? classes[named[1] ?? ""] : undefined;
        if (!found) throw syntax("Invalid character class name");
        set = union(set, found);
        continue;
      }
      const from = this.#element();
      if (input.char === "-" && input.text[input.at + 1] !== "]") {
        input.at++;
        const to = this.#element();
        if (to < from) throw syntax("Invalid range end");
        set = union(set, between(from, to));
      } else set = union(set, new Set([from]));
    }
    input.at++;
    const cased = this.#flags.ignoreCase ? bothCases(set) : set;
    if (!negated) return input.set(cased, false);
    return input.set(this.#flags.newline ? without(except(cased), newline) : except(cased), false);
  }

  #element(): number {
    const input = this.#in;
    if (input.done) throw syntax("Unmatched [, [^, [:, [., or [=");
    const [, , element] = input.match(/\[([.=])([^\]]|\])\1\]/y) ?? [];
    if (element !== undefined) return element.charCodeAt(0);
    if (/^\[[.=]/.test(input.text.slice(input.at, input.at + 2))) throw untranslatable("a collating element");
    return input.text.charCodeAt(input.at++);
  }
}

const any: Bytes = between(0, 255);
const escapes: Readonly<Record<string, Bytes>> = { w: word, W: except(word), s: space, S: except(space) };
