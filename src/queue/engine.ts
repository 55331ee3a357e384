/**
 * The thin layer below the coordinator: something that applies a batch of
 * operations as one transaction and says so once it is synced. SQLite in a
 * worker thread is one; memory is another, for tests and simulation.
 *
 * An engine knows states, owners and due times. What an envelope says is the
 * store's business: here it is bytes that come back as they were given.
 *
 * Ids are integers below 2^53. States are numbers (`state`), flags are bits (`flag`).
 */

/** What a row's state number means. Active rows have an owner, others have none. */
export const state = { active: 0, deferred: 1, hold: 2, corrupt: 3 } as const;

/** hold: asked for while the message was in work; it takes effect when that work is settled. */
export const flag = { expired: 1, warned: 2, hold: 4 } as const;

/** A body that was written ahead with `chunk` operations. */
export interface WrittenBody {
  readonly body: number;
  readonly chunks: number;
}

export interface Insert {
  readonly id: number;
  /** Stored as held, and nobody's. */
  readonly held: boolean;
  readonly source: string | undefined;
  readonly envelope: Buffer;
  /** How many recipients the envelope has, done ones included. */
  readonly recipients: number;
  /** A body of one chunk, or none at all when empty. */
  readonly body: Buffer | WrittenBody;
}

/**
 * finish    the message goes; `trace` is its last envelope, kept under its source (given where it has one)
 * defer     it is nobody's until `due`, or held if that was asked for meanwhile
 * progress  it stays ours, with recipients done
 */
export type Change =
  | { readonly kind: "finish"; readonly gone_ms: number; readonly trace: Buffer | undefined }
  | {
      readonly kind: "defer";
      readonly envelope: Buffer;
      readonly recipients: number;
      readonly due: number;
      readonly destination: string;
      readonly warned: boolean;
    }
  | { readonly kind: "progress"; readonly envelope: Buffer; readonly warned: boolean };

export type OperatorAction = "hold" | "unhold" | "requeue" | "expire" | "remove";

/** Which messages an operator means: these, or the next page of all of them. */
export type Selection = { readonly ids: readonly number[] } | { readonly after: number; readonly limit: number };

/** What writes. Each is applied whole or not at all, in the order submitted. */
export type Op =
  /** `others` are stored with it or not at all; what its source tells counts for them, too. */
  | { readonly kind: "accept"; readonly insert: Insert; readonly others?: readonly Insert[] }
  | {
      readonly kind: "settle";
      readonly id: number;
      readonly change: Change;
      /** Stored in the same transaction, if the change applies. */
      readonly notifications: readonly Insert[];
    }
  | {
      readonly kind: "chunk";
      readonly body: number;
      readonly id: number;
      readonly seq: number;
      readonly data: Buffer;
      /** Nobody else needs the buffer: it may be transferred to another thread, not copied. */
      readonly given: boolean;
    }
  | { readonly kind: "discard"; readonly body: number }
  | {
      readonly kind: "claim";
      readonly now: number;
      readonly limit: number;
      readonly excluding: readonly string[];
      /** Messages with more recipients are left out; no limit where it is not given. */
      readonly upTo?: number;
      /** When those that were found have as many recipients, it is enough. */
      readonly most?: number;
    }
  | {
      readonly kind: "operate";
      readonly action: OperatorAction;
      readonly selection: Selection;
      /** Only those in one of these states; all where it is not given. */
      readonly within?: readonly number[];
      readonly now: number;
    }
  | {
      readonly kind: "flush";
      readonly destination: string | undefined;
      readonly selection: { readonly ids: readonly number[] } | { readonly after: DuePosition; readonly limit: number };
    }
  | { readonly kind: "release"; readonly owner: string; readonly limit: number }
  /** Removes what these batches of an owner stored: they were refused, and reappeared. */
  | { readonly kind: "forget"; readonly owner: string; readonly batches: readonly number[] }
  | { readonly kind: "setAside"; readonly id: number }
  /** Forgets traces of messages gone before then. */
  | { readonly kind: "sweep"; readonly before_ms: number; readonly limit: number };

export type OpKind = Op["kind"];
export type OpOf<Kind extends OpKind> = Extract<Op, { kind: Kind }>;

/** A place in the order of due times. */
export interface DuePosition {
  readonly due: number;
  readonly id: number;
}

/** A message without its body, as an engine gives it. */
export interface Row {
  readonly id: number;
  readonly state: number;
  readonly flags: number;
  readonly due: number;
  readonly sourced: boolean;
  /** Chunks of the body; 0 when it is empty. */
  readonly chunks: number;
  /** The envelope's text, or undefined where it fails its checksum. */
  readonly envelope: string | undefined;
  /** As it was last put off for. */
  readonly destination: string;
}

/** "incomplete": chunks that the body needs are not there (their batch was refused). A row: this source was stored before. */
export type InsertResult = "stored" | "incomplete" | Row;

/** `changed` holds ids. `next` is where the next page begins; undefined at the end. */
export interface Page<Position> {
  readonly changed: readonly number[];
  readonly next: Position | undefined;
}

export interface ResultOf {
  accept: InsertResult;
  /** False: not ours, nothing changed. */
  settle: false | readonly InsertResult[];
  chunk: undefined;
  discard: undefined;
  /** `more`: the search stopped at its bound, ask again. */
  claim: { readonly rows: readonly Row[]; readonly corrupt: readonly number[]; readonly more: boolean };
  operate: Page<number>;
  flush: Page<DuePosition>;
  release: { readonly count: number; readonly corrupt: readonly number[]; readonly more: boolean };
  forget: number;
  setAside: boolean;
  sweep: number;
}

export type Result = ResultOf[OpKind];

/** What only reads. Sees what is committed. */
export type Read =
  | { readonly kind: "chunk"; readonly id: number; readonly index: number }
  | { readonly kind: "bodies"; readonly ids: readonly number[]; readonly most_bytes: number }
  | { readonly kind: "list"; readonly after: number; readonly limit: number }
  | { readonly kind: "counts" }
  | { readonly kind: "owners" }
  | { readonly kind: "reusable" }
  | { readonly kind: "nextDue"; readonly excluding: readonly string[]; readonly upTo?: number };

export type ReadKind = Read["kind"];
export type ReadOf<Kind extends ReadKind> = Extract<Read, { kind: Kind }>;

export interface ReadResultOf {
  /** undefined: past the end, or no such message. "corrupt": missing, or fails its checksum. */
  chunk: Uint8Array | undefined | "corrupt";
  /** Of bodies of one chunk; undefined where `chunk` would give something else. Ends with the one that reaches `most_bytes`. */
  bodies: readonly (Uint8Array | undefined)[];
  list: readonly Row[];
  /** By state number. */
  counts: readonly number[];
  owners: readonly string[];
  /** Bytes. */
  reusable: number;
  /** `more`: nothing found yet, ask again. */
  nextDue: { readonly due: number | undefined; readonly more: boolean };
}

export interface Engine {
  /**
   * One transaction, synced when it resolves; one result for each operation,
   * in order. Throws EngineError; then nothing was stored, except that after
   * "failed" some of it may turn out to be.
   */
  commit(batch: number, ops: readonly Op[]): Promise<readonly Result[]>;
  read<Kind extends ReadKind>(read: ReadOf<Kind>): Promise<ReadResultOf[Kind]>;
  close(): Promise<void>;
  /** Resolves when the engine is found to be finished other than by a commit or a read. */
  readonly broken?: Promise<EngineError>;
}

/**
 * full     no room: rolled back, the engine goes on
 * busy     another process writes: rolled back, the engine goes on
 * refused  the operation at `index` is impossible (a bug): rolled back, the engine goes on
 * failed   a sync or a write failed, or the file is damaged: the engine is finished
 */
export type EngineErrorKind = "full" | "busy" | "refused" | "failed";

export class EngineError extends Error {
  readonly kind: EngineErrorKind;
  readonly index: number;

  constructor(kind: EngineErrorKind, message: string, index = -1) {
    super(message);
    this.kind = kind;
    this.index = index;
  }
}

/** About how many bytes an operation brings, for bounding batches. */
export function weight(op: Op): number {
  switch (op.kind) {
    case "accept":
      return (op.others ?? []).reduce((sum, each) => sum + insertWeight(each), insertWeight(op.insert));
    case "settle":
      return op.notifications.reduce((sum, each) => sum + insertWeight(each), changeWeight(op.change));
    case "chunk":
      return op.data.length + 64;
    default:
      return 256;
  }
}

const insertWeight = ({ envelope, body }: Insert): number =>
  128 + envelope.length + (body instanceof Uint8Array ? body.length : 0);

const changeWeight = (change: Change): number => 64 + (change.kind === "finish" ? 0 : change.envelope.length);
