/** The lines that differ between two texts, as diff -u marks them, with a line of context around. */
export function differences(before: string, after: string): string[] {
  const [old, now] = [lines(before), lines(after)];
  const common = longestCommon(old, now);
  const marked: { readonly mark: " " | "-" | "+"; readonly line: string }[] = [];
  let [from, to] = [0, 0];
  for (const [atOld, atNow] of [...common, [old.length, now.length] as const]) {
    while (from < atOld) marked.push({ mark: "-", line: old[from++] ?? "" });
    while (to < atNow) marked.push({ mark: "+", line: now[to++] ?? "" });
    if (from < old.length) marked.push({ mark: " ", line: old[from] ?? "" });
    from++;
    to++;
  }
  const near = (index: number): boolean =>
    [index - 1, index, index + 1].some((each) => marked[each] !== undefined && marked[each].mark !== " ");
  return marked.filter((_, index) => near(index)).map(({ mark, line }) => `${mark}${line}`);
}

const lines = (text: string): string[] => text.match(/[^\n]+|(?<=^|\n)(?=\n)/g) ?? [];

/** Larger texts are compared as if their middles had nothing in common: a table of n times m places has to stay small. */
const tableLimit = 4_000_000;

/** Pairs of indexes of a longest common subsequence. */
function longestCommon(old: readonly string[], now: readonly string[]): (readonly [number, number])[] {
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let end = 0;
  while (end < old.length - start && end < now.length - start && old.at(-1 - end) === now.at(-1 - end)) end++;
  const pairs: (readonly [number, number])[] = Array.from({ length: start }, (_, index) => [index, index] as const);
  pairs.push(...middle(old.slice(start, old.length - end), now.slice(start, now.length - end), start));
  for (let index = end; index > 0; index--) pairs.push([old.length - index, now.length - index]);
  return pairs;
}

function middle(old: readonly string[], now: readonly string[], offset: number): (readonly [number, number])[] {
  if (old.length * now.length > tableLimit) return [];
  const width = now.length + 1;
  const lengths = new Uint32Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      const same = old[i] === now[j];
      const longer = Math.max(lengths[(i + 1) * width + j] ?? 0, lengths[i * width + j + 1] ?? 0);
      lengths[i * width + j] = same ? (lengths[(i + 1) * width + j + 1] ?? 0) + 1 : longer;
    }
  }
  const pairs: (readonly [number, number])[] = [];
  for (let i = 0, j = 0; i < old.length && j < now.length; ) {
    if (old[i] === now[j]) pairs.push([offset + i++, offset + j++]);
    else if ((lengths[(i + 1) * width + j] ?? 0) >= (lengths[i * width + j + 1] ?? 0)) i++;
    else j++;
  }
  return pairs;
}
