import type { Entries } from "./entries.ts";

/**
 * The entries' numbers in the order of their keys: by bytes, and of two keys of which one begins the other, the shorter
 * first. Sorts by three bytes at a time, in three parts (less, same, greater): bytes that keys have in common are looked at
 * once. The bytes in question stand beside the order while it is made, since reading them from the keys, all over memory, is what costs time.
 */
export function inKeyOrder(entries: Entries): Uint32Array {
  const order = new Uint32Array(entries.size);
  let count = 0;
  for (let entry = 0; entry < entries.numbers; entry++) if (entries.has(entry)) order[count++] = entry;
  const starts = new Uint32Array(entries.numbers);
  const ends = new Uint32Array(entries.numbers);
  for (const entry of order) {
    starts[entry] = entries.keyStart(entry);
    ends[entry] = entries.keyEnd(entry);
  }
  sort(order, { bytes: entries.bytes, starts, ends });
  return order;
}

interface Keys {
  readonly bytes: Uint8Array;
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
}

/** A part of the order whose keys are the same in their first `depth` bytes. */
interface Part {
  readonly from: number;
  readonly to: number;
  readonly depth: number;
  /** The words of this depth stand beside the order already. */
  readonly read: boolean;
}

function sort(order: Uint32Array, keys: Keys): void {
  const words = new Uint32Array(order.length);
  const parts: Part[] = [{ from: 0, to: order.length, depth: 0, read: false }];
  for (let part = parts.pop(); part; part = parts.pop()) {
    const { from, to, depth, read } = part;
    if (to - from < 2) continue;
    if (!read) for (let at = from; at < to; at++) words[at] = wordAt(keys, order[at] as number, depth);
    const pivot = words[(from + to) >>> 1] as number;
    let [less, greater] = [from, to];
    for (let at = from; at < greater; ) {
      const word = words[at] as number;
      if (word < pivot) exchange(order, words, less++, at++);
      else if (word > pivot) exchange(order, words, at, --greater);
      else at++;
    }
    parts.push({ from, to: less, depth, read: true }, { from: greater, to, depth, read: true });
    const goesOn = pivot % base !== 0;
    if (goesOn) parts.push({ from: less, to: greater, depth: depth + 3, read: false });
  }
}

/** Each byte counts from 1; 0 stands behind the key's end. */
const base = 257;

/** Three bytes, as a number that compares as they do. */
function wordAt({ bytes, starts, ends }: Keys, entry: number, depth: number): number {
  const at = (starts[entry] as number) + depth;
  const end = ends[entry] as number;
  const first = at < end ? (bytes[at] as number) + 1 : 0;
  const second = at + 1 < end ? (bytes[at + 1] as number) + 1 : 0;
  const third = at + 2 < end ? (bytes[at + 2] as number) + 1 : 0;
  return (first * base + second) * base + third;
}

function exchange(order: Uint32Array, words: Uint32Array, a: number, b: number): void {
  const entry = order[a] as number;
  order[a] = order[b] as number;
  order[b] = entry;
  const word = words[a] as number;
  words[a] = words[b] as number;
  words[b] = word;
}
