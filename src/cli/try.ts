/**
 * `postern try ADDRESS`: one small message on its way, told as it happens. Through the relay that runs, or,
 * where none does, through one of its own on the same configuration, with a queue in memory.
 */
import { parseArgs } from "node:util";
import { explain } from "../advice/explain.ts";
import { evaluate } from "../conf/evaluate.ts";
import { type LoadedConf, loadConf } from "../conf/load.ts";
import { ConfError } from "../conf/problem.ts";
import { queuePaths } from "../conf/queue-paths.ts";
import type { SubmissionHead } from "../pickup/submission-file.ts";
import { Submit, SubmitError } from "../pickup/submit.ts";
import type { FollowedLine } from "../relay/follow.ts";
import { Followers } from "../relay/follow.ts";
import { allParams, relayParams } from "../relay/params.ts";
import { splitAddress } from "../rfc5321/path.ts";
import { formatDate } from "../rfc5322/date.ts";
import { Rewriter } from "../routing/rewrite.ts";
import { askRelay, NotRunning } from "./control-client.ts";
import type { CommandIo } from "./io.ts";
import { paintFor } from "./paint.ts";
import { type Fate, Story } from "./try-story.ts";

export const tryUsage = `usage: postern [-c config_directory] try [options] ADDRESS

Sends a small message to ADDRESS and shows what happens to it, until it is accepted,
put off or refused. With no relay running, a temporary one does it.

  --from ADDRESS     the sender, in place of root at this host
  --timeout SECONDS  how long to look on (120)

  exit status: 0 accepted, 1 refused, 75 put off or still on its way
`;

/** sysexits(3) */
const exit = { sent: 0, bounced: 1, usage: 64, unavailable: 69, tempFail: 75, config: 78 } as const;

const options = {
  from: { type: "string" },
  help: { type: "boolean", short: "h" },
  timeout: { type: "string" },
} as const;

export async function tryCommand(args: readonly string[], io: CommandIo): Promise<number> {
  const parsed = parse(args);
  if (typeof parsed === "string") return misused(io, parsed);
  const { values, positionals } = parsed;
  if (values.help) {
    io.out(tryUsage);
    return 0;
  }
  const [address = "", ...more] = positionals;
  const { local, domain } = splitAddress(address);
  if (more.length > 0 || local === "" || domain === "")
    return misused(io, "one address is wanted: somebody@example.org");
  const timeout_s = Number(values.timeout ?? 120);
  if (!(timeout_s >= 1 && timeout_s <= 86_400)) return misused(io, "--timeout takes seconds");
  return attempt({ address, from: values.from, timeout_s }, io);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function misused(io: CommandIo, text: string): number {
  io.err(`postern try: ${text}\n${tryUsage}`);
  return exit.usage;
}

export interface TryRequest {
  readonly address: string;
  /** undefined: root at this host. */
  readonly from: string | undefined;
  readonly timeout_s: number;
}

/** Sends the message and tells what becomes of it; the exit status. */
export async function attempt(request: TryRequest, io: CommandIo): Promise<number> {
  const { files, host, names, random, clock } = io.runtime;
  const loaded = await loadConf(files, io.directory, { declared: allParams, host, names, env: io.env, secrets: true });
  if (loaded.problems.length > 0) throw new ConfError(loaded.problems);
  const conf = evaluate(relayParams, loaded.settings);
  const messageId = `<try.${random.bytes(12).toString("hex")}@${conf.myhostname}>`;
  const from = request.from ?? new Rewriter(conf).rewrite("root");
  const sent = { request, from, messageId, loaded, begun_ms: clock.monotonic() };
  const paths = queuePaths(conf.queue_directory);
  const running = askRelay(io.runtime, `${paths.public}/control`, { command: "follow", messageId });
  try {
    const first = await running.next();
    if (!first.done) return await throughRunning(sent, running as AsyncGenerator<FollowedLine>, paths.maildrop, io);
  } catch (error) {
    if (!(error instanceof NotRunning)) return failed(error, io);
  }
  return await throughTemporary(sent, io).catch((error: unknown) => failed(error, io));
}

function failed(error: unknown, io: CommandIo): number {
  if (error instanceof ConfError) throw error;
  io.err(`postern try: ${error instanceof Error ? error.message : String(error)}\n`);
  return error instanceof SubmitError ? exit.tempFail : exit.unavailable;
}

interface Sent {
  readonly request: TryRequest;
  readonly from: string;
  readonly messageId: string;
  readonly loaded: LoadedConf;
  readonly begun_ms: number;
}

async function throughRunning(
  sent: Sent,
  lines: AsyncGenerator<FollowedLine>,
  maildrop: string,
  io: CommandIo,
): Promise<number> {
  io.err("through the relay that runs:\n");
  await submit(sent, maildrop, io);
  return follow(sent, lines, io, true);
}

async function throughTemporary(sent: Sent, io: CommandIo): Promise<number> {
  const { startTemporaryRelay } = await import("../relay/temporary.ts");
  const followers = new Followers(io.runtime.clock);
  io.err("no relay runs on this configuration: a temporary one is used:\n");
  const troubles: string[] = [];
  const sink = followers.tap(({ level, text }) => {
    if (level !== "info" && level !== "debug") troubles.push(text);
  });
  const relay = await startTemporaryRelay(io.runtime, sent.loaded, sink);
  try {
    const lines = followers.follow(sent.messageId);
    await lines.next();
    await submit(sent, relay.maildrop, io);
    const status = await follow(sent, lines as AsyncGenerator<FollowedLine>, io, false);
    if (status !== exit.sent) for (const text of new Set(troubles)) io.out(`  warning: ${text}\n`);
    return status;
  } finally {
    await relay.close();
  }
}

async function submit({ request, from, messageId }: Sent, maildrop: string, io: CommandIo): Promise<void> {
  const { clock, host } = io.runtime;
  const head: SubmissionHead = {
    ...{ version: 1, sender: from, recipients: [request.address], fullName: "", notify: undefined, ret: undefined },
    ...{
      envid: undefined,
      crlf: false,
      smtputf8: /[^\x00-\x7f]/.test(request.address + from),
      service: "sendmail",
      gateway: false,
    },
  };
  const now = clock.now();
  const text = [
    `From: <${from}>`,
    `To: <${request.address}>`,
    `Subject: A test of the mail from ${host.name()}`,
    `Date: ${formatDate(now, clock.zoneOffset_min(now))}`,
    `Message-ID: ${messageId}`,
    "MIME-Version: 1.0",
    "Content-Type: text/plain; charset=us-ascii",
    "Auto-Submitted: auto-generated",
    "",
    `This message was sent by "postern try" on ${host.name()}, to see whether mail`,
    "leaves that host. It has arrived: it does. Nothing need be done.",
    "",
  ];
  const file = await Submit.begin(io.runtime, maildrop, head);
  try {
    await file.data(Buffer.from(text.join("\n")));
    await file.finish();
  } catch (error) {
    await file.abandon();
    throw error;
  }
}

/** Tells the story until the recipients have their answers; `stays`: what is put off stays in the queue. */
async function follow(sent: Sent, lines: AsyncGenerator<FollowedLine>, io: CommandIo, stays: boolean): Promise<number> {
  const { clock } = io.runtime;
  const paint = paintFor(io);
  const tell = (text: string): void => {
    const seconds = ((clock.monotonic() - sent.begun_ms) / 1000).toFixed(1);
    io.out(`  ${paint.faint(`${seconds.padStart(6)} s`)}  ${text}\n`);
    io.flush();
  };
  const story = new Story(tell);
  const late = Promise.withResolvers<"late">();
  const timer = clock.after(sent.request.timeout_s * 1000, () => late.resolve("late"));
  tell(`sent to <${sent.request.address}> as <${sent.from}>`);
  try {
    for (;;) {
      const next = await Promise.race([lines.next(), late.promise]);
      if (next === "late" || next.done) break;
      if ("text" in next.value) story.line(next.value);
      if (story.left || story.fates.some(({ status }) => status === "deferred")) break;
    }
  } finally {
    timer.cancel();
    // Not waited for: it may be in the middle of waiting for the next line.
    void lines.return(undefined);
  }
  return conclude(story, io, stays);
}

function conclude(story: Story, io: CommandIo, stays: boolean): number {
  const paint = paintFor(io);
  const worst = (status: string): Fate | undefined => story.fates.find((fate) => fate.status === status);
  const bounced = worst("bounced");
  const deferred = worst("deferred");
  const waits = stays
    ? `It stays in the queue and is tried again. To look: postern why ${story.id ?? "QUEUE-ID"}; to remove it: postsuper -d ${story.id ?? "QUEUE-ID"}`
    : "It is not tried again, since the temporary relay ends here";
  if (bounced) {
    io.out(`${paint.bad("refused")} (${bounced.dsn}). ${meaningOf(bounced)}\n`);
    return exit.bounced;
  }
  if (deferred) {
    io.out(`${paint.doubtful("put off")} (${deferred.dsn}). ${meaningOf(deferred)}\n${waits}.\n`);
    return exit.tempFail;
  }
  if (story.fates.length > 0) {
    io.out(
      `${paint.good("accepted")}: the next server has taken it over. Whether it reaches the mailbox is now up to that server.\n`,
    );
    return exit.sent;
  }
  io.out(
    `${paint.doubtful("still on its way")}: nothing has been heard of it. ${story.id ? waits : "It was not taken into the queue yet: look into the mail log"}.\n`,
  );
  return exit.tempFail;
}

/** What the answer means, and what would help. */
function meaningOf({ reason, dsn, status }: Fate): string {
  const known = explain(reason, dsn);
  if (known) return `${known.meaning}\n  What would help: ${known.remedy}`;
  return status === "bounced" ? "This server will not take it, now or later." : "Not now, maybe later.";
}
