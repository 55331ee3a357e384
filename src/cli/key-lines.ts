/** The longest line that is taken as one key. */
const lineLimit_bytes = 16 * 1024 * 1024;

export class KeyTooLong extends Error {}

/**
 * Lines of standard input, a chunk's worth at a time, without newlines; an unfinished last line counts. The array and its
 * buffers are valid until the next one is asked for. Throws KeyTooLong.
 */
export async function* keyLines(input: AsyncIterable<Buffer>): AsyncGenerator<readonly Buffer[]> {
  let rest: Buffer[] = [];
  let rest_bytes = 0;
  for await (const chunk of input) {
    const lines: Buffer[] = [];
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const part = chunk.subarray(start, end);
      lines.push(rest.length > 0 ? Buffer.concat([...rest, part]) : part);
      rest = [];
      rest_bytes = 0;
      start = end + 1;
    }
    if (start < chunk.length) {
      rest.push(chunk.subarray(start));
      rest_bytes += chunk.length - start;
      if (rest_bytes > lineLimit_bytes) throw new KeyTooLong(`a line of input is longer than ${lineLimit_bytes} bytes`);
    }
    if (lines.length > 0) yield lines;
  }
  if (rest.length > 0) yield [Buffer.concat(rest)];
}
