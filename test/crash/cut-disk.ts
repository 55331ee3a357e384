import type { Step } from "./disk-record.ts";
import type { Rng } from "./rng.ts";

/**
 * A disk as a power cut may leave it: what was synced, and of what was written since, some.
 *
 * 1. A write is safe when a sync of its file began after it had ended, and has succeeded.
 * 2. Of the others each sector of 512 bytes is there or not, whatever the order, as one of the ways to `survive` says.
 * 3. What a sync that failed left behind no later one makes safe (the kernel takes such pages for clean).
 * 4. A name is there, or gone, for certain after a sync of the directory; before that, as luck has it.
 */
const sector_bytes = 512;

export const ways = ["none", "all", "half", "few", "most", "first", "last", "whole"] as const;
export type Way = (typeof ways)[number];

interface Change {
  readonly step: Extract<Step, { kind: "write" | "truncate" }>;
  is: "open" | "safe" | "lost";
}

/** Bytes that grow in place. */
class Bytes {
  #room: Buffer;
  #size: number;

  constructor(bytes: Buffer) {
    this.#room = Buffer.from(bytes);
    this.#size = bytes.length;
  }

  get all(): Buffer {
    return this.#room.subarray(0, this.#size);
  }

  resize(size: number): void {
    if (size > this.#room.length) {
      const larger = Buffer.alloc(2 * size);
      this.all.copy(larger);
      this.#room = larger;
    } else if (size < this.#size) this.#room.fill(0, size, this.#size);
    this.#size = size;
  }

  /** Those sectors of a change that survived. */
  apply(step: Change["step"], survived: () => boolean): void {
    if (step.kind === "truncate") {
      if (survived()) this.resize(step.size);
      return;
    }
    const end = step.at + step.data.length;
    for (let at = step.at; at < end; ) {
      const next = Math.min(end, (Math.floor(at / sector_bytes) + 1) * sector_bytes);
      if (survived()) {
        if (this.#size < next) this.resize(next);
        step.data.copy(this.#room, at, at - step.at, next - step.at);
      }
      at = next;
    }
  }
}

/** A file whatever its name; `#bytes` are safe, `#changes` came later, in order. */
class Content {
  readonly #bytes = new Bytes(Buffer.alloc(0));
  #changes: Change[] = [];

  change(step: Change["step"]): void {
    this.#changes.push({ step, is: "open" });
  }

  /** A sync that has ended, which began at `begin`. */
  synced(ok: boolean, begin: number): void {
    for (const change of this.#changes) {
      if (change.is === "open" && change.step.end < begin) change.is = ok ? "safe" : "lost";
    }
    // Safe ones behind one that is not stay, so that the order does.
    const first = this.#changes.findIndex(({ is }) => is !== "safe");
    const safe = this.#changes.splice(0, first < 0 ? this.#changes.length : first);
    for (const { step } of safe) this.#bytes.apply(step, () => true);
  }

  left(way: Way, rng: Rng): Buffer {
    const open = this.#changes.filter(({ is }) => is !== "safe");
    const border = Math.floor(rng() * (open.length + 1));
    const bytes = new Bytes(this.#bytes.all);
    let index = 0;
    for (const { step, is } of this.#changes) {
      bytes.apply(step, is === "safe" ? () => true : survives(way, rng, index++, border));
    }
    return bytes.all;
  }
}

/** Whether a sector of one change survives. */
function survives(way: Way, rng: Rng, index: number, border: number): () => boolean {
  switch (way) {
    case "none":
      return () => false;
    case "all":
      return () => true;
    case "half":
      return () => rng() < 0.5;
    case "few":
      return () => rng() < 0.05;
    case "most":
      return () => rng() < 0.95;
    case "first":
      return index === border ? () => rng() < 0.5 : () => index < border;
    case "last":
      return index === border ? () => rng() < 0.5 : () => index > border;
    case "whole": {
      const kept = rng() < 0.5;
      return () => kept;
    }
    default:
      return way satisfies never;
  }
}

/** What a name has stood for since the last sync of the directory, that included; undefined: nothing. */
type History = { readonly content: Content | undefined; readonly end: number }[];

/** Goes through a record once: cuts are asked for in order. */
export class CutDisk {
  readonly #steps: readonly Step[];
  readonly #names = new Map<string, History>();
  /** Syncs that were under way at the last cut. */
  #waiting: Extract<Step, { kind: "sync" | "syncDirectory" }>[] = [];
  #next = 0;

  constructor(steps: readonly Step[]) {
    this.#steps = steps;
  }

  /** The files of the directory after a cut right behind line `cut` of the record. */
  after(cut: number, way: Way, rng: Rng): Map<string, Buffer> {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const sync of waiting) this.#sync(sync, cut);
    for (let step = this.#steps[this.#next]; step && step.begin <= cut; step = this.#steps[++this.#next]) {
      if (step.kind === "create" && !this.#now(step.name)) this.#turn(step.name, new Content(), step.end);
      else if (step.kind === "unlink") this.#turn(step.name, undefined, step.end);
      else if (step.kind === "write" || step.kind === "truncate") this.#now(step.name)?.change(step);
      else if (step.kind === "sync" || step.kind === "syncDirectory") this.#sync(step, cut);
    }
    return this.#left(way, rng);
  }

  #sync(step: Extract<Step, { kind: "sync" | "syncDirectory" }>, cut: number): void {
    if (step.end > cut) this.#waiting.push(step);
    else if (step.kind === "sync") this.#now(step.name)?.synced(step.ok, step.begin);
    else if (step.ok) {
      for (const history of this.#names.values()) {
        const last = history.findLastIndex(({ end }) => end < step.begin);
        history.splice(0, Math.max(0, last));
      }
    }
  }

  #now(name: string): Content | undefined {
    return this.#names.get(name)?.at(-1)?.content;
  }

  #turn(name: string, content: Content | undefined, end: number): void {
    const history = this.#names.get(name) ?? [{ content: undefined, end: 0 }];
    history.push({ content, end });
    this.#names.set(name, history);
  }

  #left(way: Way, rng: Rng): Map<string, Buffer> {
    const left = new Map<string, Buffer>();
    for (const [name, history] of this.#names) {
      const at = way === "none" ? 0 : way === "all" ? history.length - 1 : Math.floor(rng() * history.length);
      const content = history[at]?.content;
      if (content) left.set(name, content.left(way, rng));
    }
    return left;
  }
}
