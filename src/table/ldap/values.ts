import { isUtf8 } from "node:buffer";
import type { Answer } from "../database/answer.ts";
import { TableError } from "../table.ts";
import { LdapRefusal, noSuchObject } from "./connection.ts";
import { encodeFilter } from "./filter.ts";
import type { Attribute, Entry, Scope } from "./messages.ts";
import { isLdapUrl, type LdapUrl, parseLdapUrl } from "./url.ts";

/** Which attributes are looked at, by what becomes of their values (ldap_table(5)). */
export interface ResultAttributes {
  /** Where one of these is there, it alone counts. */
  readonly terminal: readonly string[];
  /** These count where no special one is there. */
  readonly leaf: readonly string[];
  readonly ordinary: readonly string[];
  /** Names of, or URLs for, entries that are looked at in turn. */
  readonly special: readonly string[];
}

/** A search for these attributes. */
export type Ask = (search: {
  readonly base: string;
  readonly scope: Scope;
  readonly filter: Buffer;
  readonly attributes: readonly string[];
}) => Promise<Entry[]>;

export interface ValuesOptions {
  /** "ldap:/etc/postfix/x.cf" */
  readonly reference: string;
  readonly attributes: ResultAttributes;
  readonly recursionLimit: number;
  /** Entries of one search; 0 for none. */
  readonly sizeLimit: number;
  readonly ask: Ask;
  warn(text: string): void;
}

/** All attributes, in the order that decides which of them one is taken for. */
export const allNames = ({ terminal, leaf, ordinary, special }: ResultAttributes): readonly string[] => [
  ...terminal,
  ...leaf,
  ...ordinary,
  ...special,
];

/**
 * Adds the values of entries to the answer, and those of the entries that special attributes lead to. `depth` counts from 1.
 * Throws TableError "retry" beyond the limits, and what `ask` throws; an entry that is led to and not there is passed over.
 */
export async function addValues(
  entries: readonly Entry[],
  answer: Answer,
  options: ValuesOptions,
  depth: number = 1,
): Promise<void> {
  const { reference, sizeLimit } = options;
  if (sizeLimit > 0 && entries.length > sizeLimit) {
    options.warn(`${reference}: Query size limit (${sizeLimit}) exceeded`);
    throw new TableError("retry", "query error: size limit exceeded");
  }
  for (const entry of entries) {
    const kindOf = judge(entry, options.attributes);
    for (const attribute of entry) {
      const kind = attribute.values.length === 0 ? "skipped" : kindOf(attribute);
      if (kind === "value") for (const value of attribute.values) answer.add(textOf(value));
      if (kind === "special") await follow(attribute, answer, options, depth);
    }
  }
}

type Kind = "value" | "special" | "skipped";

function judge(entry: Entry, { terminal, leaf, ordinary, special }: ResultAttributes): (attribute: Attribute) => Kind {
  const has = (names: readonly string[]): boolean =>
    entry.some(({ name, values }) => values.length > 0 && names.some((each) => isOf(each, name)));
  const isTerminal = has(terminal);
  const isLeaf = !has(special);
  return ({ name }) => {
    const among = (names: readonly string[]): boolean => names.some((each) => isOf(each, name));
    if (isTerminal) return among(terminal) ? "value" : "skipped";
    if (among(terminal) || among(leaf)) return isLeaf ? "value" : "skipped";
    if (among(ordinary)) return "value";
    return among(special) ? "special" : "skipped";
  };
}

/** Is it the attribute, or one of its kinds (RFC 4512 section 2.5): "mail;lang-de" is "mail". */
function isOf(wanted: string, name: string): boolean {
  const [short, long] = [wanted.toLowerCase(), name.toLowerCase()];
  return long === short || long.startsWith(`${short};`);
}

async function follow(attribute: Attribute, answer: Answer, options: ValuesOptions, depth: number): Promise<void> {
  const { reference, recursionLimit, ask, warn } = options;
  if (depth >= recursionLimit) {
    warn(`${reference}: Recursion limit exceeded for special attribute ${attribute.name}`);
    throw new TableError("retry", "query error: recursion limit exceeded");
  }
  for (const value of attribute.values) {
    const place = textOf(value);
    const search = searchFor(place, options);
    if (!search) continue;
    try {
      await addValues(await ask(search), answer, options, depth + 1);
    } catch (error) {
      if (!(error instanceof LdapRefusal) || error.code !== noSuchObject) throw error;
      warn(`${reference}: DN ${place} not found, skipping`);
    }
  }
}

/** What a name or URL asks for; undefined where none of it would count. Throws TableError where the URL is none. */
function searchFor(place: string, { reference, attributes, warn }: ValuesOptions): Parameters<Ask>[0] | undefined {
  const names = allNames(attributes);
  if (!isLdapUrl(place)) return { base: place, scope: "base", filter: anything, attributes: names };
  const url = parseLdapUrl(place);
  if (!url) {
    warn(`${reference}: malformed URL ${place}`);
    throw new TableError("retry", "query error: malformed URL");
  }
  const wanted = inBoth(url, names);
  if (wanted.length === 0) return undefined;
  return { base: url.base, scope: url.scope, filter: encodeFilter(url.filter), attributes: wanted };
}

const anything = encodeFilter("(objectclass=*)");

/** Of two names of which one is a kind of the other, that one. */
function inBoth({ attributes }: LdapUrl, names: readonly string[]): readonly string[] {
  if (attributes.length === 0) return names;
  return attributes.flatMap((name) =>
    names.flatMap((each) => (isOf(name, each) ? [each] : isOf(each, name) ? [name] : [])),
  );
}

function textOf(value: Buffer): string {
  const nul = value.indexOf(0);
  const shown = nul < 0 ? value : value.subarray(0, nul);
  if (!isUtf8(shown)) throw new TableError("retry", "query error: a value is not UTF-8");
  return shown.toString();
}
