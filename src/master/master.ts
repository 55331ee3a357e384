import type { Log } from "../log/log.ts";
import type { Begin, RefusedBatch, ToRelay } from "../relay/protocol.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type FileChange, FileWatch } from "./file-watch.ts";
import { describeExit, Generation, type GenerationEvents, StartFailure } from "./generation.ts";
import { ListenError, type Sockets, type WantedSocket } from "./sockets.ts";

/**
 * The supervisor: keeps one relay serving, whatever happens to it.
 *
 *   (nothing) -> serving    start     the first relay is ready
 *   serving   -> serving    reload    a new relay is ready, then the old one retires
 *   serving   -> mending    (crash)   the relay ended by itself; another is started after a pause
 *   mending   -> serving              it is ready
 *   any       -> ended      stop      the relays have finished what was in hand
 *
 * Invariants
 *  1. A new configuration replaces the old one only when a relay is ready with it.
 *  2. At most two generations exist, and at most one of them schedules.
 *  3. A batch that a relay refused is named to every successor until one is ready: it has removed it by then.
 *  4. The listening sockets are open from start to stop.
 */

/** After a crash, the pause before the next start: doubled each time, forgotten after a while of health. */
const firstPause_ms = 250;
const longestPause_ms = 60_000;
const healthy_ms = 60_000;

/** What is in hand at a stop may take this long; then the relay is killed. */
const stopLimit_ms = 15_000;

/** An old generation that will not end (a session that never pauses) is ended after this. */
const retireLimit_ms = 3600_000;

/** What a configuration comes to, as far as the master is concerned. */
export interface Plan {
  readonly begin: Omit<Begin, "kind" | "generation" | "owner" | "sockets" | "refused" | "wait">;
  readonly wanted: readonly WantedSocket[];
  readonly command: { readonly program: string; readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> };
}

export interface MasterOptions {
  readonly runtime: Runtime;
  readonly log: Log;
  readonly sockets: Sockets;
  /** Lines of a relay for the mail log. */
  readonly relayLog: (text: string) => void;
}

export class Master {
  readonly #runtime: Runtime;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #sockets: Sockets;
  readonly #relayLog: (text: string) => void;
  readonly #watch: FileWatch;
  readonly #ended = Promise.withResolvers<void>();
  #plan: Plan | undefined;
  #serving: Generation | undefined;
  #retiring: Generation | undefined;
  #number = 0;
  #refused: RefusedBatch[] = [];
  #pause_ms = firstPause_ms;
  #stopping = false;
  #changing: Promise<unknown> = Promise.resolve();

  constructor({ runtime, log, sockets, relayLog }: MasterOptions) {
    this.#runtime = runtime;
    this.#clock = runtime.clock;
    this.#log = log;
    this.#sockets = sockets;
    this.#relayLog = relayLog;
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
    const applied = this.#changing.then(() => this.#apply(plan));
    this.#changing = applied.catch(() => {});
    return applied;
  }

  flush(): void {
    this.#serving?.send({ kind: "flush" });
  }

  /** Ends everything: in order, or (`now`) at once. */
  async stop(now = false): Promise<void> {
    if (this.#stopping && !now) return this.#ended.promise;
    this.#stopping = true;
    this.#watch.close();
    const relays = [this.#serving, this.#retiring].filter((each) => each !== undefined);
    for (const relay of relays) {
      if (now) relay.kill("SIGKILL");
      else this.#send(relay, { kind: "stop" });
    }
    const killer = this.#clock.after(stopLimit_ms, () => {
      for (const relay of relays) relay.kill("SIGKILL");
    });
    await Promise.all(relays.map((relay) => relay.exited));
    killer.cancel();
    this.#sockets.close();
    this.#ended.resolve();
  }

  async #apply(plan: Plan): Promise<readonly string[]> {
    if (this.#stopping) throw new StartFailure("the mail system is stopping", 75);
    if (this.#retiring) {
      this.#send(this.#retiring, { kind: "stop" });
      await this.#retiring.exited;
    }
    const change = this.#sockets.take(plan.wanted);
    let next: Generation;
    let notes: readonly string[];
    try {
      [next, notes] = await this.#bringUp(plan, change.held);
    } catch (error) {
      change.undo();
      throw error;
    }
    change.keep();
    this.#plan = plan;
    const old = this.#serving;
    this.#serving = next;
    this.#refused = [];
    if (old) this.#retire(old);
    return notes;
  }

  async #bringUp(plan: Plan, held: ReturnType<Sockets["take"]>["held"]): Promise<[Generation, readonly string[]]> {
    const number = ++this.#number;
    const owner = `${this.#runtime.random.bytes(6).toString("hex")}-${number}`;
    const generation = await Generation.start(
      this.#runtime.processes,
      { number, owner },
      plan.command,
      held.map(({ bound }) => bound.fd),
      this.#events(number),
    );
    this.#send(generation, {
      ...plan.begin,
      kind: "begin",
      generation: number,
      owner,
      sockets: held.map(({ line }, index) => ({ line, fd: index + 4 })),
      refused: this.#refused,
      wait: this.#serving !== undefined,
    });
    const { files, notes } = await generation.ready;
    await this.#watch.follow(files);
    void generation.exited.then((exit) => this.#exited(generation, describeExit(exit)));
    return [generation, notes];
  }

  #events(number: number): GenerationEvents {
    return {
      log: (text) => this.#relayLog(text),
      refused: (batches) => this.#refused.push(...batches),
      again: (path) => this.#watch.again(path),
      wake: () => {
        if (this.#serving && this.#serving.number !== number) this.#send(this.#serving, { kind: "wake" });
      },
      retired: (state) => {
        if (this.#serving) this.#send(this.#serving, { kind: "inherit", state });
      },
    };
  }

  #retire(old: Generation): void {
    this.#retiring = old;
    this.#send(old, { kind: "retire" });
    const killer = this.#clock.after(retireLimit_ms, () => old.kill("SIGKILL"), { idle: true });
    void old.exited.then(() => killer.cancel());
  }

  #exited(generation: Generation, how: string): void {
    if (generation === this.#retiring) {
      this.#retiring = undefined;
      // What it still had is taken back; had it died before it said so, its successor begins now.
      if (this.#serving) this.#send(this.#serving, { kind: "inherit", state: undefined });
      return;
    }
    if (generation !== this.#serving) return;
    this.#serving = undefined;
    if (this.#stopping) return;
    this.#log.warning(`process relay pid ${generation.pid} ended: ${how}`);
    this.#mend();
  }

  #mend(): void {
    const pause_ms = this.#pause_ms;
    this.#pause_ms = Math.min(this.#pause_ms * 2, longestPause_ms);
    this.#clock.after(pause_ms, () => {
      if (this.#stopping || this.#serving || !this.#plan) return;
      this.apply(this.#plan).then(
        () => {
          this.#log.info(`relay restarted after ${pause_ms} ms`);
          const serving = this.#serving;
          this.#clock.after(healthy_ms, () => this.#serving === serving && (this.#pause_ms = firstPause_ms), { idle: true });
        },
        (error: unknown) => {
          if (!(error instanceof StartFailure || error instanceof ListenError)) throw error;
          this.#log.error(`the relay cannot be restarted: ${error.message}; next try in ${this.#pause_ms} ms`);
          this.#mend();
        },
      );
    });
  }

  #fileChanged({ file, mtime_ms, bytes, problem }: FileChange): void {
    const message: ToRelay =
      file.role === "source"
        ? { kind: "source", path: file.path, mtime_ms }
        : { kind: "table", path: file.path, bytes, mtime_ms, problem };
    for (const relay of [this.#serving, this.#retiring]) if (relay) this.#send(relay, message);
  }

  #send(relay: Generation, message: ToRelay): void {
    relay.send(message);
  }
}
