import {
  alternatives,
  around,
  joined,
  lineEnd,
  lineStart,
  nothing,
  noWordEdge,
  type Piece,
  piece,
  places,
  Reading,
  softEnd,
  syntax,
  textEnd,
  textStart,
  untranslatable,
  wordEdge,
} from "./builder.ts";
import {
  type Bytes,
  between,
  bothCases,
  bytesOf,
  classes,
  digits,
  except,
  space,
  union,
  without,
  word,
} from "./bytes.ts";
import type { Translated } from "./compile.ts";

/** pcre2pattern(3)'s options, as the letters behind a pattern turn them on and off. */
export interface PcreFlags {
  readonly ignoreCase: boolean;
  readonly multiline: boolean;
  readonly dotAll: boolean;
  readonly extended: boolean;
  readonly anchored: boolean;
  readonly dollarEndOnly: boolean;
  readonly ungreedy: boolean;
}

/** Reads a Perl-compatible pattern (pcre2pattern(3)), matched byte by byte. Throws PatternError. */
export function readPcre(text: string, flags: PcreFlags): Translated {
  const reading = new Reading(text);
  const whole = new Pcre(reading, flags, groupNames(text)).expression();
  if (!reading.done) throw syntax("unmatched closing parenthesis");
  return reading.translated(flags.anchored ? joined([textStart, around("(?:", whole)]) : whole);
}

/** The numbers of named groups, which may be named before they come. */
function groupNames(text: string): ReadonlyMap<string, number> {
  const names = new Map<string, number>();
  let number = 0;
  for (const [found, name] of text.matchAll(
    /\\Q[\s\S]*?(?:\\E|$)|\\[\s\S]|\[\^?\]?(?:\\[\s\S]|\[:\^?\w+:\]|[^\]\\])*\]|\((?:\?P?[<'](\w+)[>']|(?![?*]))/g,
  )) {
    if (!found.startsWith("(")) continue;
    number++;
    if (name) names.set(name, number);
  }
  return names;
}

class Pcre {
  readonly #in: Reading;
  readonly #names: ReadonlyMap<string, number>;
  #flags: PcreFlags;

  constructor(reading: Reading, flags: PcreFlags, names: ReadonlyMap<string, number>) {
    this.#in = reading;
    this.#flags = flags;
    this.#names = names;
  }

  /** Alternatives up to the closing parenthesis, or the end. Flags set inside end here. */
  expression(): Piece {
    const flags = this.#flags;
    const branches = [this.#branch()];
    while (this.#in.take("|")) branches.push(this.#branch());
    this.#flags = flags;
    return alternatives(branches);
  }

  #branch(): Piece {
    const pieces: Piece[] = [];
    for (this.#skip(); !this.#in.done && this.#in.char !== "|" && this.#in.char !== ")"; this.#skip()) {
      if (this.#in.take("\\Q")) pieces.push(...this.#quoted());
      else if (!this.#in.take("\\E")) pieces.push(this.#repeated(this.#atom()));
    }
    return joined(pieces);
  }

  /** Comments, and with x white space. */
  #skip(): void {
    while (this.#in.match(/\(\?#[^)]*\)/y) || (this.#flags.extended && this.#in.match(/[\t-\r ]+|#[^\n]*\n?/y)));
  }

  #quoted(): Piece[] {
    const [, text = ""] = this.#in.match(/([\s\S]*?)(?:\\E|$)/y) ?? [];
    const pieces = [...text].map((char) => this.#set(bytesOf(char)));
    const last = pieces.pop();
    return last ? [...pieces, this.#repeated(last)] : [];
  }

  #set(set: Bytes): Piece {
    return this.#in.set(set, this.#flags.ignoreCase);
  }

  #repeated(atom: Piece): Piece {
    this.#skip();
    const input = this.#in;
    const [count, low = "", high] = input.match(/[*+?]|\{(\d+)(?:,(\d*))?\}/y) ?? [];
    if (count === undefined) return atom;
    if (places.has(atom)) throw syntax("quantifier does not follow a repeatable item");
    if (high && Number(high) < Number(low)) throw syntax("numbers out of order in {} quantifier");
    if (Number(low) > 65535 || Number(high ?? 0) > 65535) throw syntax("number too big in {} quantifier");
    if (input.take("+")) return this.#possessive(around("(?:", atom, `)${count}`));
    const lazy = input.take("?") !== this.#flags.ungreedy;
    return around("(?:", atom, `)${count}${lazy ? "?" : ""}`);
  }

  /** What an atomic group has matched stays so: look ahead, then take what was seen. */
  #possessive({ js }: Piece): Piece {
    const name = `a${this.#in.at}`;
    return this.#in.backtracking(`(?=(?<${name}>${js}))\\k<${name}>`);
  }

  #atom(): Piece {
    const input = this.#in;
    if (input.take("(")) return this.#group();
    const { multiline, dotAll, dollarEndOnly } = this.#flags;
    const char = input.char;
    input.at++;
    if (char === "[") return this.#bracket();
    if (char === ".") return this.#set(dotAll ? any : without(any, newline));
    if (char === "^") return multiline ? lineStart : textStart;
    if (char === "$") return multiline ? lineEnd : dollarEndOnly ? textEnd : this.#softEnd();
    if ("*+?".includes(char)) throw syntax("quantifier does not follow a repeatable item");
    return char === "\\" ? this.#escape() : this.#set(bytesOf(char));
  }

  #softEnd(): Piece {
    this.#in.softEnd = true;
    return softEnd;
  }

  // Groups

  /** Behind the "(". */
  #group(): Piece {
    const input = this.#in;
    if (input.char === "*") throw untranslatable("a verb, (*…)");
    if (!input.take("?")) return input.capture(() => this.#inside());
    if (input.match(/P?<[A-Za-z_]\w*>|'[A-Za-z_]\w*'/y)) return input.capture(() => this.#inside());
    if (input.take(":")) return this.#plain();
    if (input.take(">")) return this.#possessive(this.#plain());
    const look = input.match(/<?[=!]/y)?.[0];
    if (look) return input.backtracking(`(?${look}${input.nested(() => this.#inside()).js})`);
    const [, name] = input.match(/P=(\w+)\)/y) ?? [];
    if (name !== undefined) return this.#reference(name);
    return this.#options();
  }

  #plain(): Piece {
    return around(
      "(?:",
      this.#in.nested(() => this.#inside()),
    );
  }

  #inside(): Piece {
    const inside = this.expression();
    if (!this.#in.take(")")) throw syntax("missing closing parenthesis");
    return inside;
  }

  /** (?im-sx) from here on, (?im-sx:…) for what is inside. */
  #options(): Piece {
    const input = this.#in;
    const [, caret, on = "", off = "", end] = input.match(/(\^?)([imsxU]*)(?:-([imsxU]*))?([:)])/y) ?? [];
    if (end === undefined) throw untranslatable("this kind of group, (?…)");
    const before = this.#flags;
    const cleared = { ignoreCase: false, multiline: false, dotAll: false, extended: false };
    this.#flags = { ...before, ...(caret ? cleared : {}), ...optionsOf(on, true), ...optionsOf(off, false) };
    if (end === ")") return nothing;
    const inside = this.#plain();
    this.#flags = before;
    return inside;
  }

  #reference(name: string): Piece {
    const relative = /^-\d+$/.test(name) ? this.#in.groups + 1 + Number(name) : undefined;
    const number = relative ?? (/^\d+$/.test(name) ? Number(name) : this.#names.get(name));
    if (!number || number < 1) throw syntax("reference to non-existent subpattern");
    if (!this.#in.closed.has(number)) throw untranslatable("a reference to a group that is not closed");
    return this.#in.reference(number, this.#flags.ignoreCase);
  }

  // Escapes

  /** Behind the "\". */
  #escape(): Piece {
    const input = this.#in;
    if (input.done) throw syntax("\\ at end of pattern");
    const [, braced, plain, named] =
      input.match(/(?:g\{(-?\w+)\}|g(-?\d+)|k(?:\{(?=\w+\})|<(?=\w+>)|'(?=\w+'))(\w+).)/y) ?? [];
    const reference = braced ?? plain ?? named;
    if (reference !== undefined) return this.#reference(reference);
    const [number] = input.match(/[1-9](?!\d)/y) ?? [];
    if (number !== undefined) return this.#reference(number);
    const char = input.char;
    if (/[1-9]/.test(char)) throw untranslatable("a backslash and several digits");
    const place = { b: wordEdge, B: noWordEdge, A: textStart, G: textStart, z: textEnd }[char];
    if (place || char === "Z") {
      input.at++;
      return place ?? this.#softEnd();
    }
    if (char === "R") {
      input.at++;
      return this.#possessive(piece("", "(?:\\r\\n|[\\n-\\r\\x85])"));
    }
    return this.#set(this.#escapedSet());
  }

  /** The bytes that an escape stands for, in a class too. */
  #escapedSet(): Bytes {
    const input = this.#in;
    const char = input.char;
    input.at++;
    const set = sets[char];
    if (set) return set;
    const single = singles[char];
    if (single !== undefined) return new Set([single]);
    if (char === "x") return this.#code(input.match(/\{([0-9a-f]+)\}|([0-9a-f]{0,2})/iy), 16);
    if (char === "o") return this.#code(input.match(/\{([0-7]+)\}/y), 8);
    if (char === "0") return this.#code(input.match(/()([0-7]{0,2})/y), 8);
    if (char === "c") {
      const next = input.char.toUpperCase().charCodeAt(0);
      input.at++;
      if (!(next >= 0x20 && next < 0x7f)) throw syntax("\\c must be followed by a printable ASCII character");
      return new Set([next ^ 0x40]);
    }
    if (/[A-Za-z0-9]/.test(char)) throw untranslatable(`\\${char}`);
    return bytesOf(char);
  }

  #code(found: RegExpExecArray | undefined, base: number): Bytes {
    const code = Number.parseInt(found?.[1] || found?.[2] || "0", base);
    if (!found) throw syntax("missing braces after \\o");
    if (code > 255) throw syntax("character code point value in \\x{} or \\o{} is too large");
    return new Set([code]);
  }

  // Classes

  /** Behind the "[". */
  #bracket(): Piece {
    const input = this.#in;
    const negated = input.take("^");
    let set: Bytes = new Set();
    for (let first = true; first || input.char !== "]"; first = false) {
      if (input.done) throw syntax("missing terminating ] for character class");
      const low = this.#element();
      const isRange = low.size === 1 && input.char === "-" && input.text[input.at + 1] !== "]";
      if (!isRange || input.at + 1 >= input.text.length) {
        set = union(set, low);
        continue;
      }
      input.at++;
      const high = this.#element();
      if (high.size !== 1) throw syntax("invalid range in character class");
      const [from = 0, to = 0] = [...low, ...high];
      if (to < from) throw syntax("range out of order in character class");
      set = union(set, between(from, to));
    }
    input.at++;
    const cased = this.#flags.ignoreCase ? bothCases(set) : set;
    return input.set(negated ? except(cased) : cased, false);
  }

  #element(): Bytes {
    const input = this.#in;
    const [, not, name] = input.match(/\[:(\^?)([a-z]*):\]/y) ?? [];
    if (name !== undefined) {
      const set = Object.hasOwn(classes, name) ? classes[name] : undefined;
      if (!set) throw syntax("unknown POSIX class name");
      return not ? except(set) : set;
    }
    if (input.match(/\\[QE]/y)) throw untranslatable("\\Q or \\E in a character class");
    if (!input.take("\\")) return bytesOf(input.text[input.at++] ?? "");
    if (input.done) throw syntax("\\ at end of pattern");
    if (input.take("b")) return bytesOf("\b");
    const [octal] = input.match(/[1-7][0-7]{0,2}/y) ?? [];
    return octal === undefined ? this.#escapedSet() : new Set([Number.parseInt(octal, 8) & 255]);
  }
}

function optionsOf(letters: string, on: boolean): Partial<PcreFlags> {
  return {
    ...(letters.includes("i") ? { ignoreCase: on } : {}),
    ...(letters.includes("m") ? { multiline: on } : {}),
    ...(letters.includes("s") ? { dotAll: on } : {}),
    ...(letters.includes("x") ? { extended: on } : {}),
    ...(letters.includes("U") ? { ungreedy: on } : {}),
  };
}

const newline = 0x0a;
const any: Bytes = between(0, 255);
const horizontal = bytesOf("\t \xa0");
const vertical = bytesOf("\n\v\f\r\x85");

const sets: Readonly<Record<string, Bytes>> = {
  d: digits,
  D: except(digits),
  w: word,
  W: except(word),
  s: space,
  S: except(space),
  h: horizontal,
  H: except(horizontal),
  v: vertical,
  V: except(vertical),
  N: without(any, newline),
};

const singles: Readonly<Record<string, number>> = { a: 7, e: 27, f: 12, n: 10, r: 13, t: 9 };
