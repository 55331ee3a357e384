/**
 * What the mail log says of one message. Pure: lines of Postfix's form in, facts out. Lines of other programs, and those that
 * are not known, are passed over.
 */
export interface LogStory {
  readonly id: string;
  /** The time of the first line, as the log has it: there is no year in it. */
  came: string | undefined;
  /** "client=host[192.0.2.1], sasl_username=…" or "uid=0". */
  origin: string | undefined;
  messageId: string | undefined;
  sender: string | undefined;
  size_bytes: number | undefined;
  recipients: number | undefined;
  readonly attempts: LogAttempt[];
  /** What operators did, notifications, and how it ended, in order. */
  readonly events: LogEvent[];
  /** Attempts that were left out, since there were too many. */
  skipped: number;
}

export interface LogAttempt {
  readonly time: string;
  readonly recipient: string;
  /** "name[address]:port", or "none". */
  readonly relay: string;
  readonly dsn: string;
  /** sent, deferred, bounced, … */
  readonly status: string;
  readonly reason: string;
}

export interface LogEvent {
  readonly time: string;
  readonly text: string;
}

const mostAttempts = 2000;
const mostEvents = 200;

const linePattern = /^(\w{3} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ (\S+?)\[\d+\]: ([0-9A-Za-z]+): (.*)$/;
const attemptPattern = /^to=<(.*?)>, (?:orig_to=<.*?>, )?relay=(.*?), .*?dsn=([\d.]+), status=(\S+) \((.*)\)$/;

/** The parts of a line of the log; undefined for one that is about no message. */
export function parseLogLine(line: string) {
  const [, time, service, id, text] = linePattern.exec(line) ?? [];
  if (time === undefined || service === undefined || id === undefined || text === undefined) return undefined;
  return { time, service, id, text };
}

export function parseAttempt(text: string): Omit<LogAttempt, "time"> | undefined {
  const [, recipient, relay, dsn, status, reason] = attemptPattern.exec(text) ?? [];
  if (recipient === undefined || relay === undefined || dsn === undefined || status === undefined) return undefined;
  return { recipient, relay, dsn, status, reason: reason ?? "" };
}

export function newStory(id: string): LogStory {
  const nothing = { came: undefined, origin: undefined, messageId: undefined, sender: undefined };
  return { id, ...nothing, size_bytes: undefined, recipients: undefined, attempts: [], events: [], skipped: 0 };
}

/** Takes the lines in their order. */
export function addLine(story: LogStory, line: string): void {
  const parsed = parseLogLine(line);
  if (parsed?.id !== story.id) return;
  const { time, service, text } = parsed;
  const first = story.came === undefined;
  if (first) story.came = time;
  const attempt = parseAttempt(text);
  if (attempt) return keepAttempt(story, { time, ...attempt });
  const [, sender, size, recipients] = /^from=<(.*?)>, size=(\d+), nrcpt=(\d+) \(queue active\)$/.exec(text) ?? [];
  if (sender !== undefined) {
    // Later attempts name only the recipients that are left.
    story.sender ??= sender;
    story.size_bytes ??= Number(size);
    story.recipients ??= Number(recipients);
  } else if (text.startsWith("message-id=")) story.messageId = text.slice("message-id=".length);
  else if (text.startsWith("client=") || text.startsWith("uid=")) story.origin = text.replace(/ from=<.*>$/, "");
  else if (isEvent(service, text) && story.events.length < mostEvents) story.events.push({ time, text });
}

function keepAttempt(story: LogStory, attempt: LogAttempt): void {
  story.attempts.push(attempt);
  if (story.attempts.length <= mostAttempts) return;
  story.attempts.splice(mostAttempts / 2, 1);
  story.skipped++;
}

const isEvent = (service: string, text: string): boolean =>
  /\/(?:qmgr|postsuper|bounce|pickup|cleanup)$/.test(service) &&
  /^(?:removed|placed on hold|released from hold|requeued|expired|sender .*notification|postmaster .*notification|from=<.*>, status=|hold: |milter-|reject: |warning: )/.test(
    text,
  );

/** Attempts with the same outcome, one after the other for one recipient, are told together. */
export interface AttemptRun {
  readonly first: LogAttempt;
  readonly last: LogAttempt;
  readonly count: number;
}

export function attemptRuns(attempts: readonly LogAttempt[]): AttemptRun[] {
  const runs: { first: LogAttempt; last: LogAttempt; count: number }[] = [];
  const latest = new Map<string, (typeof runs)[number]>();
  for (const attempt of attempts) {
    const run = latest.get(attempt.recipient);
    if (run && run.last.status === attempt.status && alike(run.last.reason) === alike(attempt.reason)) {
      run.last = attempt;
      run.count++;
      continue;
    }
    const begun = { first: attempt, last: attempt, count: 1 };
    runs.push(begun);
    latest.set(attempt.recipient, begun);
  }
  return runs;
}

const alike = (reason: string): string => reason.replaceAll(/[0-9a-f]{6,}|\d+/gi, "#");
