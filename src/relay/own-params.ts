import { int, list } from "../conf/param.ts";

/** What only the joining of the services reads. */
export const ownParams = {
  queue_minfree: int({
    default: "0",
    min: 0,
    since: "0.1",
    doc: "Mail is refused while fewer bytes than this are free where the queue is; never less than half again message_size_limit.",
  }),
  default_process_limit: int({
    default: "100",
    min: 1,
    since: "0.1",
    doc: "How many deliveries a transport of master.cf may have under way where its maxproc field says nothing.",
  }),
  local_recipient_maps: list({
    default: "proxy:unix:passwd.byname $alias_maps",
    since: "0.1",
    doc: "Empty: recipients of mydestination are not checked at RCPT. Otherwise those are known that have an alias, whatever the tables named here: there are no mailboxes.",
  }),
  unknown_local_recipient_reject_code: int({
    default: "550",
    min: 400,
    max: 599,
    since: "0.1",
    doc: "The reply code for a recipient of mydestination that is not known.",
  }),
} as const;
