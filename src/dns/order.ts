import type { Values } from "../conf/param.ts";
import type { SrvRecord } from "../runtime/names.ts";
import { type Random, randomBelow } from "../runtime/random.ts";
import { recordLimit } from "./addresses.ts";
import type { dnsParams } from "./params.ts";

/** The order in which hosts are tried, and how many of them. */
type OrderConf = Pick<
  Values<typeof dnsParams>,
  "smtp_randomize_addresses" | "smtp_address_preference" | "smtp_mx_address_limit" | "smtp_balance_inet_protocols"
>;

interface Ranked {
  readonly address: string;
  readonly preference: number;
}

/** By preference; among equals shuffled, then by address family as smtp_address_preference asks; cut off at the limit. */
export function ordered<Host extends Ranked>(
  hosts: readonly Host[],
  { conf, random }: { readonly conf: OrderConf; readonly random: Random },
): readonly Host[] {
  const list = conf.smtp_randomize_addresses ? shuffled(hosts, random) : [...hosts];
  const preferred = conf.smtp_address_preference;
  const rank = ({ address }: Ranked): number => {
    if (preferred === "any") return 0;
    return isIpv6(address) === (preferred === "ipv6") ? 0 : 1;
  };
  list.sort((a, b) => a.preference - b.preference || rank(a) - rank(b));
  return limited(list, conf);
}

/** As many as smtp_mx_address_limit allows, in the order given. */
export function limited<Host extends Ranked>(list: readonly Host[], conf: OrderConf): readonly Host[] {
  const limit = conf.smtp_mx_address_limit || recordLimit;
  return conf.smtp_balance_inet_protocols ? balanced(list, limit) : list.slice(0, limit);
}

/**
 * SRV records by priority; among equals each comes first as often as its weight says (RFC 2782): a record
 * is drawn by its share of the weights left, those without weight last of all.
 */
export function byWeight(records: readonly SrvRecord[], random: Random): SrvRecord[] {
  const left = shuffled(records, random).sort((a, b) => a.priority - b.priority);
  const found: SrvRecord[] = [];
  while (left.length > 0) {
    const same = left.filter(({ priority }) => priority === left[0]?.priority);
    const total = same.reduce((sum, { weight }) => sum + weight, 0);
    let drawn = total > 0 ? randomBelow(random, total) : 0;
    const next = same.find(({ weight }) => {
      drawn -= weight;
      return drawn < 0;
    });
    found.push(...left.splice(left.indexOf(next ?? (same[0] as SrvRecord)), 1));
  }
  return found;
}

/** The first `limit`, with neither address family crowding the other out: each keeps half, or as many as it has. */
function balanced<Host extends Ranked>(list: readonly Host[], limit: number): readonly Host[] {
  if (list.length <= limit) return list;
  const six = list.filter(({ address }) => isIpv6(address)).length;
  const four = list.length - six;
  const half = Math.floor(limit / 2);
  const firstIsFour = list[0] !== undefined && !isIpv6(list[0].address);
  const evenFour = firstIsFour ? limit - half : half;
  let fourLeft = six <= half ? limit - six : four <= half ? four : evenFour;
  let sixLeft = limit - fourLeft;
  return list.filter(({ address }) => (isIpv6(address) ? sixLeft-- > 0 : fourLeft-- > 0));
}

const isIpv6 = (address: string): boolean => address.includes(":");

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const result = [...list];
  for (let last = result.length - 1; last > 0; last--) {
    const other = randomBelow(random, last + 1);
    const moved = result[last] as T;
    result[last] = result[other] as T;
    result[other] = moved;
  }
  return result;
}
