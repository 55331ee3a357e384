import type { DestinationFigures, SchedulerFigures } from "../qmgr/figures.ts";
import type { QueueEntry } from "../queue/store.ts";
import type { CommandIo } from "./io.ts";
import { isMissing, type LogFile, linesWith, logFiles, syslogFiles } from "./log-files.ts";
import { addLine, type LogStory, newStory, parseAttempt, parseLogLine } from "./log-story.ts";
import { queueEntries } from "./queue-entries.ts";
import type { QueuePlace } from "./queue-place.ts";

/** What is known of one message: from the queue, from the log, or from both. */
export interface MessageHistory {
  readonly id: string;
  readonly log: LogStory | undefined;
  readonly queued: QueueEntry | undefined;
  /** Other messages for the same destination; 0 where the message waits for none. */
  readonly others: number;
  /** How its destination does, where a relay told. */
  readonly destination: DestinationFigures | undefined;
}

/** Which messages are asked for: one, or the latest ones from or for an address. */
export type Wanted = { readonly id: string } | { readonly address: string };

/** More messages for one address are not told of. */
export const mostMessages = 10;

export interface LogLooked {
  readonly stories: ReadonlyMap<string, LogStory>;
  /** Files that were read. */
  readonly read: readonly string[];
  /** Files that could not be, and why. */
  readonly unread: readonly string[];
}

/** Files of the log: the one that was named, that of the configuration, or where syslog mostly writes. */
export async function whichLog(io: CommandIo, named: string | undefined, configured: string): Promise<LogFile[]> {
  const { files } = io.runtime;
  if (named !== undefined) return [{ path: named, mtime_ms: 0 }];
  if (configured !== "" && configured !== "/dev/stdout") return logFiles(files, configured);
  for (const path of syslogFiles) {
    const found = await logFiles(files, path);
    if (found.length > 0) return found;
  }
  return [];
}

/** Reads the newest file first, and no further than it has to: until the message's beginning, or enough messages, are found. */
export async function lookIntoLog(io: CommandIo, logs: readonly LogFile[], wanted: Wanted): Promise<LogLooked> {
  const read: string[] = [];
  const unread: string[] = [];
  const lines = new Map<string, string[][]>();
  const known = new Set("id" in wanted ? [wanted.id] : []);
  for (const { path } of logs) {
    try {
      if ("address" in wanted && known.size < mostMessages) {
        for (const id of await idsOf(io, path, wanted.address)) if (known.size < mostMessages) known.add(id);
      }
      for (const [id, found] of await linesOf(io, path, [...known])) lines.set(id, [found, ...(lines.get(id) ?? [])]);
      read.push(path);
    } catch (error) {
      if (!isMissing(error)) unread.push(`${path}: ${error instanceof Error ? error.message : String(error)}`);
      else unread.push(`${path}: there is no such file`);
    }
    const enough = "id" in wanted || known.size >= mostMessages;
    if (enough && [...known].every((id) => begins(lines.get(id)))) break;
  }
  const stories = new Map<string, LogStory>();
  for (const [id, parts] of lines) {
    const story = newStory(id);
    for (const line of parts.flat()) addLine(story, line);
    if (story.came !== undefined) stories.set(id, story);
  }
  return { stories, read, unread };
}

/** The first line of a message is that it was taken. */
const begins = (parts: readonly string[][] | undefined): boolean =>
  parts?.[0]?.some((line) => /\]: \w+: (?:client=|uid=|message-id=)/.test(line)) === true;

/** The latest messages of a file that are from or for an address, the latest first. */
async function idsOf({ runtime }: CommandIo, path: string, address: string): Promise<string[]> {
  const ids = new Set<string>();
  const lower = address.toLowerCase();
  const needles = [...new Set([`<${address}>`, `<${lower}>`])];
  for await (const line of linesWith(runtime.files, path, needles)) {
    const parsed = parseLogLine(line);
    if (!parsed) continue;
    const named = parseAttempt(parsed.text)?.recipient ?? /^from=<(.*?)>,/.exec(parsed.text)?.[1];
    const original = /orig_to=<(.*?)>/.exec(parsed.text)?.[1];
    if (named?.toLowerCase() !== lower && original?.toLowerCase() !== lower) continue;
    // The latest stays last.
    ids.delete(parsed.id);
    ids.add(parsed.id);
    if (ids.size > mostMessages) for (const oldest of [...ids].slice(0, 1)) ids.delete(oldest);
  }
  return [...ids].reverse();
}

const mostLines = 20_000;

async function linesOf({ runtime }: CommandIo, path: string, ids: readonly string[]): Promise<Map<string, string[]>> {
  const found = new Map<string, string[]>();
  if (ids.length === 0) return found;
  const wanted = new Set(ids);
  let count = 0;
  for await (const line of linesWith(
    runtime.files,
    path,
    ids.map((id) => ` ${id}: `),
  )) {
    const id = parseLogLine(line)?.id;
    if (id === undefined || !wanted.has(id) || ++count > mostLines) continue;
    const lines = found.get(id);
    if (lines) lines.push(line);
    else found.set(id, [line]);
  }
  return found;
}

/** What the queue holds of these messages, or of that address, and how many wait for the same destinations. Throws QueueUnreadable. */
export async function lookIntoQueue(io: CommandIo, place: QueuePlace, wanted: Wanted, logged: ReadonlySet<string>) {
  const entries: QueueEntry[] = [];
  const waiting = new Map<string, number>();
  for await (const entry of queueEntries(io, place)) {
    const { destination, envelope } = entry;
    if (destination !== "" && (waiting.has(destination) || waiting.size < mostDestinations)) {
      waiting.set(destination, (waiting.get(destination) ?? 0) + 1);
    }
    if (!isWanted(entry, wanted) && !logged.has(envelope.id)) continue;
    entries.push(entry);
    // The latest, which are at the end.
    if (entries.length > mostMessages) entries.shift();
  }
  return { entries, waiting };
}

const mostDestinations = 10_000;

function isWanted({ envelope }: QueueEntry, wanted: Wanted): boolean {
  if ("id" in wanted) return envelope.id === wanted.id;
  const lower = wanted.address.toLowerCase();
  if (envelope.sender.toLowerCase() === lower) return true;
  return envelope.recipients.some(
    ({ address, original }) => address.toLowerCase() === lower || original.toLowerCase() === lower,
  );
}

/** Puts together what the log and the queue say, the latest message first. */
export function histories(
  { stories }: LogLooked,
  queue: { readonly entries: readonly QueueEntry[]; readonly waiting: ReadonlyMap<string, number> },
  scheduler: Pick<SchedulerFigures, "destinations"> | undefined,
): MessageHistory[] {
  const queued = new Map(queue.entries.map((entry) => [entry.envelope.id, entry]));
  const ids = [...new Set([...queued.keys(), ...stories.keys()])];
  const all = ids.map((id): MessageHistory => {
    const entry = queued.get(id);
    const key = entry?.destination ?? "";
    const destination = key === "" ? undefined : scheduler?.destinations.find((each) => each.key === key);
    const others = Math.max(0, (queue.waiting.get(key) ?? 1) - 1);
    return { id, log: stories.get(id), queued: entry, others: key === "" ? 0 : others, destination };
  });
  return all.slice(-mostMessages).reverse();
}
