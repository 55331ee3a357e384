import type { FromRelay, RefusedBatch, ToRelay, WatchedFile } from "../relay/protocol.ts";
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

/**
 * One relay process, from start to end.
 *
 *   starting -> serving    it said "ready"
 *   starting -> ended      it said "failed", or died; `ready` rejects with StartFailure
 *   serving  -> ended      `exited` resolves
 */
export class Generation {
  readonly number: number;
  readonly owner: string;
  readonly #child: Child;
  readonly ready: Promise<{ files: readonly WatchedFile[]; notes: readonly string[] }>;

  private constructor(number: number, owner: string, child: Child, ready: Generation["ready"]) {
    this.number = number;
    this.owner = owner;
    this.#child = child;
    this.ready = ready;
  }

  /** `command` is a program and its arguments; `descriptors` become 4, 5, … in the child. */
  static async start(
    processes: Processes,
    identity: { readonly number: number; readonly owner: string },
    command: { readonly program: string; readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> },
    descriptors: readonly number[],
    events: GenerationEvents,
  ): Promise<Generation> {
    const settled = Promise.withResolvers<{ files: readonly WatchedFile[]; notes: readonly string[] }>();
    settled.promise.catch(() => {});
    const child = await processes.spawn(command.program, command.args, {
      env: command.env,
      descriptors,
      // Its own session: a terminal's interrupt is for the master, which then stops its relays in order.
      detached: true,
      message: (received) => {
        const message = received as FromRelay;
        switch (message.kind) {
          case "ready":
            return settled.resolve({ files: message.files, notes: message.notes });
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
      },
    });
    const generation = new Generation(identity.number, identity.owner, child, settled.promise);
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

export function describeExit({ status, signal }: ChildExit): string {
  return signal ? `killed by ${signal}` : `exit status ${status}`;
}
