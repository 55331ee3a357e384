/**
 * A header field of addresses, written anew (RFC 5322 sections 2.2.3 and 3.4): one
 * blank between words, commas where they belong, and lines broken behind commas where they
 * would be long. Byte for byte what Postfix writes once it has changed an address
 * (tok822_externalize, cleanup_fold_header); the lengths of lines are those of the text given, one character a byte.
 */
import type { ListPart } from "./addresses.ts";
import { quoteAddress } from "./quoting.ts";
import { isOperator, plainText, writtenToken } from "./tokens.ts";

/** Behind a comma the next address still goes on the same line as long as that stays shorter than this; Postfix's figure. */
const line_chars = 70;

/** Comments and phrases of one address beyond this are left out: some programs have a buffer of 256 bytes for them. */
const mostAround_chars = 250;

/**
 * "Name: list", lines parted by LF, those after the first without the white space that they begin
 * with. An address part is quoted here; its tokens are read as they are.
 */
export function formatAddressField(name: string, parts: readonly ListPart[]): string {
  const lines = [`${name}: `];
  const writer = new ListWriter();
  for (let at = 0; at < parts.length; at++) {
    const part = parts[at] as ListPart;
    if (part.kind === "token" && isOperator(part.token, ",")) {
      lines[lines.length - 1] += `${writer.take()},`;
      lines.push("");
    } else {
      writer.add(part, parts[at + 1]);
    }
  }
  lines[lines.length - 1] += writer.take();
  return folded(lines.join("\n"));
}

/** What stands between two commas. */
class ListWriter {
  #text = "";
  #address: string | undefined;

  add(part: ListPart, next: ListPart | undefined): void {
    if (part.kind === "address") {
      this.#address = quoteAddress(plainText(part.tokens, true));
      this.#text += this.#address;
    } else if (part.kind === "group") {
      this.#text += ":";
    } else {
      // An empty address is <>, and counts for nothing.
      if (isOperatorPart(part, "<") && isOperatorPart(next, ">")) this.#address = "";
      this.#text += writtenToken(part.token);
    }
    if (next !== undefined && needsBlank(part, next)) this.#text += " ";
  }

  take(): string {
    const address = this.#address;
    const around_chars = address === undefined ? 0 : this.#text.length - address.length;
    const text = around_chars > mostAround_chars ? `<${address}>` : this.#text;
    this.#text = "";
    this.#address = undefined;
    return text;
  }
}

function needsBlank(part: ListPart, next: ListPart): boolean {
  if (part.kind === "group" || isOperatorPart(next, "<")) return true;
  return isText(part) && isText(next);
}

function isText(part: ListPart): boolean {
  return part.kind === "address" || (part.kind === "token" && part.token.kind !== "operator");
}

function isOperatorPart(part: ListPart | undefined, value: string): boolean {
  return part?.kind === "token" && isOperator(part.token, value);
}

/** Joins lines that are short together; a line that stood in a comment counts as one. */
function folded(text: string): string {
  const [first = "", ...others] = text.split("\n");
  let result = first;
  let used = first.length;
  for (const line of others) {
    const joined = used + 1 + line.length < line_chars;
    result += (joined ? " " : "\n") + line;
    used = joined ? used + 1 + line.length : line.length;
  }
  return result;
}
