import { int, text, words } from "../conf/param.ts";

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
  receive_override_options: words({
    of: ["no_unknown_recipient_checks", "no_address_mappings", "no_header_body_checks", "no_milters"],
    default: "",
    since: "0.1",
    doc: "What is left out for mail that comes in, usually with -o at one smtpd of master.cf, behind a content filter: no_unknown_recipient_checks, no_address_mappings (virtual_alias_maps), no_header_body_checks (header_checks and their like). no_milters means nothing here: there are none.",
  }),
  cleanup_service_name: text({
    default: "cleanup",
    since: "0.1",
    doc: "The cleanup service of master.cf that mail passes through, with its -o; for an smtpd or pickup whose mail is to be checked or rewritten in another way.",
  }),
  content_filter: text({
    default: "",
    since: "0.1",
    doc: 'Where all mail that comes in goes first, "transport:nexthop", such as smtp:[127.0.0.1]:10025; usually overridden with -o content_filter= at the smtpd to which the filter gives it back.',
  }),
  default_filter_nexthop: text({
    default: "",
    since: "0.1",
    doc: "The next hop of a content_filter, or of FILTER in header_checks, that names a transport only. Empty: the recipient's domain.",
  }),
} as const;
