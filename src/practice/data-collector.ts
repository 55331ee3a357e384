const endOfData = Buffer.from("\r\n.\r\n");

/**
 * Collects what follows DATA until <CR><LF>.<CR><LF> (RFC 5321 section
 * 4.1.1.4), in time linear in the bytes, wherever the packets are cut.
 */
export class DataCollector {
  readonly #pieces: Buffer[] = [];
  /** What could be the beginning of the end. */
  #tail: Buffer = Buffer.alloc(0);
  size_bytes = 0;

  /** The message and what came behind it, once it is complete. */
  take(bytes: Buffer): { readonly data: Buffer; readonly rest: Buffer } | undefined {
    const joined = this.#tail.length === 0 ? bytes : Buffer.concat([this.#tail, bytes]);
    const first = this.#pieces.length === 0;
    const empty = first && joined.subarray(0, 3).equals(endOfData.subarray(2));
    const end = empty ? -2 : joined.indexOf(endOfData);
    if (empty || end >= 0) {
      const data = Buffer.concat([...this.#pieces, joined.subarray(0, end + 2)]);
      return { data: withoutStuffing(data), rest: joined.subarray(end + endOfData.length) };
    }
    this.size_bytes += bytes.length;
    const certain = first && joined.length < endOfData.length ? 0 : joined.length - (endOfData.length - 1);
    if (certain > 0) this.#pieces.push(joined.subarray(0, certain));
    this.#tail = joined.subarray(Math.max(certain, 0));
    return undefined;
  }
}

/** RFC 5321 section 4.5.2: one dot less at the beginning of each line that has one. */
function withoutStuffing(data: Buffer): Buffer {
  if (data[0] !== 0x2e && data.indexOf("\n.") < 0) return data;
  return Buffer.from(data.toString("latin1").replace(/(^|\r\n)\./g, "$1"), "latin1");
}
