import type { Log } from "../log/log.ts";
import type { OperatorAction } from "../queue/engine.ts";
import type { QueueName, QueueStore } from "../queue/store.ts";

/**
 * What `postsuper` does to the queue: in the relay, when one runs, else in the command itself. Each page is a
 * transaction of its own, so that a million messages stop nobody, and whoever stops reading pages stops the work.
 */
export interface ChangeRequest {
  readonly action: OperatorAction;
  /** These, or all there are. */
  readonly ids: readonly string[] | "all";
  /** Only messages that are in one of these; undefined: wherever they are. */
  readonly queues: readonly QueueName[] | undefined;
  /** Of the command, for the log. */
  readonly pid: number;
}

/** The ids that were changed where ids were given; else how many messages were. */
export type ChangedPage = { readonly changed: readonly string[] } | { readonly count: number };

const pageSize = 500;

export async function* changePages(
  store: QueueStore,
  { action, ids, queues }: ChangeRequest,
): AsyncGenerator<ChangedPage> {
  if (ids !== "all") {
    const counts = await Promise.all(ids.map((id) => store[action]([id], queues)));
    yield { changed: ids.filter((_id, index) => counts[index] === 1) };
    return;
  }
  for (let after: string | undefined; ; ) {
    const page: readonly string[] = (await store.list(after, pageSize)).map(({ envelope }) => envelope.id);
    after = page.at(-1);
    if (after === undefined) return;
    yield { count: await store[action](page, queues) };
  }
}

/** What Postfix logs of a message that was named. */
const words: Readonly<Record<OperatorAction, string>> = {
  hold: "placed on hold",
  unhold: "released from hold",
  requeue: "requeued",
  expire: "expired",
  remove: "removed",
};

export const changedText = (action: OperatorAction, id: string): string => `${id}: ${words[action]}`;

export function logChanged(log: Log, action: OperatorAction, page: ChangedPage): void {
  if ("changed" in page) for (const id of page.changed) log.info(changedText(action, id));
}

/** A request as it came over the socket. Throws Error with words for the operator. */
export function changeRequest(request: object): ChangeRequest {
  const { action, ids, queues, pid } = request as Readonly<Record<string, unknown>>;
  if (typeof action !== "string" || !Object.hasOwn(words, action)) throw new Error("no such action");
  if (ids !== "all" && !isTexts(ids)) throw new Error("no queue ids");
  if (queues !== undefined && !isTexts(queues)) throw new Error("no queues");
  const within = queues?.map((each) => queueNames.find((name) => name === each));
  if (within?.includes(undefined)) throw new Error("no such queue");
  return {
    action: action as OperatorAction,
    ids,
    queues: within as readonly QueueName[] | undefined,
    pid: Number(pid),
  };
}

const queueNames: readonly QueueName[] = ["active", "deferred", "hold", "corrupt"];

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((each) => typeof each === "string");
