import type { NextHop } from "../queue/delivery.ts";

/**
 * What an address is to this relay.
 *   local    its domain is in mydestination (or an address literal of ours)
 *   virtual  its domain is in virtual_alias_domains
 *   mailbox  its domain is in virtual_mailbox_domains
 *   relay    its domain is in relay_domains
 *   other    everything else: only those who may relay can send there
 */
export type AddressClass = "local" | "virtual" | "mailbox" | "relay" | "other";

export interface Route {
  readonly hop: NextHop;
  readonly class: AddressClass;
}

/** Why a recipient need not be taken. */
export interface Refusal {
  /**
   * error, retry   the transport that its mail would go to, which delivers nothing
   * the others     the table in which an address of a domain of ours is not found
   */
  readonly kind: "error" | "retry" | "local recipient" | "virtual alias" | "virtual mailbox" | "relay recipient";
  /** Enhanced status code. */
  readonly dsn: string;
  readonly text: string;
}
