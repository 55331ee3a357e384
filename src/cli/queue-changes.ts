import { MailLog } from "../master/mail-log.ts";
import type { QueueStore } from "../queue/store.ts";
import { type ChangedPage, type ChangeRequest, changePages, logChanged } from "../relay/operate.ts";
import { askRelay, NotRunning } from "./control-client.ts";
import type { CommandIo } from "./io.ts";
import { becomeQueueOwner, isThere, type QueuePlace } from "./queue-place.ts";

/** The queue as `postsuper` changes it, whoever does the work. What is changed is in the mail log. */
export interface QueueChanges {
  change(request: Omit<ChangeRequest, "pid">): AsyncIterable<ChangedPage>;
  /** A line of the mail log. */
  note(text: string): Promise<void>;
  close(): Promise<void>;
}

/** By the running relay, which knows what is in delivery; else by ourselves. Decided once: a relay that ends meanwhile is an error. */
export async function openQueueChanges(io: CommandIo, place: QueuePlace): Promise<QueueChanges> {
  const { pid } = io.runtime.processes;
  const byRelay: QueueChanges = {
    async *change(request) {
      const asked = { command: "change", pid, ...request } as const;
      for await (const page of askRelay(io.runtime, place.paths.operatorSocket, asked)) yield page as ChangedPage;
    },
    async note(text) {
      for await (const _ of askRelay(io.runtime, place.paths.operatorSocket, { command: "note", pid, text }));
    },
    close: async () => {},
  };
  try {
    await anybody(byRelay.change({ action: "remove", ids: [], queues: undefined }));
    return byRelay;
  } catch (error) {
    if (!(error instanceof NotRunning)) throw error;
    return openDirectly(io, place);
  }
}

async function anybody(pages: AsyncIterable<ChangedPage>): Promise<void> {
  for await (const _ of pages);
}

/**
 * The queue's file, as one more process that writes to it. A relay that starts meanwhile does not mind: each change is a
 * transaction, and it owns what it has claimed, which ours do not touch, or take away for good.
 */
async function openDirectly(io: CommandIo, place: QueuePlace): Promise<QueueChanges> {
  const { clock, files, processes } = io.runtime;
  const { pid } = processes;
  const output = async (): Promise<void> => {};
  const mailLog = await MailLog.open({ files, clock, host: place.hostName, pid, output, background: true }, place.log);
  const log = mailLog.log.as("postsuper");
  const store = await openStore(io, place);
  return {
    async *change(request) {
      if (!store) return;
      for await (const page of changePages(store, { ...request, pid })) {
        logChanged(log, request.action, page);
        yield page;
      }
    },
    note: async (text) => log.info(text),
    async close() {
      await store?.close();
      await mailLog.close();
    },
  };
}

/** undefined: there is no queue yet. It accepts and claims nothing, so that nothing is ever its owner's. */
async function openStore(io: CommandIo, place: QueuePlace): Promise<QueueStore | undefined> {
  const { runtime } = io;
  const { openSqliteStore, queueFile, startSqliteWorker } = await import("../queue/open.ts");
  if (!(await isThere(io, queueFile(place.paths.queue)))) return undefined;
  const engine = await startSqliteWorker();
  const { preloadLocks, tryLock } = await import("../queue/owner-lock.ts");
  const { ownerLock, ownerLocks } = await import("../relay/gone-owners.ts");
  preloadLocks();
  const { createLog } = await import("../log/log.ts");
  const warnings = createLog({
    sink: ({ text }) => io.err(`postsuper: warning: ${text}\n`),
    now: () => runtime.clock.now(),
    service: "postsuper",
    slot: runtime.processes.pid,
    tag: "postfix",
  });
  try {
    await becomeQueueOwner(io, place);
  } catch (error) {
    await engine.close();
    throw error;
  }
  const owner = `postsuper.${runtime.processes.pid}`;
  // A relay that starts meanwhile has to know that the file is in use.
  if (await isThere(io, ownerLocks(place.paths.queue))) tryLock(ownerLock(place.paths.queue, owner));
  return openSqliteStore(engine, { directory: place.paths.queue, owner, generation: 0, runtime, log: warnings });
}
