/**
 * Lists of clients in the form of mynetworks: networks, addresses and names,
 * `!` to exclude, `/file` for more patterns, `type:table` to look the client up.
 * The first pattern that matches decides.
 *
 *   127.0.0.0/8   [::1]/128   192.0.2.1   [2001:db8::1]
 *   relay.example (that client), .example (names below it)
 */
import { addressBytes, withoutMapping } from "../rfc5321/ip.ts";
import type { Answer, Maps } from "../table/maps.ts";

/** What the list's patterns may refer to. Throws an Error that names what is wrong. */
export interface NetworkSources {
  /** The text of a /file: patterns separated by commas or white space, # comments. */
  file(path: string): string;
  table(reference: string): Maps;
}

interface Matcher {
  readonly negated: boolean;
  matches(name: string, address: Uint8Array, shown: string): Answer<boolean>;
}

export interface Network {
  readonly base: Uint8Array;
  readonly bits: number;
}

export class NetworkPatternError extends Error {}

const longestNesting = 20;

export class NetworkList {
  readonly #matchers: readonly Matcher[];
  /** The networks that are let in, for checks of the whole. */
  readonly networks: readonly (Network & { readonly negated: boolean })[];
  /** Names and tables have no part in it. */
  readonly addressesOnly: boolean;

  /** Throws NetworkPatternError for a pattern that is none. `parents`: the parameter is in parent_domain_matches_subdomains. */
  constructor(patterns: readonly string[], sources: NetworkSources, parents = true) {
    const matchers: Matcher[] = [];
    const networks: (Network & { negated: boolean })[] = [];
    const add = (pattern: string, negated: boolean, depth: number): void => {
      if (depth > longestNesting) throw new NetworkPatternError(`files refer to each other: ${pattern}`);
      if (pattern.startsWith("!")) {
        add(pattern.slice(1), !negated, depth);
        return;
      }
      if (pattern.startsWith("/")) {
        for (const inner of patternsOf(sources.file(pattern))) add(inner, negated, depth + 1);
        return;
      }
      if (isTable(pattern)) {
        matchers.push(tableMatcher(sources.table(pattern), negated));
        return;
      }
      const network = parseNetwork(pattern);
      if (network) {
        networks.push({ ...network, negated });
        matchers.push({ negated, matches: (_name, address) => contains(network, address) });
        return;
      }
      matchers.push(nameMatcher(pattern, negated, parents));
    };
    for (const pattern of patterns) add(pattern, false, 0);
    this.#matchers = matchers;
    this.networks = networks;
    this.addressesOnly = networks.length === matchers.length;
  }

  /** `address` is numeric; `name` is "unknown" where there is none. May throw or reject with a TableError. */
  matches(name: string, address: string): Answer<boolean> {
    const shown = withoutMapping(address);
    const bytes = addressBytes(shown);
    return bytes ? this.#from(0, name.toLowerCase(), bytes, shown) : false;
  }

  #from(first: number, name: string, bytes: Uint8Array, shown: string): Answer<boolean> {
    for (let index = first; index < this.#matchers.length; index++) {
      const matcher = this.#matchers[index];
      if (!matcher) continue;
      const matched = matcher.matches(name, bytes, shown);
      if (matched instanceof Promise) {
        return matched.then((yes) => (yes ? !matcher.negated : this.#from(index + 1, name, bytes, shown)));
      }
      if (matched) return !matcher.negated;
    }
    return false;
  }
}

/** Patterns of a file: `#` begins a comment. */
function patternsOf(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.replace(/#.*/, ""))
    .flatMap((line) => line.split(/[\s,]+/))
    .filter((word) => word !== "");
}

function isTable(pattern: string): boolean {
  return (
    !pattern.startsWith("[") &&
    /^[a-z][a-z0-9_-]*:/i.test(pattern) &&
    addressBytes(pattern) === undefined &&
    !/^[0-9a-f:.]+(\/\d+)?$/i.test(pattern)
  );
}

function tableMatcher(maps: Maps, negated: boolean): Matcher {
  return {
    negated,
    matches(name, _address, shown) {
      const byName = name === "unknown" ? undefined : maps.find(name);
      if (byName instanceof Promise) {
        return byName.then(async (found) => found !== undefined || (await maps.find(shown)) !== undefined);
      }
      if (byName !== undefined) return true;
      const byAddress = maps.find(shown);
      return byAddress instanceof Promise ? byAddress.then((found) => found !== undefined) : byAddress !== undefined;
    },
  };
}

function nameMatcher(pattern: string, negated: boolean, parents: boolean): Matcher {
  if (/[/[\]:]/.test(pattern)) throw new NetworkPatternError(`bad network or address pattern: "${pattern}"`);
  if (/^[\d.]+$/.test(pattern)) throw new NetworkPatternError(`bad address pattern: "${pattern}"`);
  const wanted = pattern.toLowerCase();
  const below = parents ? `.${wanted}` : wanted.startsWith(".") ? wanted : undefined;
  return { negated, matches: (name) => name === wanted || (below !== undefined && name.endsWith(below)) };
}

/** "192.0.2.0/24", "[2001:db8::]/32", or one address; undefined if it is no address at all. Throws where bits are set that the length excludes. */
export function parseNetwork(pattern: string): Network | undefined {
  const [, bracketed, plain, length] = /^(?:\[([^\]]+)\]|([^/[\]]+))(?:\/(\d{1,3}))?$/.exec(pattern) ?? [];
  const base = addressBytes(bracketed ?? plain ?? "");
  if (!base) return undefined;
  const bits = length === undefined ? base.length * 8 : Number(length);
  if (bits > base.length * 8) throw new NetworkPatternError(`bad net/mask pattern: "${pattern}"`);
  for (let bit = bits; bit < base.length * 8; bit++) {
    if (((base[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) {
      throw new NetworkPatternError(`non-null host address bits in "${pattern}", perhaps you should use a longer mask`);
    }
  }
  return { base, bits };
}

export function contains({ base, bits }: Network, address: Uint8Array): boolean {
  if (base.length !== address.length) return false;
  const whole = bits >> 3;
  for (let index = 0; index < whole; index++) if (base[index] !== address[index]) return false;
  const rest = bits & 7;
  return rest === 0 || ((base[whole] ?? 0) ^ (address[whole] ?? 0)) >> (8 - rest) === 0;
}

/**
 * Whether networks, together, hold every address of a family: halves, quarters and so on
 * are added up. What `!` excludes is not taken off: an open relay with a hole is an open relay.
 */
export function coversWorld(list: NetworkList): "IPv4" | "IPv6" | undefined {
  for (const [family, size] of [
    ["IPv4", 4],
    ["IPv6", 16],
  ] as const) {
    const networks = list.networks.filter(({ negated, base }) => !negated && base.length === size);
    if (size === 16 && networks.some(({ base, bits }) => bits <= 96 && bits > 3 && mapsIpv4(base))) return "IPv4";
    if (coversAll(networks)) return family;
  }
  return undefined;
}

/** ::ffff:0:0/96 and what contains it. */
function mapsIpv4(base: Uint8Array): boolean {
  return base.subarray(0, 10).every((byte) => byte === 0) && base[10] === 0xff && base[11] === 0xff;
}

/** The first bits of every address are walked down as a tree; a branch is covered by one network or by both its halves. */
function coversAll(networks: readonly Network[]): boolean {
  const covered = (inside: readonly Network[], depth: number): boolean => {
    if (inside.some(({ bits }) => bits <= depth)) return true;
    if (depth >= 32 || inside.length < 2) return false;
    const bit = ({ base }: Network) => ((base[depth >> 3] ?? 0) >> (7 - (depth & 7))) & 1;
    return (
      covered(
        inside.filter((each) => bit(each) === 0),
        depth + 1,
      ) &&
      covered(
        inside.filter((each) => bit(each) === 1),
        depth + 1,
      )
    );
  };
  return covered(networks, 0);
}
