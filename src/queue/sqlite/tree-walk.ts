import { childOf, keyOf, readCell, type TreePage, treePage, type Value } from "./btree.ts";
import type { Pages } from "./pages.ts";

/** A record of a damaged file, from a table or an index. */
export interface FoundRecord {
  /** The table or index that it was reached from; "" for what no other page leads to any more. */
  readonly of: string;
  readonly rowid: number;
  readonly values: readonly Value[];
  /** It may have been removed before: its page is in no tree, and whether it was free cannot be told. */
  readonly doubtful: boolean;
}

/**
 * Finds every record of a file page by page, whatever SQLite thinks of it: down the trees, and where a part of one cannot be
 * reached, on the pages that are neither in a tree nor free. Each page is read once, and none is kept: memory is two
 * bits a page.
 */
export class TreeWalk {
  readonly #pages: Pages;
  readonly #seen: Bits;
  readonly #free: Bits;
  /** Whether what is not on the list of free pages is in use. */
  #freeIsSure = true;
  /** Something that a tree had cannot be reached. */
  #broken = false;
  /** Trees that could not be read to the end. */
  readonly #damaged = new Set<string>();
  /** What was wrong, the first of it in words. */
  readonly problems: string[] = [];
  problemCount = 0;

  constructor(pages: Pages) {
    this.#pages = pages;
    this.#seen = new Bits(pages.count + 1);
    this.#free = new Bits(pages.count + 1);
  }

  /** `likelyRoots` are believed where the file's own list cannot be read. */
  async *records(likelyRoots: ReadonlyMap<string, number>): AsyncGenerator<FoundRecord> {
    await this.#findFree();
    const roots = await this.#roots(likelyRoots);
    for (const [name, root] of roots) yield* this.#tree(name, root);
    if (this.#broken) yield* this.#orphans();
  }

  #problem(what: string): void {
    this.problemCount++;
    if (this.problems.length < mostProblems) this.problems.push(what);
  }

  async #roots(likely: ReadonlyMap<string, number>): Promise<ReadonlyMap<string, number>> {
    const roots = new Map<string, number>();
    for await (const { values } of this.#tree("the schema", 1)) {
      const [, name, , root] = values;
      if (typeof name === "string" && typeof root === "number") roots.set(name, root);
    }
    // Another database has none of the names, and an older queue may lack the newest of them.
    const mine = [...likely.keys()].filter((name) => roots.has(name)).length;
    if (this.problemCount === 0 && (mine === 0 || (roots.has("message") && roots.has("chunk")))) return roots;
    for (const [name, root] of likely) {
      if (roots.has(name)) continue;
      this.#lost(name, `where "${name}" begins cannot be told`);
      roots.set(name, root);
    }
    return roots;
  }

  async *#tree(name: string, root: number): AsyncGenerator<FoundRecord> {
    const waiting: Place[] = [{ number: root, above: 0, upTo: Number.MAX_SAFE_INTEGER }];
    for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
      const page = await this.#step(name, place.number);
      if (!page) continue;
      if (!page.leaf) waiting.push(...childrenOf(page, place));
      // Inner pages of an index have records, too.
      if (!page.leaf && page.kind === "table") continue;
      for await (const record of this.#recordsOf(page, place.number, name, this.#free.has(place.number))) {
        // A whole page that is not where it belongs: an old copy, perhaps.
        const strays = page.kind === "table" && !(record.rowid > place.above && record.rowid <= place.upTo);
        if (strays)
          this.#lost(name, `page ${place.number} of "${name}" has record ${record.rowid}, which belongs elsewhere`);
        yield strays ? { ...record, doubtful: true } : record;
      }
    }
  }

  /** Whether all of a tree could be read. */
  isWhole(name: string): boolean {
    return !this.#damaged.has(name);
  }

  async #step(name: string, number: number): Promise<TreePage | undefined> {
    if (number < 1 || number > this.#pages.count || this.#seen.has(number)) {
      this.#lost(name, `a page of "${name}" leads to page ${number}, which cannot be`);
      return undefined;
    }
    if (this.#free.has(number)) this.#lost(name, `page ${number} is in "${name}", and is free`);
    this.#seen.add(number);
    const bytes = await this.#pages.read(number);
    const page = bytes && treePage(bytes, number);
    if (!page) this.#lost(name, `page ${number} of "${name}" cannot be read`);
    else if (page.impossible > 0) this.#lost(name, `page ${number} of "${name}" is damaged`);
    return page;
  }

  #lost(name: string, what: string): void {
    this.#broken = true;
    this.#damaged.add(name);
    this.#problem(what);
  }

  async *#recordsOf(page: TreePage, number: number, of: string, doubtful: boolean): AsyncGenerator<FoundRecord> {
    for (const offset of page.cells) {
      const cell = await readCell(this.#pages, page, offset);
      if (!cell) {
        this.#problem(`a record on page ${number} of "${of}" cannot be read`);
        this.#damaged.add(of);
        continue;
      }
      for (const each of cell.overflow) this.#seen.add(each);
      yield { of, rowid: cell.rowid, values: cell.values, doubtful };
    }
  }

  /** Pages that are in no tree and not free, of which some must be what was not reached. */
  async *#orphans(): AsyncGenerator<FoundRecord> {
    for (let number = 1; number <= this.#pages.count; number++) {
      if (this.#seen.has(number) || this.#free.has(number)) continue;
      const bytes = await this.#pages.read(number);
      const page = bytes && treePage(bytes, number);
      if (page?.kind === "table" && page.leaf) yield* this.#recordsOf(page, number, "", !this.#freeIsSure);
    }
  }

  /** The list of free pages: trunks, each with the numbers of other free pages. */
  async #findFree(): Promise<void> {
    const first = await this.#pages.read(1);
    if (first?.toString("latin1", 0, 15) !== "SQLite format 3") {
      this.#freeIsSure = false;
      return;
    }
    let found = 0;
    for (let trunk = first.readUInt32BE(32); trunk !== 0; ) {
      const page = this.#isPossiblyFree(trunk) ? await this.#pages.read(trunk) : undefined;
      const count = page?.readUInt32BE(4) ?? Number.POSITIVE_INFINITY;
      if (!page || 8 + 4 * count > page.length) {
        this.#freeIsSure = false;
        break;
      }
      this.#free.add(trunk);
      found++;
      for (let at = 8; at < 8 + 4 * count; at += 4, found++) {
        const leaf = page.readUInt32BE(at);
        if (this.#isPossiblyFree(leaf)) this.#free.add(leaf);
        else this.#freeIsSure = false;
      }
      trunk = page.readUInt32BE(0);
    }
    if (found !== first.readUInt32BE(36)) this.#freeIsSure = false;
    if (!this.#freeIsSure) this.#problem("the list of free pages is damaged");
  }

  #isPossiblyFree(number: number): boolean {
    return number > 1 && number <= this.#pages.count && !this.#free.has(number);
  }
}

/** A page, and which keys a table has there: above one, up to another. */
interface Place {
  readonly number: number;
  readonly above: number;
  readonly upTo: number;
}

/** The pages below an inner one, the first last. */
function childrenOf(page: TreePage, { above, upTo }: Place): Place[] {
  let least = above;
  const places = page.cells.map((cell) => {
    const most = page.kind === "table" ? Math.min(keyOf(page, cell), upTo) : upTo;
    const place = { number: childOf(page, cell), above: least, upTo: most };
    if (page.kind === "table") least = most;
    return place;
  });
  return [...places, { number: page.last ?? 0, above: least, upTo }].reverse();
}

/** Named in words; all are counted. */
const mostProblems = 100;

class Bits {
  readonly #bytes: Uint8Array;

  constructor(count: number) {
    this.#bytes = new Uint8Array((count >> 3) + 1);
  }

  has(at: number): boolean {
    return ((this.#bytes[at >> 3] ?? 0) & (1 << (at & 7))) !== 0;
  }

  add(at: number): void {
    if (at >> 3 < this.#bytes.length) this.#bytes[at >> 3] = (this.#bytes[at >> 3] ?? 0) | (1 << (at & 7));
  }
}
