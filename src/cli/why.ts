import { parseArgs } from "node:util";
import { explain } from "../advice/explain.ts";
import { formatId, parseId } from "../queue/id.ts";
import { askRelay, NotRunning } from "./control-client.ts";
import type { CommandIo } from "./io.ts";
import { attemptRuns } from "./log-story.ts";
import {
  histories,
  lookIntoLog,
  lookIntoQueue,
  type MessageHistory,
  mostMessages,
  type Wanted,
  whichLog,
} from "./message-history.ts";
import { paintFor } from "./paint.ts";
import { QueueUnreadable } from "./queue-entries.ts";
import { type QueuePlace, queuePlace } from "./queue-place.ts";
import { said } from "./status-report.ts";
import type { RelayStatus } from "./status-text.ts";
import { whyText } from "./why-text.ts";

export const whyUsage = `usage: postern [-c config_directory] why [--log FILE] [--json] QUEUE-ID | ADDRESS

The life of a message in plain words: when it came, from whom, every attempt with what
the server said and what that means, where it is now, when it is tried next, what else
waits for the same destination, and what would help. For an address: the latest ${mostMessages}
messages from it or for it. What has left the queue is told from the log: maillog_file
with what it was rotated to (.gz, too), or where syslog mostly writes.

  --log FILE  another log; with .gz it is unpacked
  --json      for programs; docs/status.md has the shape

  exit status: 0 something is known, 1 nothing is
`;

const options = { help: { type: "boolean", short: "h" }, json: { type: "boolean" }, log: { type: "string" } } as const;

/** `postern why`; sysexits(3) 64 for what is no option. */
export async function why(args: readonly string[], io: CommandIo): Promise<number> {
  let parsed: { values: { help?: boolean; json?: boolean; log?: string }; positionals: string[] };
  try {
    parsed = parseArgs({ args: [...args], options, strict: true, allowPositionals: true });
  } catch (error) {
    return wrongUsage(io, errorText(error));
  }
  const { values, positionals } = parsed;
  if (values.help) {
    io.out(whyUsage);
    return 0;
  }
  const [asked] = positionals;
  const wanted = asked === undefined || positionals.length > 1 ? undefined : whatIs(asked);
  if (!wanted) return wrongUsage(io, "a queue id or an address is wanted");
  const place = await queuePlace(io);
  const relay = await askForRelay(io, place);
  const logs = await whichLog(io, values.log, place.log.maillog_file);
  // Before the queue is read: what belongs to root cannot be read afterwards.
  const looked = await lookIntoLog(io, logs, wanted);
  const queue = await inQueue(io, place, wanted, new Set(looked.stories.keys()));
  const found = histories(looked, queue, relay?.scheduler);
  for (const each of looked.unread) io.err(`postern why: ${each}\n`);
  const now_ms = io.runtime.clock.now();
  if (values.json) io.out(`${JSON.stringify({ messages: found.map(report), logs: looked.read }, undefined, 2)}\n`);
  else if (found.length === 0) io.out(nothingText(asked ?? "", looked.read, place));
  else {
    const style = { paint: paintFor(io), zone: (time_ms: number) => io.runtime.clock.zoneOffset_min(time_ms), now_ms };
    io.out(found.map((each) => whyText(each, style)).join("\n"));
    if (looked.read.length === 0) io.out(`\n${noLogText(place)}`);
  }
  return found.length > 0 ? 0 : 1;
}

function wrongUsage(io: CommandIo, text: string): number {
  io.err(`postern why: ${text}\n${whyUsage}`);
  return 64;
}

/** Ids of ours in any spelling, those of Postfix as they are. */
function whatIs(text: string): Wanted | undefined {
  if (text.includes("@")) return { address: text.replace(/^<(.*)>$/, "$1") };
  if (!/^[0-9A-Za-z]{5,30}$/.test(text)) return undefined;
  const number = parseId(text);
  // Those of Postfix may have zeros in front.
  return { id: number === undefined || text === text.toUpperCase() ? text : formatId(number) };
}

async function askForRelay(io: CommandIo, { paths }: QueuePlace): Promise<RelayStatus | undefined> {
  try {
    for await (const value of askRelay(io.runtime, `${paths.public}/control`, { command: "status" }))
      return value as RelayStatus;
  } catch (error) {
    if (!(error instanceof NotRunning)) throw error;
  }
  return undefined;
}

async function inQueue(io: CommandIo, place: QueuePlace, wanted: Wanted, logged: ReadonlySet<string>) {
  try {
    return await lookIntoQueue(io, place, wanted, logged);
  } catch (error) {
    const text = error instanceof QueueUnreadable ? error.message : `the queue cannot be read: ${errorText(error)}`;
    io.err(`postern why: ${text}\n`);
    return { entries: [], waiting: new Map<string, number>() };
  }
}

function nothingText(asked: string, read: readonly string[], place: QueuePlace): string {
  const where = read.length > 0 ? `nor in ${read.join(", ")}` : "and no log was read";
  return `nothing is known of ${asked}: it is not in the queue, ${where}\n${read.length > 0 ? "" : noLogText(place)}`;
}

function noLogText({ log }: QueuePlace): string {
  const { maillog_file, syslog_name } = log;
  if (maillog_file !== "" && maillog_file !== "/dev/stdout") return `the log ${maillog_file} could not be read\n`;
  return (
    "attempts are in the log, which is not a file of ours here: ask the journal,\n" +
    `  journalctl -o short | grep '${syslog_name}/' > FILE, and name that FILE with --log\n`
  );
}

const errorText = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Documented in docs/status.md. */
function report({ id, log, queued, others, destination }: MessageHistory): object {
  const envelope = queued?.envelope;
  return {
    id,
    sender: envelope?.sender ?? log?.sender ?? null,
    size: envelope?.size_bytes ?? log?.size_bytes ?? null,
    came: envelope ? new Date(envelope.arrival_ms).toISOString() : (log?.came ?? null),
    origin: log?.origin ?? null,
    messageId: log?.messageId ?? null,
    attempts: attemptRuns(log?.attempts ?? []).map(({ first, last, count }) => ({
      ...{ from: first.time, to: last.time, count, recipient: last.recipient, relay: last.relay },
      ...{ dsn: last.dsn, status: last.status },
      ...said(last.reason, last.status === "sent" ? undefined : explain(last.reason, last.dsn)),
    })),
    events: log?.events ?? [],
    queue: queued
      ? {
          name: queued.queue,
          destination: queued.destination === "" ? null : queued.destination,
          next: queued.queue === "deferred" ? new Date(queued.nextAttempt_ms).toISOString() : null,
          expired: queued.envelope.expired,
          suspendedUntil: destination?.suspension ? new Date(destination.suspension.until_ms).toISOString() : null,
          others,
          recipients: queued.envelope.recipients.map(({ address, status, reason, dsn }) => ({
            address,
            status,
            ...said(reason ?? "", reason ? explain(reason, dsn) : undefined),
          })),
        }
      : null,
  };
}
