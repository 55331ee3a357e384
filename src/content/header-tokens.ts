/** A word, a quoted string, or a sign of a structured header (RFC 2045 section 5.1), comments left out. */
export interface HeaderToken {
  readonly kind: "word" | "quoted" | "sign";
  /** Without quotes and backslashes. */
  readonly value: string;
}

const signs = '()<>@,;:\\"/[]?=';
const isSpace = (char: string): boolean => char === " " || char === "\t" || char === "\r" || char === "\n";
const isControl = (char: string): boolean => char < " " || char === "\x7f";

/** How many tokens of one item are kept: `type / subtype`, `name = value`. */
const keptTokens = 3;

/**
 * The items of a header between its semicolons, each as its first tokens; one character a byte. Whatever
 * stands there is taken as well as can be: other programs will show a damaged part, too.
 */
export function headerItems(text: string): HeaderToken[][] {
  const items: HeaderToken[][] = [];
  let item: HeaderToken[] = [];
  let at = 0;
  const keep = (kind: HeaderToken["kind"], value: string): void => {
    if (item.length < keptTokens) item.push({ kind, value });
  };
  while (at < text.length) {
    const char = text[at] as string;
    if (isSpace(char)) at++;
    else if (char === ";") {
      items.push(item);
      item = [];
      at++;
    } else if (char === "(") at = behindComment(text, at + 1);
    else if (char === '"') {
      const { value, end } = quoted(text, at + 1);
      keep("quoted", value);
      at = end;
    } else if (signs.includes(char) || isControl(char)) {
      keep("sign", char);
      at++;
    } else {
      const from = at;
      while (at < text.length && !endsWord(text[at] as string)) at++;
      keep("word", text.slice(from, at));
    }
  }
  if (item.length > 0) items.push(item);
  return items;
}

const endsWord = (char: string): boolean => isSpace(char) || isControl(char) || signs.includes(char);

/** Comments nest. */
function behindComment(text: string, from: number): number {
  let level = 1;
  let at = from;
  for (; at < text.length && level > 0; at++) {
    if (text[at] === "(") level++;
    else if (text[at] === ")") level--;
    else if (text[at] === "\\") at++;
  }
  return at;
}

function quoted(text: string, from: number): { readonly value: string; readonly end: number } {
  let value = "";
  let at = from;
  for (; at < text.length && text[at] !== '"'; at++) {
    // A folded string goes on without the white space before the fold.
    if (text[at] === "\n") value = value.replace(/[ \t\r\n]+$/, "");
    else {
      if (text[at] === "\\") at++;
      value += text[at] ?? "";
    }
  }
  return { value, end: at + 1 };
}
