import { ConfError, describeProblem } from "../conf/problem.ts";
import { type QueuePaths, queuePaths } from "../conf/queue-paths.ts";
import { LineSink } from "../log/line-sink.ts";
import { createLog, type Log, type LogSink } from "../log/log.ts";
import { PostfixForm } from "../log/postfix-form.ts";
import { facilityNumber, syslogSink } from "../log/syslog-sink.ts";
import type { SchedulerState } from "../qmgr/state.ts";
import { type OpenableEngine, openSqliteStore, QueueOpenError } from "../queue/open.ts";
import { QueueError } from "../queue/store.ts";
import { pause } from "../runtime/clock.ts";
import { errorCode } from "../runtime/files.ts";
import type { Listener } from "../runtime/net.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { openSyslog } from "../runtime/syslog.ts";
import { preload as preloadSasl } from "../sasl/saslprep.ts";
import { type Configuration, configure } from "./configuration.ts";
import { type ControlPorts, startControl } from "./control.ts";
import { controlPorts, operatorPorts } from "./control-ports.ts";
import { exposedCredentials } from "./exposed-credentials.ts";
import { Followers } from "./follow.ts";
import {
  isAlone,
  type OwnerLocking,
  ownerLock,
  ownerLocks,
  releaseGoneOwners,
  removeGoneLocks,
} from "./gone-owners.ts";
import { gatherMaterials } from "./materials.ts";
import type { RelayConf } from "./params.ts";
import type { Begin, FromRelay, RefusedBatch, ToRelay } from "./protocol.ts";
import { forgetNoted, notedRefused, noteRefused } from "./refused-notes.ts";
import { Relay } from "./relay.ts";

/**
 * The relay as a process of its own, started by the master: reads what only root may read, loads
 * all code, drops its privileges for good, opens the queue, and only then touches the network.
 * Ends when its channel to the master closes: it must not go on holding the port.
 */
export interface RelayWorld {
  readonly runtime: Runtime;
  /** Loads all code that the queue needs, and opens nothing yet: privileges are dropped in between. */
  readonly startEngine: () => Promise<OpenableEngine>;
  readonly locks: OwnerLocking;
}

/** sysexits(3) */
const exit = { unavailable: 69, software: 70, tempFail: 75, config: 78 } as const;

class StartError extends Error {
  readonly status: number;

  constructor(text: string, status: number) {
    super(text);
    this.status = status;
  }
}

/** Does what the master says, from now on. Throws where there is no master. */
export function runRelayProcess(world: RelayWorld): void {
  const { processes } = world.runtime;
  const master = processes.parent;
  if (!master) throw new Error("a relay is started by its master");
  let running: RelayProcess | undefined;
  /** What came while we were coming up. */
  const early: Exclude<ToRelay, Begin>[] = [];

  const begin = async (message: Begin): Promise<void> => {
    try {
      running = await RelayProcess.start(world, message, (said) => master.send(said));
      for (const each of early.splice(0)) running.handle(each);
    } catch (error) {
      const status =
        error instanceof StartError ? error.status : error instanceof ConfError ? exit.config : exit.software;
      const text = status === exit.software ? bugText(error) : (error as Error).message;
      await master.send({ kind: "failed", text, status } satisfies FromRelay);
      processes.exit(status);
    }
  };

  master.listen(
    (received) => {
      const message = received as ToRelay;
      if (message.kind === "begin") void begin(message);
      else if (running) running.handle(message);
      else early.push(message);
    },
    () => processes.exit(exit.tempFail),
  );

  // A terminal's interrupt is for the master, which tells us what to do.
  processes.onSignal("SIGINT", () => {});
}

const bugText = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));

type Say = (message: FromRelay) => Promise<void>;

class RelayProcess {
  readonly #relay: Relay;
  readonly #log: Log;
  readonly #say: Say;
  readonly #exit: (status: number) => void;
  readonly #finish: () => Promise<void>;
  readonly #takeBack: () => Promise<void>;
  readonly #refused: RefusedBatch[];
  #ending: "no" | "retiring" | "stopping" = "no";

  private constructor(
    relay: Relay,
    log: Log,
    parts: {
      say: Say;
      exit: (status: number) => void;
      finish: () => Promise<void>;
      takeBack: () => Promise<void>;
      refused: RefusedBatch[];
    },
  ) {
    this.#relay = relay;
    this.#log = log;
    this.#say = parts.say;
    this.#exit = parts.exit;
    this.#finish = parts.finish;
    this.#takeBack = parts.takeBack;
    this.#refused = parts.refused;
  }

  static async start(world: RelayWorld, message: Begin, say: Say): Promise<RelayProcess> {
    const { runtime, locks } = world;
    const { files, clock, processes } = runtime;
    const configuration = configure(message.conf);
    const { conf } = configuration;
    const followers = new Followers(clock);
    const { log, flush } = await openLog(runtime, configuration, message, { say, followers });
    const leave = (status: number): void => processes.exit(status);
    const fail = failure(log, flush, leave);
    processes.onBug((error) => fail(bugText(error), exit.software));
    const { materials, problems } = await gatherMaterials(runtime, configuration, log);
    if (problems.length > 0) throw new ConfError(problems);
    const watched = materials.tables.watched();
    const exposed = await exposedCredentials(files, configuration, materials.tables);
    await preloadSasl();
    locks.preload();
    const engine = await world.startEngine();
    void say({ kind: "opened", files: watched });
    processes.umask(0o077);
    if (message.dropTo) processes.become(message.dropTo);
    const paths = queuePaths(conf.queue_directory);
    await holdOwnerLock(world, paths.queue, message.owner);
    const noted = await notedRefused(files, paths.queue);
    const refused = [...message.refused, ...noted];
    const alone = await isAlone(files, paths.queue, message.owner, locks);
    const tellings: Promise<unknown>[] = [];
    const tellRefused = (batches: readonly RefusedBatch[]): Promise<boolean> => {
      const noted = noteRefused(files, paths.queue, batches).then((missing) => missing.length === 0);
      // The master is the first to know; a note is there when the master is not. A disk that takes none must not keep us from ending.
      const late = pause(clock, longestNote_ms).then(() => false);
      const told = Promise.all([Promise.race([noted, late]), say({ kind: "refused", batches })]);
      tellings.push(told);
      return told.then(([known]) => known);
    };
    const store = await openStore(engine, runtime, { conf, paths, log, message, refused, alone, tellRefused });
    await forgetNoted(files, paths.queue, noted);
    let isBroken = false;
    const broken = (error: unknown): void => {
      if (isBroken) return;
      isBroken = true;
      fail(
        `mail queue: ${error instanceof Error ? error.message : String(error)}; the relay is restarted`,
        exit.tempFail,
        Promise.all(tellings),
      );
    };
    // Whoever finds it broken: also when nothing is being delivered, and only clients are refused.
    void store.failed.then(broken);
    const takeBack = async (): Promise<void> => {
      try {
        await releaseGoneOwners(store, paths.queue, log, refused, locks);
      } catch (error) {
        if (!(error instanceof QueueError) || error.kind === "failed") throw error;
        // A disk without room must not keep us from saying so to clients.
        log.warning(`cannot take back the mail of a relay that has ended: ${error.message}; it waits`);
        clock.after(takeBackAgain_ms, () => void takeBack().then(() => relay.scheduler.look(), broken), { idle: true });
      }
    };
    await takeBack();
    await removeGoneLocks(files, paths.queue, message.owner, locks);
    const relay = new Relay({
      runtime,
      configuration,
      materials,
      store,
      log,
      maildrop: paths.maildrop,
      queueDirectory: paths.queue,
      failed: broken,
    });
    const ports = controlPorts(store, relay, followers);
    const control = await takeControl(runtime, `${paths.public}/control`, 0o666, message.generation, ports);
    const operated = { ...ports, operator: operatorPorts(store, relay, log) };
    const operator = await takeControl(runtime, paths.operatorSocket, 0o600, message.generation, operated);
    await relay.serve(message.sockets).catch((error: unknown) => {
      throw new StartError(
        `cannot listen: ${error instanceof Error ? error.message : String(error)}`,
        exit.unavailable,
      );
    });
    const finish = async () => {
      await Promise.all([control.close(), operator.close()]);
      await flush();
    };
    const notes = [...materials.warnings, ...exposed].map((problem) => `warning: ${describeProblem(problem)}`);
    void say({ kind: "ready", notes });
    if (!message.wait) relay.schedule(undefined);
    return new RelayProcess(relay, log, { say, exit: leave, finish, takeBack, refused });
  }

  /** An order of the master. One that cannot be carried out is logged; it never ends us. */
  handle(message: Exclude<ToRelay, Begin>): void {
    this.#carryOut(message).catch((error: unknown) => {
      this.#log.warning(`${message.kind}: ${error instanceof Error ? error.message : String(error)}`);
    });
  }

  async #carryOut(message: Exclude<ToRelay, Begin>): Promise<void> {
    switch (message.kind) {
      case "table":
        return this.#table(message);
      case "source":
        return this.#relay.sourceChanged(message.path, message.mtime_ms);
      case "inherit":
        // What cannot be taken back now is at the next start; what is due must not wait for that.
        await this.#takeBack().catch((error: unknown) => this.#log.warning(`cannot take back mail: ${String(error)}`));
        return this.#relay.schedule(message.state as SchedulerState | undefined);
      case "wake":
        return this.#relay.scheduler.look();
      case "refused":
        this.#refused.push(...message.batches);
        return;
      case "flush":
        await this.#relay.flush("all");
        return;
      case "retire":
        return this.#retire();
      case "stop":
        return this.#stop();
      default:
        return message satisfies never;
    }
  }

  async #table({ path, bytes, mtime_ms }: Extract<ToRelay, { kind: "table" }>): Promise<void> {
    if (!bytes) return;
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (!(await this.#relay.replaceTable(path, { bytes: buffer, mtime_ms }))) void this.#say({ kind: "again", path });
  }

  async #retire(): Promise<void> {
    if (this.#ending !== "no") return;
    this.#ending = "retiring";
    const retired = this.#relay.retire(
      (state) => void this.#say({ kind: "retired", state }),
      () => void this.#say({ kind: "wake" }),
    );
    await this.#end(retired);
  }

  /** Also while retiring: the sessions that are still there are told to come back. */
  async #stop(): Promise<void> {
    if (this.#ending === "stopping") return;
    this.#ending = "stopping";
    await this.#end(this.#relay.stop());
  }

  async #end(ended: Promise<void>): Promise<void> {
    let status = 0;
    await ended.catch((error: unknown) => {
      this.#log.warning(`while ending: ${error instanceof Error ? error.message : String(error)}`);
      status = exit.tempFail;
    });
    await this.#finish();
    this.#exit(status);
  }
}

/** Says why this relay cannot go on, once, and ends it when that is written. */
function failure(
  log: Log,
  flush: () => Promise<void>,
  leave: (status: number) => void,
): (text: string, status: number, said?: Promise<unknown>) => void {
  let failed = false;
  return (text, status, said) => {
    if (failed) return;
    failed = true;
    log.panic(text);
    void Promise.allSettled([flush(), said]).then(() => leave(status));
  };
}

/** How long a note of what was refused may take. */
const longestNote_ms = 5000;

/** Until mail that could not be taken back is tried again. */
const takeBackAgain_ms = 10_000;

/** How often the lock is tried: a relay that takes stock of gone owners holds each for a moment. */
const lockTries = 20;
const lockPause_ms = 50;

async function holdOwnerLock({ runtime, locks }: RelayWorld, queueDirectory: string, owner: string): Promise<void> {
  const { files, clock } = runtime;
  await files.makeDirectory(ownerLocks(queueDirectory), 0o700).catch((error: unknown) => {
    if (errorCode(error) !== "EEXIST")
      throw new StartError(`cannot make ${ownerLocks(queueDirectory)}: ${errorCode(error)}`, exit.config);
  });
  const path = ownerLock(queueDirectory, owner);
  for (let tried = 0; !locks.tryLock(path); tried++) {
    if (tried === lockTries) throw new StartError(`${path} is held by another`, exit.tempFail);
    await pause(clock, lockPause_ms);
  }
}

async function openStore(
  engine: OpenableEngine,
  runtime: Runtime,
  {
    conf,
    paths,
    log,
    message,
    refused,
    alone,
    tellRefused,
  }: {
    conf: RelayConf;
    paths: QueuePaths;
    log: Log;
    message: Begin;
    refused: readonly RefusedBatch[];
    alone: boolean;
    tellRefused: (batches: readonly RefusedBatch[]) => Promise<boolean>;
  },
) {
  return openSqliteStore(engine, {
    directory: paths.queue,
    owner: message.owner,
    generation: message.generation,
    runtime,
    log: log.as("qmgr"),
    alone,
    refused,
    noteRefused: tellRefused,
    limits: { ops: conf.postern_queue_batch_limit, bytes: conf.postern_queue_batch_size_limit },
    cache_bytes: conf.postern_queue_cache_size,
    pageCache_bytes: conf.postern_queue_page_cache_size,
    checkpoint_bytes: conf.postern_queue_checkpoint_size,
    traces_s: conf.postern_queue_trace_time,
  }).catch((error: unknown) => {
    if (error instanceof QueueOpenError) throw new StartError(error.message, exit.unavailable);
    throw error;
  });
}

/**
 * The name is taken over at once; a predecessor's socket stays open for those it serves. Each generation listens under
 * a name of its own, since closing a socket removes the name that it was made with.
 */
async function takeControl(
  { files, net, clock }: Runtime,
  path: string,
  mode: number,
  generation: number,
  ports: ControlPorts,
): Promise<Listener> {
  const own = `${path}.${generation}`;
  try {
    await files.remove(own).catch(() => {});
    const control = await startControl({ net, clock }, own, ports);
    await files.chmod(own, mode);
    await files.rename(own, path);
    return control;
  } catch (error) {
    throw new StartError(
      `cannot listen on ${own}: ${error instanceof Error ? error.message : String(error)}`,
      exit.unavailable,
    );
  }
}

/** Lines go to the master, which keeps the log's file; with syslog as the destination, straight there. */
async function openLog(
  { clock, host, processes }: Runtime,
  configuration: Configuration,
  message: Begin,
  { say, followers }: { say: Say; followers: Followers },
): Promise<{ log: Log; flush: () => Promise<void> }> {
  const { conf } = configuration;
  const form = new PostfixForm(conf.myhostname.split(".")[0] || host.name(), (time_ms) =>
    clock.zoneOffset_min(time_ms),
  );
  const make = (sink: LogSink): Log =>
    createLog({
      sink: followers.tap(sink),
      now: () => clock.now(),
      service: "relay",
      slot: processes.pid,
      tag: conf.syslog_name,
      verbose: message.verbose,
    });
  const syslog = message.syslog ? await openSyslog() : undefined;
  if (syslog) {
    const sink = syslogSink(syslog.send, facilityNumber(conf.syslog_facility) ?? 2, (time_ms) => form.stamp(time_ms));
    return { log: make(sink), flush: async () => {} };
  }
  const lines = new LineSink(
    (text) => say({ kind: "log", text }),
    clock,
    (record) => form.line(record),
  );
  return { log: make(lines.write), flush: () => lines.flush() };
}
