/**
 * What is made of a service's configuration once, at start: restrictions and
 * lists of clients. Problems come back as texts that name file and line; with
 * any of them the service must not start.
 */
import type { Settings } from "../conf/settings.ts";
import { coversWorld, NetworkList, type NetworkSources } from "./networks.ts";
import type { SmtpdConf } from "./params.ts";
import { compileRestrictions, type Restriction, unprotected, type Where } from "./restrictions.ts";

export interface SmtpdRules {
  readonly relayRestrictions: readonly Restriction[];
  readonly recipientRestrictions: readonly Restriction[];
  readonly mynetworks: NetworkList;
  /** smtpd_client_event_limit_exceptions */
  readonly unlimited: NetworkList;
  /** smtpd_forbid_bare_newline_exclusions */
  readonly mayBareLf: NetworkList;
}

export type RulesResult =
  | { readonly rules: SmtpdRules; readonly problems: readonly [] }
  | { readonly rules: undefined; readonly problems: readonly string[] };

type Places = Pick<Settings, "at">;

export function compileRules(conf: SmtpdConf, sources: NetworkSources, places: Places): RulesResult {
  const problems: string[] = [];
  const where = (parameter: string): Where => ({ parameter, ...places.at(parameter) });
  const restrictions = (parameter: "smtpd_relay_restrictions" | "smtpd_recipient_restrictions") => {
    const compiled = compileRestrictions(conf[parameter], where(parameter));
    problems.push(...compiled.problems);
    return compiled.restrictions;
  };
  const networks = (parameter: NetworkParameter): NetworkList | undefined => {
    try {
      return new NetworkList(conf[parameter], sources);
    } catch (error) {
      problems.push(`${shownPlace(where(parameter))}: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  };
  const relayRestrictions = restrictions("smtpd_relay_restrictions");
  const recipientRestrictions = restrictions("smtpd_recipient_restrictions");
  const mynetworks = networks("mynetworks");
  const unlimited = networks("smtpd_client_event_limit_exceptions");
  const mayBareLf = networks("smtpd_forbid_bare_newline_exclusions");
  if (relayRestrictions && recipientRestrictions) {
    const problem = unprotected(relayRestrictions, recipientRestrictions);
    if (problem) problems.push(problem);
  }
  const world = mynetworks && coversWorld(mynetworks);
  if (world && !conf.permit_open_relay) {
    problems.push(
      `${shownPlace(where("mynetworks"))}: covers every ${world} address, so that anybody could send mail through this host; ` +
        "name your own networks, or set permit_open_relay = yes if this host cannot be reached from elsewhere",
    );
  }
  if (problems.length > 0 || !relayRestrictions || !recipientRestrictions || !mynetworks || !unlimited || !mayBareLf) {
    return { rules: undefined, problems };
  }
  return { rules: { relayRestrictions, recipientRestrictions, mynetworks, unlimited, mayBareLf }, problems: [] };
}

type NetworkParameter = "mynetworks" | "smtpd_client_event_limit_exceptions" | "smtpd_forbid_bare_newline_exclusions";

function shownPlace({ parameter, file, line }: Where): string {
  return file === undefined ? parameter : `${file}, line ${line}: ${parameter}`;
}
