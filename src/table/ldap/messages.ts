import { BerError, BerReader, boolean, element, headerAt, integer, octets, sequence, tag } from "./ber.ts";

/** The messages of LDAP (RFC 4511 section 4) that looking up needs. */
export const scopes = { base: 0, one: 1, sub: 2 } as const;
export type Scope = keyof typeof scopes;

export interface Search {
  readonly base: string;
  readonly scope: Scope;
  /** 0 never, 1 searching, 2 finding, 3 always. */
  readonly dereference: number;
  /** 0 for none. */
  readonly sizeLimit: number;
  readonly timeLimit_s: number;
  /** As the protocol has it. */
  readonly filter: Buffer;
  readonly attributes: readonly string[];
}

export interface Attribute {
  /** With its options. */
  readonly name: string;
  readonly values: readonly Buffer[];
}

export type Entry = readonly Attribute[];

/** How an operation ended. */
export interface Result {
  readonly code: number;
  /** In the server's words; may be empty. */
  readonly text: string;
}

export type Response =
  | { readonly kind: "entry"; readonly number: number; readonly entry: Entry }
  /** To other servers; not followed. */
  | { readonly kind: "reference"; readonly number: number }
  | { readonly kind: "bound" | "found" | "extended"; readonly number: number; readonly result: Result };

const message = (number: number, operation: Uint8Array): Buffer => sequence(integer(number), operation);

const operation = {
  bind: 0x60,
  bound: 0x61,
  unbind: 0x42,
  search: 0x63,
  entry: 0x64,
  found: 0x65,
  reference: 0x73,
  extend: 0x77,
  extended: 0x78,
} as const;

/** An empty name and password are nobody's. */
export const bindRequest = (number: number, name: string, password: string): Buffer =>
  message(number, element(operation.bind, integer(3), octets(name), octets(password, 0x80)));

export const unbindRequest = (number: number): Buffer => message(number, element(operation.unbind));

export const startTlsRequest = (number: number): Buffer =>
  message(number, element(operation.extend, octets("1.3.6.1.4.1.1466.20037", 0x80)));

export function searchRequest(number: number, search: Search): Buffer {
  return message(
    number,
    element(
      operation.search,
      octets(search.base),
      integer(scopes[search.scope], tag.enumerated),
      integer(search.dereference, tag.enumerated),
      integer(search.sizeLimit),
      integer(search.timeLimit_s),
      boolean(false),
      search.filter,
      sequence(...search.attributes.map((name) => octets(name))),
    ),
  );
}

/** How long the message at the beginning is; undefined while that cannot be told. Throws BerError where it is none. */
export function messageLength(bytes: Buffer): number | undefined {
  const header = headerAt(bytes, 0);
  if (header && header.tag !== tag.sequence) throw new BerError("it is no LDAP message");
  return header?.end;
}

/** Reads one whole message. Throws BerError. */
export function parseResponse(bytes: Buffer): Response {
  const whole = new BerReader(bytes).inside(tag.sequence);
  const number = whole.integer();
  switch (whole.nextTag) {
    case operation.entry:
      return { kind: "entry", number, entry: entryIn(whole.inside(operation.entry)) };
    case operation.reference:
      return { kind: "reference", number };
    case operation.bound:
      return { kind: "bound", number, result: resultIn(whole.inside(operation.bound)) };
    case operation.found:
      return { kind: "found", number, result: resultIn(whole.inside(operation.found)) };
    case operation.extended:
      return { kind: "extended", number, result: resultIn(whole.inside(operation.extended)) };
    default:
      throw new BerError(`an answer is of type ${whole.nextTag}`);
  }
}

function resultIn(reader: BerReader): Result {
  const code = reader.integer(tag.enumerated);
  reader.take(tag.octets);
  return { code, text: reader.take(tag.octets).toString() };
}

function entryIn(reader: BerReader): Entry {
  reader.take(tag.octets);
  const list = reader.inside(tag.sequence);
  const entry: Attribute[] = [];
  while (!list.atEnd) {
    const attribute = list.inside(tag.sequence);
    const name = attribute.take(tag.octets).toString();
    const set = attribute.inside(tag.set);
    const values: Buffer[] = [];
    while (!set.atEnd) values.push(set.take(tag.octets));
    entry.push({ name, values });
  }
  return entry;
}
