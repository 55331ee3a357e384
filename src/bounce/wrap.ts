/** Lines are wrapped to this many bytes. */
const width = 79;
const indent = 4;

/**
 * A text as lines of at most 79 bytes, those after the first indented by four
 * spaces, broken at spaces and tabs alone: a longer word stays whole.
 */
export function wrapLine(text: string): string[] {
  // One character a byte, so that widths are bytes in UTF-8 too.
  const bytes = Buffer.from(text, "utf8").toString("latin1");
  const lines: string[] = [];
  let start = 0;
  let room = width;
  for (let word = 0; word >= 0; ) {
    const space = endOfWord(bytes, word);
    if (word > start && space - start > room) {
      lines.push(bytes.slice(start, word).trimEnd());
      while (/[ \t]/.test(bytes[word] ?? "")) word++;
      start = word;
      room = width - indent;
    }
    word = space < bytes.length ? space + 1 : -1;
  }
  lines.push(bytes.slice(start).trimEnd());
  return lines.map((line, at) => Buffer.from(at === 0 ? line : " ".repeat(indent) + line, "latin1").toString("utf8"));
}

function endOfWord(text: string, from: number): number {
  let at = from;
  while (at < text.length && text[at] !== " " && text[at] !== "\t") at++;
  return at;
}

/** Text from outside as it may stand in a notification: control characters become "?", and so does what is not ASCII unless `utf8`. */
export function printable(text: string, utf8: boolean): string {
  const controls = text.replace(/[\x00-\x1f\x7f]/g, "?");
  return utf8 ? controls.replace(/[\x80-\x9f]/g, "?") : controls.replace(/[^\x00-\x7f]/gu, "?");
}
