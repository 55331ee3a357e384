/**
 * What a server's reply to EHLO offers (RFC 5321 section 4.1.1.1). Pure.
 *
 * Keywords come in any case; `AUTH=` of an old draft counts as AUTH, and
 * several AUTH lines add up. What smtp_discard_ehlo_keywords names is overlooked.
 */

import { offeredMechanisms } from "../sasl/offered.ts";

export interface Features {
  /** The name by which the server calls itself, the first word of its reply. */
  readonly name: string;
  readonly pipelining: boolean;
  /** SIZE is offered; `sizeLimit` is 0 where the server names none. */
  readonly size: boolean;
  readonly sizeLimit: number;
  readonly eightBitMime: boolean;
  readonly dsn: boolean;
  readonly smtpUtf8: boolean;
  readonly startTls: boolean;
  /** SASL mechanisms, upper case; undefined where there was no AUTH at all, which is not an empty list. */
  readonly mechanisms: readonly string[] | undefined;
  /** Complaints for the log: a SIZE that is no number. */
  readonly warnings: readonly string[];
}

/** What a server offers that knows HELO only. */
export function noFeatures(name: string): Features {
  return {
    name,
    pipelining: false,
    size: false,
    sizeLimit: 0,
    eightBitMime: false,
    dsn: false,
    smtpUtf8: false,
    startTls: false,
    mechanisms: undefined,
    warnings: [],
  };
}

/** `lines`: the reply's lines without their codes. `discard`: keywords to overlook, in lower case. */
export function readFeatures(lines: readonly string[], discard: ReadonlySet<string>): Features {
  const [first = "", ...rest] = lines;
  const found = { ...noFeatures(firstWord(first)), warnings: [] as string[] };
  if (!discard.has("auth")) found.mechanisms = offeredMechanisms(rest);
  for (const line of rest) {
    const [, keyword = "", argument = ""] = /^\s*([^\s=]+)(?:[\s=]+(.*))?$/s.exec(line) ?? [];
    const word = keyword.toLowerCase();
    if (word !== "" && !discard.has(word)) take(found, word, argument.trim());
  }
  // A server with SMTPUTF8 must offer 8BITMIME too; where it forgets to, delivering counts for more than correcting it.
  if (found.smtpUtf8) found.eightBitMime = true;
  return found;
}

type Growing = { -readonly [Name in keyof Features]: Features[Name] } & { warnings: string[] };

function take(found: Growing, word: string, argument: string): void {
  switch (word) {
    case "pipelining":
      found.pipelining = true;
      break;
    case "size":
      takeSize(found, argument);
      break;
    case "8bitmime":
      found.eightBitMime = true;
      break;
    case "dsn":
      found.dsn = true;
      break;
    case "smtputf8":
      found.smtpUtf8 = true;
      break;
    case "starttls":
      found.startTls = true;
      break;
  }
}

/** Whoever says nonsense says it often. */
const mostWarnings = 3;

function takeSize(found: Growing, argument: string): void {
  const [limit = ""] = argument.split(/\s/, 1);
  found.size = true;
  if (limit === "") return;
  if (/^\d{1,15}$/.test(limit)) found.sizeLimit = Number(limit);
  else if (found.warnings.length < mostWarnings) found.warnings.push(`bad EHLO SIZE limit "${limit.slice(0, 100)}"`);
}

/** The first word of a reply's text, "" where there is none. */
export function firstWord(text: string): string {
  return /^[\s-]*(\S+)/.exec(text)?.[1] ?? "";
}
