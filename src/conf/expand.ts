/**
 * `$name` in parameter values, as postconf(5) describes it:
 *
 *   $name  $(name)  ${name}              the value of name, itself expanded
 *   ${name?text}  ${name?{text}}         text if the value is not empty
 *   ${name:text}  ${name:{text}}         text if it is empty or there is none
 *   ${name?{text}:{text}}                one or the other
 *   ${{text} == {text} ? {text}:{text}}  the same with a comparison; alone it gives "true" or nothing
 *   $$                                   a dollar sign
 *
 * Comparisons are == != < <= >= >, of numbers where both sides are digits,
 * else of texts; with the suffix "level" of compatibility levels (3.6, 3.10).
 *
 * Fails with ExpansionError, whose message is the one Postfix gives. Nesting,
 * steps and length are limited: `a = $a`, and values that double, end.
 */
export class ExpansionError extends Error {}

/** The unexpanded value of a name; undefined where there is no such name. */
export type Lookup = (name: string) => string | undefined;

/** Nested references (Postfix has the same limit). */
export const nesting_limit = 100;
/** References and pieces of text in one expansion. */
export const steps_limit = 100_000;
/** Characters of the result. */
export const result_limit = 1 << 20;

interface Walk {
  readonly lookup: Lookup;
  /** Only visit names, in every branch, without going into their values. */
  readonly scan: boolean;
  depth: number;
  steps: number;
  result: string;
}

/** The text with every reference replaced; what has no value is replaced by nothing. */
export function expand(text: string, lookup: Lookup): string {
  if (!text.includes("$")) return text;
  const walk: Walk = { lookup, scan: false, depth: 0, steps: 0, result: "" };
  walkText(text, walk);
  return walk.result;
}

/** Calls `visit` with every name that the text refers to, whichever branch would be taken. */
export function references(text: string, visit: (name: string) => void): void {
  if (!text.includes("$")) return;
  const lookup = (name: string) => {
    visit(name);
    return undefined;
  };
  walkText(text, { lookup, scan: true, depth: 0, steps: 0, result: "" });
}

function walkText(text: string, walk: Walk): void {
  let literal = "";
  let at = 0;
  for (let dollar = text.indexOf("$"); dollar >= 0; dollar = text.indexOf("$", at)) {
    literal += text.slice(at, dollar);
    if (text[dollar + 1] === "$") {
      literal += "$";
      at = dollar + 2;
      continue;
    }
    if (literal) append(literal, walk);
    literal = "";
    const { inside, end } = readReference(text, dollar + 1);
    enter(inside, walk);
    walkReference(inside, walk);
    walk.depth--;
    at = end;
  }
  literal += text.slice(at);
  if (literal) append(literal, walk);
}

function enter(what: string, walk: Walk): void {
  if (walk.depth++ > nesting_limit) throw new ExpansionError(`unreasonable macro call nesting: "${what}"`);
  if (++walk.steps > steps_limit) throw new ExpansionError(`more than ${steps_limit} steps at: "${what.slice(0, 40)}"`);
}

function append(literal: string, walk: Walk): void {
  enter(literal, walk);
  walk.depth--;
  if (walk.scan) return;
  if (walk.result.length + literal.length > result_limit) {
    throw new ExpansionError(`the result is longer than ${result_limit} characters`);
  }
  walk.result += literal;
}

/** What stands behind a `$` at `start`, without parentheses, and where the text goes on. */
function readReference(text: string, start: number): { inside: string; end: number } {
  const open = text[start];
  let inside: string;
  let end: number;
  if (open === "(" || open === "{") {
    end = closing(text, start, open, open === "(" ? ")" : "}");
    if (end < 0) throw new ExpansionError(`truncated macro reference: "${text}"`);
    inside = text.slice(start + 1, end - 1);
  } else {
    inside = /^\w*/.exec(text.slice(start))?.[0] ?? "";
    end = start + inside.length;
  }
  if (inside === "") throw new ExpansionError(`empty macro name: "${text}"`);
  return { inside, end };
}

/** The position behind the parenthesis that closes the one at `start`, or -1. */
function closing(text: string, start: number, open: string, close: string): number {
  let level = 0;
  for (let at = start; at < text.length; at++) {
    if (text[at] === open) level++;
    else if (text[at] === close && --level === 0) return at + 1;
  }
  return -1;
}

/** A position in what stands inside a reference. */
class Cursor {
  readonly text: string;
  at = 0;

  constructor(text: string) {
    this.text = text;
  }

  get char(): string {
    return this.text[this.at] ?? "";
  }

  get ended(): boolean {
    return this.at >= this.text.length;
  }

  get rest(): string {
    return this.text.slice(this.at);
  }

  /** As much of the rest as error messages show. */
  get glimpse(): string {
    return this.text.slice(this.at, this.at + 20);
  }

  skipSpace(): void {
    while (/[ \t\r\n]/.test(this.char)) this.at++;
  }

  /** Is the next thing, after white space, an opening brace? Only then is the white space skipped. */
  atBrace(): boolean {
    const before = this.at;
    this.skipSpace();
    if (this.char === "{") return true;
    this.at = before;
    return false;
  }

  /** The text in the braces that open here; goes on to what follows them and white space. */
  braced(): string {
    const end = closing(this.text, this.at, "{", "}");
    if (end < 0) throw new ExpansionError(`unbalanced {} in attribute expression: "${this.rest}"`);
    const inside = this.text.slice(this.at + 1, end - 1);
    this.at = end;
    this.skipSpace();
    return inside;
  }

  /** An operand of ? or :, in braces, or else everything that is left. */
  operand(): string {
    if (this.atBrace()) return this.braced();
    const rest = this.rest;
    this.at = this.text.length;
    return rest;
  }
}

function walkReference(inside: string, walk: Walk): void {
  const cursor = new Cursor(inside);
  if (cursor.atBrace()) {
    const value = compare(cursor, walk);
    if (!/^[?:]?$/.test(cursor.char)) {
      throw new ExpansionError(`"?" or ":" expected at: "...}>>>${cursor.glimpse}"`);
    }
    choose(cursor, value, walk);
  } else {
    choose(cursor, walk.lookup(readName(cursor)), walk);
  }
}

/** A name up to ?, : or the end; white space around it does not count. Leaves the cursor at the operator. */
function readName(cursor: Cursor): string {
  cursor.skipSpace();
  const start = cursor.at;
  for (;;) {
    const end = cursor.at;
    cursor.skipSpace();
    if (cursor.char === "" || cursor.char === "?" || cursor.char === ":") return cursor.text.slice(start, end);
    cursor.at = end;
    if (!/\w/.test(cursor.char)) {
      const before = cursor.text.slice(0, cursor.at);
      throw new ExpansionError(`attribute name syntax error at: "...${before}>>>${cursor.glimpse}"`);
    }
    cursor.at++;
  }
}

/** The value itself, or what ? and : make of it. */
function choose(cursor: Cursor, value: string | undefined, walk: Walk): void {
  const operator = cursor.char;
  if (operator === "") {
    if (value && !walk.scan) walkText(value, walk);
    return;
  }
  if (operator === "?") {
    cursor.at++;
    const then = cursor.operand();
    if (value || walk.scan) walkText(then, walk);
    if (cursor.ended) return;
    if (!cursor.rest.startsWith(":")) throw new ExpansionError(`":" expected at: "...${then}}>>>${cursor.glimpse}"`);
  }
  cursor.at++;
  const otherwise = cursor.operand();
  if (!value || walk.scan) walkText(otherwise, walk);
  if (!cursor.ended) {
    throw new ExpansionError(`unexpected input at: "...${otherwise}}>>>${cursor.glimpse}"`);
  }
}

/** -1, 0 or 1 for less, equal and greater. */
type Order = (left: string, right: string) => number;

const operators: Readonly<Record<string, (order: number) => boolean>> = {
  "==": (order) => order === 0,
  "!=": (order) => order !== 0,
  "<": (order) => order < 0,
  "<=": (order) => order <= 0,
  ">=": (order) => order >= 0,
  ">": (order) => order > 0,
};

/** "true" or "" for `{left} operator {right}`. */
function compare(cursor: Cursor, walk: Walk): string | undefined {
  const left = cursor.braced();
  const symbol = /^[<>!=?+\-*/~&|%]*/.exec(cursor.rest)?.[0] ?? "";
  const holds = operators[symbol];
  if (!holds) {
    // The quotes are Postfix's.
    const expected = '"==" or "!="" or "<"" or "<="" or ">="" or ">"';
    throw new ExpansionError(`${expected} expected at: "...${left}}>>>${cursor.glimpse}"`);
  }
  cursor.at += symbol.length;
  const order = readOrder(cursor, symbol);
  if (!cursor.atBrace()) {
    throw new ExpansionError(`"{expression}" expected at: "...{${left}} ${symbol}>>>${cursor.glimpse}"`);
  }
  const right = cursor.braced();
  const leftValue = operandValue(left, walk);
  const rightValue = operandValue(right, walk);
  if (walk.scan) return undefined;
  return holds(order(leftValue, rightValue)) ? "true" : "";
}

function readOrder(cursor: Cursor, symbol: string): Order {
  const suffix = /^[A-Za-z0-9]*/.exec(cursor.rest)?.[0] ?? "";
  if (suffix === "") return byNumberOrText;
  if (suffix !== "level") throw new ExpansionError(`bad operator suffix at: "...${symbol}>>>${suffix}"`);
  cursor.at += suffix.length;
  return byLevel;
}

/** The value of an operand. It counts towards the limits of the whole. */
function operandValue(text: string, walk: Walk): string {
  const inner: Walk = { ...walk, result: "" };
  walkText(text, inner);
  walk.steps = inner.steps;
  return inner.result;
}

function byNumberOrText(left: string, right: string): number {
  if (/^\d+$/.test(left) && /^\d+$/.test(right)) return inOrder(BigInt(left), BigInt(right));
  return inOrder(left, right);
}

function byLevel(left: string, right: string): number {
  return inOrder(compatibilityLevel(left), compatibilityLevel(right));
}

function inOrder<T extends string | number | bigint>(left: T, right: T): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** A number that orders levels: major[.minor[.patch]], the latter two up to 1023. */
export function compatibilityLevel(text: string): number {
  const parts = /^\s*[+]?(\d{1,9})(?:\.\s*[+]?(\d{1,9})(?:\.\s*[+]?(\d{1,9}))?)?$/.exec(text);
  const [major = 0, minor = 0, patch = 0] = (parts ?? []).slice(1).map((part) => Number(part ?? 0));
  if (!parts || minor > 1023 || patch > 1023) {
    throw new ExpansionError(`malformed compatibility level syntax: "${text}"`);
  }
  return (major * 1024 + minor) * 1024 + patch;
}
