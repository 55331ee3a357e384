/**
 * The message as sendmail takes it from standard input: lines, of which a
 * leading mbox "From " line is dropped and, unless told otherwise, a single dot
 * ends the message. Bytes go on as they are, line ends included; whether lines end with CRLF is
 * told by the first one, and then a CR before an LF is dropped, as in sendmail_fix_line_endings = always.
 */
export async function* messageInput(
  input: AsyncIterable<Buffer>,
  { dotEnds }: { readonly dotEnds: boolean },
): AsyncGenerator<Buffer> {
  const state: LineState = { started: false, crlf: undefined };
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of input) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    const end = bytes.lastIndexOf(10) + 1;
    rest = bytes.subarray(end);
    const { out, ended } = lines(bytes.subarray(0, end), dotEnds, state);
    if (out.length > 0) yield out;
    if (ended) return;
  }
  const { out } = lines(rest, dotEnds, state);
  if (out.length > 0) yield out;
}

interface LineState {
  /** A line that is part of the message has been seen. */
  started: boolean;
  /** Do lines end with CRLF? Undefined before the first. */
  crlf: boolean | undefined;
}

/** Whole lines (the very last may lack its LF). */
function lines(bytes: Buffer, dotEnds: boolean, state: LineState): { out: Buffer; ended: boolean } {
  const kept: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const newline = bytes.indexOf(10, at);
    const next = newline < 0 ? bytes.length : newline + 1;
    const end = newline < 0 ? bytes.length : newline;
    const hasCr = end > at && bytes[end - 1] === 13;
    state.crlf ??= newline >= 0 && hasCr;
    const textEnd = state.crlf && hasCr ? end - 1 : end;
    if (!state.started && /^>*From /.test(bytes.toString("latin1", at, Math.min(textEnd, at + 64)))) {
      at = next;
      continue;
    }
    state.started = true;
    if (dotEnds && textEnd - at === 1 && bytes[at] === 46) return { out: Buffer.concat(kept), ended: true };
    kept.push(bytes.subarray(at, textEnd));
    if (newline >= 0) kept.push(lineFeed);
    at = next;
  }
  return { out: state.crlf ? Buffer.concat(kept) : compact(kept), ended: false };
}

const lineFeed = Buffer.from("\n");

const compact = (parts: Buffer[]): Buffer => (parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts));
