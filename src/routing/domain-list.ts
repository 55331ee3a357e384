import { splitList } from "../conf/param.ts";
import type { Answer, Maps } from "../table/maps.ts";
import { TableError } from "../table/table.ts";
import { chain } from "./answer.ts";

export interface DomainListSources {
  /** The tables under these references, `type:name` each. */
  maps(references: readonly string[]): Maps;
  /** The text of a `/file` in a list; undefined where it cannot be read: look-ups that reach it then cannot tell. */
  file(path: string): string | undefined;
}

export interface DomainListOptions extends DomainListSources {
  /** example.com matches its subdomains (parent_domain_matches_subdomains); else .example.com does. */
  readonly parents: boolean;
  /** Only whole names match, as in mydestination and virtual_alias_domains; a dot in front means nothing. */
  readonly exact?: boolean;
}

type Pattern = { readonly positive: boolean } & (
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "maps"; readonly maps: Maps }
  | { readonly kind: "unreadable"; readonly path: string }
);

/** Files may name files, to this depth. */
const deepestFile = 20;

/**
 * A list of domains as main.cf writes it: names, `/file`, `type:table`, each
 * with `!` in front to say no. The first pattern that matches decides. Names
 * are compared in any case.
 *
 * match() throws (or rejects with) a TableError when it reaches what cannot be
 * read: whether a domain is ours must not depend on a broken file.
 */
export class DomainList {
  readonly #patterns: readonly Pattern[];
  readonly #options: DomainListOptions;
  /** All patterns, where they are plain positive names: one look-up in place of a walk. */
  readonly #names: ReadonlySet<string> | undefined;

  constructor(items: readonly string[], options: DomainListOptions) {
    this.#options = options;
    this.#patterns = patterns(items, options, true, 0);
    const names = this.#patterns.map((each) => (each.kind === "name" && each.positive ? each.name : undefined));
    if (names.every((name) => name !== undefined)) this.#names = new Set(names);
  }

  get empty(): boolean {
    return this.#patterns.length === 0;
  }

  match(domain: string): Answer<boolean> {
    if (this.#patterns.length === 0) return false;
    const name = domain.toLowerCase();
    if (this.#names) return this.#inNames(this.#names, name);
    return this.#from(0, name);
  }

  #inNames(names: ReadonlySet<string>, name: string): boolean {
    if (names.has(name)) return true;
    if (this.#options.exact) return false;
    for (let dot = name.indexOf(".", 1); dot >= 0; dot = name.indexOf(".", dot + 1)) {
      if (names.has(this.#options.parents ? name.slice(dot + 1) : name.slice(dot))) return true;
    }
    return false;
  }

  #from(first: number, name: string): Answer<boolean> {
    for (let index = first; index < this.#patterns.length; index++) {
      const pattern = this.#patterns[index] as Pattern;
      if (pattern.kind === "unreadable") throw new TableError("config", `cannot read ${pattern.path}`);
      if (pattern.kind === "name") {
        if (this.#inNames(new Set([pattern.name]), name)) return pattern.positive;
        continue;
      }
      const found = this.#inMaps(pattern.maps, name);
      if (found instanceof Promise) {
        return found.then((hit) => (hit ? pattern.positive : this.#from(index + 1, name)));
      }
      if (found) return pattern.positive;
    }
    return false;
  }

  #inMaps(maps: Maps, name: string): Answer<boolean> {
    const keys = [name];
    if (!this.#options.exact) {
      for (let dot = name.indexOf(".", 1); dot >= 0; dot = name.indexOf(".", dot + 1)) {
        keys.push(this.#options.parents ? name.slice(dot + 1) : name.slice(dot));
      }
    }
    const next = (index: number): Answer<boolean> => {
      const key = keys[index];
      if (key === undefined) return false;
      return chain(maps.find(key, index > 0), (found) => found !== undefined || next(index + 1));
    };
    return next(0);
  }
}

function patterns(items: readonly string[], sources: DomainListSources, positive: boolean, depth: number): Pattern[] {
  return items.flatMap((item): Pattern[] => {
    const name = item.replace(/^!+/, "");
    const yes = (item.length - name.length) % 2 === 0 ? positive : !positive;
    if (name === "") return [];
    if (name.startsWith("/")) {
      const text = depth < deepestFile ? sources.file(name) : undefined;
      if (text === undefined) return [{ kind: "unreadable", path: name, positive: yes }];
      return patterns(fileItems(text), sources, yes, depth + 1);
    }
    if (name.includes(":") && !name.startsWith("["))
      return [{ kind: "maps", maps: sources.maps([name]), positive: yes }];
    return [{ kind: "name", name: name.toLowerCase(), positive: yes }];
  });
}

/** Lines of patterns; `#` begins a comment line. */
function fileItems(text: string): string[] {
  const lines = text.split("\n").filter((line) => !/^\s*#/.test(line));
  return splitList(lines.join("\n"));
}
