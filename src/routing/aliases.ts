import { unquoteLocal } from "../rfc5321/path.ts";
import { parseAddressList } from "../rfc5322/addresses.ts";
import { plainText, writtenText } from "../rfc5322/tokens.ts";
import type { Answer, Maps } from "../table/maps.ts";
import { TableError } from "../table/table.ts";
import { withExtension } from "./address-map.ts";
import { chain } from "./answer.ts";
import { type AddressSearch, extensionOf } from "./find-address.ts";
import type { IncludedText } from "./include.ts";
import type { Rewriter } from "./rewrite.ts";

/** What an alias of aliases(5) stands for, `:include:` files read. */
export interface AliasEntry {
  /** The name under which it was found, without the extension that was left off. */
  readonly name: string;
  /** In canonical form, in the order written. */
  readonly addresses: readonly string[];
  /** The first destination that cannot be served: a command, a file, an `:include:` that is refused. */
  readonly refused: Refusal | undefined;
  /** The sender that mail to it gets: owner-name, where there is such an alias. */
  readonly owner: string | undefined;
}

export interface Refusal {
  /** Enhanced status code (RFC 3463). */
  readonly dsn: string;
  readonly text: string;
}

export interface AliasesOptions extends Pick<AddressSearch, "delimiter" | "ownerRequestSpecial"> {
  readonly maps: Maps;
  readonly rewriter: Rewriter;
  readonly include: (path: string) => Answer<IncludedText>;
  readonly expandOwner: boolean;
  /** propagate_unmatched_extensions: the extension that was left off goes to addresses in aliases, and in `:include:` files. */
  readonly propagate: { readonly alias: boolean; readonly include: boolean };
}

/** Addresses in one alias, those of its `:include:` files counted in. */
const addressLimit = 50_000;

/** `:include:` files in one alias. */
const includeLimit = 100;

/**
 * The local aliases (aliases(5)): names of local users, in any case, with or
 * without their address extension. Look-ups throw, or reject with, a
 * TableError where a table or an `:include:` file cannot be read.
 */
export class Aliases {
  readonly #options: AliasesOptions;

  constructor(options: AliasesOptions) {
    this.#options = options;
  }

  get empty(): boolean {
    return this.#options.maps.empty;
  }

  /** Is there an alias for this local part? Its destinations are not looked at. */
  has(local: string): Answer<boolean> {
    return chain(this.#value(local), (found) => found !== undefined);
  }

  /** What a local part stands for; undefined where it has no alias. */
  find(local: string): Answer<AliasEntry | undefined> {
    return chain(this.#value(local), (found) => (found ? this.#entry(found) : undefined));
  }

  #value(local: string): Answer<FoundValue | undefined> {
    const { maps } = this.#options;
    if (maps.empty) return undefined;
    const name = unquoteLocal(local).toLowerCase();
    return chain(maps.find(name), (value) => {
      if (value !== undefined) return { name, value, extension: "" };
      const extension = extensionOf(name, this.#options);
      if (extension === "") return undefined;
      const bare = name.slice(0, -extension.length);
      return chain(maps.find(bare, true), (hit) => (hit === undefined ? hit : { name: bare, value: hit, extension }));
    });
  }

  async #entry({ name, value, extension }: FoundValue): Promise<AliasEntry> {
    const reading = new Reading(name, extension, this.#options);
    await reading.alias(value);
    const owner = await this.#owner(name);
    return { name, addresses: reading.addresses, refused: reading.refused, owner };
  }

  async #owner(name: string): Promise<string | undefined> {
    const { maps, rewriter, ownerRequestSpecial, expandOwner } = this.#options;
    if (!ownerRequestSpecial) return undefined;
    const found = await maps.find(`owner-${name}`);
    if (found === undefined) return undefined;
    const [first] = expandOwner ? parseAddressList(found) : [];
    return rewriter.rewrite(first?.text ?? `owner-${name}`);
  }
}

interface FoundValue {
  readonly name: string;
  readonly value: string;
  readonly extension: string;
}

/** One alias while its destinations are gathered. */
class Reading {
  readonly addresses: string[] = [];
  refused: Refusal | undefined;
  readonly #name: string;
  readonly #extension: string;
  readonly #options: AliasesOptions;
  readonly #includes = new Set<string>();

  constructor(name: string, extension: string, options: AliasesOptions) {
    this.#name = name;
    this.#extension = extension;
    this.#options = options;
  }

  alias(value: string): Promise<void> {
    return this.#destinations(value, this.#options.propagate.alias);
  }

  async #destinations(list: string, propagate: boolean): Promise<void> {
    for (const { tokens } of parseAddressList(list, addressLimit)) {
      const plain = plainText(tokens);
      if (plain.startsWith("|")) this.#refuse("5.7.1", "delivers to a command, and commands are not run here");
      else if (/^[/~]/.test(plain)) this.#refuse("5.7.1", "delivers to a file, and files are not written here");
      else if (/^:include:/i.test(plain)) await this.#include(plain.slice(":include:".length));
      else this.#address(this.#options.rewriter.rewrite(writtenText(tokens)), propagate);
    }
  }

  #address(address: string, propagate: boolean): void {
    if (this.addresses.length >= addressLimit) {
      throw new TableError("config", `alias ${this.#name} stands for more than ${addressLimit} addresses`);
    }
    this.addresses.push(propagate && this.#extension ? withExtension(address, this.#extension) : address);
  }

  async #include(path: string): Promise<void> {
    if (!path.startsWith("/")) return this.#refuse("5.3.5", "includes a file by a path that does not begin with /");
    if (this.#includes.has(path)) return;
    this.#includes.add(path);
    if (this.#includes.size > includeLimit) return this.#refuse("5.4.6", `includes more than ${includeLimit} files`);
    const included = await this.#options.include(path);
    if (included.kind === "refused") return this.#refuse("5.3.5", `includes a file that ${included.why}`);
    for (const line of included.text.split("\n")) {
      if (!line.startsWith("#")) await this.#destinations(line, this.#options.propagate.include);
    }
  }

  #refuse(dsn: string, why: string): void {
    this.refused ??= { dsn, text: `alias "${this.#name}" ${why}` };
  }
}
