import { bool, int, list, tables, text, time, words } from "../conf/param.ts";
import { saslProperties } from "../sasl/mechanism.ts";

/**
 * What the SMTP client reads beside the global parameters, those of finding
 * hosts (src/dns/params.ts) and those of TLS (src/tls/params.ts).
 */
export const smtpParams = {
  smtp_connect_timeout: time({
    default: "30s",
    min: 0,
    since: "0.1",
    doc: "How long to wait for a TCP connection to be made; 0 leaves it to the system.",
  }),
  smtp_helo_timeout: time({
    default: "300s",
    min: 1,
    since: "0.1",
    doc: "How long the server's greeting may take, and then each reply to EHLO, HELO and AUTH. The limit is for the whole reply, not for each packet of it.",
  }),
  smtp_starttls_timeout: time({
    default: "300s",
    min: 1,
    since: "0.1",
    doc: "How long the reply to STARTTLS may take, and then the TLS handshake.",
  }),
  smtp_mail_timeout: time({
    default: "300s",
    min: 1,
    since: "0.1",
    doc: "How long the reply to MAIL FROM may take.",
  }),
  smtp_rcpt_timeout: time({
    default: "300s",
    min: 1,
    since: "0.1",
    doc: "How long each reply to RCPT TO may take.",
  }),
  smtp_data_init_timeout: time({
    default: "120s",
    min: 1,
    since: "0.1",
    doc: "How long the reply to DATA may take.",
  }),
  smtp_data_xfer_timeout: time({
    default: "180s",
    min: 1,
    since: "0.1",
    doc: "How long sending the message may take. What has been sent earns more time, at smtp_min_data_rate, up to this limit again.",
  }),
  smtp_data_done_timeout: time({
    default: "600s",
    min: 1,
    since: "0.1",
    doc: "How long the reply to the end of the message may take. Giving up too early makes messages arrive twice.",
  }),
  smtp_rset_timeout: time({
    default: "20s",
    min: 1,
    since: "0.1",
    doc: "How long the reply to RSET may take, which is sent after a transaction that failed and before the session is kept.",
  }),
  smtp_quit_timeout: time({
    default: "300s",
    min: 1,
    since: "0.1",
    doc: "How long the reply to QUIT may take, where it is waited for at all; see smtp_skip_quit_response.",
  }),
  smtp_min_data_rate: int({
    default: "500",
    min: 1,
    since: "0.1",
    doc: "The least number of bytes a second that a server has to take of a message, averaged over the transfer.",
  }),
  smtp_per_request_deadline: bool({
    default: "yes",
    since: "0.1",
    doc: "Time limits are for a whole command and its whole reply, so that a server cannot hold a session by sending a byte now and then. This is always so here; no has no effect.",
  }),
  smtp_helo_name: text({
    default: "$myhostname",
    since: "0.1",
    doc: "The name given with EHLO and HELO.",
  }),
  smtp_always_send_ehlo: bool({
    default: "yes",
    since: "0.1",
    doc: "Send EHLO whatever the server's greeting says. With no, EHLO is sent only to servers that greet with ESMTP.",
  }),
  smtp_never_send_ehlo: bool({
    default: "no",
    since: "0.1",
    doc: "Send HELO only. There is no TLS, no login and no 8-bit mail then.",
  }),
  smtp_discard_ehlo_keywords: list({
    default: "",
    since: "0.1",
    doc: "Keywords of EHLO replies that are overlooked, in any case: pipelining, starttls, auth, size, dsn, 8bitmime, smtputf8, … With silent-discard, this is not logged.",
  }),
  smtp_generic_maps: tables({
    default: "",
    since: "0.1",
    doc: "Tables that replace addresses in envelopes and headers of mail while it goes out, each by one other, as generic(5) tells: local addresses by ones that the world knows. Looked up once, like canonical_maps.",
  }),
  smtp_discard_ehlo_keyword_address_maps: tables({
    default: "",
    since: "0.1",
    doc: "Tables that give, for a server's address, the list that stands in place of smtp_discard_ehlo_keywords.",
  }),
  smtp_bind_address: text({
    default: "",
    since: "0.1",
    doc: "The IPv4 address from which connections are made.",
  }),
  smtp_bind_address6: text({
    default: "",
    since: "0.1",
    doc: "The IPv6 address from which connections are made, in square brackets or without.",
  }),
  smtp_skip_5xx_greeting: bool({
    default: "yes",
    since: "0.1",
    doc: "Treat a server that greets with 5xx as one that is temporarily out of service, and try the next. With no, mail is returned.",
  }),
  smtp_skip_quit_response: bool({
    default: "yes",
    since: "0.1",
    doc: "Do not wait for the reply to QUIT. With no, it is waited for in the background, for smtp_quit_timeout; no delivery depends on it.",
  }),
  smtp_line_length_limit: int({
    default: "998",
    min: 0,
    since: "0.1",
    doc: "The longest line of a message, in bytes without the line end. Longer ones are broken with CRLF and a space; 0 leaves them alone.",
  }),
  smtp_header_checks: tables({
    default: "",
    since: "0.1",
    doc: "Like header_checks, for mail on its way out, with the answers DUNNO, IGNORE, INFO, PREPEND, REPLACE, STRIP and WARN. What is in the queue stays as it is. A table that cannot tell defers the message.",
  }),
  smtp_mime_header_checks: tables({
    default: "",
    since: "0.1",
    doc: "The same for MIME headers and the headers of parts, as mime_header_checks.",
  }),
  smtp_nested_header_checks: tables({
    default: "",
    since: "0.1",
    doc: "The same for the headers of messages inside a message.",
  }),
  smtp_body_checks: tables({
    default: "",
    since: "0.1",
    doc: "The same for the lines of text, all of them.",
  }),
  smtp_quote_rfc821_envelope: bool({
    default: "yes",
    since: "0.1",
    doc: "Quote the local parts of envelope addresses where the standard wants it. With no, they go out as they are in the queue.",
  }),
  smtp_send_dummy_mail_auth: bool({
    default: "no",
    since: "0.1",
    doc: "Send AUTH=<> with MAIL FROM in sessions that have logged in.",
  }),
  disable_mime_output_conversion: bool({
    default: "no",
    since: "0.1",
    doc: "Send 8-bit mail as it is to servers that do not offer 8BITMIME, instead of converting it to quoted-printable.",
  }),
  fallback_relay: list({
    default: "",
    since: "0.1",
    doc: "The older name of smtp_fallback_relay.",
  }),
  smtp_fallback_relay: list({
    default: "$fallback_relay",
    since: "0.1",
    doc: "Next hops that are tried when the destination is not found or none of its hosts can be reached. Not used for a domain whose MX host we are.",
  }),
  best_mx_transport: text({
    default: "",
    since: "0.1",
    doc: "A transport, or transport:nexthop, for mail of a domain whose best MX host is this one, and that is listed nowhere in the configuration. Empty: such mail is returned, since it loops back to us.",
  }),
  lmtp_assume_final: bool({
    default: "no",
    since: "0.1",
    doc: "Take an LMTP server without DSN for the end of a message's way: where success is to be reported, it says delivered, not relayed.",
  }),
  smtp_mx_session_limit: int({
    default: "2",
    min: 0,
    since: "0.1",
    doc: "How many sessions of one delivery may get as far as MAIL FROM before the rest waits for the next attempt; 0 for no limit.",
  }),
  smtp_sasl_auth_enable: bool({
    default: "no",
    since: "0.1",
    doc: "Log in to servers that offer AUTH, where smtp_sasl_password_maps has an entry for them.",
  }),
  smtp_sasl_password_maps: tables({
    default: "",
    since: "0.1",
    doc: "Tables with one user:password for each server name, next hop (exactly as configured, brackets and port included) or, with smtp_sender_dependent_authentication, sender. A server without an entry is talked to without a login. The tables are read as root, before privileges are dropped.",
  }),
  smtp_sasl_password_result_delimiter: text({
    default: ":",
    since: "0.1",
    doc: "What separates the user name from the password in smtp_sasl_password_maps. The first one counts: a password may contain it.",
  }),
  smtp_sender_dependent_authentication: bool({
    default: "no",
    since: "0.1",
    doc: "Look the sender up in smtp_sasl_password_maps before the server. Sessions are then kept for one sender only.",
  }),
  smtp_sasl_mechanism_filter: list({
    default: "",
    since: "0.1",
    doc: "Which SASL mechanisms may be used: names in any case, !names, /files and type:tables. Empty permits all.",
  }),
  smtp_sasl_security_options: words({
    of: saslProperties,
    default: "noplaintext, noanonymous",
    since: "0.1",
    doc: "What a SASL mechanism must have to be used on a connection without TLS. Empty permits everything, plain-text passwords included.",
  }),
  smtp_sasl_tls_security_options: words({
    of: saslProperties,
    default: "$smtp_sasl_security_options",
    since: "0.1",
    doc: "What a SASL mechanism must have to be used on a connection with TLS.",
  }),
  smtp_sasl_tls_verified_security_options: words({
    of: saslProperties,
    default: "$smtp_sasl_tls_security_options",
    since: "0.1",
    doc: "What a SASL mechanism must have to be used on a connection with TLS whose certificate matched the server's name.",
  }),
  smtp_sasl_auth_soft_bounce: bool({
    default: "yes",
    since: "0.1",
    doc: "Defer mail when a login is refused with 5xx, instead of returning it: passwords expire, mail should not.",
  }),
  smtp_connection_cache_on_demand: bool({
    default: "yes",
    since: "0.1",
    doc: "Keep sessions open for a moment after a delivery and use them for the next one to the same destination under the same login.",
  }),
  smtp_connection_cache_destinations: list({
    default: "",
    since: "0.1",
    doc: "Destinations (domains, without brackets and port) whose sessions are kept even where smtp_connection_cache_on_demand = no.",
  }),
  smtp_connection_cache_time_limit: time({
    default: "2s",
    min: 0,
    since: "0.1",
    doc: "How long a session is kept without use.",
  }),
  smtp_connection_reuse_time_limit: time({
    default: "300s",
    min: 1,
    since: "0.1",
    doc: "How long a session is used, counted from when the connection was made.",
  }),
  smtp_connection_reuse_count_limit: int({
    default: "0",
    min: 0,
    since: "0.1",
    doc: "How often a session is used again; 0 for no limit.",
  }),
} as const;
