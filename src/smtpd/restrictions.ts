/**
 * smtpd_relay_restrictions and smtpd_recipient_restrictions: who may send to whom.
 *
 * Compiled at start. A word that is not understood is a problem that stops the
 * start: a relay never runs more open than its configuration says.
 */
import { ParamError, splitList } from "../conf/param.ts";
import type { AddressClass } from "../routing/router.ts";

export const restrictionWords = [
  "permit_mynetworks",
  "permit_sasl_authenticated",
  "reject_unauth_destination",
  "defer_unauth_destination",
  "permit",
  "reject",
  "defer",
] as const;

export type Restriction = (typeof restrictionWords)[number];

/** Those that refuse: without one of them in force everybody may send everywhere. */
const protecting: readonly Restriction[] = ["reject_unauth_destination", "defer_unauth_destination", "reject", "defer"];

export interface Where {
  readonly parameter: string;
  readonly file?: string;
  readonly line?: number;
}

export type Compiled =
  | { readonly restrictions: readonly Restriction[]; readonly problems: readonly [] }
  | { readonly restrictions: undefined; readonly problems: readonly string[] };

/** The list as words, or every problem in it with file and line. */
export function compileRestrictions(text: string, where: Where): Compiled {
  const restrictions: Restriction[] = [];
  const problems: string[] = [];
  const place = where.file === undefined ? where.parameter : `${where.file}, line ${where.line}: ${where.parameter}`;
  for (const word of wordsOf(text)) {
    const known = restrictionWords.find((each) => each === word.toLowerCase());
    if (known) restrictions.push(known);
    else
      problems.push(`${place}: "${word}" is not supported; remove it, or use one of: ${restrictionWords.join(", ")}`);
  }
  return problems.length > 0 ? { restrictions: undefined, problems } : { restrictions, problems: [] };
}

/** A text whose braces do not match is one word, which is then not known. */
function wordsOf(text: string): string[] {
  try {
    return splitList(text);
  } catch (error) {
    if (error instanceof ParamError) return [text];
    throw error;
  }
}

/**
 * The text of Postfix's fatal error where nothing in either list refuses
 * anything; undefined where something does. A word behind permit, reject or
 * defer is never reached and counts for nothing.
 */
export function unprotected(relay: readonly Restriction[], recipient: readonly Restriction[]): string | undefined {
  if (protects(relay) || protects(recipient)) return undefined;
  return (
    "in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working instance of: " +
    "reject_unauth_destination, defer_unauth_destination, reject or defer"
  );
}

function protects(list: readonly Restriction[]): boolean {
  const stop = list.indexOf("permit");
  return (stop < 0 ? list : list.slice(0, stop)).some((word) => protecting.includes(word));
}

/** What the restrictions look at. */
export interface Circumstances {
  readonly inMynetworks: boolean;
  readonly authenticated: boolean;
  readonly class: AddressClass;
  /** The recipient has a source route, `%` or a second `@` that could lead on from here; then no domain of ours authorises it. */
  readonly routed: boolean;
}

export type Verdict = "permit" | "pass" | "relayDenied" | "relayDeferred" | "reject" | "defer";

/** What one list says: "permit" and "pass" both let the next list have its say. */
export function evaluate(list: readonly Restriction[], facts: Circumstances): Verdict {
  const authorised = facts.class !== "other" && !facts.routed;
  for (const word of list) {
    switch (word) {
      case "permit_mynetworks":
        if (facts.inMynetworks) return "permit";
        break;
      case "permit_sasl_authenticated":
        if (facts.authenticated) return "permit";
        break;
      case "reject_unauth_destination":
        if (!authorised) return "relayDenied";
        break;
      case "defer_unauth_destination":
        if (!authorised) return "relayDeferred";
        break;
      case "permit":
      case "reject":
      case "defer":
        return word;
      default:
        return word satisfies never;
    }
  }
  return "pass";
}
