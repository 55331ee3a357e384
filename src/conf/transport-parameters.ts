/**
 * Parameters that exist once for each delivery transport of master.cf, such as
 * relay_destination_concurrency_limit: the transport's name and one of these
 * endings. Without a value of their own they follow a common parameter.
 */
const endings: readonly (readonly [ending: string, common: string])[] = [
  ["_recipient_limit", "default_recipient_limit"],
  ["_extra_recipient_limit", "default_extra_recipient_limit"],
  ["_recipient_refill_limit", "default_recipient_refill_limit"],
  ["_recipient_refill_delay", "default_recipient_refill_delay"],
  ["_delivery_slot_cost", "default_delivery_slot_cost"],
  ["_delivery_slot_loan", "default_delivery_slot_loan"],
  ["_delivery_slot_discount", "default_delivery_slot_discount"],
  ["_minimum_delivery_slots", "default_minimum_delivery_slots"],
  ["_initial_destination_concurrency", "initial_destination_concurrency"],
  ["_destination_concurrency_limit", "default_destination_concurrency_limit"],
  ["_destination_recipient_limit", "default_destination_recipient_limit"],
  ["_destination_concurrency_positive_feedback", "default_destination_concurrency_positive_feedback"],
  ["_destination_concurrency_negative_feedback", "default_destination_concurrency_negative_feedback"],
  ["_destination_concurrency_failed_cohort_limit", "default_destination_concurrency_failed_cohort_limit"],
  ["_destination_rate_delay", "default_destination_rate_delay"],
  ["_transport_rate_delay", "default_transport_rate_delay"],
];

/** The same for services that run commands. */
const commandEndings: readonly (readonly [ending: string, common: string])[] = [["_time_limit", "command_time_limit"]];

/** The longest ending first, so that "_destination_recipient_limit" is not taken for "_recipient_limit". */
const longestFirst = [...endings, ...commandEndings].sort(([a], [b]) => b.length - a.length);

/** The default text of a name that looks like a transport's parameter, whether or not there is such a transport. */
export function transportDefault(name: string): string | undefined {
  for (const [ending, common] of longestFirst) {
    if (name.length > ending.length && name.endsWith(ending)) return `$${common}`;
  }
  return undefined;
}

const delivering = new Set(["local", "error", "virtual", "smtp", "lmtp", "pipe"]);

/** Names and default texts of the parameters that a service of master.cf brings with it. `command` is the last part of its path. */
export function transportParameters(
  service: string,
  command: string,
): readonly (readonly [name: string, text: string])[] {
  const own = delivering.has(command) ? endings : [];
  const timed = command === "pipe" || command === "spawn" ? commandEndings : [];
  return [...own, ...timed].map(([ending, common]) => [`${service}${ending}`, `$${common}`] as const);
}
