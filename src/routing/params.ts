import { bool, int, list, tables, text, words } from "../conf/param.ts";

const roles = ["envelope_sender", "envelope_recipient", "header_sender", "header_recipient"] as const;

/** What decides where an address belongs and where its mail goes. */
export const routingParams = {
  transport_maps: tables({
    default: "",
    since: "0.1",
    doc: "Tables that say, for a recipient's address or domain, which transport and next hop its mail takes: transport:nexthop, where either may be left out. Looked up as user+extension@domain, user@domain, domain, .parent and so on (parent, with parent_domain_matches_subdomains), and * at last.",
  }),
  sender_dependent_relayhost_maps: tables({
    default: "",
    since: "0.1",
    doc: "Tables that give a relayhost for a sender, looked up as the whole address and as @domain. DUNNO ends the search without a result.",
  }),
  sender_dependent_default_transport_maps: tables({
    default: "",
    since: "0.1",
    doc: "Tables that give a transport for a sender, in place of default_transport; looked up like sender_dependent_relayhost_maps.",
  }),
  empty_address_relayhost_maps_lookup_key: text({
    default: "<>",
    since: "0.1",
    doc: "The key under which sender_dependent_relayhost_maps is asked for the null sender.",
  }),
  empty_address_default_transport_maps_lookup_key: text({
    default: "<>",
    since: "0.1",
    doc: "The key under which sender_dependent_default_transport_maps is asked for the null sender.",
  }),
  default_transport: text({
    default: "smtp",
    since: "0.1",
    doc: "The transport of mail for domains that are not listed anywhere: a name, or name:nexthop.",
  }),
  relay_transport: text({
    default: "relay",
    since: "0.1",
    doc: "The transport of mail for relay_domains: a name, or name:nexthop.",
  }),
  local_transport: text({
    default: "local:$myhostname",
    since: "0.1",
    doc: "The transport of mail for mydestination, once aliases have been followed. With local, what has no alias bounces, since there is no delivery into mailboxes; any other transport gets it.",
  }),
  mailbox_transport: text({
    default: "",
    since: "0.1",
    doc: "Where mail for mydestination goes that local_transport leaves to local, once aliases have been followed: a transport, or transport:nexthop, such as lmtp:unix:private/dovecot-lmtp. Empty: fallback_transport.",
  }),
  fallback_transport: text({
    default: "",
    since: "0.1",
    doc: "The same for users that are not known, which without mailboxes are all that have no alias. Empty: their mail bounces.",
  }),
  virtual_transport: text({
    default: "virtual",
    since: "0.1",
    doc: "The transport of mail for virtual_mailbox_domains: a name, or name:nexthop, such as lmtp:unix:private/dovecot-lmtp. With virtual itself that mail waits, since there is no delivery into mailboxes.",
  }),
  virtual_mailbox_domains: list({
    default: "$virtual_mailbox_maps",
    since: "0.1",
    doc: "Domains whose mailboxes another server has, which virtual_transport leads to: names, /files or type:tables.",
  }),
  virtual_mailbox_maps: tables({
    default: "",
    since: "0.1",
    doc: "Tables of the recipients in virtual_mailbox_domains that there are, looked up as user+extension@domain, user@domain and @domain; what they give does not matter. Others are refused at RCPT. Empty: all are taken.",
  }),
  relay_recipient_maps: tables({
    default: "",
    since: "0.1",
    doc: "The same for relay_domains.",
  }),
  local_recipient_maps: list({
    default: "proxy:unix:passwd.byname $alias_maps",
    since: "0.1",
    doc: "Empty: recipients of mydestination are not checked at RCPT. Otherwise those are known that have an alias, whatever the tables named here: there are no mailboxes.",
  }),
  relocated_maps: tables({
    default: "",
    since: "0.1",
    doc: "Tables of recipients that have moved, and where to; their mail is returned with that text. Looked up as user+extension@domain, user@domain, user (in local domains) and @domain.",
  }),
  allow_min_user: bool({
    default: "no",
    since: "0.1",
    doc: "Deliver to addresses that begin with a hyphen. They could be taken for an option by what handles them later.",
  }),
  virtual_alias_domains: list({
    default: "$virtual_alias_maps",
    since: "0.1",
    doc: "Domains all of whose addresses are aliases in virtual_alias_maps: names, /files or type:tables. Other addresses in them are unknown.",
  }),
  virtual_alias_maps: tables({
    default: "$virtual_maps",
    since: "0.1",
    doc: "Tables that replace recipient addresses, local or not, by one or several others. Looked up as user+extension@domain, user@domain, user (in local domains) and @domain; a result @otherdomain keeps the user.",
  }),
  alias_maps: tables({
    default: "hash:/etc/aliases, nis:mail.aliases",
    since: "0.1",
    doc: "Tables in the form of aliases(5) that replace names in mydestination by addresses or :include:/files of addresses. Commands and files as destinations are refused.",
  }),
  alias_database: tables({
    default: "hash:/etc/aliases",
    since: "0.1",
    doc: "The tables that newaliases builds.",
  }),
  canonical_maps: tables({
    default: "",
    since: "0.1",
    doc: "Tables that replace addresses in envelopes and headers, each by one other, as canonical(5) tells. Looked up as user+extension@domain, user@domain, user (in local domains) and @domain; a result @otherdomain keeps the user.",
  }),
  canonical_classes: words({
    of: roles,
    default: "envelope_sender, envelope_recipient, header_sender, header_recipient",
    since: "0.1",
    doc: "Which addresses canonical_maps replaces. Headers only of clients whose headers are rewritten at all: see local_header_rewrite_clients and remote_header_rewrite_domain.",
  }),
  sender_canonical_maps: tables({
    default: "",
    since: "0.1",
    doc: "Tables like canonical_maps, asked before them, for senders only: in envelopes and in From:, Sender:, Reply-To: and their like.",
  }),
  sender_canonical_classes: words({
    of: ["envelope_sender", "header_sender"],
    default: "envelope_sender, header_sender",
    since: "0.1",
    doc: "Which addresses sender_canonical_maps replaces.",
  }),
  recipient_canonical_maps: tables({
    default: "",
    since: "0.1",
    doc: "Tables like canonical_maps, asked before them, for recipients only: in envelopes and in To:, Cc: and their like.",
  }),
  recipient_canonical_classes: words({
    of: ["envelope_recipient", "header_recipient"],
    default: "envelope_recipient, header_recipient",
    since: "0.1",
    doc: "Which addresses recipient_canonical_maps replaces.",
  }),
  masquerade_domains: list({
    default: "",
    since: "0.1",
    doc: "Domains that hide their hosts: with example.com here, user@host.example.com becomes user@example.com. The first that fits decides; !example.com leaves the hosts in it alone.",
  }),
  masquerade_classes: words({
    of: roles,
    default: "envelope_sender, header_sender, header_recipient",
    since: "0.1",
    doc: "Which addresses masquerade_domains changes.",
  }),
  masquerade_exceptions: list({
    default: "",
    since: "0.1",
    doc: "Local parts that masquerade_domains leaves alone, in any domain: names, /files or type:tables; ! in front says no.",
  }),
  remote_header_rewrite_domain: text({
    default: "",
    since: "0.1",
    doc: "With a domain here, headers of all clients are rewritten; incomplete addresses in those of clients outside local_header_rewrite_clients get this domain. Empty: those headers are left as they are.",
  }),
  always_bcc: text({
    default: "",
    since: "0.1",
    doc: "An address that gets a copy of every message that comes in from clients and from sendmail.",
  }),
  sender_bcc_maps: tables({
    default: "",
    since: "0.1",
    doc: "Tables that say, for a sender, who gets a copy of its mail: one address. Looked up as user+extension@domain, user@domain, user (in local domains) and @domain.",
  }),
  recipient_bcc_maps: tables({
    default: "",
    since: "0.1",
    doc: "Tables that say, for a recipient, who gets a copy of its mail; like sender_bcc_maps.",
  }),
  append_at_myorigin: bool({
    default: "yes",
    since: "0.1",
    doc: "Complete an address without a domain, such as root, with @$myorigin.",
  }),
  append_dot_mydomain: bool({
    default: "${{$compatibility_level} <level {1} ? {yes} : {no}}",
    since: "0.1",
    doc: "Complete a domain without a dot, as in user@host, with .$mydomain.",
  }),
  swap_bangpath: bool({
    default: "yes",
    since: "0.1",
    doc: "Read site!user as user@site where the address has no domain.",
  }),
  allow_percent_hack: bool({
    default: "yes",
    since: "0.1",
    doc: "Read user%domain as user@domain where the address has no domain, or only a local one.",
  }),
  resolve_dequoted_address: bool({
    default: "yes",
    since: "0.1",
    doc: "Look for @, % and ! inside a quoted local part, too, when deciding where an address belongs.",
  }),
  resolve_null_domain: bool({
    default: "no",
    since: "0.1",
    doc: "Take an address that ends in @ without a domain for a local one.",
  }),
  resolve_numeric_domain: bool({
    default: "no",
    since: "0.1",
    doc: "Take user@192.0.2.1 for user@[192.0.2.1]. With no, it is no address.",
  }),
  parent_domain_matches_subdomains: list({
    default:
      "debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps",
    since: "0.1",
    doc: "The parameters in whose lists and tables example.com stands for its subdomains as well. In the others .example.com does.",
  }),
  empty_address_recipient: text({
    default: "MAILER-DAEMON",
    since: "0.1",
    doc: "Who gets mail for the empty recipient address.",
  }),
  propagate_unmatched_extensions: list({
    default: "canonical, virtual",
    since: "0.1",
    doc: "Of canonical, virtual, alias, include, generic: which results get the address extension that was left off to find them.",
  }),
  owner_request_special: bool({
    default: "yes",
    since: "0.1",
    doc: "Mail to a list gets the sender owner-list where there is such an alias; owner-list and list-request are never split at a recipient_delimiter of -.",
  }),
  expand_owner_alias: bool({
    default: "no",
    since: "0.1",
    doc: "Use what owner-list stands for as the sender, in place of owner-list itself.",
  }),
  show_user_unknown_table_name: bool({
    default: "yes",
    since: "0.1",
    doc: "Tell clients in which kind of table an unknown recipient was looked for.",
  }),
  virtual_alias_recursion_limit: int({
    default: "1000",
    min: 1,
    since: "0.1",
    doc: "How often an address may be replaced by virtual_alias_maps, one result after the other, before that is taken for a loop.",
  }),
  virtual_alias_expansion_limit: int({
    default: "1000",
    min: 1,
    since: "0.1",
    doc: "How many addresses one recipient may become by virtual_alias_maps.",
  }),
  virtual_alias_address_length_limit: int({
    default: "1000",
    min: 1,
    since: "0.1",
    doc: "The longest address that virtual_alias_maps may give.",
  }),
} as const;
