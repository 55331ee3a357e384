import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { until } from "../lab/until.ts";
import { type RunningPostern, startPostern } from "../peers/postern.ts";
import { type LoadBook, startLoad } from "./load.ts";
import { startReceivingSink } from "./receiving-sink.ts";
import { rngFrom } from "./rng.ts";
import { attachStrace, syncCalls } from "./strace.ts";
import { checkSyncs, readTrace } from "./sync-oracle.ts";

/**
 * The n-th sync and the n-th write of a relay's queue fail, for every n in turn, from the moment when a client begins to hand over one
 * message, or five clients a message each. For each: no 250 without its sync, and mail is taken again afterwards. Over all
 * of them: what was acknowledged arrives, what was refused or never finished does not.
 */
export interface FaultFigures {
  faults: number;
  /** In which nothing came to the n-th call before the load had ended. */
  notReached: number;
  restarts: number;
  acknowledged: number;
  refused: number;
  cut: number;
  readonly violations: string[];
}

export interface FaultOptions {
  /** The last n for syncs and for writes. */
  readonly syncs: number;
  readonly writes: number;
  readonly progress?: (text: string) => void;
}

const kinds = [
  { name: "sync EIO", calls: "fsync,fdatasync", error: "EIO" },
  { name: "sync ENOSPC", calls: "fsync,fdatasync", error: "ENOSPC" },
  { name: "write EIO", calls: "pwrite64", error: "EIO" },
  { name: "write ENOSPC", calls: "pwrite64", error: "ENOSPC" },
] as const;

export async function eachFault(options: FaultOptions): Promise<FaultFigures> {
  const sink = await startReceivingSink();
  const backoff = { minimal_backoff_time: "1s", maximal_backoff_time: "1s", queue_run_delay: "1s" };
  const mainCf = { mynetworks: "127.0.0.0/8", smtp_tls_security_level: "none", ...backoff };
  const relay = await startPostern({ mainCf: { ...mainCf, relayhost: `[127.0.0.1]:${sink.port}` } });
  const books: LoadBook[] = [];
  const figures: FaultFigures = {
    ...{ faults: 0, notReached: 0, restarts: 0, acknowledged: 0, refused: 0, cut: 0 },
    violations: [],
  };
  try {
    for (const { name, calls, error } of kinds) {
      const most = calls === "pwrite64" ? options.writes : options.syncs;
      for (const sessions of [1, 5]) {
        for (let when = 1; when <= most; when++) {
          const label = `${name} ${when}, ${sessions === 1 ? "one message" : "a small batch"}`;
          await oneFault(relay, { label, sessions, inject: `${calls}:error=${error}:when=${when}` }, books, figures);
          options.progress?.(`${label}: ${JSON.stringify({ ...figures, violations: figures.violations.length })}`);
        }
      }
    }
    await until("the queue is empty", () => relay.run("mailq").stdout.includes("Mail queue is empty"), {
      about: () => relay.log().slice(-3000),
    });
    account(books, sink.taken, figures);
    return figures;
  } finally {
    await relay.stop();
    await sink.close();
  }
}

async function oneFault(
  relay: RunningPostern,
  { label, sessions, inject }: { label: string; sessions: number; inject: string },
  books: LoadBook[],
  figures: FaultFigures,
): Promise<void> {
  const file = join(relay.directory, `trace-${figures.faults}`);
  const first = relay.relayPid() ?? 0;
  const calls = [...new Set([...syncCalls, "fsync", "fdatasync", "pwrite64"])];
  const strace = await attachStrace({ pids: [first], calls, file, inject: [inject] });
  const load = startLoad({ port: relay.port, sessions, name: `f${figures.faults++}`, rng: rngFrom(figures.faults) });
  books.push(load.book);
  const { acknowledged } = load.book;
  const injected = async (): Promise<boolean> => (await readFile(file, "latin1")).includes("(INJECTED)");
  try {
    // The load goes on until the fault has happened: a message has fewer calls than the largest n.
    let struck = false;
    await until(
      `${label}: the fault happens`,
      async () => {
        struck = await injected();
        return struck || acknowledged.size > 300;
      },
      { about: () => relay.log().slice(-3000) },
    );
    if (!struck) figures.notReached++;
    // strace(1) may hang where it lets go of a process at the moment when that ends: what becomes of the relay comes first.
    const then = acknowledged.size;
    const about = (): string => relay.log().slice(-3000);
    await until(
      `${label}: the relay goes on, or is replaced`,
      () => ![undefined, first].includes(relay.relayPid()) || acknowledged.size > then + 3,
      { about },
    );
    await strace.detach();
    const before = acknowledged.size;
    await until(`${label}: mail is taken again`, () => acknowledged.size > before + 3, { about });
  } finally {
    await load.stop();
  }
  const { violations } = checkSyncs(await readTrace(file));
  figures.violations.push(...violations.map((text) => `${label}: ${text}`));
  if (relay.relayPid() === first) return;
  figures.restarts++;
  // A master's pauses grow with every relay that ends.
  await relay.kill("all");
  await relay.start();
}

function account(books: readonly LoadBook[], taken: ReadonlyMap<string, number>, figures: FaultFigures): void {
  for (const { acknowledged, refused, unfinished, cut } of books) {
    figures.acknowledged += acknowledged.size;
    figures.refused += refused.size;
    figures.cut += cut.size;
    for (const id of acknowledged) if (!taken.has(id)) figures.violations.push(`${id}: acknowledged, and lost`);
    for (const id of refused) if (taken.has(id)) figures.violations.push(`${id}: refused, and delivered`);
    for (const id of unfinished) if (taken.has(id)) figures.violations.push(`${id}: never finished, and delivered`);
  }
}
