import { isUtf8 } from "node:buffer";
import { isOperator, plainText, scanTokens, writtenText } from "../rfc5322/tokens.ts";
import { printable } from "./printable.ts";
import type { TakeLine } from "./source.ts";

/**
 * The logical lines of aliases(5): `name: value, value, …`, taken apart into
 * the tokens of RFC 822 and put together again, so that what the index holds
 * is in one form: the name without quotes, values with them, white space only where it is needed.
 * Latin-1 strings stand for bytes.
 */
export interface AliasOptions {
  readonly path: string;
  readonly utf8: boolean;
  warn(text: string): void;
}

export function aliasLines({ path, utf8, warn }: AliasOptions, take: (name: Buffer, value: Buffer) => void): TakeLine {
  return (line, number) => {
    if (utf8 && !isUtf8(line)) {
      warn(`${path}, line ${number}: non-UTF-8 input "${printable(line)}" -- ignoring this line`);
      return;
    }
    const tokens = scanTokens(line.toString("latin1"), Number.POSITIVE_INFINITY);
    if (tokens.length === 0) return;
    const colon = tokens.findIndex((token) => isOperator(token, ":"));
    const name = tokens.slice(0, colon);
    const value = tokens.slice(colon + 1);
    if (colon < 1 || value.length === 0 || name.some((token) => isOperator(token, ","))) {
      warn(`${path}, line ${number}: need name:value pair`);
    } else if (name.some((token) => isOperator(token, "@") || isOperator(token, "%"))) {
      warn(`${path}, line ${number}: name must be local`);
    } else take(Buffer.from(plainText(name, true), "latin1"), Buffer.from(writtenText(value, true), "latin1"));
  };
}
