import type { Entries } from "./entries.ts";

/**
 * The entries' numbers in the order of their keys: by bytes, and of two keys of which one begins the other, the shorter
 * first. Sorts by one byte at a time, in three parts (less, same, greater): bytes that keys have in common are looked at once.
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
}

function sort(order: Uint32Array, keys: Keys): void {
  const parts: Part[] = [{ from: 0, to: order.length, depth: 0 }];
  for (let part = parts.pop(); part; part = parts.pop()) {
    const { from, to, depth } = part;
    if (to - from < 2) continue;
    const pivot = byteAt(keys, order[(from + to) >>> 1] as number, depth);
    let [less, greater] = [from, to];
    for (let at = from; at < greater; ) {
      const byte = byteAt(keys, order[at] as number, depth);
      if (byte < pivot) exchange(order, less++, at++);
      else if (byte > pivot) exchange(order, at, --greater);
      else at++;
    }
    parts.push({ from, to: less, depth }, { from: greater, to, depth });
    if (pivot >= 0) parts.push({ from: less, to: greater, depth: depth + 1 });
  }
}

/** -1 behind the key's end. */
function byteAt({ bytes, starts, ends }: Keys, entry: number, depth: number): number {
  const at = (starts[entry] as number) + depth;
  return at < (ends[entry] as number) ? (bytes[at] as number) : -1;
}

function exchange(order: Uint32Array, a: number, b: number): void {
  const kept = order[a] as number;
  order[a] = order[b] as number;
  order[b] = kept;
}
