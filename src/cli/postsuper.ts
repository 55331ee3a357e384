import type { OperatorAction } from "../queue/engine.ts";
import { formatId, parseId } from "../queue/id.ts";
import type { QueueName } from "../queue/store.ts";
import { changedText } from "../relay/operate.ts";
import { getopt } from "./getopt.ts";
import type { CommandIo } from "./io.ts";
import { keyLines } from "./key-lines.ts";
import { openQueueChanges, type QueueChanges } from "./queue-changes.ts";
import { mayOperate, queuePlace } from "./queue-place.ts";

const usageText =
  "usage: postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] [-f queue_id (expire and/or un-hold)] " +
  "[-h queue_id (hold)] [-H queue_id (un-hold)] [-p (purge temporary files)] [-r queue_id (requeue)] [-s (structure fix)] " +
  "[-S (redundant structure fix)][-v (verbose)] [queue...]";

/** What each option does, in the order in which Postfix carries them out. */
const actionsOf: ReadonlyMap<string, readonly OperatorAction[]> = new Map([
  ["r", ["requeue"]],
  ["d", ["remove"]],
  ["h", ["hold"]],
  ["H", ["unhold"]],
  ["e", ["expire"]],
  ["f", ["expire", "unhold"]],
]);

/** What was done, as Postfix sums it up, in its order. */
const summaries: ReadonlyMap<OperatorAction, string> = new Map([
  ["requeue", "Requeued"],
  ["remove", "Deleted"],
  ["expire", "Force-expired"],
  ["hold", "Placed on hold"],
  ["unhold", "Released from hold"],
]);

/** Postfix's queues, and which of ours each is: mail that comes in is active at once. `corrupt` Postfix does not let one name. */
const queues: ReadonlyMap<string, readonly QueueName[]> = new Map([
  ["maildrop", []],
  ["incoming", []],
  ["active", ["active"]],
  ["deferred", ["deferred"]],
  ["hold", ["hold"]],
  ["defer", []],
  ["bounce", []],
  ["flush", []],
  ["corrupt", ["corrupt"]],
]);

/** Ids that are asked for at once: a request has to stay below the relay's limit. */
const idsAtOnce = 150;

class Fatal extends Error {}

/**
 * postsuper(1): holds, releases, requeues, expires and removes messages, while the relay runs and while it does not.
 *
 *   postsuper [-psSv] [-c directory] [-d|-e|-f|-h|-H|-r ID|ALL|-] … [queue …]
 *
 * Exit status 0, also when nothing was found; 1 after "postsuper: fatal: …". `-p` and `-s` have nothing to do: the queue
 * tidies itself at each start.
 */
export async function postsuper(args: readonly string[], io: CommandIo): Promise<number> {
  try {
    await run(args, io);
    return 0;
  } catch (error) {
    io.err(`postsuper: fatal: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

async function run(args: readonly string[], io: CommandIo): Promise<void> {
  const { options, operands, problem } = getopt(args, "c:d:e:f:h:H:pr:sSv");
  if (problem) {
    io.err(`postsuper: ${problem}\n`);
    throw new Fatal(usageText);
  }
  const directory = options.findLast(({ letter }) => letter === "c")?.value ?? io.directory;
  if (!directory.startsWith("/")) throw new Fatal("-c requires absolute pathname");
  const named = operands.flatMap((name) => {
    const known = queues.get(name);
    if (!known) throw new Fatal(`invalid directory name: ${name}`);
    return known;
  });
  const asIn = { ...io, directory };
  const place = await queuePlace(asIn);
  if (!(await mayOperate(asIn, place))) throw new Fatal("use of this command is reserved for the superuser");
  const orders = [...actionsOf].flatMap(([letter, actions]) => {
    const values = options.filter((each) => each.letter === letter).map(({ value }) => value);
    return values.length > 0 ? [{ actions, values }] : [];
  });
  if (orders.length === 0) return;
  const changes = await openQueueChanges(asIn, place);
  try {
    await new Work(asIn, changes, operands.length > 0 ? named : undefined).carryOut(orders);
  } finally {
    await changes.close();
  }
}

interface Order {
  readonly actions: readonly OperatorAction[];
  readonly values: readonly string[];
}

/** One run: messages that are named first, then all of them, then what came of it. */
class Work {
  readonly #io: CommandIo;
  readonly #changes: QueueChanges;
  /** undefined: whichever. */
  readonly #queues: readonly QueueName[] | undefined;
  readonly #counts = new Map<OperatorAction, number>();
  #input = false;

  constructor(io: CommandIo, changes: QueueChanges, queues: readonly QueueName[] | undefined) {
    this.#io = io;
    this.#changes = changes;
    this.#queues = queues;
  }

  async carryOut(orders: readonly Order[]): Promise<void> {
    for (const { actions } of orders) for (const action of actions) this.#counts.set(action, 0);
    for (const { actions, values } of orders) await this.#named(actions, values);
    for (const { actions, values } of orders) {
      // What cannot be read is only removed when it is asked for: by its id, or its queue.
      const within = this.#queues ?? (["active", "deferred", "hold"] as const);
      if (values.includes("ALL")) for (const action of actions) await this.#change(action, "all", within);
    }
    for (const [action, label] of summaries) {
      const count = this.#counts.get(action);
      if (count !== undefined) await this.#note(`${label}: ${count} message${count === 1 ? "" : "s"}`);
    }
  }

  async #named(actions: readonly OperatorAction[], values: readonly string[]): Promise<void> {
    let ids: string[] = [];
    const send = async (): Promise<void> => {
      const page = ids;
      ids = [];
      if (page.length > 0) for (const action of actions) await this.#change(action, page, this.#queues);
    };
    for await (const text of this.#each(values)) {
      if (!/^[A-Za-z0-9_]+$/.test(text)) {
        await this.#note(`warning: invalid mail queue id: ${text.slice(0, 100)}`);
        continue;
      }
      const number = parseId(text);
      if (number === undefined) continue;
      const id = formatId(number);
      if (!ids.includes(id)) ids.push(id);
      if (ids.length === idsAtOnce) await send();
    }
    await send();
  }

  async *#each(values: readonly string[]): AsyncGenerator<string> {
    for (const value of values) {
      if (value === "ALL") continue;
      if (value !== "-") yield value;
      else if (!this.#input) {
        // At its end it has no more to say to a second "-".
        this.#input = true;
        for await (const lines of keyLines(this.#io.stdin))
          for (const line of lines) yield line.toString("latin1").trim();
      }
    }
  }

  async #change(
    action: OperatorAction,
    ids: readonly string[] | "all",
    within: readonly QueueName[] | undefined,
  ): Promise<void> {
    for await (const page of this.#changes.change({ action, ids, queues: within })) {
      const count = "changed" in page ? page.changed.length : page.count;
      this.#counts.set(action, (this.#counts.get(action) ?? 0) + count);
      if ("changed" in page) for (const id of page.changed) this.#say(changedText(action, id));
    }
  }

  #say(text: string): void {
    this.#io.err(`postsuper: ${text}\n`);
  }

  async #note(text: string): Promise<void> {
    this.#say(text);
    await this.#changes.note(text);
  }
}
