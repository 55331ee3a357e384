import type { NextHop } from "../queue/delivery.ts";

/**
 * What an address is to this relay.
 *   local    its domain is in mydestination (or an address literal of ours)
 *   virtual  its domain is in virtual_alias_domains
 *   relay    its domain is in relay_domains
 *   other    everything else: only those who may relay can send there
 */
export type AddressClass = "local" | "virtual" | "relay" | "other";

export interface Route {
  readonly hop: NextHop;
  readonly class: AddressClass;
}
