/**
 * Kinds of parameters. A parameter is declared once, in the room that reads
 * it; the TypeScript type, parsing, range checks, postconf(1), postconf(5)
 * and "did you mean" are all derived from that declaration.
 */
export interface Param<T> {
  readonly kind: string;
  /** As the user would write it, `$name` and all. */
  readonly default: string;
  readonly since: string;
  /** One paragraph for postconf(5). */
  readonly doc: string;
  /** The value of the expanded text. Throws ParamError, whose message says what is expected. */
  parse(text: string): T;
}

export class ParamError extends Error {}

export type Params = Readonly<Record<string, Param<unknown>>>;

/** The frozen configuration that a set of declarations gives: `conf.smtp_mail_timeout`. */
export type Values<P extends Params> = { readonly [Name in keyof P]: P[Name] extends Param<infer T> ? T : never };

interface Declaration {
  readonly default: string;
  readonly since: string;
  readonly doc: string;
}

export function text(declared: Declaration): Param<string> {
  return { ...declared, kind: "text", parse: (value) => value };
}

export function bool(declared: Declaration): Param<boolean> {
  return {
    ...declared,
    kind: "yes or no",
    parse(value) {
      const word = value.toLowerCase();
      if (word !== "yes" && word !== "no") throw new ParamError(`expected "yes" or "no", not "${value}"`);
      return word === "yes";
    },
  };
}

interface Range {
  readonly min?: number;
  readonly max?: number;
}

export function int(declared: Declaration & Range): Param<number> {
  return {
    ...declared,
    kind: "number",
    parse(value) {
      if (!/^-?\d+$/.test(value)) throw new ParamError(`expected a whole number, not "${value}"`);
      return within(Number(value), declared, value);
    },
  };
}

const unit_s: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86400, w: 604800 };

/** A time in seconds; `unit` is what a bare number counts. */
export function time(declared: Declaration & Range & { readonly unit?: "s" | "m" | "h" | "d" | "w" }): Param<number> {
  return {
    ...declared,
    kind: "time",
    parse(value) {
      const [, digits, unit] = /^(\d+)([smhdw]?)$/i.exec(value) ?? [];
      if (digits === undefined) throw new ParamError(`expected a time such as 30s, 5m, 2h, 3d or 1w, not "${value}"`);
      return within(Number(digits) * (unit_s[(unit || declared.unit || "s").toLowerCase()] ?? 1), declared, value);
    },
  };
}

function within(number: number, { min, max }: Range, written: string): number {
  if (!Number.isSafeInteger(number)) throw new ParamError(`"${written}" is too large`);
  if (min !== undefined && number < min) throw new ParamError(`"${written}" is below the least value, ${min}`);
  if (max !== undefined && number > max) throw new ParamError(`"${written}" is above the largest value, ${max}`);
  return number;
}

/** Words from a fixed set, in the order written, each once; separated by commas or white space; any case. */
export function words<const Word extends string>(
  declared: Declaration & { readonly of: readonly Word[] },
): Param<readonly Word[]> {
  return {
    ...declared,
    kind: "words",
    parse(value) {
      const found = new Set<Word>();
      for (const word of splitList(value)) {
        const known = declared.of.find((each) => each === word.toLowerCase());
        if (!known) throw new ParamError(`"${word}" is none of: ${declared.of.join(", ")}`);
        found.add(known);
      }
      return [...found];
    },
  };
}

/** One word from a fixed set. */
export function choice<const Word extends string>(
  declared: Declaration & { readonly of: readonly Word[] },
): Param<Word> {
  return {
    ...declared,
    kind: "word",
    parse(value) {
      const known = declared.of.find((each) => each === value.trim().toLowerCase());
      if (known === undefined)
        throw new ParamError(`"${value}" is none of: ${declared.of.map((w) => w || "(empty)").join(", ")}`);
      return known;
    },
  };
}

/** Anything, separated by commas or white space; `{ … }` groups. */
export function list(declared: Declaration): Param<readonly string[]> {
  return { ...declared, kind: "list", parse: splitList };
}

/** Lookup tables, each `type:name`; a bare `/path` is taken with default_database_type where the table is opened. */
export function tables(declared: Declaration): Param<readonly string[]> {
  return { ...declared, kind: "lookup tables", parse: splitList };
}

/** Splits at commas and white space, leaving what stands in braces whole. Postfix: CHARS_COMMA_SP, mystrtokq(). */
export function splitList(value: string): string[] {
  const found: string[] = [];
  let word = "";
  let depth = 0;
  for (const char of value) {
    if (depth === 0 && /[\s,]/.test(char)) {
      if (word) found.push(word);
      word = "";
      continue;
    }
    if (char === "{") depth++;
    else if (char === "}" && depth > 0) depth--;
    word += char;
  }
  if (depth > 0) throw new ParamError(`unbalanced "{" in "${value}"`);
  if (word) found.push(word);
  return found;
}
