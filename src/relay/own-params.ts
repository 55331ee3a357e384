import { int } from "../conf/param.ts";

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
  unknown_local_recipient_reject_code: int({
    default: "550",
    min: 400,
    max: 599,
    since: "0.1",
    doc: "The reply code for a recipient of mydestination that is not known.",
  }),
  unknown_virtual_alias_reject_code: int({
    default: "550",
    min: 400,
    max: 599,
    since: "0.1",
    doc: "The reply code for a recipient of virtual_alias_domains that has no alias.",
  }),
  unknown_virtual_mailbox_reject_code: int({
    default: "550",
    min: 400,
    max: 599,
    since: "0.1",
    doc: "The reply code for a recipient of virtual_mailbox_domains that virtual_mailbox_maps does not have.",
  }),
  unknown_relay_recipient_reject_code: int({
    default: "550",
    min: 400,
    max: 599,
    since: "0.1",
    doc: "The reply code for a recipient of relay_domains that relay_recipient_maps does not have.",
  }),
} as const;
