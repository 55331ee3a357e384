import { scanTokens } from "../rfc5322/addresses.ts";

/** Behind a comma the next address still goes on the same line as long as that stays shorter than this; Postfix's figure. */
const line_chars = 70;

/**
 * A list of addresses as it stands behind a field's name (`name_chars` long), on several lines where one would be
 * long: a list that grew by rewriting might else pass the 998 characters of a line, and be
 * broken in the middle of an address (RFC 5322 sections 2.1.1 and 2.2.3). Lines end behind commas
 * only, and white space there is all that changes.
 */
export function foldList(text: string, name_chars: number, tokenLimit?: number): string {
  const end = text.search(/\s*$/);
  const list = text.slice(0, end);
  let folded = "";
  let used = name_chars;
  let from = 0;
  const add = (upTo: number): void => {
    const piece = from === 0 ? list.slice(0, upTo) : list.slice(from, upTo).trimStart();
    from = upTo;
    if (piece === "") return;
    const first = folded === "";
    const fits = first || used + 1 + piece.length < line_chars;
    folded += first ? piece : `${fits ? " " : "\r\n\t"}${piece}`;
    const lastLine = piece.lastIndexOf("\n");
    used = lastLine >= 0 ? piece.length - lastLine : fits ? used + (first ? 0 : 1) + piece.length : piece.length;
  };
  for (const token of scanTokens(list, tokenLimit)) {
    if (token.kind === "operator" && token.value === ",") add(token.end);
  }
  add(list.length);
  return folded + text.slice(end);
}
