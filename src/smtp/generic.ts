/**
 * Addresses for the world outside (smtp_generic_maps, generic(5)): those of the envelope and of the header are
 * replaced while a message goes out; what the queue and the log know of it stays.
 *
 * The body passes in its chunks, and only its header is looked at; at most one field is held back between two of them.
 */
import type { BodyReader, Envelope } from "../queue/message.ts";
import { scanHeader } from "../rfc5322/header.ts";
import { fieldLines, headerLines } from "../rfc5322/header-lines.ts";
import { characters, octets } from "../rfc5322/octets.ts";
import { quoteAddress } from "../rfc5322/quoting.ts";
import { plainText, scanTokens, type Token } from "../rfc5322/tokens.ts";
import { fieldRole, type RewrittenAddress, rewriteField } from "../routing/address-fields.ts";
import type { AddressMap } from "../routing/address-map.ts";
import { chain } from "../routing/answer.ts";
import type { Answer } from "../table/maps.ts";

const nothing = Buffer.alloc(0);

/** The addresses of an envelope as the server gets them. */
export interface WireAddresses {
  readonly sender: string;
  /** Of the recipient with this address. */
  recipient(address: string): string;
}

/** `recipients` are the addresses that this delivery is about. Rejects with a TableError. */
export async function wireAddresses(
  { sender }: Envelope,
  recipients: readonly string[],
  map: AddressMap,
): Promise<WireAddresses> {
  const found = new Map<string, string>();
  for (const address of recipients) found.set(address, await outside(address, map));
  return { sender: await outside(sender, map), recipient: (address) => found.get(address) ?? address };
}

/** The empty address is asked for as "". */
function outside(address: string, map: AddressMap): Answer<string> {
  return chain(map.find(address === "" ? '""' : address), (found) => {
    const [first = address] = found ?? [];
    return first === '""' ? "" : first;
  });
}

/** How far a body has been read. */
interface Progress {
  readonly read_bytes: number;
  /** A field that is not complete. */
  readonly pending: Buffer;
}

/**
 * A body with its header rewritten. Its chunk 0 is given, the others are read, in order and any number of times. Reading
 * rejects with what the body rejects with, with a TableError, and where the body is not of its size.
 */
export class GenericBody implements BodyReader {
  readonly #body: BodyReader;
  readonly #map: AddressMap;
  readonly #envelope: Envelope;
  readonly #first: Buffer;
  #afterFirst: Progress = { read_bytes: 0, pending: nothing };
  #progress: Progress = this.#afterFirst;

  constructor(first: Buffer, body: BodyReader, envelope: Envelope, map: AddressMap) {
    this.#first = first;
    this.#body = body;
    this.#envelope = envelope;
    this.#map = map;
  }

  async chunk(index: number): Promise<Buffer | undefined> {
    if (index > 0) {
      if (index === 1) this.#progress = this.#afterFirst;
      return this.#read(await this.#body.chunk(index));
    }
    this.#progress = { read_bytes: 0, pending: nothing };
    const chunk = await this.#read(this.#first);
    this.#afterFirst = this.#progress;
    return chunk;
  }

  async #read(chunk: Buffer | undefined): Promise<Buffer | undefined> {
    const { read_bytes, pending } = this.#progress;
    if (chunk === undefined) {
      if (read_bytes !== this.#envelope.size_bytes) throw new Error("the body ends too early");
      return undefined;
    }
    const left_bytes = this.#envelope.headerEnd_bytes - read_bytes;
    if (left_bytes <= 0) {
      this.#progress = { read_bytes: read_bytes + chunk.length, pending };
      return chunk;
    }
    const last = chunk.length >= left_bytes;
    const { pieces, rest } = await this.#rewritten(Buffer.concat([pending, chunk.subarray(0, left_bytes)]), last);
    this.#progress = { read_bytes: read_bytes + chunk.length, pending: last ? nothing : rest };
    if (last) pieces.push(rest, chunk.subarray(left_bytes));
    return Buffer.concat(pieces);
  }

  async #rewritten(header: Buffer, last: boolean): Promise<{ pieces: Buffer[]; rest: Buffer }> {
    const { fields, end } = scanHeader(header, last);
    const pieces: Buffer[] = [];
    for (const { start, end, nameEnd, colon, name } of fields) {
      const written = header.toString("latin1", start, nameEnd);
      const field = fieldRole(name)
        ? await rewriteField(written, fieldLines(header, colon + 1, end), Number.POSITIVE_INFINITY, (tokens) =>
            genericAddress(tokens, this.#map),
          )
        : undefined;
      const whole = Number.POSITIVE_INFINITY;
      pieces.push(field === undefined ? header.subarray(start, end) : headerLines(field, whole));
    }
    return { pieces, rest: header.subarray(end) };
  }
}

/** One look-up; an address that has an entry counts as changed, whatever that says. */
function genericAddress(tokens: readonly Token[], map: AddressMap): Answer<RewrittenAddress> {
  const address = quoteAddress(plainText(tokens));
  return chain(map.find(characters(address)), (found) => ({
    tokens: scanTokens(octets(found?.[0] ?? characters(address)), Number.POSITIVE_INFINITY),
    changed: found !== undefined,
  }));
}
