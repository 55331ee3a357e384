import { evaluate } from "../conf/evaluate.ts";
import { loadConf } from "../conf/load.ts";
import { globalParams } from "../conf/params.ts";
import { describeProblem } from "../conf/problem.ts";
import { queuePaths } from "../conf/queue-paths.ts";
import { pickupParams } from "../pickup/params.ts";
import { recipientLimit, type SubmissionHead } from "../pickup/submission-file.ts";
import { Submit, SubmitError } from "../pickup/submit.ts";
import { authorizedUser } from "../relay/submit-users.ts";
import { parseAddressList } from "../rfc5322/addresses.ts";
import { extractRecipients } from "../rfc5322/extract-recipients.ts";
import { scanHeader } from "../rfc5322/header.ts";
import { noMaps } from "../table/maps.ts";
import type { CommandIo } from "./io.ts";
import { messageInput } from "./message-input.ts";
import { parseSendmail, type SendmailOptions, SendmailUsage } from "./sendmail-options.ts";

/** sysexits(3), as far as sendmail uses it. Nearly every failure is "try again": the mail is still the caller's. */
const tempFail = 75;

/** How much of a message is kept in memory to look for recipients in its header. */
const headerLimit_bytes = 1024 * 1024;

/**
 * sendmail(1), as Postfix has it: takes a message from standard input and puts it into
 * the maildrop directory, whoever runs it and whether the relay runs or not. Exit
 * status 0 means that the message is on disk.
 */
export async function sendmail(args: readonly string[], io: CommandIo): Promise<number> {
  try {
    return await run(parseSendmail(io.args0, args), io);
  } catch (error) {
    if (error instanceof SendmailUsage && error.detail) io.err(`sendmail: ${error.detail}\n`);
    // Whatever went wrong, the mail has not been taken, and whoever called us has to know that.
    return fatal(io, error instanceof Error ? error.message : String(error));
  }
}

async function run(options: SendmailOptions, io: CommandIo): Promise<number> {
  for (const warning of options.warnings) io.err(`sendmail: warning: ${warning}\n`);
  const directory = options.directory?.replace(/\/main\.cf$/, "") ?? io.directory;
  const asIn = { ...io, directory };
  switch (options.mode) {
    case "mailq":
      return (await import("./mailq.ts")).mailq([], asIn);
    case "newaliases": {
      const { newaliases, postalias } = await import("./postalias.ts");
      if (options.aliases === undefined) return newaliases([], asIn);
      return postalias(["-c", directory, "--", options.aliases], { ...asIn, args0: "postalias" });
    }
    case "flush":
      return (await import("./postqueue.ts")).postqueue(["-f"], asIn);
    case "flush-id":
      return (await import("./postqueue.ts")).postqueue(["-i", options.argument], asIn);
    case "flush-site":
      return (await import("./postqueue.ts")).postqueue(["-s", options.argument], asIn);
    case "smtp":
      return (await import("./sendmail-smtp.ts")).sendmailSmtp(asIn);
    case "daemon":
      return (await import("./lifecycle.ts")).lifecycle("start", [], asIn);
    case "nothing":
      return 0;
    case "deliver":
      return deliver(options, asIn);
    default:
      return options.mode satisfies never;
  }
}

async function deliver(options: SendmailOptions, io: CommandIo): Promise<number> {
  const user = await userName(io);
  const sender = options.sender === undefined ? user : internal(options.sender, io);
  const shown = `${sender}(${io.runtime.processes.uid()})`;
  const { maildrop, sizeLimit_bytes, submitUsers } = await place(io);
  await assertMaySubmit(submitUsers, user, maildrop, io);
  const named = options.recipients.flatMap(commandLineRecipients);
  if (named.length === 0 && !options.extract) {
    throw new SubmitError(`${shown}: Recipient addresses must be specified on the command line or via the -t option`);
  }
  const input = messageInput(io.stdin, { dotEnds: options.dotEnds });
  const begin: Buffer[] = [];
  let recipients = named;
  if (options.extract) {
    const extracted = await fromHeader(input, begin);
    if (typeof extracted === "string") throw new SubmitError(`${shown}: ${extracted}`);
    recipients = [...named, ...extracted];
    if (recipients.length === 0) throw new SubmitError(`${shown}: No recipient addresses found in message header`);
  }
  const head: SubmissionHead = {
    version: 1,
    sender,
    recipients,
    fullName: options.fullName ?? io.env.NAME ?? (await gecos(io)),
    notify: options.notify ?? (options.report ? ["SUCCESS", "FAILURE", "DELAY"] : undefined),
    ret: options.ret,
    envid: options.envid,
    crlf: false,
    smtputf8: false,
    service: "sendmail",
    gateway: options.gateway,
  };
  await write(io, maildrop, head, begin, input, sizeLimit_bytes);
  if (options.report) io.out(`Mail Delivery Status Report will be mailed to <${sender}>.\n`);
  return 0;
}

async function write(
  { runtime }: CommandIo,
  maildrop: string,
  head: SubmissionHead,
  begin: readonly Buffer[],
  rest: AsyncIterable<Buffer>,
  sizeLimit_bytes: number,
): Promise<void> {
  const submit = await Submit.begin(runtime, maildrop, head);
  const add = async (bytes: Buffer): Promise<void> => {
    await submit.data(bytes);
    if (sizeLimit_bytes > 0 && submit.size_bytes > sizeLimit_bytes) throw new SubmitError("Message file too big");
  };
  try {
    for (const bytes of begin) await add(bytes);
    for await (const bytes of rest) await add(bytes);
    await submit.finish();
  } catch (error) {
    await submit.abandon();
    throw error;
  }
}

/** Reads until the header is over, keeping what was read; the addresses in it, or what is wrong. */
async function fromHeader(input: AsyncGenerator<Buffer>, begin: Buffer[]): Promise<readonly string[] | string> {
  let header = Buffer.alloc(0);
  for (;;) {
    const { value, done } = await input.next();
    if (done) break;
    begin.push(value);
    header = Buffer.concat([header, value]);
    if (scanHeader(header, false).ending !== "open") break;
    if (header.length > headerLimit_bytes)
      return `unable to extract recipients: message header is longer than ${headerLimit_bytes} bytes`;
  }
  const extracted = extractRecipients(header, recipientLimit);
  return extracted.kind === "recipients" ? extracted.addresses : `more than ${extracted.limit} recipients`;
}

/**
 * Access is decided by the relay, which knows whose a file is; this is only to tell users at once. Where a table
 * decides, it is for the relay to say.
 */
async function assertMaySubmit(words: readonly string[], user: string, maildrop: string, io: CommandIo): Promise<void> {
  if (words.some((word) => /[/:]/.test(word) && !/^!*static:/.test(word))) return;
  const { files, processes } = io.runtime;
  const uid = processes.uid();
  // The maildrop directory is the relay's.
  const relayUid = await files.facts(maildrop).then(
    (facts) => facts.uid,
    () => undefined,
  );
  if (relayUid === undefined) return;
  const may = authorizedUser({ words, nameOf: async () => user, maps: () => noMaps, file: () => undefined, relayUid });
  if (!(await may(uid))) throw new SubmitError(`User ${user}(${uid}) is not allowed to submit mail`);
}

/** Each argument is parsed as a header's address list would be; one that holds no address stands for the null address. */
function commandLineRecipients(text: string): string[] {
  const found = parseAddressList(text, Number.POSITIVE_INFINITY).map((each) => each.text);
  return found.length > 0 ? found : [""];
}

/** "-f '<>'" and "-f ''" are the null sender; "Name <user@host>" is user@host. */
function internal(sender: string, io: CommandIo): string {
  if (/^\s*(<\s*>)?\s*$/.test(sender)) return "";
  const found = parseAddressList(sender);
  if (found.length > 1) io.err(`sendmail: warning: -f option specified malformed sender: ${sender}\n`);
  return found[0]?.text ?? "";
}

async function place(
  io: CommandIo,
): Promise<{ maildrop: string; sizeLimit_bytes: number; submitUsers: readonly string[] }> {
  const { files, host } = io.runtime;
  const { settings, problems } = await loadConf(files, io.directory, {
    declared: { ...globalParams, ...pickupParams },
    host,
    env: io.env,
    mainOnly: true,
  });
  if (problems[0]) throw new SubmitError(describeProblem(problems[0]));
  const { queue_directory, message_size_limit } = globalParams;
  const { authorized_submit_users } = pickupParams;
  const conf = evaluate({ queue_directory, message_size_limit, authorized_submit_users }, settings);
  return {
    maildrop: queuePaths(conf.queue_directory).maildrop,
    sizeLimit_bytes: conf.message_size_limit,
    submitUsers: conf.authorized_submit_users,
  };
}

async function userName(io: CommandIo): Promise<string> {
  const [name] = await passwdEntry(io);
  return name ?? io.env.LOGNAME ?? io.env.USER ?? `${io.runtime.processes.uid()}`;
}

/** The full name of the user: GECOS up to its first comma, where "&" stands for the login name (finger(1)). */
async function gecos(io: CommandIo): Promise<string> {
  const [name = "", , , , full = ""] = await passwdEntry(io);
  const capital = name.slice(0, 1).toUpperCase() + name.slice(1);
  return (full.split(",")[0] ?? "").replaceAll("&", capital);
}

async function passwdEntry({ runtime }: CommandIo): Promise<readonly string[]> {
  const { findAccountById } = await import("../runtime/accounts.ts");
  return (await findAccountById(runtime.files, runtime.processes.uid())) ?? [];
}

function fatal(io: CommandIo, text: string): number {
  io.err(`sendmail: fatal: ${text}\n`);
  return tempFail;
}
