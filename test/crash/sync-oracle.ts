import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";

/**
 * Does a mail system sync before it says 250? Told from the system calls that strace saw.
 *
 * For every "250 2.0.0 Ok: queued as ID" that was written to a client there must be
 *   1. a write of that message to a file: its Received: header says "id ID";
 *   2. for a write-ahead log, the frame that commits the write's transaction; for a queue file, its last write;
 *   3. a sync of that file that began after both had ended, succeeded, and had ended before the 250 was begun.
 *
 * The clock is the line number of the trace. strace prints a call's entry before it lets the call go on, and its end after it
 * has ended; so an end that is printed before an entry did happen before.
 */
export type Event =
  | {
      readonly kind: "write";
      readonly pid: number;
      readonly file: string;
      readonly ids: readonly string[];
      readonly begin: number;
      readonly end: number;
      /** A transaction is complete with it. */
      readonly commits: boolean;
    }
  | { readonly kind: "sync"; readonly file: string; readonly begin: number; readonly end: number; readonly ok: boolean }
  | { readonly kind: "reply"; readonly id: string; readonly begin: number };

export type WriteEvent = Extract<Event, { kind: "write" }>;
export type SyncEvent = Extract<Event, { kind: "sync" }>;

export interface Verdict {
  readonly replies: number;
  readonly violations: readonly string[];
}

/** What is wrong in a trace. */
export function checkSyncs(events: readonly Event[]): Verdict {
  const rows = new Map<string, WriteEvent>();
  const writes = new Map<string, WriteEvent[]>();
  const syncs = new Map<string, SyncEvent[]>();
  for (const event of events) {
    if (event.kind === "write") {
      for (const id of event.ids) if (!rows.has(id)) rows.set(id, event);
      entryOf(writes, event.file).push(event);
    } else if (event.kind === "sync" && event.ok) entryOf(syncs, event.file).push(event);
  }
  const violations: string[] = [];
  let replies = 0;
  for (const event of events) {
    if (event.kind !== "reply") continue;
    replies++;
    const row = rows.get(event.id);
    const commit = row && commitOf(row, writes.get(row.file) ?? []);
    if (!row || row.begin > event.begin) violations.push(`${event.id}: 250, and the message was not written`);
    else if (!commit || commit.begin > event.begin)
      violations.push(`${event.id}: 250, and its transaction was not complete`);
    else if (!isCovered(commit, event.begin, syncs.get(row.file) ?? [])) {
      violations.push(`${event.id}: 250 before the sync that covers it`);
    }
  }
  return { replies, violations };
}

function commitOf(row: WriteEvent, writes: readonly WriteEvent[]): WriteEvent | undefined {
  if (isLog(row.file)) return firstFrom(writes, row.begin).find(({ commits }) => commits);
  // A queue file is written by one process up to its end; others may mark it later.
  return writes.findLast(({ pid }) => pid === row.pid);
}

function isCovered(commit: WriteEvent, reply: number, syncs: readonly SyncEvent[]): boolean {
  return firstFrom(syncs, commit.end).some(({ begin, end }) => begin > commit.end && end < reply);
}

/** Those that begin at `line` or later, as far as it matters: a few hundred of them. */
function firstFrom<T extends { readonly begin: number }>(events: readonly T[], line: number): readonly T[] {
  let low = 0;
  for (let high = events.length; low < high; ) {
    const middle = (low + high) >> 1;
    if ((events[middle]?.begin ?? 0) < line) low = middle + 1;
    else high = middle;
  }
  return events.slice(low, low + 500);
}

const isLog = (file: string): boolean => file.endsWith("-wal");

function entryOf<T>(map: Map<string, T[]>, key: string): T[] {
  const known = map.get(key) ?? [];
  map.set(key, known);
  return known;
}

/** Reads what `strace -f -y -o` wrote; calls that never ended are left out. */
export async function readTrace(path: string): Promise<Event[]> {
  const reader = new TraceReader();
  for await (const line of createInterface({ input: createReadStream(path, "latin1") })) reader.line(line);
  return reader.events.sort((one, other) => one.begin - other.begin);
}

interface Call {
  readonly name: string;
  readonly begin: number;
  readonly args: string;
}

export class TraceReader {
  readonly events: Event[] = [];
  readonly #open = new Map<number, Call>();
  /** Logs whose next write is the page of a frame that commits. */
  readonly #committing = new Map<string, boolean>();
  #line = 0;

  line(text: string): void {
    const now = ++this.#line;
    const [, pid = "", resumed, rest = "", name = "", args = ""] =
      /^(\d+) +(?:<\.\.\. (\w+) resumed>(.*)|(\w+)\((.*))$/s.exec(text) ?? [];
    if (pid === "") return;
    const process = Number(pid);
    if (resumed !== undefined) {
      const begun = this.#open.get(process);
      this.#open.delete(process);
      if (begun?.name === resumed) this.#ended(process, { ...begun, args: begun.args + rest }, now);
      return;
    }
    const call: Call = { name, begin: now, args: args.replace(/ <unfinished \.\.\.>$/, "") };
    this.#begun(call);
    if (call.args.length === args.length) this.#ended(process, call, now);
    else this.#open.set(process, call);
  }

  /** A reply counts from the moment when it may have left. */
  #begun({ args, begin }: Call): void {
    if (!isSocket(args) || !args.includes("queued as")) return;
    for (const [, id = ""] of written(args).matchAll(/^250 2\.0\.0 Ok: queued as (\w+)\r?$/gm)) {
      this.events.push({ kind: "reply", id, begin });
    }
  }

  #ended(pid: number, { name, args, begin }: Call, end: number): void {
    const file = /^\d+<(\/[^>]*)>/.exec(args)?.[1];
    if (file === undefined) return;
    const ok = !/\) += -1 /.test(args.slice(-200));
    if (name === "fsync" || name === "fdatasync") this.events.push({ kind: "sync", file, begin, end, ok });
    else if (ok && name.startsWith("pwrite")) this.#logWritten(pid, file, args, begin, end);
    else if (ok) this.#written(pid, file, written(args), begin, end, true);
  }

  /** SQLite writes a frame's header of 24 bytes, then its page; the header says whether the frame commits. */
  #logWritten(pid: number, file: string, args: string, begin: number, end: number): void {
    const text = written(args);
    const isHeader = isLog(file) && text.length === 24;
    const commits = !isHeader && this.#committing.get(file) === true;
    this.#committing.set(file, isHeader && text.slice(4, 8) !== "\0\0\0\0");
    this.#written(pid, file, text, begin, end, commits);
  }

  #written(pid: number, file: string, text: string, begin: number, end: number, commits: boolean): void {
    const ids = [...text.matchAll(/\bid ([0-9A-F]{6,20})/g)].map(([, id = ""]) => id);
    this.events.push({ kind: "write", pid, file, ids, begin, end, commits });
  }
}

const isSocket = (args: string): boolean => /^\d+<(?:socket|TCP|UNIX)/.test(args);

/** All the bytes in a call's arguments, one character each. */
function written(args: string): string {
  let text = "";
  for (const [, quoted = ""] of args.matchAll(/"((?:[^"\\]|\\.)*)"/gs)) text += unescaped(quoted);
  return text;
}

const named: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", v: "\v", f: "\f" };

function unescaped(quoted: string): string {
  return quoted.replace(/\\(?:([0-7]{1,3})|x([0-9a-f]{2})|(.))/gs, (_, octal, hex, other) => {
    if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return named[other] ?? other;
  });
}
