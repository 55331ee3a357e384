import type { Clock } from "../runtime/clock.ts";
import type { Coordinator } from "./coordinator.ts";
import { type DuePosition, type OperatorAction, type Page, type Selection, state } from "./engine.ts";
import { formatId, parseId } from "./id.ts";
import type { QueueName } from "./store.ts";

/**
 * What an operator does to the queue, in pages: each is an operation of its
 * own, and other work goes on in between, so that `all` of a million messages
 * stops nobody. It is not one moment: what arrives meanwhile may be left out.
 */
export class Operator {
  readonly #coordinator: Coordinator;
  readonly #clock: Clock;
  readonly #changed: (action: OperatorAction, id: string) => void;

  /** `changed` is told of each message that an action changed. */
  constructor(coordinator: Coordinator, clock: Clock, changed: (action: OperatorAction, id: string) => void) {
    this.#coordinator = coordinator;
    this.#clock = clock;
    this.#changed = changed;
  }

  /** The number of messages changed. What is no id of a message is passed over. */
  async operate(
    action: OperatorAction,
    which: readonly string[] | "all",
    queues: readonly QueueName[] | undefined,
  ): Promise<number> {
    const within = queues && { within: queues.map((each) => state[each]) };
    let count = 0;
    const submit = async (selection: Selection): Promise<number | undefined> => {
      const op = { kind: "operate", action, selection, ...within, now: this.#clock.now() } as const;
      const page = await this.#coordinator.submit<"operate">(op);
      count += page.changed.length;
      for (const id of page.changed) this.#changed(action, formatId(id));
      return page.next;
    };
    if (which === "all") {
      for (let after: number | undefined = 0; after !== undefined; )
        after = await submit({ after, limit: operatePage });
    } else {
      for (const ids of pages(which)) await submit({ ids });
    }
    return count;
  }

  async flush(which: "all" | { readonly ids: readonly string[] } | { readonly destination: string }): Promise<number> {
    if (which !== "all" && "ids" in which) {
      let flushed = 0;
      for (const ids of pages(which.ids)) {
        const op = { kind: "flush", destination: undefined, selection: { ids } } as const;
        flushed += (await this.#coordinator.submit<"flush">(op)).changed.length;
      }
      return flushed;
    }
    return this.#flushInOrder(which === "all" ? undefined : which.destination);
  }

  /** What is due at 0 is flushed already; flushed rows move there, behind us. */
  async #flushInOrder(destination: string | undefined): Promise<number> {
    let flushed = 0;
    let after: DuePosition | undefined = { due: 0, id: Number.MAX_SAFE_INTEGER };
    while (after) {
      const op = { kind: "flush", destination, selection: { after, limit: operatePage } } as const;
      const page: Page<DuePosition> = await this.#coordinator.submit<"flush">(op);
      flushed += page.changed.length;
      after = page.next;
    }
    return flushed;
  }
}

/** Messages that one operation changes at most. */
export const operatePage = 500;

function* pages(ids: readonly string[]): Generator<readonly number[]> {
  const numbers = [...new Set(ids.map(parseId).filter((id) => id !== undefined))];
  for (let start = 0; start < numbers.length; start += operatePage) yield numbers.slice(start, start + operatePage);
}
