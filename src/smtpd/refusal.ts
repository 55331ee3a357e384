/**
 * The reply that refuses a recipient: what the restrictions say, and then, to
 * those whom they let through, whether anybody could deliver to it.
 */
import { splitAddress, unquoteLocal } from "../rfc5321/path.ts";
import type { SmtpdConf } from "./params.ts";
import type { RecipientFacts } from "./ports.ts";
import { evaluate, type Restriction, type Verdict } from "./restrictions.ts";
import { replies } from "./words.ts";

export interface RefusalSetting {
  readonly conf: SmtpdConf;
  readonly relayRestrictions: readonly Restriction[];
  readonly recipientRestrictions: readonly Restriction[];
}

/** Undefined where the recipient is taken. `postmaster` without a domain always is (RFC 5321 section 4.5.1). */
export function recipientRefusal(
  address: string,
  facts: RecipientFacts,
  inMynetworks: boolean,
  { conf, relayRestrictions, recipientRestrictions }: RefusalSetting,
): string | undefined {
  if (address.toLowerCase() === "postmaster") return undefined;
  const routed = /[@%!]/.test(unquoteLocal(splitAddress(address).local));
  const circumstances = { inMynetworks, authenticated: false, class: facts.class, routed };
  const lists = [recipientRestrictions, relayRestrictions];
  if (conf.smtpd_relay_before_recipient_restrictions) lists.reverse();
  for (const list of lists) {
    const verdict = evaluate(list, circumstances);
    if (verdict !== "permit" && verdict !== "pass") return verdictReply(verdict, bareForm(address), conf);
  }
  if (!facts.refusal) return undefined;
  const { code, enhanced, text } = facts.refusal;
  return replies.recipientRejected(code, enhanced, bareForm(address), text);
}

function verdictReply(verdict: Exclude<Verdict, "permit" | "pass">, address: string, conf: SmtpdConf): string {
  const { relay_domains_reject_code, reject_code, defer_code } = conf;
  switch (verdict) {
    case "relayDenied":
      return replies.relayDenied(relay_domains_reject_code, detail(relay_domains_reject_code, "7.1"), address);
    case "relayDeferred": {
      const code = relay_domains_reject_code >= 500 ? relay_domains_reject_code - 100 : relay_domains_reject_code;
      return replies.relayDenied(code, "4.7.1", address);
    }
    case "reject":
      return replies.recipientRejected(reject_code, detail(reject_code, "7.1"), address, "Access denied");
    case "defer":
      return replies.recipientRejected(defer_code, detail(defer_code, "3.2"), address, "Try again later");
    default:
      return verdict satisfies never;
  }
}

function detail(code: number, rest: string): string {
  return `${Math.floor(code / 100)}.${rest}`;
}

/** An address without quotes, as replies show it. */
export function bareForm(address: string): string {
  if (!address.includes('"')) return address;
  const { local, domain } = splitAddress(address);
  return domain === "" ? unquoteLocal(local) : `${unquoteLocal(local)}@${domain}`;
}
