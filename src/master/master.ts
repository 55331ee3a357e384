import type { Log } from "../log/log.ts";
import type { Begin, RefusedBatch, ToRelay } from "../relay/protocol.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import type { ChildExit } from "../runtime/processes.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type FileChange, FileWatch } from "./file-watch.ts";
import { describeExit, Generation, type GenerationEvents, type Ready, StartFailure } from "./generation.ts";
import type { HeldSocket, Sockets, WantedSocket } from "./sockets.ts";

/**
 * The supervisor: keeps one relay serving, whatever happens to it.
 *
 *   (nothing) -> serving    apply     the first relay is ready
 *   serving   -> serving    apply     a new relay is ready, then the old one retires
 *   serving   -> mending    (crash)   the relay ended by itself; another is started after a pause
 *   mending   -> serving              it is ready
 *   any       -> ended      stop      the relays have finished what was in hand
 *
 * Invariants
 *  1. A new configuration replaces the old one only when a relay is ready with it, and an old one never comes back.
 *  2. At most two generations are at work, and at most one of them schedules.
 *  3. A batch that a relay refused is named to every successor until one is ready: it has removed it by then. Those
 *     that are alive when it is refused are told, too: they take back what the refusing one had.
 *  4. The listening sockets are open from start to stop.
 *  5. No relay outlives stop(): one that is just coming up is ended like the others.
 *  6. Changes are made one after the other. None waits for ever: coming up and ending have limits.
 */

/** After a crash, the pause before the next start: doubled each time, forgotten after a while of health. */
const firstPause_ms = 250;
const longestPause_ms = 60_000;
const healthy_ms = 60_000;

/** What is in hand at a stop may take this long; then the relay is killed. */
const stopLimit_ms = 15_000;

/** An old generation that will not end (a session that never pauses) is ended after this. */
const retireLimit_ms = 3600_000;

/** How long the next change leaves the sessions of one that is still retiring in peace; then they are told to come back. */
const retireInPeace_ms = 30_000;

/** How long the next change waits for one that is still retiring; then it is killed, and a delivery in flight may be repeated. */
const retireForNext_ms = 100_000;

/** What a configuration comes to, as far as the master is concerned. */
export interface Plan {
  readonly begin: Omit<Begin, "kind" | "generation" | "owner" | "sockets" | "refused" | "wait" | "syslog">;
  readonly wanted: readonly WantedSocket[];
  readonly command: {
    readonly program: string;
    readonly args: readonly string[];
    readonly env: Readonly<Record<string, string>>;
  };
}

export interface MasterOptions {
  readonly runtime: Pick<Runtime, "clock" | "files" | "processes" | "random">;
  readonly log: Log;
  readonly sockets: Sockets;
  /** Lines of a relay for the mail log. */
  readonly relayLog: (text: string) => void;
  /** Relays write to syslog themselves. */
  readonly syslog: boolean;
}

export class Master {
  readonly #options: MasterOptions;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #sockets: Sockets;
  readonly #watch: FileWatch;
  readonly #ended = Promise.withResolvers<void>();
  /** Every relay that has not ended. */
  readonly #alive = new Set<Generation>();
  #plan: Plan | undefined;
  #serving: Generation | undefined;
  #retiring: Generation | undefined;
  #number = 0;
  #refused: RefusedBatch[] = [];
  #pause_ms = firstPause_ms;
  #mending: Timer | undefined;
  /** By path, of files that have changed: as of when, and how long to wait before bytes that were no good are read again. */
  readonly #broken = new Map<string, { readonly mtime_ms: number; pause_ms: number }>();
  #stopping = false;
  #changing: Promise<unknown> = Promise.resolve();
  /** Told when the serving relay is gone: a change that waits for the retiring one waits no longer. */
  #servingGone: (() => void) | undefined;

  constructor(options: MasterOptions) {
    const { runtime, log, sockets } = options;
    this.#options = options;
    this.#clock = runtime.clock;
    this.#log = log;
    this.#sockets = sockets;
    this.#watch = new FileWatch(runtime.files, runtime.clock, (change) => this.#fileChanged(change));
  }

  /** Resolves when the master has stopped. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** The serving relay's process id, for status. */
  get relayPid(): number | undefined {
    return this.#serving?.pid;
  }

  /** Brings up a relay with this plan; a relay that serves already retires afterwards. Throws StartFailure or ListenError; then nothing has changed. */
  apply(plan: Plan): Promise<readonly string[]> {
    return this.#change(() => this.#apply(plan));
  }

  flush(): void {
    this.#serving?.send({ kind: "flush" });
  }

  /** Ends everything: in order, or (`now`) at once. */
  async stop(now = false): Promise<void> {
    if (this.#stopping && !now) return this.#ended.promise;
    this.#stopping = true;
    this.#mending?.cancel();
    this.#watch.close();
    for (const relay of this.#alive) end(relay, now);
    const killer = this.#clock.after(stopLimit_ms, () => {
      for (const relay of this.#alive) relay.kill("SIGKILL");
    });
    // A change under way ends, too, and leaves nothing behind.
    await this.#changing;
    while (this.#alive.size > 0) await Promise.all([...this.#alive].map((relay) => relay.exited));
    killer.cancel();
    this.#sockets.close();
    this.#ended.resolve();
  }

  #change<Result>(make: () => Promise<Result>): Promise<Result> {
    const made = this.#changing.then(make);
    this.#changing = made.catch(() => {});
    return made;
  }

  async #apply(plan: Plan): Promise<readonly string[]> {
    await this.#roomForAnother();
    this.#assertNotStopping();
    const change = this.#sockets.take(plan.wanted);
    let next: Generation;
    let ready: Ready;
    const named = this.#refused.length;
    const waits = this.#serving !== undefined;
    try {
      next = await this.#spawn(plan, change.held, waits);
      ready = await next.ready;
      this.#assertNotStopping();
    } catch (error) {
      change.undo();
      throw error;
    }
    change.keep();
    this.#plan = plan;
    this.#refused.splice(0, named);
    const old = this.#serving;
    this.#serving = next;
    if (old) this.#retire(old);
    // Whom it was to wait for has crashed meanwhile.
    else if (waits) next.send({ kind: "inherit", state: undefined });
    void next.exited.then((exit) => this.#exited(next, exit));
    await this.#watch.follow(ready.files);
    return ready.notes;
  }

  /** At most two generations are at work: one that is still retiring has to end before the next comes up. */
  async #roomForAnother(): Promise<void> {
    const retiring = this.#retiring;
    if (!retiring || !this.#serving) return;
    const hurry = this.#clock.after(retireInPeace_ms, () => retiring.send({ kind: "stop" }));
    const limit = this.#clock.after(retireForNext_ms, () => retiring.kill("SIGKILL"));
    const servingGone = new Promise<void>((resolve) => {
      this.#servingGone = resolve;
    });
    await Promise.race([retiring.exited, servingGone]);
    this.#servingGone = undefined;
    hurry.cancel();
    limit.cancel();
  }

  #assertNotStopping(): void {
    if (this.#stopping) throw new StartFailure("the mail system is stopping", 75);
  }

  async #spawn(plan: Plan, held: readonly HeldSocket[], wait: boolean): Promise<Generation> {
    const { runtime, syslog } = this.#options;
    const number = this.#nextNumber();
    const owner = `${runtime.random.bytes(6).toString("hex")}-${number}`;
    const descriptors = held.map(({ bound }) => bound.fd);
    const relay = await Generation.start(runtime, { number, owner }, plan.command, descriptors, this.#events(number));
    this.#alive.add(relay);
    void relay.exited.then(() => this.#alive.delete(relay));
    relay.send({
      ...plan.begin,
      kind: "begin",
      generation: number,
      owner,
      sockets: held.map(({ line }, index) => ({ line, fd: index + 4 })),
      refused: [...this.#refused],
      wait,
      syslog,
    });
    if (this.#stopping) end(relay, true);
    return relay;
  }

  /** The lowest bit goes into every queue id, so that two that are at work never give the same: failed starts count, too. */
  #nextNumber(): number {
    const other = (this.#serving ?? this.#retiring)?.number;
    this.#number += other !== undefined && (this.#number + 1 - other) % 2 === 0 ? 2 : 1;
    return this.#number;
  }

  #events(number: number): GenerationEvents {
    const serving = (): Generation | undefined => (this.#serving?.number === number ? undefined : this.#serving);
    return {
      log: (text) => this.#options.relayLog(text),
      refused: (batches) => {
        this.#refused.push(...batches);
        for (const relay of this.#alive) if (relay.number !== number) relay.send({ kind: "refused", batches });
      },
      again: (path) => this.#again(path),
      wake: () => serving()?.send({ kind: "wake" }),
      retired: (state) => serving()?.send({ kind: "inherit", state }),
    };
  }

  #retire(old: Generation): void {
    this.#retiring = old;
    old.send({ kind: "retire" });
    const killer = this.#clock.after(retireLimit_ms, () => old.kill("SIGKILL"), { idle: true });
    void old.exited.then(() => killer.cancel());
  }

  #exited(generation: Generation, exit: ChildExit): void {
    const how = `process relay pid ${generation.pid} ended: ${describeExit(exit)}`;
    if (generation === this.#retiring) {
      this.#retiring = undefined;
      if (exit.status !== 0 && !this.#stopping) this.#log.warning(`${how}, while it retired`);
      // What it still had is taken back; had it died before it said so, its successor begins now.
      this.#serving?.send({ kind: "inherit", state: undefined });
      return;
    }
    if (generation !== this.#serving) return;
    this.#serving = undefined;
    this.#servingGone?.();
    if (this.#stopping) return;
    this.#log.warning(how);
    this.#mend();
  }

  #mend(): void {
    const pause_ms = this.#pause_ms;
    this.#pause_ms = Math.min(this.#pause_ms * 2, longestPause_ms);
    this.#mending?.cancel();
    this.#mending = this.#clock.after(pause_ms, () => {
      this.#change(() => this.#restart(pause_ms)).catch((error: unknown) => {
        if (this.#stopping) return;
        const text = error instanceof Error ? error.message : String(error);
        this.#log.error(`the relay cannot be restarted: ${text}; next try in ${this.#pause_ms} ms`);
        this.#mend();
      });
    });
  }

  /** Starts the plan in force again, unless a reload has brought up a relay meanwhile. */
  async #restart(pause_ms: number): Promise<void> {
    if (this.#stopping || this.#serving || !this.#plan) return;
    await this.#apply(this.#plan);
    this.#log.info(`relay restarted after ${pause_ms} ms`);
    const serving = this.#serving;
    this.#clock.after(
      healthy_ms,
      () => {
        if (this.#serving === serving) this.#pause_ms = firstPause_ms;
      },
      { idle: true },
    );
  }

  /** A file that stays broken is read again ever more seldom, until it changes. */
  #again(path: string): void {
    const broken = this.#broken.get(path);
    if (!broken) return;
    this.#clock.after(broken.pause_ms, () => this.#watch.again(path), { idle: true });
    broken.pause_ms = Math.min(Math.max(broken.pause_ms * 2, firstPause_ms), longestPause_ms);
  }

  #fileChanged({ file, mtime_ms, bytes, problem }: FileChange): void {
    if (this.#broken.get(file.path)?.mtime_ms !== mtime_ms) this.#broken.set(file.path, { mtime_ms, pause_ms: 0 });
    const message: ToRelay =
      file.role === "source"
        ? { kind: "source", path: file.path, mtime_ms }
        : { kind: "table", path: file.path, bytes, mtime_ms, problem };
    for (const relay of this.#alive) relay.send(message);
  }
}

function end(relay: Generation, now: boolean): void {
  if (now) relay.kill("SIGKILL");
  else relay.send({ kind: "stop" });
}
