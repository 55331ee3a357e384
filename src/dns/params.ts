import { bool, choice, int, list, text, words } from "../conf/param.ts";

/** How the SMTP client finds the hosts of a next hop. */
export const dnsParams = {
  smtp_host_lookup: words({
    of: ["dns", "native"],
    default: "dns",
    since: "0.1",
    doc: "How host names are turned into addresses: dns asks the name servers, native asks the host's own resolver, which reads /etc/hosts too. With both, native is asked where dns knows nothing. MX records always come from dns.",
  }),
  smtp_dns_support_level: choice({
    of: ["", "disabled", "enabled"],
    default: "",
    since: "0.1",
    doc: "Whether the name servers are asked at all. With disabled there is no MX look-up, and host names are looked up as native. Empty means enabled, unless disable_dns_lookups says otherwise. Validation (dnssec) is not available yet.",
  }),
  disable_dns_lookups: bool({
    default: "no",
    since: "0.1",
    doc: "The older name for smtp_dns_support_level = disabled. Counts only while that is empty.",
  }),
  smtp_address_preference: choice({
    of: ["any", "ipv4", "ipv6"],
    default: "any",
    since: "0.1",
    doc: "Which addresses of equally preferred hosts come first. With any, the order is random.",
  }),
  smtp_randomize_addresses: bool({
    default: "yes",
    since: "0.1",
    doc: "Shuffle the addresses of equally preferred hosts, so that load spreads over them.",
  }),
  smtp_balance_inet_protocols: bool({
    default: "yes",
    since: "0.1",
    doc: "When smtp_mx_address_limit cuts the list of addresses off, keep both IPv4 and IPv6 addresses, so that one of the two being unreachable does not stop the mail.",
  }),
  smtp_mx_address_limit: int({
    default: "5",
    min: 0,
    since: "0.1",
    doc: "How many addresses of a next hop are tried in one delivery; 0 for no limit.",
  }),
  smtp_defer_if_no_mx_address_found: bool({
    default: "no",
    since: "0.1",
    doc: "Defer mail when a domain has MX records and none of their hosts has an address, instead of returning it.",
  }),
  ignore_mx_lookup_error: bool({
    default: "no",
    since: "0.1",
    doc: "When the look-up of MX records fails, use the domain's own address instead of deferring the mail.",
  }),
  use_srv_lookup: list({
    default: "",
    since: "0.1",
    doc: "Services, as a next hop writes them (submission in example.com:submission, or smtp where nothing is written), whose hosts and ports are looked up as SRV records, such as _submission._tcp.example.com. Not for [host].",
  }),
  allow_srv_lookup_fallback: bool({
    default: "no",
    since: "0.1",
    doc: "Where use_srv_lookup finds no host, go on as if it were not set: with MX records, or with LMTP the host itself.",
  }),
  ignore_srv_lookup_error: bool({
    default: "no",
    since: "0.1",
    doc: "The same where the look-up of SRV records fails, instead of deferring the mail.",
  }),
  smtp_tcp_port: text({
    default: "smtp",
    since: "0.1",
    doc: "The port, or service name, where a next hop names none.",
  }),
} as const;
