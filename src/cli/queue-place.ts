import { evaluate } from "../conf/evaluate.ts";
import { loadConf } from "../conf/load.ts";
import { globalParams } from "../conf/params.ts";
import { describeProblem } from "../conf/problem.ts";
import { type QueuePaths, queuePaths } from "../conf/queue-paths.ts";
import type { MailLogConf } from "../master/mail-log.ts";
import { findAccount } from "../runtime/accounts.ts";
import { errorCode } from "../runtime/files.ts";
import type { CommandIo } from "./io.ts";

/** Where the queue is that the operator's commands work on, and whose. */
export interface QueuePlace {
  readonly paths: QueuePaths;
  readonly owner: string;
  readonly hostName: string;
  readonly log: MailLogConf;
}

/** Throws Error where there is no main.cf to tell. */
export async function queuePlace({ runtime, directory, env }: CommandIo): Promise<QueuePlace> {
  const { files, host } = runtime;
  const { settings, problems } = await loadConf(files, directory, {
    declared: globalParams,
    host,
    env,
    mainOnly: true,
  });
  const unreadable = problems.find(({ file, line }) => file.endsWith("/main.cf") && line === 0);
  if (unreadable) throw new Error(describeProblem(unreadable));
  const { queue_directory, mail_owner, myhostname } = globalParams;
  const { maillog_file, maillog_file_prefixes, maillog_file_permissions, syslog_facility, syslog_name } = globalParams;
  const log = { maillog_file, maillog_file_prefixes, maillog_file_permissions, syslog_facility, syslog_name };
  const conf = evaluate({ queue_directory, mail_owner, myhostname }, settings);
  return {
    paths: queuePaths(conf.queue_directory),
    owner: conf.mail_owner,
    hostName: conf.myhostname.split(".")[0] || host.name(),
    log: evaluate(log, settings),
  };
}

/** Whether we are root, or the one whom the queue belongs to where Postern runs without root. */
export async function mayOperate({ runtime }: CommandIo, { paths }: QueuePlace): Promise<boolean> {
  const uid = runtime.processes.uid();
  if (uid === 0) return true;
  return runtime.files.facts(paths.base).then(
    (base) => base.uid === uid,
    () => false,
  );
}

/**
 * As root, gives up what root may, where the queue belongs to another user: what that user has put in the place of a file of
 * the queue must not be opened, or made, as root. All code that is needed afterwards is loaded before.
 */
export async function becomeQueueOwner({ runtime }: CommandIo, { paths, owner }: QueuePlace): Promise<void> {
  const { processes, files } = runtime;
  if (processes.uid() !== 0 || (await files.facts(paths.queue)).uid === 0) return;
  const account = await findAccount(files, owner);
  if (!account) throw new Error(`mail_owner = ${owner}: there is no such account`);
  processes.become(account);
}

/** Whether there is a queue yet. */
export async function isThere({ runtime }: CommandIo, path: string): Promise<boolean> {
  try {
    await runtime.files.facts(path);
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
}
