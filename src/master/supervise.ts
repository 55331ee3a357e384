import type { Environment } from "../conf/given.ts";
import { type LoadedConf, loadConf } from "../conf/load.ts";
import { ConfError, describeProblem, type Problem } from "../conf/problem.ts";
import { type QueuePaths, queuePaths } from "../conf/queue-paths.ts";
import type { Log } from "../log/log.ts";
import { type Lock, tryLock } from "../queue/owner-lock.ts";
import { allParams } from "../relay/params.ts";
import { openFlags, readWhole } from "../runtime/files.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { StartFailure } from "./generation.ts";
import { rotateLog, timeSuffix } from "./log-rotation.ts";
import { MailLog, MailLogError } from "./mail-log.ts";
import { Master } from "./master.ts";
import { startMasterControl } from "./master-control.ts";
import { childEnvironment, type Prepared, prepare } from "./plan.ts";
import { runningPostfix } from "./postfix-lock.ts";
import { prepareQueueDirectory, QueueDirectoryError } from "./queue-directory.ts";
import { ListenError, Sockets } from "./sockets.ts";

/** sysexits(3) */
const exit = { unavailable: 69, software: 70, tempFail: 75, config: 78 } as const;

export interface SuperviseOptions {
  readonly directory: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes to standard output. */
  readonly output: (bytes: Uint8Array) => Promise<void>;
  /** Started in the background: nobody reads standard output. */
  readonly background: boolean;
  /** Called once, when mail is being taken, or when that cannot be. */
  readonly started: (outcome: Started) => void;
}

export type Started =
  | { readonly ok: true; readonly notes: readonly string[] }
  | { readonly ok: false; readonly text: string; readonly status: number };

/** Runs the mail system in this process until it is stopped; the exit status. */
export async function supervise(runtime: Runtime, options: SuperviseOptions): Promise<number> {
  try {
    const system = await MailSystem.start(runtime, options);
    options.started({ ok: true, notes: system.notes });
    await system.ended;
    return 0;
  } catch (error) {
    const failure = failureOf(error) ?? { text: bugText(error), status: exit.software };
    options.started({ ok: false, ...failure });
    return failure.status;
  }
}

const bugText = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));

/** Errors that are somebody's to mend; anything else is a bug. */
export function failureOf(error: unknown): { text: string; status: number } | undefined {
  if (error instanceof ConfError) return { text: error.message, status: exit.config };
  if (error instanceof MailLogError || error instanceof QueueDirectoryError) {
    return { text: error.message, status: exit.config };
  }
  if (error instanceof ListenError) return { text: error.message, status: exit.unavailable };
  if (error instanceof StartFailure) return { text: error.message, status: error.status };
  return undefined;
}

/**
 * The mail system of one configuration directory, from start to stop. It takes orders (control socket, signals) from
 * before its first relay is up, so that a start that takes long can be stopped.
 */
class MailSystem {
  notes: readonly string[] = [];
  readonly ended: Promise<void>;
  readonly #runtime: Runtime;
  readonly #options: SuperviseOptions;
  readonly #master: Master;
  readonly #mailLog: MailLog;
  #prepared: Prepared;
  #up = false;
  /** Orders that change things are carried out one after the other. */
  #ordered: Promise<unknown> = Promise.resolve();

  private constructor(
    runtime: Runtime,
    options: SuperviseOptions,
    parts: { master: Master; mailLog: MailLog; prepared: Prepared; ended: Promise<void> },
  ) {
    this.#runtime = runtime;
    this.#options = options;
    this.#master = parts.master;
    this.#mailLog = parts.mailLog;
    this.#prepared = parts.prepared;
    this.ended = parts.ended;
  }

  /** Throws what failureOf() knows. */
  static async start(runtime: Runtime, options: SuperviseOptions): Promise<MailSystem> {
    const { files, processes } = runtime;
    const loaded = await load(runtime, options.directory, options.env);
    const prepared = await prepare(runtime, loaded, options.env);
    const { conf } = prepared.configuration;
    const paths = queuePaths(conf.queue_directory);
    await prepareQueueDirectory(files, paths, prepared.owner, prepared.maildropGroup);
    const lock = lockAlone(processes, paths.masterLock);
    if (!lock) throw new StartFailure(await alreadyRunning(runtime, paths), exit.unavailable);
    const mailLog = await openMailLog(runtime, options, loaded, prepared);
    const { log, syslog } = mailLog;
    const sockets = new Sockets(runtime.net);
    const master = new Master({ runtime, log, sockets, relayLog: (text) => mailLog.append(text), syslog });
    await writePid(runtime, paths);
    const control = await startMasterControl(runtime, paths.masterSocket, (command) => system.command(command));
    const ended = master.ended.then(async () => {
      log.info("stopped");
      await control.close();
      await mailLog.close();
      await files.remove(paths.masterPid).catch(() => {});
      lock.release();
    });
    const system = new MailSystem(runtime, options, { master, mailLog, prepared, ended });
    system.#listenForSignals();
    try {
      await system.#first(mailLog.notes);
      return system;
    } catch (error) {
      for (const line of failureOf(error)?.text.split("\n") ?? []) log.fatal(line);
      await master.stop(true);
      await ended;
      throw await withPostfixNamed(runtime, error, conf.queue_directory);
    }
  }

  /** Brings up the first relay. */
  async #first(logNotes: readonly string[]): Promise<void> {
    const { log } = this.#mailLog;
    const { configuration, plan } = this.#prepared;
    const notes = [...logNotes, ...(await this.#master.apply(plan))];
    this.#up = true;
    this.notes = [...told(this.#prepared), ...notes];
    tell(log, this.#prepared, notes);
    log.info(`daemon started -- version ${configuration.conf.mail_version}, configuration ${this.#options.directory}`);
  }

  /** What the control socket and signals ask for: a line to print and an exit status. */
  async command(command: string): Promise<{ text: string; status: number }> {
    switch (command) {
      case "reload":
        return this.#inOrder(() => this.#reload());
      case "stop":
        void this.#master.stop();
        return { text: "stopping", status: 0 };
      case "abort":
        void this.#master.stop(true);
        return { text: "stopping at once", status: 0 };
      case "flush":
        this.#master.flush();
        return { text: "", status: 0 };
      case "logrotate":
        return this.#inOrder(() => this.#rotate());
      case "status":
        return { text: this.#status(), status: 0 };
      default:
        return { text: `no such command: ${command}`, status: 64 };
    }
  }

  #inOrder<Result>(carryOut: () => Promise<Result>): Promise<Result> {
    const done = this.#ordered.then(carryOut);
    this.#ordered = done.catch(() => {});
    return done;
  }

  #status(): string {
    const relay = this.#master.relayPid ?? (this.#up ? "none: it is being restarted" : "none: it is starting");
    return `running, master pid ${this.#runtime.processes.pid}, relay pid ${relay}`;
  }

  /** Nothing has changed where it fails, whatever the reason. */
  async #reload(): Promise<{ text: string; status: number }> {
    const { log } = this.#mailLog;
    try {
      const loaded = await load(this.#runtime, this.#options.directory, this.#options.env);
      const prepared = await prepare(this.#runtime, loaded, this.#options.env);
      const fixed = changedForGood(this.#prepared, prepared);
      if (fixed) throw new StartFailure(fixed, exit.config);
      const notes = await this.#master.apply(prepared.plan);
      this.#prepared = prepared;
      tell(log, prepared, notes);
      log.info(
        `reload -- version ${prepared.configuration.conf.mail_version}, configuration ${this.#options.directory}`,
      );
      return { text: [...told(prepared), ...notes].join("\n"), status: 0 };
    } catch (error) {
      const failure = failureOf(error) ?? { text: bugText(error), status: exit.software };
      for (const line of failure.text.split("\n")) log.error(`reload: ${line}`);
      log.error("reload: nothing has changed, the old configuration stays in force");
      return failure;
    }
  }

  async #rotate(): Promise<{ text: string; status: number }> {
    const { conf } = this.#prepared.configuration;
    if (!conf.maillog_file.startsWith("/") || conf.maillog_file === "/dev/stdout") {
      return { text: "maillog_file names no file: there is nothing to rotate", status: exit.config };
    }
    const { clock } = this.#runtime;
    const now_ms = clock.now();
    const suffix = timeSuffix(conf.maillog_file_rotate_suffix, now_ms + clock.zoneOffset_min(now_ms) * 60_000);
    try {
      const { files, processes } = this.#runtime;
      const world = { files, processes, env: childEnvironment(conf, this.#options.env) };
      await rotateLog(world, conf.maillog_file, suffix, conf.maillog_file_compressor, () => this.#mailLog.reopen());
      return { text: "", status: 0 };
    } catch (error) {
      return { text: `logrotate: ${error instanceof Error ? error.message : String(error)}`, status: exit.tempFail };
    }
  }

  #listenForSignals(): void {
    const { processes } = this.#runtime;
    processes.onBug((error) => {
      this.#mailLog.log.panic(bugText(error));
      // Relays end when their channel closes.
      void this.#mailLog.flush().finally(() => processes.exit(exit.software));
    });
    processes.onSignal("SIGHUP", () => void this.command("reload"));
    processes.onSignal("SIGTERM", () => void this.#master.stop());
    processes.onSignal("SIGINT", () => void this.#master.stop());
  }
}

function load(runtime: Runtime, directory: string, env: Environment): Promise<LoadedConf> {
  const { files, host, names } = runtime;
  return loadConf(files, directory, { declared: allParams, host, names, env, secrets: true });
}

/** Warnings for the terminal. */
function told({ configuration }: Prepared): string[] {
  return configuration.warnings.map((problem) => `warning: ${describeProblem(problem)}`);
}

function tell(log: Log, { configuration }: Prepared, notes: readonly string[]): void {
  const write = (problem: Problem) => log.warning(describeProblem(problem));
  configuration.warnings.forEach(write);
  for (const problem of configuration.notices) log.info(describeProblem(problem));
  for (const note of notes) log.warning(note.replace(/^warning: /, ""));
}

async function openMailLog(
  { files, clock, processes }: Runtime,
  { output, background }: SuperviseOptions,
  loaded: LoadedConf,
  { configuration }: Prepared,
): Promise<MailLog> {
  const host = configuration.settings.value("myhostname").split(".")[0] || loaded.texts.host.name;
  return MailLog.open({ files, clock, host, pid: processes.pid, output, background }, configuration.conf);
}

/** Nobody else may open the lock's file: whoever could read it could hold a lock on it, too, and keep us from starting. */
function lockAlone({ umask }: Runtime["processes"], path: string): Lock | undefined {
  const before = umask(0o077);
  try {
    return tryLock(path);
  } finally {
    umask(before);
  }
}

async function writePid({ files, processes }: Runtime, paths: QueuePaths): Promise<void> {
  const { write, create, truncate, noFollow } = openFlags;
  const file = await files.open(paths.masterPid, write | create | truncate | noFollow, 0o644);
  try {
    await file.write(Buffer.from(`${processes.pid}\n`));
  } finally {
    await file.close();
  }
}

async function alreadyRunning({ files }: Runtime, paths: QueuePaths): Promise<string> {
  const pid = await readWhole(files, paths.masterPid, 64).then(
    ({ bytes }) => bytes.toString().trim(),
    () => "unknown",
  );
  return `the mail system is already running on ${paths.base}: pid ${pid}`;
}

/** What cannot change while the queue is in use. */
function changedForGood(old: Prepared, next: Prepared): string | undefined {
  const [was, will] = [old.configuration.conf, next.configuration.conf];
  for (const name of ["queue_directory", "mail_owner", "setgid_group", "maillog_file", "syslog_facility"] as const) {
    if (was[name] !== will[name]) {
      return `${name} has changed from ${was[name]} to ${will[name]}: that takes a stop and a start`;
    }
  }
  return undefined;
}

async function withPostfixNamed({ files }: Runtime, error: unknown, queueDirectory: string): Promise<unknown> {
  if (!(error instanceof ListenError)) return error;
  const pid = await runningPostfix(files, queueDirectory);
  if (pid === undefined) return error;
  return new ListenError(
    `${error.message}\nA Postfix runs on this queue directory (pid ${pid}): stop it first, with 'postfix stop'`,
  );
}
