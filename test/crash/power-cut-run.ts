import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Sqlite from "better-sqlite3";
import { memoryLog } from "../../src/log/log.ts";
import type { EngineStore } from "../../src/queue/engine-store.ts";
import { openSqliteStore, queueFile } from "../../src/queue/open.ts";
import type { RefusedBatch } from "../../src/queue/store.ts";
import { realRuntime } from "../../src/runtime/real.ts";
import { wholeBody } from "../conformance/queue-store.ts";
import { CutDisk, type Way, ways } from "./cut-disk.ts";
import type { Step } from "./disk-record.ts";
import { rngFrom } from "./rng.ts";
import { SameThreadEngine } from "./same-thread-engine.ts";
import { bodyOf, take } from "./store-load.ts";

/**
 * Power cuts: a record of everything a store did to its disk (disk-record.ts), cut at many places; the files as they may be then
 * (cut-disk.ts), opened by the store that Postern uses, and compared with what the process had said up to the cut:
 *
 *   1. what it had acknowledged is there, unless its delivery was reported and that report may be settled;
 *   2. what it had settled does not come back;
 *   3. what it had refused is not there, its refused batches being known;
 *   4. every message that is there can be read, bodies are what they were, the counts are right, SQLite finds no damage;
 *   5. the queue takes mail again.
 */
export interface CutFigures {
  readonly cuts: number;
  /** Summed up over the cuts. */
  readonly acknowledged: number;
  readonly refused: number;
  readonly recovered: number;
  readonly violations: readonly string[];
}

/** What was said up to a cut. */
class Said {
  readonly accepted = new Set<string>();
  readonly refused = new Set<string>();
  readonly sending = new Set<string>();
  readonly gone = new Set<string>();
  readonly batches: RefusedBatch[] = [];

  take(text: string): void {
    for (const line of text.split("\n")) {
      const [what, id = ""] = line.split(" ");
      if (what === "batch") {
        const [owner = "", batch] = id.split(".");
        this.batches.push({ owner, batch: Number(batch) });
      } else if (what === "accepted" || what === "refused" || what === "sending" || what === "gone") this[what].add(id);
    }
  }
}

/** Cuts the power at `cuts` places. The same seed gives the same places of the same record. */
export async function cutPower(steps: readonly Step[], cuts: number, seed: number): Promise<CutFigures> {
  const rng = rngFrom(seed);
  const places = Array.from({ length: cuts }, () => steps[Math.floor(rng() * steps.length)]?.begin ?? 0);
  places.sort((one, other) => one - other);
  const disk = new CutDisk(steps);
  const said = new Said();
  let next = 0;
  const sums = { acknowledged: 0, refused: 0, recovered: 0 };
  const violations: string[] = [];
  for (const [index, cut] of places.entries()) {
    for (let step = steps[next]; step && step.begin <= cut; step = steps[++next]) {
      if (step.kind === "said") said.take(step.text);
    }
    const way = ways[Math.floor(rng() * ways.length)] as Way;
    const files = disk.after(cut, way, rng);
    sums.acknowledged += said.accepted.size;
    sums.refused += said.refused.size;
    const found = await recover(files, said, (count) => (sums.recovered += count));
    violations.push(...found.map((text) => `cut ${index} behind line ${cut}, ${way}: ${text}`));
  }
  return { cuts, ...sums, violations };
}

/** Opens what the cut has left; what is wrong with it. */
async function recover(
  files: ReadonlyMap<string, Buffer>,
  said: Said,
  present: (count: number) => void,
): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), "postern-cut-"));
  try {
    for (const [name, bytes] of files) await writeFile(join(directory, name), bytes);
    const refused = said.batches;
    const options = { directory, owner: "check", generation: 9, runtime: realRuntime(), log: memoryLog(), refused };
    const store = await openSqliteStore(new SameThreadEngine(), options);
    try {
      for (const owner of await store.owners()) await store.release(owner);
      const there = await idsIn(store);
      present(there.size);
      return [...compare(there, said), ...(await unsound(store, there)), ...integrity(directory)];
    } finally {
      await store.close();
    }
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  } finally {
    await rm(directory, { recursive: true });
  }
}

/** Ids, and the queue of each. */
async function idsIn(store: EngineStore): Promise<Map<string, string>> {
  const there = new Map<string, string>();
  for (let after: string | undefined; ; ) {
    const page = await store.list(after, 500);
    for (const { queue, envelope } of page) there.set(envelope.id, queue);
    after = page.at(-1)?.envelope.id;
    if (after === undefined) return there;
  }
}

function compare(there: ReadonlyMap<string, string>, said: Said): string[] {
  const lost = [...said.accepted].filter((id) => !there.has(id) && !said.sending.has(id));
  return [
    ...lost.map((id) => `${id} was acknowledged, and is lost`),
    ...[...said.gone].filter((id) => there.has(id)).map((id) => `${id} was settled, and is back`),
    ...[...said.refused].filter((id) => there.has(id)).map((id) => `${id} was refused, and is there`),
  ];
}

async function unsound(store: EngineStore, there: ReadonlyMap<string, string>): Promise<string[]> {
  const found: string[] = [];
  for (const [id, queue] of there) {
    if (queue !== "deferred") found.push(`${id} is ${queue}`);
    const body = await wholeBody(store, id).catch((error: Error) => error);
    if (body instanceof Error) found.push(`${id}: ${body.message}`);
    else if (!body.equals(bodyOf(id))) found.push(`${id} has another body`);
  }
  const { deferred } = await store.counts();
  if (deferred !== there.size) found.push(`${deferred} are counted of ${there.size}`);
  const id = store.nextId();
  await take(store, id);
  if (!(await wholeBody(store, id)).equals(bodyOf(id))) found.push("a new message is not what it was");
  return found;
}

function integrity(directory: string): string[] {
  const db = new Sqlite(queueFile(directory), { readonly: true });
  try {
    const found = db.pragma("integrity_check", { simple: true });
    return found === "ok" ? [] : [`SQLite finds damage: ${found}`];
  } finally {
    db.close();
  }
}
