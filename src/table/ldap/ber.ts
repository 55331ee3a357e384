/**
 * BER as LDAP uses it (RFC 4511 section 5.1): definite lengths, small tags. Reading
 * throws BerError where the bytes are no such thing; it never reads beyond them.
 */
export class BerError extends Error {}

/** An element: its tag, its length, its contents. */
export function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  let size = 0;
  for (const each of contents) size += each.length;
  return Buffer.concat([Buffer.from([tag]), lengthBytes(size), ...contents]);
}

function lengthBytes(size: number): Buffer {
  if (size < 0x80) return Buffer.from([size]);
  const bytes = Buffer.alloc(5);
  bytes[0] = 0x84;
  bytes.writeUInt32BE(size, 1);
  return bytes;
}

/** The tags that LDAP takes from ASN.1 as they are. */
export const tag = { boolean: 0x01, integer: 0x02, octets: 0x04, enumerated: 0x0a, sequence: 0x30, set: 0x31 } as const;

/** A number from 0 to 2^31-1. */
export function integer(value: number, as: number = tag.integer): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  let first = 0;
  while (first < 3 && bytes[first] === 0 && (bytes[first + 1] as number) < 0x80) first++;
  return element(as, bytes.subarray(first));
}

export const octets = (text: string | Uint8Array, as: number = tag.octets): Buffer =>
  element(as, typeof text === "string" ? Buffer.from(text) : text);

export const boolean = (value: boolean, as: number = tag.boolean): Buffer =>
  element(as, Buffer.from([value ? 0xff : 0]));

export const sequence = (...contents: readonly Uint8Array[]): Buffer => element(tag.sequence, ...contents);

/** Reads elements one after the other. */
export class BerReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** The tag of the next element; undefined at the end. */
  get nextTag(): number | undefined {
    return this.#bytes[this.#at];
  }

  /** The contents of the next element, which must have this tag. */
  take(wanted: number): Buffer {
    const header = headerAt(this.#bytes, this.#at);
    if (!header || header.end > this.#bytes.length) throw new BerError("an element is cut off");
    if (header.tag !== wanted) throw new BerError(`an element is of type ${header.tag}, not ${wanted}`);
    this.#at = header.end;
    return this.#bytes.subarray(header.start, header.end);
  }

  inside(wanted: number): BerReader {
    return new BerReader(this.take(wanted));
  }

  /** A number from 0 to 2^31-1. */
  integer(wanted: number = tag.integer): number {
    const bytes = this.take(wanted);
    if (bytes.length === 0 || bytes.length > 4 || (bytes[0] as number) > 0x7f)
      throw new BerError("a number is out of range");
    return bytes.readUIntBE(0, bytes.length);
  }
}

interface Header {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

/** Where the element's contents begin and end; undefined where that has not come yet. */
export function headerAt(bytes: Buffer, at: number): Header | undefined {
  const kind = bytes[at];
  const short = bytes[at + 1];
  if (kind === undefined || short === undefined) return undefined;
  if ((kind & 0x1f) === 0x1f) throw new BerError("a tag is too long");
  if (short < 0x80) return { tag: kind, start: at + 2, end: at + 2 + short };
  const count = short & 0x7f;
  if (count === 0 || count > 4) throw new BerError("a length is not definite");
  if (bytes.length < at + 2 + count) return undefined;
  const start = at + 2 + count;
  return { tag: kind, start, end: start + bytes.readUIntBE(at + 2, count) };
}
