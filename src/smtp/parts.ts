import type { Values } from "../conf/param.ts";
import type { globalParams } from "../conf/params.ts";
import type { contentParams } from "../content/params.ts";
import type { dnsParams } from "../dns/params.ts";
import type { Log } from "../log/log.ts";
import type { AddressMap } from "../routing/address-map.ts";
import type { Runtime } from "../runtime/runtime.ts";
import type { MechanismFilter } from "../sasl/filter.ts";
import type { Maps } from "../table/maps.ts";
import type { tlsParams } from "../tls/params.ts";
import type { TlsPolicies } from "../tls/policy.ts";
import type { OutgoingRules } from "./content-filter.ts";
import type { smtpParams } from "./params.ts";

export type SmtpConf = Values<
  typeof smtpParams &
    typeof tlsParams &
    typeof dnsParams &
    typeof contentParams &
    Pick<
      typeof globalParams,
      | "myhostname"
      | "inet_protocols"
      | "relayhost"
      | "soft_bounce"
      | "recipient_delimiter"
      | "delay_logging_resolution_limit"
      | "header_size_limit"
      | "line_length_limit"
    >
>;

/** What one SMTP client is made of: one for each transport of master.cf, each with its own configuration. */
export interface SmtpParts {
  /** LMTP (RFC 2033) greets with LHLO, answers for each recipient at the end, and goes to Unix sockets, too. */
  readonly protocol: "smtp" | "lmtp";
  /** For LMTP with the lmtp_… values in place of smtp_…; see lmtpValues(). */
  readonly conf: SmtpConf;
  readonly runtime: Pick<Runtime, "clock" | "net" | "names" | "random" | "crypto">;
  /** Under the program name that log readers expect, that of the protocol. */
  readonly log: Log;
  /** smtp_sasl_password_maps */
  readonly passwords: Maps;
  /** smtp_discard_ehlo_keyword_address_maps */
  readonly discardMaps: Maps;
  /** smtp_generic_maps, where messages are sent. */
  readonly generic?: AddressMap;
  /** smtp_sasl_mechanism_filter, compiled */
  readonly filter: MechanismFilter;
  /** smtp_header_checks and its like; undefined where there are none. */
  readonly checks?: OutgoingRules | undefined;
  /** smtp_tls_policy_maps and main.cf */
  readonly policies: TlsPolicies;
  /** PEM texts, as loadAuthorities() gives them */
  readonly authorities: readonly string[];
  /** Addresses at which we, and proxies before us, take mail: mail for a host there would loop. */
  readonly self: readonly string[];
  /** queue_directory: relative paths of Unix sockets begin there. */
  readonly queueDirectory: string;
  /** minimal_backoff_time: mail younger than this waits rather than going out without the TLS that failed. */
  readonly minimalBackoff_s: number;
}
