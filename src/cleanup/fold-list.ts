import { scanTokens } from "../rfc5322/addresses.ts";

/** Behind a comma the next address still goes on the same line as long as that stays shorter than this; Postfix's figure. */
const line_chars = 70;

/**
 * A list of addresses as it stands behind a field's name (`name_chars` long), broken where a line would be
 * long: one that grew by rewriting might else pass the 998 characters of a line, and be
 * broken in the middle of an address (RFC 5322 sections 2.1.1 and 2.2.3). New lines begin behind commas
 * only; those that are there stay.
 */
export function foldList(text: string, name_chars: number, tokenLimit?: number): string {
  let folded = "";
  let used = name_chars;
  let from = 0;
  const add = (upTo: number): void => {
    const written = text.slice(from, upTo);
    const piece = from === 0 || written.trim() === "" || /^\s*\n/.test(written) ? written : ` ${written.trimStart()}`;
    const isLong = from > 0 && used + piece.length >= line_chars && piece.startsWith(" ");
    folded += isLong ? `\r\n\t${piece.slice(1)}` : piece;
    const lastLine = piece.lastIndexOf("\n");
    // The tab at the beginning of a line does not count.
    used = lastLine >= 0 ? piece.length - lastLine - 2 : isLong ? piece.length - 1 : used + piece.length;
    from = upTo;
  };
  const end = text.trimEnd().length;
  for (const token of scanTokens(text.slice(0, end), tokenLimit)) {
    if (token.kind === "operator" && token.value === ",") add(token.end);
  }
  if (from < end) add(end);
  return folded + text.slice(end);
}
