import type { Envelope } from "../queue/message.ts";

/**
 * The order in which a message's pending recipients are routed and go out:
 * by domain, then by address, so that those of one domain share a delivery.
 */
export function nextHopOrder(envelope: Envelope): number[] {
  const order: number[] = [];
  const { recipients } = envelope;
  for (let index = 0; index < recipients.length; index++) {
    if (recipients[index]?.status === "pending") order.push(index);
  }
  if (order.length < 2) return order;
  const domains = recipients.map(({ address }) => address.slice(address.lastIndexOf("@") + 1).toLowerCase());
  const compare = (a: string | undefined, b: string | undefined) => (a === b ? 0 : (a ?? "") < (b ?? "") ? -1 : 1);
  return order.sort(
    (a, b) => compare(domains[a], domains[b]) || compare(recipients[a]?.address, recipients[b]?.address),
  );
}
