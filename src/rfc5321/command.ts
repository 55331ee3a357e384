/**
 * Command lines as clients send them (RFC 5321 section 4.1.1), taken apart as
 * Postfix does it: words are separated by white space; `<…>` and `"…"` hold
 * white space and each other; `FROM:` and `TO:` end a word, so that
 * `MAIL FROM:<a@b>` and `MAIL FROM: <a@b>` are the same.
 *
 * Pure text in, words out; whether a verb exists and what its words mean is
 * decided elsewhere. Work is linear in the length of the line.
 */

export interface CommandLine {
  /** In upper case; "" for an empty line. */
  readonly verb: string;
  /** The words behind the verb, quotes and brackets kept. */
  readonly words: readonly string[];
  /** Indices (in `words`) of those whose quote or bracket never closes. */
  readonly unclosed: readonly number[];
}

export function parseCommand(line: string): CommandLine {
  const words: string[] = [];
  const unclosed: number[] = [];
  for (let at = 0; ; ) {
    const word = nextWord(line, at);
    if (word.text === "") break;
    if (word.unclosed) unclosed.push(words.length - 1);
    words.push(word.text);
    at = word.next;
  }
  return { verb: (words.shift() ?? "").toUpperCase(), words, unclosed };
}

interface Word {
  readonly text: string;
  readonly next: number;
  readonly unclosed: boolean;
}

function nextWord(line: string, from: number): Word {
  let at = from;
  let unclosed = false;
  while (at < line.length && isSpace(line.charCodeAt(at))) at++;
  const start = at;
  for (; at < line.length; at++) {
    const char = line.charCodeAt(at);
    if (isSpace(char)) break;
    if (char === 0x3c || char === 0x22) {
      const end = closing(line, at);
      unclosed ||= end < 0;
      at = end < 0 ? line.length : end;
    } else if (char === 0x5c) at++;
    else if (char === 0x3a && endsWord(line, start, at)) {
      at++;
      break;
    }
  }
  const end = Math.min(at, line.length);
  return { text: line.slice(start, end), next: end, unclosed };
}

function isSpace(char: number): boolean {
  return char === 0x20 || (char >= 0x09 && char <= 0x0d);
}

/** The word up to the colon is FROM or TO. */
function endsWord(line: string, start: number, colon: number): boolean {
  const length = colon - start;
  return (length === 2 || length === 4) && /^(?:from|to)$/i.test(line.slice(start, colon));
}

/** The index of what closes the quote or bracket at `from`, or -1. Quotes within brackets count, brackets within quotes do not. */
function closing(line: string, from: number): number {
  let brackets = line.charCodeAt(from) === 0x3c ? 1 : 0;
  let quoted = brackets === 0;
  for (let at = from + 1; at < line.length; at++) {
    const char = line.charCodeAt(at);
    if (char === 0x5c) at++;
    else if (char === 0x22) quoted = !quoted;
    else if (quoted) continue;
    else if (char === 0x3c) brackets++;
    else if (char === 0x3e) brackets--;
    if (!quoted && brackets === 0) return at < line.length ? at : -1;
  }
  return -1;
}

/** One ESMTP parameter: `SIZE=1000` is name "SIZE", value "1000"; a value that is not there is undefined. Names in upper case. */
export function splitParameter(word: string): { name: string; value: string | undefined } {
  const equals = word.indexOf("=");
  if (equals < 0) return { name: word.toUpperCase(), value: undefined };
  return { name: word.slice(0, equals).toUpperCase(), value: word.slice(equals + 1) };
}
