import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { memoryLog } from "../../src/log/log.ts";
import type { EngineStore } from "../../src/queue/engine-store.ts";
import { inspectQueue } from "../../src/queue/inspect.ts";
import { openSqliteStore, QueueOpenError } from "../../src/queue/open.ts";
import { realRuntime } from "../../src/runtime/real.ts";
import { wholeBody } from "../conformance/queue-store.ts";
import { type Rng, rngFrom } from "./rng.ts";
import { SameThreadEngine } from "./same-thread-engine.ts";
import { bodyOf, take } from "./store-load.ts";

/**
 * Damage to a queue's files, from a seed, and what a relay does with them then. The queue has mail in every state, large and small
 * bodies, free pages with remainders of mail that is gone, and a log. Promises, for each seed:
 *
 *   1. what is delivered is, byte for byte, what was accepted; and nothing is delivered that was gone, or a second time,
 *      unless the relay broke down at that delivery, or part of the log is lost;
 *   2. a message that is not delivered is named in the log, or is in the queue as corrupt or on hold; or, where its id was
 *      nowhere to be read any more, the log says that the file is damaged;
 *   3. whoever inspected the queue before would have been told that it is damaged, wherever a message is not delivered;
 *   4. after a few starts the queue works, takes mail, and finds nothing wrong any more.
 */
export interface DamageFigures {
  readonly seeds: number;
  /** Summed up over the seeds: messages that were there. */
  readonly there: number;
  readonly delivered: number;
  /** On hold or set aside. */
  readonly kept: number;
  /** Not in the queue any more, but named. */
  readonly named: number;
  /** The log says no more than that the file is damaged. */
  readonly unnamed: number;
  readonly repairs: number;
  readonly violations: readonly string[];
}

type Files = Map<string, Buffer>;

/** A queue's files at one moment, and what was in it. */
interface Snapshot {
  readonly files: ReadonlyMap<string, Buffer>;
  readonly deliverable: ReadonlySet<string>;
  readonly held: ReadonlySet<string>;
}

const names = ["queue.db", "queue.db-wal", "queue.db-shm"];
/** Larger than the one that belongs to these queues, and made of nothing: a file of noise for each start takes long. */
const reserve_bytes = 64 * 1024 * 1024;
/** Syncs take no time there. */
const memory = "/dev/shm";

const { files, clock } = realRuntime();
/** Queue ids, and with them everything in a file, follow from the seed: time passes from one start to the next. */
let now_ms = 0;
const runtime = { files, clock: { ...clock, now: () => now_ms } };

async function place<T>(use: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(join(existsSync(memory) ? memory : tmpdir(), "postern-damage-"));
  try {
    await writeFile(join(directory, "reserve"), "");
    await truncate(join(directory, "reserve"), reserve_bytes);
    return await use(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

const open = (directory: string, owner: string, log = memoryLog()): Promise<EngineStore> => {
  const rest = { generation: 0, runtime, log, alone: true, cache_bytes: 0, checkpoint_bytes: 1024 * 1024 };
  return openSqliteStore(new SameThreadEngine(), { directory, owner, ...rest });
};

/** Snapshots of a queue that is being worked on: as a crash leaves it, and as an orderly end does. */
async function snapshots(rng: Rng): Promise<Snapshot[]> {
  return place(async (directory) => {
    const taken: Snapshot[] = [];
    now_ms = 1_800_000_000_000;
    const deliverable = new Set<string>();
    const held = new Set<string>();
    const snap = async (): Promise<void> => {
      const files = new Map<string, Buffer>();
      for (const name of names) {
        const bytes = await readFile(join(directory, name)).catch(() => undefined);
        if (bytes) files.set(name, bytes);
      }
      taken.push({ files, deliverable: new Set(deliverable), held: new Set(held) });
    };
    for (let round = 0; round < 3; round++) {
      now_ms += 1000;
      const store = await open(directory, `round${round}`);
      for (const { id } of await store.claim(Number.MAX_SAFE_INTEGER, 10)) await work(store, id);
      for (let count = 0; count < 25; count++) {
        const id = store.nextId();
        await take(store, id, runtime.clock.now());
        deliverable.add(id);
        await work(store, id);
      }
      await snap();
      await store.close();
      await snap();
    }
    return taken;

    async function work(store: EngineStore, id: string): Promise<void> {
      const kind = rng();
      const outcomes = [{ index: 0, status: "sent", reason: "ok", dsn: "2.0.0" }] as const;
      const settlement = { id, nextAttempt_ms: 1 + Math.floor(rng() * 1e6), destination: "smtp:x", notifications: [] };
      if (kind < 0.35) {
        await store.settle({ ...settlement, outcomes });
        deliverable.delete(id);
      } else if (kind < 0.85) await store.settle({ ...settlement, outcomes: [] });
      if (kind < 0.7 || kind > 0.8 || !deliverable.delete(id)) return;
      await store.hold([id]);
      held.add(id);
    }
  });
}

/** Damage may be found late: in a page that had been free, say. */
const mostStarts = 6;

/** Ways to damage files, each of the named one. */
const ways: readonly (readonly [string, (files: Files, rng: Rng) => string])[] = [
  ["a bit", (files, rng) => within(files, rng, (bytes, at) => flip(bytes, at, rng))],
  [
    "bits",
    (files, rng) =>
      within(files, rng, (bytes) => {
        for (let count = 0; count < 30; count++) {
          flip(bytes, below(rng, bytes.length), rng);
        }
      }),
  ],
  [
    "a sector of zeros",
    (files, rng) => within(files, rng, (bytes, at) => void bytes.fill(0, at & ~511, (at & ~511) + 512)),
  ],
  [
    "a page of zeros",
    (files, rng) => within(files, rng, (bytes, at) => void bytes.fill(0, at & ~16383, (at & ~16383) + 16384)),
  ],
  [
    "a page of noise",
    (files, rng) =>
      within(files, rng, (bytes, at) => {
        for (let each = at & ~16383; each < Math.min(bytes.length, (at & ~16383) + 16384); each++)
          bytes[each] = below(rng, 256);
      }),
  ],
  [
    "a page in another's place",
    (files, rng) =>
      within(files, rng, (bytes, at) => {
        const from = below(rng, bytes.length) & ~16383;
        bytes.copy(bytes, at & ~16383, from, from + 16384);
      }),
  ],
  [
    "a cut",
    (files, rng) => {
      const name = pick(files, rng);
      const bytes = files.get(name) ?? Buffer.alloc(0);
      const at = below(rng, bytes.length);
      files.set(name, bytes.subarray(0, at));
      return `${name} at ${at}`;
    },
  ],
  [
    "the first page",
    (files, rng) => {
      const bytes = files.get("queue.db") as Buffer;
      const at = below(rng, 200);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << below(rng, 8));
      return `queue.db at ${at}`;
    },
  ],
  [
    "an empty file",
    (files) => {
      files.set("queue.db", Buffer.alloc(0));
      return "queue.db";
    },
  ],
  [
    "no file",
    (files) => {
      files.delete("queue.db");
      return "queue.db";
    },
  ],
  [
    "a foreign file",
    (files, rng) => {
      files.set("queue.db", rng() < 0.5 ? Buffer.from("This is a letter. ".repeat(3000)) : foreign());
      files.delete("queue.db-wal");
      files.delete("queue.db-shm");
      return "queue.db";
    },
  ],
];

function flip(bytes: Buffer, at: number, rng: Rng): void {
  bytes[at] = (bytes[at] ?? 0) ^ (1 << below(rng, 8));
}

const below = (rng: Rng, limit: number): number => Math.floor(rng() * limit);

/** The log now and then, where there is one. */
function pick(files: Files, rng: Rng): string {
  return (files.get("queue.db-wal")?.length ?? 0) > 0 && rng() < 0.5 ? "queue.db-wal" : "queue.db";
}

function within(files: Files, rng: Rng, damage: (bytes: Buffer, at: number) => void): string {
  const name = pick(files, rng);
  const bytes = files.get(name) as Buffer;
  const at = below(rng, bytes.length);
  damage(bytes, at);
  return `${name} at ${at}`;
}

function foreign(): Buffer {
  const db = new Sqlite(":memory:");
  db.exec("CREATE TABLE song (title TEXT); INSERT INTO song VALUES ('la')");
  const bytes = db.serialize();
  db.close();
  return bytes;
}

/** Damages one queue after the other. The same seed does the same. */
export async function damageQueues(seeds: number, from: number): Promise<DamageFigures> {
  const taken = await snapshots(rngFrom(from));
  const sums = { there: 0, delivered: 0, kept: 0, named: 0, unnamed: 0, repairs: 0 };
  const violations: string[] = [];
  for (let seed = from; seed < from + seeds; seed++) {
    const rng = rngFrom(seed);
    const snapshot = taken[below(rng, taken.length)] as Snapshot;
    const files: Files = new Map([...snapshot.files].map(([name, bytes]) => [name, Buffer.from(bytes)]));
    const [way, damage] = ways[below(rng, ways.length)] as (typeof ways)[number];
    const where = damage(files, rng);
    const found = await place((directory) => work(directory, files, snapshot));
    for (const key of Object.keys(sums) as (keyof typeof sums)[]) sums[key] += found[key];
    violations.push(...found.violations.map((text) => `seed ${seed}, ${way} (${where}): ${text}`));
  }
  return { seeds, ...sums, violations };
}

async function work(
  directory: string,
  files: ReadonlyMap<string, Buffer>,
  { deliverable, held }: Snapshot,
): Promise<DamageFigures> {
  for (const [name, bytes] of files) await writeFile(join(directory, name), bytes);
  const log = memoryLog();
  const violations: string[] = [];
  const delivered = new Set<string>();
  const inFlight = new Set<string>();
  const fresh = new Set<string>();
  const kept = new Map<string, string>();
  const starts: string[] = [];
  const inspected = await inspection(directory);
  let quiet = 0;
  for (let start = 1; start <= mostStarts && quiet < 2; start++) {
    const before = log.lines.length;
    now_ms += 1000;
    const ended = await relay(directory, start, log, { delivered, inFlight, fresh, kept, violations });
    const said = log.lines.slice(before).filter((line) => /damaged|not whole|is lost/.test(line)).length;
    starts.push(`${ended}${said > 0 ? ", something found" : ""}`);
    quiet = ended === "well" && said === 0 ? quiet + 1 : 0;
  }
  if (quiet < 2) violations.push(`it does not come to rest: ${starts.join("; ")}`);
  const all = log.lines.join("\n");
  const general = /is damaged|not whole|its mail is lost/.test(all);
  const figures = { named: 0, unnamed: 0, kept: 0 };
  for (const id of delivered) {
    if (!deliverable.has(id) && !held.has(id) && !/log is damaged|not whole/.test(all))
      violations.push(`${id}: delivered, and it was gone`);
  }
  for (const id of [...deliverable, ...held]) {
    if (delivered.has(id)) continue;
    if (held.has(id) && kept.get(id) === "hold") continue;
    if (!inspected) violations.push(`${id}: not delivered, and an inspection finds nothing`);
    if (kept.has(id)) figures.kept++;
    else if (all.includes(id)) figures.named++;
    else if (general) figures.unnamed++;
    else violations.push(`${id}: gone without a word`);
    if (kept.get(id) === "hold" && !all.includes(id)) violations.push(`${id}: put on hold without a word`);
  }
  const repairs = log.lines.filter((line) => line.includes("is damaged:")).length;
  return { seeds: 1, there: deliverable.size, delivered: delivered.size, ...figures, repairs, violations };
}

/** Whether an inspection finds anything; a queue that is empty or gone is told from the log of its start alone. */
async function inspection(directory: string): Promise<boolean> {
  const size = await stat(join(directory, "queue.db")).then(
    (facts) => facts.size,
    () => 0,
  );
  if (size === 0) return true;
  for await (const _ of inspectQueue(runtime.files, directory, false)) return true;
  return false;
}

interface Found {
  readonly delivered: Set<string>;
  /** Delivered, and not noted. */
  readonly inFlight: Set<string>;
  /** What was taken after the damage. */
  readonly fresh: Set<string>;
  /** What is in the queue in the end, and where. */
  readonly kept: Map<string, string>;
  readonly violations: string[];
}

/** One relay from its start to its end: it delivers whatever it can, and takes a new message. */
async function relay(
  directory: string,
  start: number,
  log: ReturnType<typeof memoryLog>,
  { delivered, inFlight, fresh, kept, violations }: Found,
): Promise<string> {
  let store: EngineStore;
  try {
    store = await open(directory, `start${start}`, log);
  } catch (error) {
    if (!(error instanceof QueueOpenError)) throw error;
    return error.message;
  }
  const own = new Set<string>();
  try {
    for (const owner of await store.owners()) await store.release(owner);
    const taken = store.nextId();
    await take(store, taken, runtime.clock.now());
    own.add(taken);
    fresh.add(taken);
    await store.settle({ id: taken, outcomes: [], nextAttempt_ms: 1, destination: "", notifications: [] });
    for (;;) {
      const claimed = await store.claim(Number.MAX_SAFE_INTEGER, 7);
      if (claimed.length === 0) break;
      for (const { id, recipients } of claimed) {
        const body = await wholeBody(store, id).catch(() => undefined);
        if (!body) continue;
        if (!body.equals(bodyOf(id))) violations.push(`${id}: delivered with another body`);
        if (recipients[0]?.address !== "to@there.example")
          violations.push(`${id}: delivered to ${recipients[0]?.address}`);
        if (delivered.has(id) && !inFlight.has(id)) violations.push(`${id}: delivered twice`);
        if (fresh.has(id)) own.delete(id);
        else delivered.add(id);
        const outcomes = [{ index: 0, status: "sent", reason: "ok", dsn: "2.0.0" }] as const;
        inFlight.add(id);
        await store.settle({ id, outcomes, nextAttempt_ms: 0, destination: "", notifications: [] });
        inFlight.delete(id);
      }
    }
    kept.clear();
    for (let after: string | undefined; ; ) {
      const page = await store.list(after, 50);
      for (const { queue, envelope } of page) kept.set(envelope.id, queue);
      after = page.at(-1)?.envelope.id;
      if (after === undefined) break;
    }
    if (own.size > 0) violations.push(`what was taken after the damage was not delivered: ${[...own]}`);
    return "well";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    await store.close().catch(() => {});
  }
}

/** The figures in one line. */
export function describeDamage({ seeds, there, delivered, kept, named, unnamed, repairs }: DamageFigures): string {
  return (
    `${seeds} seeds: of ${there} messages ${delivered} delivered, ${kept} on hold or set aside, ${named} lost and named, ` +
    `${unnamed} lost with no more said than that the file is damaged; ${repairs} repairs`
  );
}
