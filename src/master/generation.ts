import {
  type FromRelay,
  parseFromRelay,
  type RefusedBatch,
  type ToRelay,
  type WatchedFile,
} from "../relay/protocol.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Child, ChildExit, Processes } from "../runtime/processes.ts";

/** A relay that did not come up: what it said, and the exit status that fits. */
export class StartFailure extends Error {
  readonly status: number;

  constructor(text: string, status: number) {
    super(text);
    this.status = status;
  }
}

export interface GenerationEvents {
  log(text: string): void;
  refused(batches: readonly RefusedBatch[]): void;
  /** A table's bytes did not validate: it is being rewritten. */
  again(path: string): void;
  /** It handed work back to the queue. */
  wake(): void;
  retired(state: unknown): void;
}

/** What a relay says when it serves. */
export interface Ready {
  /** What it reads that may change. Named before it had dropped its privileges and touched the network: what it says later does not count. */
  readonly files: readonly WatchedFile[];
  readonly notes: readonly string[];
}

/** How long a relay may take to come up: large tables, a large log of the queue's database to be replayed. */
const startLimit_ms = 300_000;

/**
 * One relay process, from start to end.
 *
 *   starting -> serving    it said "ready"
 *   starting -> ended      it said "failed", died, or took too long; `ready` rejects with StartFailure
 *   serving  -> ended      `exited` resolves
 *
 * A relay is less trusted than its master: what it sends is checked, and what does not fit is passed over.
 */
export class Generation {
  readonly number: number;
  readonly owner: string;
  readonly ready: Promise<Ready>;
  readonly #child: Child;

  private constructor(number: number, owner: string, child: Child, ready: Promise<Ready>) {
    this.number = number;
    this.owner = owner;
    this.#child = child;
    this.ready = ready;
  }

  /** `command` is a program and its arguments; `descriptors` become 4, 5, … in the child. Throws StartFailure. */
  static async start(
    world: { readonly processes: Processes; readonly clock: Clock },
    identity: { readonly number: number; readonly owner: string },
    command: {
      readonly program: string;
      readonly args: readonly string[];
      readonly env: Readonly<Record<string, string>>;
    },
    descriptors: readonly number[],
    events: GenerationEvents,
  ): Promise<Generation> {
    const settled = Promise.withResolvers<Ready>();
    settled.promise.catch(() => {});
    let files: readonly WatchedFile[] | undefined;
    const told = (message: FromRelay): void => {
      switch (message.kind) {
        case "opened":
          files ??= message.files;
          return;
        case "ready":
          return settled.resolve({ files: files ?? [], notes: message.notes });
        case "failed":
          return settled.reject(new StartFailure(message.text, message.status));
        case "log":
          return events.log(message.text);
        case "refused":
          return events.refused(message.batches);
        case "again":
          return events.again(message.path);
        case "wake":
          return events.wake();
        case "retired":
          return events.retired(message.state);
        default:
          return message satisfies never;
      }
    };
    const child = await spawnRelay(world.processes, command, descriptors, (received) => {
      const message = parseFromRelay(received);
      if (message) told(message);
    });
    const generation = new Generation(identity.number, identity.owner, child, settled.promise);
    const limit = world.clock.after(startLimit_ms, () => {
      settled.reject(new StartFailure(`the relay did not come up within ${startLimit_ms / 1000} s`, 75));
      child.kill("SIGKILL");
    });
    const started = (): void => limit.cancel();
    settled.promise.then(started, started);
    void generation.exited.then((exit) => {
      settled.reject(new StartFailure(`the relay ended while it started (${describeExit(exit)})`, 75));
    });
    return generation;
  }

  get pid(): number {
    return this.#child.pid;
  }

  get exited(): Promise<ChildExit> {
    return this.#child.exited;
  }

  send(message: ToRelay): void {
    this.#child.send(message);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

async function spawnRelay(
  processes: Processes,
  {
    program,
    args,
    env,
  }: { readonly program: string; readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> },
  descriptors: readonly number[],
  message: (received: unknown) => void,
): Promise<Child> {
  try {
    // Its own session: a terminal's interrupt is for the master, which then stops its relays in order.
    return await processes.spawn(program, args, { env, descriptors, detached: true, message });
  } catch (error) {
    throw new StartFailure(`cannot start ${program}: ${error instanceof Error ? error.message : String(error)}`, 71);
  }
}

export function describeExit({ status, signal }: ChildExit): string {
  return signal ? `killed by ${signal}` : `exit status ${status}`;
}
