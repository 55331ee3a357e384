import type { ConfTexts } from "../conf/load.ts";

/**
 * What the master and a relay say to each other over their private channel. The
 * master never passes on anything from the network; the relay never reads a
 * file that only root may read once it has dropped its privileges.
 *
 *   master                          relay
 *   begin        ------------------>          conf texts, sockets, who to become
 *                <------------------ opened   the files to follow; said before privileges are dropped
 *                <------------------ ready | failed
 *   table        ------------------>          new bytes of a file that changed
 *                <------------------ again    they were half-written: read it later
 *                <------------------ log      lines for the mail log
 *   retire       ------------------>          take no more connections, finish, end
 *                <------------------ retired  what a successor should know
 *   wake, inherit ----------------->          there may be work; what the retired one knew
 *   stop         ------------------>          finish what is in hand, end
 *                <------------------ refused  batches that must not reappear
 *   refused      ------------------>          the same, to whoever else is alive
 */

export interface ServiceSocket {
  /** Line of master.cf that asked for it: names the service instance. */
  readonly line: number;
  readonly fd: number;
}

export interface DropTo {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** A batch of the queue that was refused, and that a file may still hold: its successor removes it before it claims. */
export interface RefusedBatch {
  readonly owner: string;
  readonly batch: number;
}

export interface Begin {
  readonly kind: "begin";
  readonly conf: ConfTexts;
  /** Grows with every relay that this master has started. */
  readonly generation: number;
  readonly owner: string;
  readonly sockets: readonly ServiceSocket[];
  /** Undefined: stay who we are. */
  readonly dropTo: DropTo | undefined;
  readonly refused: readonly RefusedBatch[];
  /** Says that another generation is still at work: scheduling begins with `inherit`. */
  readonly wait: boolean;
  /** The mail log goes to syslog, where each process writes for itself; otherwise to the master. */
  readonly syslog: boolean;
  readonly verbose: boolean;
}

export interface TableBytes {
  readonly kind: "table";
  readonly path: string;
  /** Undefined: it cannot be read; `problem` says why. */
  readonly bytes: Uint8Array | undefined;
  readonly mtime_ms: number;
  readonly problem: string | undefined;
}

/** The source of an index has another time of change. */
export interface SourceChanged {
  readonly kind: "source";
  readonly path: string;
  readonly mtime_ms: number;
}

export type ToRelay =
  | Begin
  | TableBytes
  | SourceChanged
  | { readonly kind: "retire" }
  | { readonly kind: "inherit"; readonly state: unknown }
  | { readonly kind: "wake" }
  | { readonly kind: "flush" }
  | { readonly kind: "refused"; readonly batches: readonly RefusedBatch[] }
  | { readonly kind: "stop" };

/** A file that tables are made from. The master watches it. */
export interface WatchedFile {
  readonly path: string;
  /** An index is read and sent; of a source only its time of change matters. */
  readonly role: "index" | "source";
  readonly limit_bytes: number;
  /** When the file that the relay has read was last changed: one that differs when it is first followed has changed since. */
  readonly read_ms?: number;
}

export type FromRelay =
  | { readonly kind: "opened"; readonly files: readonly WatchedFile[] }
  | { readonly kind: "ready"; readonly notes: readonly string[] }
  | { readonly kind: "failed"; readonly text: string; readonly status: number }
  | { readonly kind: "again"; readonly path: string }
  | { readonly kind: "log"; readonly text: string }
  | { readonly kind: "retired"; readonly state: unknown }
  | { readonly kind: "wake" }
  | { readonly kind: "refused"; readonly batches: readonly RefusedBatch[] };

/** How large a table's file may be that is read whole and handed over. */
export const tableFileLimit_bytes = 512 * 1024 * 1024;

/** What a relay sent, if it is one of its messages. The relay has no privileges, and may have been taken over. */
export function parseFromRelay(received: unknown): FromRelay | undefined {
  const message = received as Readonly<Record<string, unknown>> | null;
  if (typeof message !== "object" || message === null) return undefined;
  switch (message.kind) {
    case "opened":
      return isList(message.files, isWatchedFile) ? { kind: "opened", files: message.files } : undefined;
    case "ready":
      return isList(message.notes, isText) ? { kind: "ready", notes: message.notes } : undefined;
    case "failed":
      if (!isText(message.text) || !isCount(message.status)) return undefined;
      return { kind: "failed", text: message.text, status: message.status };
    case "again":
      return isText(message.path) ? { kind: "again", path: message.path } : undefined;
    case "log":
      return isText(message.text) ? { kind: "log", text: message.text } : undefined;
    case "retired":
      return { kind: "retired", state: message.state };
    case "wake":
      return { kind: "wake" };
    case "refused":
      return isList(message.batches, isBatch) ? { kind: "refused", batches: message.batches } : undefined;
    default:
      return undefined;
  }
}

const isText = (value: unknown): value is string => typeof value === "string";
const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

function isList<Item>(value: unknown, isItem: (each: unknown) => each is Item): value is Item[] {
  return Array.isArray(value) && value.every(isItem);
}

function isWatchedFile(value: unknown): value is WatchedFile {
  const file = value as Partial<WatchedFile> | null;
  if (!isText(file?.path) || !(file.read_ms === undefined || typeof file.read_ms === "number")) return false;
  return (file.role === "index" || file.role === "source") && isCount(file.limit_bytes);
}

function isBatch(value: unknown): value is RefusedBatch {
  const batch = value as Partial<RefusedBatch> | null;
  return isText(batch?.owner) && isCount(batch.batch);
}
