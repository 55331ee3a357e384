import type { NextHop } from "../queue/delivery.ts";
import { splitAddress } from "../rfc5321/path.ts";
import type { Route } from "./router.ts";

/**
 * Where a recipient goes whose message is for a content filter (content_filter, FILTER), "transport:nexthop":
 * there, whatever the address. Without a next hop it is default_filter_nexthop, or the recipient's own domain.
 */
export function filterRoute(
  filter: string,
  recipient: string,
  conf: { readonly default_filter_nexthop: string; readonly myhostname: string },
): Route {
  const colon = filter.indexOf(":");
  const transport = colon < 0 ? filter : filter.slice(0, colon);
  const written = colon < 0 ? "" : filter.slice(colon + 1);
  const nexthop = written || conf.default_filter_nexthop || splitAddress(recipient).domain || conf.myhostname;
  const hop: NextHop = { transport, nexthop };
  return { hop, class: "other" };
}
