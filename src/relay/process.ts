import { ConfError, describeProblem } from "../conf/problem.ts";
import { queuePaths } from "../conf/queue-paths.ts";
import { LineSink } from "../log/line-sink.ts";
import { createLog, type Log, type LogSink } from "../log/log.ts";
import { PostfixForm } from "../log/postfix-form.ts";
import { facilityNumber, syslogSink } from "../log/syslog-sink.ts";
import type { SchedulerState } from "../qmgr/state.ts";
import { openSqliteStore, QueueOpenError, startSqliteWorker } from "../queue/open.ts";
import { tryLock } from "../queue/owner-lock.ts";
import { preload as preloadSasl } from "../sasl/saslprep.ts";
import { realRuntime } from "../runtime/real.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { openSyslog } from "../runtime/syslog.ts";
import { exposedCredentials } from "./check-tables.ts";
import { type Configuration, configure } from "./configuration.ts";
import { startControl } from "./control.ts";
import { controlPorts } from "./control-ports.ts";
import { gatherMaterials } from "./materials.ts";
import type { Begin, FromRelay, ToRelay } from "./protocol.ts";
import { Relay } from "./relay.ts";
import { releaseGoneOwners } from "./gone-owners.ts";

/**
 * The relay as a process of its own, started by the master: reads what only root may read, loads
 * all code, drops its privileges for good, opens the queue, and only then touches the network.
 * Ends when its channel to the master closes: it must not go on holding the port.
 */

/** sysexits(3) */
const exit = { unavailable: 69, tempFail: 75, config: 78 } as const;

class StartError extends Error {
  readonly status: number;

  constructor(text: string, status: number) {
    super(text);
    this.status = status;
  }
}

const runtime = realRuntime();
const { processes } = runtime;
const master = processes.parent;
if (!master) throw new Error("a relay is started by its master");

const say = (message: FromRelay): void => master.send(message);

let running: RelayProcess | undefined;

master.listen(
  (received) => {
    const message = received as ToRelay;
    if (message.kind === "begin") void begin(message);
    else void running?.handle(message);
  },
  () => processes.exit(exit.tempFail),
);

// A terminal's interrupt is for the master, which tells us what to do.
processes.onSignal("SIGINT", () => {});

async function begin(message: Begin): Promise<void> {
  try {
    running = await RelayProcess.start(runtime, message);
  } catch (error) {
    const status = error instanceof StartError ? error.status : error instanceof ConfError ? exit.config : 70;
    const text = status === 70 && error instanceof Error ? (error.stack ?? error.message) : String((error as Error).message);
    say({ kind: "failed", text, status });
    processes.exit(status);
  }
}

class RelayProcess {
  readonly #relay: Relay;
  readonly #begin: Begin;
  readonly #finish: () => Promise<void>;
  readonly #takeBack: () => Promise<void>;
  #ending = false;

  private constructor(relay: Relay, message: Begin, finish: () => Promise<void>, takeBack: () => Promise<void>) {
    this.#relay = relay;
    this.#begin = message;
    this.#finish = finish;
    this.#takeBack = takeBack;
  }

  static async start(runtime: Runtime, message: Begin): Promise<RelayProcess> {
    const { files, net } = runtime;
    const configuration = configure(message.conf);
    const { conf } = configuration;
    const { log, flush } = await openLog(runtime, configuration, message);
    const { materials, problems } = await gatherMaterials(runtime, configuration, log);
    if (problems.length > 0) throw new ConfError(problems);
    const exposed = await exposedCredentials(files, configuration, materials.tables.watched().map(({ path }) => path));
    await preloadSasl();
    const engine = await startSqliteWorker();
    processes.umask(0o077);
    if (message.dropTo) processes.become(message.dropTo);
    const paths = queuePaths(conf.queue_directory);
    await files.makeDirectory(`${paths.queue}/lock`, 0o700).catch(() => {});
    const lockPath = (owner: string) => `${paths.queue}/lock/${owner}.lock`;
    if (!tryLock(lockPath(message.owner))) throw new StartError(`${lockPath(message.owner)} is held by another`, exit.tempFail);
    const store = await openSqliteStore(engine, {
      directory: paths.queue,
      owner: message.owner,
      generation: message.generation,
      runtime,
      log: log.as("qmgr"),
      refused: message.refused,
      limits: { ops: conf.postern_queue_batch_limit, bytes: conf.postern_queue_batch_size_limit },
      cache_bytes: conf.postern_queue_cache_size,
      pageCache_bytes: conf.postern_queue_page_cache_size,
      checkpoint_bytes: conf.postern_queue_checkpoint_size,
      traces_s: conf.postern_queue_trace_time,
    }).catch((error: unknown) => {
      if (error instanceof QueueOpenError) throw new StartError(error.message, exit.unavailable);
      throw error;
    });
    const takeBack = () => releaseGoneOwners(store, files, paths.queue, log);
    await takeBack();
    const relay = new Relay({
      runtime,
      configuration,
      materials,
      store,
      log,
      maildrop: paths.maildrop,
      queueDirectory: paths.queue,
      failed: (error) => {
        log.panic(`mail queue: ${error instanceof Error ? error.message : String(error)}; the relay is restarted`);
        say({ kind: "refused", batches: store.refusedBatches });
        void flush().finally(() => processes.exit(exit.tempFail));
      },
    });
    await relay.serve(message.sockets).catch((error: unknown) => {
      throw new StartError(`cannot listen: ${error instanceof Error ? error.message : String(error)}`, exit.unavailable);
    });
    const socket = `${paths.public}/control`;
    // The name is taken over at once; a predecessor's socket stays open for those it serves.
    await files.remove(socket).catch(() => {});
    const control = await startControl(net, socket, controlPorts(store, relay));
    await files.chmod(socket, 0o666);
    const finish = async () => {
      await control.close().catch(() => {});
      await flush();
    };
    const notes = [...materials.warnings, ...exposed].map((problem) => `warning: ${describeProblem(problem)}`);
    say({ kind: "ready", files: materials.tables.watched(), notes });
    if (!message.wait) relay.schedule(undefined);
    return new RelayProcess(relay, message, finish, takeBack);
  }

  async handle(message: Exclude<ToRelay, Begin>): Promise<void> {
    switch (message.kind) {
      case "table":
        return this.#table(message);
      case "source":
        return this.#relay.sourceChanged(message.path, message.mtime_ms);
      case "inherit":
        await this.#takeBack();
        return this.#relay.schedule(message.state as SchedulerState | undefined);
      case "wake":
        return this.#relay.scheduler.look();
      case "flush":
        await this.#relay.flush("all");
        return;
      case "retire":
        return this.#end(() =>
          this.#relay.retire(
            (state) => say({ kind: "retired", state }),
            () => say({ kind: "wake" }),
          ),
        );
      case "stop":
        return this.#end(() => this.#relay.stop());
      default:
        return message satisfies never;
    }
  }

  async #table({ path, bytes, mtime_ms }: Extract<ToRelay, { kind: "table" }>): Promise<void> {
    if (!bytes) return;
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (!(await this.#relay.replaceTable(path, { bytes: buffer, mtime_ms }))) say({ kind: "again", path });
  }

  async #end(how: () => Promise<void>): Promise<void> {
    if (this.#ending && this.#begin.wait) return;
    this.#ending = true;
    await how();
    await this.#finish();
    processes.exit(0);
  }
}

/** Lines go to the master, which keeps the log's file; with syslog as the destination, straight there. */
async function openLog(
  { clock, host }: Runtime,
  configuration: Configuration,
  message: Begin,
): Promise<{ log: Log; flush: () => Promise<void> }> {
  const { conf } = configuration;
  const form = new PostfixForm(conf.myhostname.split(".")[0] || host.name(), (time_ms) => clock.zoneOffset_min(time_ms));
  const make = (sink: LogSink): Log =>
    createLog({
      sink,
      now: () => clock.now(),
      service: "relay",
      slot: processes.pid,
      tag: conf.syslog_name,
      verbose: message.verbose,
    });
  const send = conf.maillog_file === "" ? await openSyslog() : undefined;
  if (send) {
    const sink = syslogSink(send, facilityNumber(conf.syslog_facility) ?? 2, (time_ms) => form.stamp(time_ms));
    return { log: make(sink), flush: async () => {} };
  }
  const lines = new LineSink(async (text) => say({ kind: "log", text }), clock, (record) => form.line(record));
  return { log: make(lines.write), flush: () => lines.flush() };
}
