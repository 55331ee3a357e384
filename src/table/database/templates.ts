import { TableError } from "../table.ts";

/**
 * Templates of queries and results: `%s %u %d` of what is looked up (in a
 * query) or found (in a result), `%S %U %D %1` … `%9` of the key, `%%`.
 *
 * All templates of one table decide together which keys are asked at all, as in
 * Postfix: one that needs a domain leaves out keys without, one that needs `%3` domains of two labels.
 */
export class Templates {
  readonly #needs = { keyUser: false, keyDomain: false, valueUser: false, valueDomain: false, labels: 0 };

  /** Reads a template. TableError "config", with the table's name, where it is none. */
  add(text: string, kind: "query" | "result", table: string): Template {
    const parts: Part[] = [];
    let literal = "";
    for (let at = 0; at < text.length; at++) {
      if (text[at] !== "%") {
        literal += text[at];
        continue;
      }
      const letter = text[++at] ?? "";
      if (letter === "%") {
        literal += "%";
        continue;
      }
      if (!/^[sSuUdD1-9]$/.test(letter)) throw new TableError("config", `${table}: Invalid ${kind} template: ${text}`);
      this.#need(letter, kind);
      parts.push({ literal, letter });
      literal = "";
    }
    return { parts, rest: literal, varies: parts.length > 0 };
  }

  #need(letter: string, kind: "query" | "result"): void {
    const needs = this.#needs;
    const ofValue = kind === "result";
    if (letter === "u") needs[ofValue ? "valueUser" : "keyUser"] = true;
    else if (letter === "d") needs[ofValue ? "valueDomain" : "keyDomain"] = true;
    else if (letter === "U") needs.keyUser = true;
    else if (letter === "D") needs.keyDomain = true;
    else if (letter >= "1" && letter <= "9") {
      needs.keyDomain = true;
      needs.labels = Math.max(needs.labels, Number(letter));
    }
  }

  /** The query for a key; undefined where the key lacks what the table's templates need. */
  query(template: Template, key: string, quote: Quote = plain): string | undefined {
    const parts = this.#partsOfKey(key);
    if (key === "" || !parts) return undefined;
    return expand(template, { value: key, valueUser: parts.user, valueDomain: parts.domain, key: parts, quote });
  }

  /** What a found value becomes; undefined where it, or its key, lacks what the templates need. */
  result(template: Template, value: string, key: string): string | undefined {
    const needs = this.#needs;
    const ofKey = this.#partsOfKey(key);
    if (!ofKey) return undefined;
    const at = needs.valueUser || needs.valueDomain ? value.lastIndexOf("@") : -1;
    const valueDomain = at < 0 ? "" : value.slice(at + 1);
    if ((needs.valueDomain && valueDomain === "") || (needs.valueUser && at === 0)) return undefined;
    const valueUser = at < 0 ? value : value.slice(0, at);
    return expand(template, { value, valueUser, valueDomain, key: ofKey, quote: plain });
  }

  #partsOfKey(key: string): KeyParts | undefined {
    const needs = this.#needs;
    const at = needs.keyUser || needs.keyDomain ? key.lastIndexOf("@") : -1;
    const domain = at < 0 ? "" : key.slice(at + 1);
    if ((needs.keyDomain && domain === "") || (needs.keyUser && at === 0)) return undefined;
    const labels = needs.labels > 0 ? domain.split(".").filter((label) => label !== "") : [];
    if (labels.length < needs.labels) return undefined;
    return { key, user: at < 0 ? key : key.slice(0, at), domain, labels: labels.reverse() };
  }
}

interface Part {
  readonly literal: string;
  readonly letter: string;
}

/** A template, read by Templates.add(). */
export interface Template {
  readonly parts: readonly Part[];
  readonly rest: string;
  /** Something of the key, or of what was found, is in it. */
  readonly varies: boolean;
}

/** What is done with each piece that goes into a query, so that it stays what it is. */
export type Quote = (text: string) => string;

const plain: Quote = (text) => text;

interface KeyParts {
  readonly key: string;
  readonly user: string;
  readonly domain: string;
  /** From the top level down. */
  readonly labels: readonly string[];
}

interface Pieces {
  readonly value: string;
  readonly valueUser: string;
  readonly valueDomain: string;
  readonly key: KeyParts;
  readonly quote: Quote;
}

function expand({ parts, rest }: Template, pieces: Pieces): string {
  let text = "";
  for (const { literal, letter } of parts) text += literal + pieces.quote(piece(letter, pieces));
  return text + rest;
}

function piece(letter: string, { value, valueUser, valueDomain, key }: Pieces): string {
  switch (letter) {
    case "s":
      return value;
    case "u":
      return valueUser;
    case "d":
      return valueDomain;
    case "S":
      return key.key;
    case "U":
      return key.user;
    case "D":
      return key.domain;
    default:
      return key.labels[Number(letter) - 1] ?? "";
  }
}
