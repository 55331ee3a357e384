import type { Change, Insert, Op, ReadKind, ReadOf, ReadResultOf, Result } from "../engine.ts";

/**
 * What the relay's thread and the queue's thread say to each other. A batch of
 * operations crosses as one packed buffer, which is transferred; large chunks
 * of bodies are transferred beside it. The rest is rare, and is cloned.
 *
 * A packed operation: a byte that says which, its fields, its bytes. Numbers
 * are little-endian, ids are doubles, lengths are 32 bits. What is not on the
 * path of a message is packed as JSON.
 */
export type Request =
  | { readonly kind: "open"; readonly options: OpenOptions }
  | {
      readonly kind: "commit";
      readonly batch: number;
      readonly packed: Uint8Array;
      readonly given: readonly Uint8Array[];
    }
  | { readonly kind: "read"; readonly read: ReadOf<ReadKind>; readonly number: number }
  | { readonly kind: "close" };

export type Reply =
  | { readonly kind: "ready" }
  | { readonly kind: "opened"; readonly largestId: number; readonly lackingRoom_bytes: number }
  | { readonly kind: "notOpened"; readonly message: string; readonly code: string }
  | { readonly kind: "committed"; readonly results: readonly Result[] }
  | { readonly kind: "notCommitted"; readonly error: Failure }
  | { readonly kind: "answer"; readonly number: number; readonly result: ReadResultOf[ReadKind] }
  | { readonly kind: "noAnswer"; readonly number: number; readonly error: Failure }
  | { readonly kind: "closed" };

export interface OpenOptions {
  readonly path: string;
  readonly owner: string;
  /** Of SQLite's cache of pages. */
  readonly pageCache_bytes: number;
  /** How much is written between two checkpoints, about. */
  readonly checkpoint_bytes: number;
}

export interface Failure {
  readonly kind: "full" | "busy" | "refused" | "failed";
  readonly message: string;
  readonly index: number;
}

const code = { json: 0, accept: 1, finish: 2, defer: 3, progress: 4, chunk: 5, givenChunk: 6, acceptAll: 7 } as const;

/** Bytes of an insert's fields: id, flags, recipients, chunks, body, and three lengths. */
const insertFields = 8 + 1 + 4 + 4 + 8 + 4 + 4 + 4;
const insertFlag = { held: 1, sourced: 2, ahead: 4 } as const;

/** A chunk that is worth a transfer, and whose memory is all its own. */
export function isTransferable(data: Buffer): boolean {
  return data.length >= 16 * 1024 && data.byteOffset === 0 && data.byteLength === data.buffer.byteLength;
}

interface Prepared {
  readonly op: Op;
  readonly size: number;
  readonly json: Buffer | undefined;
}

/** Batches as one buffer each. `given` are chunks that go beside it, in order. */
export function pack(ops: readonly Op[]): { packed: Buffer; given: Buffer[] } {
  const given: Buffer[] = [];
  let size = 0;
  const prepared = ops.map((op): Prepared => {
    const json = needsJson(op) ? Buffer.from(JSON.stringify(op)) : undefined;
    const bytes = json ? 5 + json.length : sizeOf(op);
    size += bytes;
    return { op, size: bytes, json };
  });
  const packed = Buffer.allocUnsafeSlow(size);
  const writer = new Writer(packed);
  for (const { op, json } of prepared) {
    if (json) writer.json(json);
    else packOp(writer, op, given);
  }
  return { packed, given };
}

const needsJson = (op: Op): boolean => op.kind !== "accept" && op.kind !== "settle" && op.kind !== "chunk";

function sizeOf(op: Op): number {
  switch (op.kind) {
    case "accept":
      if (!op.others) return 1 + insertSize(op.insert);
      return op.others.reduce((sum, each) => sum + insertSize(each), 1 + insertSize(op.insert) + 4);
    case "settle":
      return op.notifications.reduce((sum, each) => sum + insertSize(each), 1 + 8 + 4 + changeSize(op.change));
    case "chunk":
      return 1 + 8 + 8 + 4 + 4 + (op.given && isTransferable(op.data) ? 0 : op.data.length);
    default:
      return 0;
  }
}

function insertSize({ source, envelope, body }: Insert): number {
  const sourceLength = source === undefined ? 0 : Buffer.byteLength(source);
  return insertFields + sourceLength + envelope.length + (body instanceof Uint8Array ? body.length : 0);
}

function changeSize(change: Change): number {
  switch (change.kind) {
    case "finish":
      return 8 + 4 + (change.trace?.length ?? 0);
    case "defer":
      return 1 + 8 + 4 + 4 + change.envelope.length + 4 + Buffer.byteLength(change.destination);
    case "progress":
      return 1 + 4 + change.envelope.length;
    default:
      return change satisfies never;
  }
}

function packOp(writer: Writer, op: Op, given: Buffer[]): void {
  if (op.kind === "accept") {
    writer.byte(op.others ? code.acceptAll : code.accept);
    packInsert(writer, op.insert);
    if (op.others) packInserts(writer, op.others);
  } else if (op.kind === "settle") {
    writer.byte(code[op.change.kind]);
    writer.number(op.id);
    packChange(writer, op.change);
    packInserts(writer, op.notifications);
  } else if (op.kind === "chunk") {
    const transfer = op.given && isTransferable(op.data);
    writer.byte(transfer ? code.givenChunk : code.chunk);
    writer.number(op.body);
    writer.number(op.id);
    writer.count(op.seq);
    if (transfer) writer.count(given.push(op.data) - 1);
    else writer.bytes(op.data);
  }
}

function packInserts(writer: Writer, inserts: readonly Insert[]): void {
  writer.count(inserts.length);
  for (const each of inserts) packInsert(writer, each);
}

function packInsert(writer: Writer, { id, held, source, envelope, recipients, body }: Insert): void {
  const ahead = !(body instanceof Uint8Array);
  writer.number(id);
  writer.byte(
    (held ? insertFlag.held : 0) | (source === undefined ? 0 : insertFlag.sourced) | (ahead ? insertFlag.ahead : 0),
  );
  writer.count(recipients);
  writer.count(ahead ? body.chunks : 0);
  writer.number(ahead ? body.body : 0);
  writer.text(source ?? "");
  writer.bytes(envelope);
  writer.bytes(ahead ? nothing : body);
}

function packChange(writer: Writer, change: Change): void {
  if (change.kind === "finish") {
    writer.number(change.gone_ms);
    writer.bytes(change.trace ?? nothing);
    return;
  }
  writer.byte(change.warned ? 1 : 0);
  if (change.kind === "defer") {
    writer.number(change.due);
    writer.count(change.recipients);
  }
  writer.bytes(change.envelope);
  if (change.kind === "defer") writer.text(change.destination);
}

const nothing = Buffer.alloc(0);

/** The operations again. Their buffers are views of the packed one. */
export function unpack(packed: Uint8Array, given: readonly Uint8Array[]): Op[] {
  const reader = new Reader(packed);
  const ops: Op[] = [];
  while (!reader.atEnd) ops.push(unpackOp(reader, given));
  return ops;
}

function unpackOp(reader: Reader, given: readonly Uint8Array[]): Op {
  const which = reader.byte();
  switch (which) {
    case code.accept:
      return { kind: "accept", insert: unpackInsert(reader) };
    case code.acceptAll:
      return { kind: "accept", insert: unpackInsert(reader), others: unpackInserts(reader) };
    case code.finish:
    case code.defer:
    case code.progress: {
      const id = reader.number();
      const change = unpackChange(reader, which);
      return { kind: "settle", id, change, notifications: unpackInserts(reader) };
    }
    case code.chunk:
    case code.givenChunk: {
      const [body, id, seq] = [reader.number(), reader.number(), reader.count()];
      const data = which === code.chunk ? reader.bytes() : asBuffer(given[reader.count()] ?? nothing);
      return { kind: "chunk", body, id, seq, data, given: true };
    }
    default:
      return JSON.parse(reader.bytes().toString()) as Op;
  }
}

function unpackInserts(reader: Reader): Insert[] {
  return Array.from({ length: reader.count() }, () => unpackInsert(reader));
}

function unpackInsert(reader: Reader): Insert {
  const id = reader.number();
  const flags = reader.byte();
  const recipients = reader.count();
  const chunks = reader.count();
  const body = reader.number();
  const source = reader.bytes();
  const envelope = reader.bytes();
  const bytes = reader.bytes();
  return {
    id,
    held: (flags & insertFlag.held) !== 0,
    source: flags & insertFlag.sourced ? source.toString() : undefined,
    envelope,
    recipients,
    body: flags & insertFlag.ahead ? { body, chunks } : bytes,
  };
}

function unpackChange(reader: Reader, which: 2 | 3 | 4): Change {
  if (which === code.finish) {
    const gone_ms = reader.number();
    const trace = reader.bytes();
    return { kind: "finish", gone_ms, trace: trace.length > 0 ? trace : undefined };
  }
  const warned = reader.byte() === 1;
  if (which === code.progress) return { kind: "progress", envelope: reader.bytes(), warned };
  const due = reader.number();
  const recipients = reader.count();
  const envelope = reader.bytes();
  return { kind: "defer", envelope, recipients, due, destination: reader.bytes().toString(), warned };
}

export const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

class Writer {
  readonly #to: Buffer;
  #at = 0;

  constructor(to: Buffer) {
    this.#to = to;
  }

  byte(value: number): void {
    this.#to[this.#at++] = value;
  }

  count(value: number): void {
    this.#at = this.#to.writeUInt32LE(value, this.#at);
  }

  number(value: number): void {
    this.#at = this.#to.writeDoubleLE(value, this.#at);
  }

  bytes(value: Uint8Array): void {
    this.count(value.length);
    this.#to.set(value, this.#at);
    this.#at += value.length;
  }

  text(value: string): void {
    const length = value === "" ? 0 : this.#to.write(value, this.#at + 4);
    this.count(length);
    this.#at += length;
  }

  json(value: Buffer): void {
    this.byte(code.json);
    this.bytes(value);
  }
}

class Reader {
  readonly #from: Buffer;
  #at = 0;

  constructor(from: Uint8Array) {
    this.#from = asBuffer(from);
  }

  get atEnd(): boolean {
    return this.#at >= this.#from.length;
  }

  byte(): number {
    return this.#from[this.#at++] ?? 0;
  }

  count(): number {
    const value = this.#from.readUInt32LE(this.#at);
    this.#at += 4;
    return value;
  }

  number(): number {
    const value = this.#from.readDoubleLE(this.#at);
    this.#at += 8;
    return value;
  }

  bytes(): Buffer {
    const length = this.count();
    this.#at += length;
    return this.#from.subarray(this.#at - length, this.#at);
  }
}
