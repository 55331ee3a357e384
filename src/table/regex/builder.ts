import { type Bytes, bothCases, classText } from "./bytes.ts";
import { PatternError, type Translated } from "./compile.ts";

/** A part of a pattern in both languages. */
export interface Piece {
  readonly re2: string;
  readonly js: string;
}

export const piece = (re2: string, js: string = re2): Piece => ({ re2, js });
export const nothing: Piece = piece("");
export const joined = (pieces: readonly Piece[]): Piece =>
  piece(pieces.map(({ re2 }) => re2).join(""), pieces.map(({ js }) => js).join(""));
export const alternatives = (pieces: readonly Piece[]): Piece =>
  piece(pieces.map(({ re2 }) => re2).join("|"), pieces.map(({ js }) => js).join("|"));
export const around = (open: string, { re2, js }: Piece, close = ")"): Piece =>
  piece(open + re2 + close, open + js + close);

/** `^` and `$`, and what they mean line by line. */
export const textStart: Piece = piece("\\A", "(?<![\\s\\S])");
export const textEnd: Piece = piece("\\z", "(?![\\s\\S])");
export const lineStart: Piece = piece("(?m:^)", "(?<![^\\n])");
export const lineEnd: Piece = piece("(?m:$)", "(?![^\\n])");
export const softEnd: Piece = piece("\\z", "(?=\\n?(?![\\s\\S]))");

export const wordEdge: Piece = piece("\\b");
export const noWordEdge: Piece = piece("\\B");

/** What matches a place and no text: it cannot be repeated. */
export const places: ReadonlySet<Piece> = new Set([
  textStart,
  textEnd,
  lineStart,
  lineEnd,
  softEnd,
  wordEdge,
  noWordEdge,
]);

/** What both readers of patterns keep while they read: place, groups, and whether RE2 can do it. */
export class Reading {
  readonly text: string;
  at = 0;
  groups = 0;
  linear = true;
  softEnd = false;
  #depth = 0;
  readonly closed = new Set<number>();

  constructor(text: string) {
    this.text = text;
  }

  get char(): string {
    return this.text[this.at] ?? "";
  }

  get done(): boolean {
    return this.at >= this.text.length;
  }

  /** Takes `token` if it is next. */
  take(token: string): boolean {
    if (!this.text.startsWith(token, this.at)) return false;
    this.at += token.length;
    return true;
  }

  /** Takes what the sticky `expression` matches here. */
  match(expression: RegExp): RegExpExecArray | undefined {
    expression.lastIndex = this.at;
    const found = expression.exec(this.text) ?? undefined;
    if (found) this.at += found[0].length;
    return found;
  }

  set(set: Bytes, ignoreCase: boolean): Piece {
    return piece(classText(ignoreCase ? bothCases(set) : set));
  }

  capture(read: () => Piece): Piece {
    const number = ++this.groups;
    const { re2, js } = this.nested(read);
    this.closed.add(number);
    return piece(`(${re2})`, `(?<g${number}>${js})`);
  }

  nested(read: () => Piece): Piece {
    if (++this.#depth > nestingLimit) throw new PatternError("untranslatable", "parentheses are nested too deep");
    const found = read();
    this.#depth--;
    return found;
  }

  /** Only RegExp can do this. */
  backtracking(js: string): Piece {
    this.linear = false;
    return piece("", js);
  }

  reference(number: number, ignoreCase: boolean): Piece {
    return this.backtracking(ignoreCase ? `(?i:\\k<g${number}>)` : `\\k<g${number}>`);
  }

  translated({ re2, js }: Piece): Translated {
    return { re2: this.linear ? re2 : undefined, js, groups: this.groups, softEnd: this.softEnd };
  }
}

const nestingLimit = 200;

export const syntax = (message: string): PatternError => new PatternError("syntax", message);
export const untranslatable = (what: string): PatternError =>
  new PatternError("untranslatable", `${what} is not supported`);
