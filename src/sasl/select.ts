import type { MechanismFilter } from "./filter.ts";
import type { ClientMechanism, SaslProperty } from "./mechanism.ts";
import { clientMechanisms } from "./mechanisms.ts";

/** Why an offered mechanism was not taken. */
export interface Rejected {
  readonly name: string;
  readonly because: "filtered" | "unknown here" | "weaker than the one taken" | "lacks properties";
  /** The security options it does not satisfy, for "lacks properties". */
  readonly lacking: readonly SaslProperty[];
}

/**
 * none, "nothing offered": the list was empty, or nothing of it passed the filter
 * none, "nothing usable":  there was something, but nothing known here that has what the security options demand
 * Postfix words the two differently; see noMechanismText().
 */
export type Selected =
  | { readonly kind: "mechanism"; readonly mechanism: ClientMechanism; readonly rejected: readonly Rejected[] }
  | {
      readonly kind: "none";
      readonly why: "nothing offered" | "nothing usable";
      readonly rejected: readonly Rejected[];
    };

export interface Selection {
  /** As offeredMechanisms() gives them: upper case, each once. */
  readonly offered: readonly string[];
  /** The security options in force for this session. */
  readonly required: ReadonlySet<SaslProperty>;
  readonly filter: MechanismFilter;
  /** All that is known here, unless given. */
  readonly known?: readonly ClientMechanism[];
}

/** The strongest mechanism that is offered, passes the filter and has every property required. Throws TableError where the filter's table cannot tell. */
export function selectMechanism(selection: Selection): Selected | Promise<Selected> {
  const permitted = selection.filter.permitted(selection.offered);
  if (permitted instanceof Promise) return permitted.then((names) => choose(selection, new Set(names)));
  return choose(selection, new Set(permitted));
}

function choose({ offered, required, known = clientMechanisms }: Selection, permitted: ReadonlySet<string>): Selected {
  const lacking = ({ properties }: ClientMechanism) => [...required].filter((property) => !properties.has(property));
  const taken = known.find((each) => permitted.has(each.name) && lacking(each).length === 0);
  const rejected: Rejected[] = [];
  for (const name of offered) {
    const mechanism = known.find((each) => each.name === name);
    if (mechanism && mechanism === taken) continue;
    const missing = mechanism ? lacking(mechanism) : [];
    if (!permitted.has(name)) rejected.push({ name, because: "filtered", lacking: [] });
    else if (!mechanism) rejected.push({ name, because: "unknown here", lacking: [] });
    else if (missing.length > 0) rejected.push({ name, because: "lacks properties", lacking: missing });
    else rejected.push({ name, because: "weaker than the one taken", lacking: [] });
  }
  if (taken) return { kind: "mechanism", mechanism: taken, rejected };
  return { kind: "none", why: permitted.size === 0 ? "nothing offered" : "nothing usable", rejected };
}

/** Postfix's text for a selection that gave none; `server` is "NAME[IP]". The enhanced status code is 4.7.0 for both. */
export function noMechanismText(why: "nothing offered" | "nothing usable", server: string): string {
  return why === "nothing offered"
    ? `SASL authentication failed: server ${server} offered no compatible authentication mechanisms for this type of connection security`
    : `SASL authentication failed; cannot authenticate to server ${server}: no mechanism available`;
}

/** The warning that goes before it when the list is empty, or nothing of it passes the filter; `server` is "NAME[IP]:PORT". */
export function nothingOfferedWarning(offered: readonly string[], server: string): string {
  if (offered.length === 0) return `${server} offered null AUTH mechanism list`;
  return `${server} offered no supported AUTH mechanisms: '${offered.join(" ").replace(/[^\x21-\x7e ]/g, "?")}'`;
}
