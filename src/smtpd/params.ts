import { bool, choice, int, list, text, time, type Values, words } from "../conf/param.ts";
import type { globalParams } from "../conf/params.ts";

/** What an EHLO reply can leave out (smtpd_discard_ehlo_keywords). */
export const ehloKeywords = [
  "8bitmime",
  "auth",
  "chunking",
  "dsn",
  "enhancedstatuscodes",
  "etrn",
  "pipelining",
  "silent-discard",
  "size",
  "smtputf8",
  "starttls",
  "verp",
  "vrfy",
  "xclient",
  "xforward",
] as const;

/** Every parameter that the SMTP server reads. */
export const smtpdParams = {
  smtpd_banner: text({
    default: "$myhostname ESMTP $mail_name",
    since: "0.1",
    doc: "The text behind 220 in the greeting. It should begin with $myhostname.",
  }),
  smtpd_helo_required: bool({
    default: "no",
    since: "0.1",
    doc: "Refuse MAIL from clients that have not said HELO or EHLO.",
  }),
  smtpd_delay_reject: bool({
    default: "yes",
    since: "0.1",
    doc: "Wait for RCPT before refusing a client for its name, HELO or sender. The restrictions that are evaluated look at recipients, so they are evaluated at RCPT either way.",
  }),
  disable_vrfy_command: bool({
    default: "no",
    since: "0.1",
    doc: "Refuse the VRFY command. It never tells whether an address exists; it only says whether mail for it would be taken.",
  }),
  smtpd_timeout: time({
    default: "${stress?{10}:{300}}s",
    min: 1,
    since: "0.1",
    doc: "How long a client may take for one whole command, and to read a reply. While it sends a message the time grows with what arrives, see smtpd_min_data_rate.",
  }),
  smtpd_stress_timeout: time({
    default: "10s",
    min: 1,
    since: "0.1",
    doc: "Takes the place of a longer smtpd_timeout while more than four fifths of smtpd_session_limit are in use, so that idle clients make room for those that work.",
  }),
  smtpd_min_data_rate: int({
    default: "500",
    min: 1,
    since: "0.1",
    doc: "The least rate, in bytes a second, at which a client has to send a message: so many bytes buy one more second, up to smtpd_timeout.",
  }),
  smtpd_session_limit: int({
    default: "5000",
    min: 1,
    since: "0.1",
    doc: "How many clients one service may have at the same time; those beyond get 421. An idle session costs little, so this is far above what Postfix's process limit allows.",
  }),
  smtpd_drain_time_limit: time({
    default: "300s",
    min: 0,
    since: "0.1",
    doc: "After a reload, how long sessions that began before it may go on with further messages. Then each ends with 421 as soon as it is between two transactions.",
  }),
  smtpd_error_sleep_time: time({
    default: "1s",
    min: 0,
    since: "0.1",
    doc: "How long each reply is held back once a client has made smtpd_soft_error_limit errors.",
  }),
  smtpd_soft_error_limit: int({
    default: "10",
    min: 1,
    since: "0.1",
    doc: "The number of errors without a delivered message after which a client is slowed down.",
  }),
  smtpd_hard_error_limit: int({
    default: "${stress?{1}:{20}}",
    min: 1,
    since: "0.1",
    doc: "The number of errors without a delivered message after which a client is sent away.",
  }),
  smtpd_junk_command_limit: int({
    default: "${stress?{1}:{100}}",
    min: 1,
    since: "0.1",
    doc: "How many NOOP, VRFY, RSET, HELO and EHLO a client may send between messages before each counts as an error.",
  }),
  smtpd_recipient_limit: int({
    default: "1000",
    min: 0,
    since: "0.1",
    doc: "How many recipients one message may have; 0 for no limit. Those beyond are refused for now, so that the client sends another message for them.",
  }),
  smtpd_recipient_overshoot_limit: int({
    default: "1000",
    min: 1,
    since: "0.1",
    doc: "How many recipients beyond smtpd_recipient_limit a client may name before each counts as an error.",
  }),
  smtpd_history_flush_threshold: int({
    default: "100",
    min: 1,
    since: "0.1",
    doc: "Read for compatibility: no transcript of the dialogue is kept.",
  }),
  smtpd_client_connection_count_limit: int({
    default: "50",
    min: 0,
    since: "0.1",
    doc: "How many sessions one client may have at the same time; 0 for no limit.",
  }),
  smtpd_client_connection_rate_limit: int({
    default: "0",
    min: 0,
    since: "0.1",
    doc: "How many connections one client may make in anvil_rate_time_unit; 0 for no limit.",
  }),
  smtpd_client_message_rate_limit: int({
    default: "0",
    min: 0,
    since: "0.1",
    doc: "How many messages one client may begin in anvil_rate_time_unit; 0 for no limit.",
  }),
  smtpd_client_recipient_rate_limit: int({
    default: "0",
    min: 0,
    since: "0.1",
    doc: "How many recipients one client may name in anvil_rate_time_unit; 0 for no limit.",
  }),
  smtpd_client_event_limit_exceptions: list({
    default: "${smtpd_client_connection_limit_exceptions:$mynetworks}",
    since: "0.1",
    doc: "Clients to which the smtpd_client_*_limit parameters do not apply, in the form of mynetworks.",
  }),
  smtpd_client_ipv4_prefix_length: int({
    default: "32",
    min: 0,
    max: 32,
    since: "0.1",
    doc: "IPv4 clients whose addresses agree in so many bits count as one.",
  }),
  smtpd_client_ipv6_prefix_length: int({
    default: "84",
    min: 0,
    max: 128,
    since: "0.1",
    doc: "IPv6 clients whose addresses agree in so many bits count as one.",
  }),
  anvil_rate_time_unit: time({
    default: "60s",
    min: 1,
    since: "0.1",
    doc: "The time over which the rates of clients are counted.",
  }),
  strict_rfc821_envelopes: bool({
    default: "no",
    since: "0.1",
    doc: "Take addresses in MAIL and RCPT only in angle brackets and without comments.",
  }),
  smtpd_noop_commands: list({
    default: "",
    since: "0.1",
    doc: "Commands that are answered with 250 and otherwise ignored.",
  }),
  smtpd_forbidden_commands: list({
    default: "CONNECT GET POST regexp:{{/^[^A-Z]/ Bogus}}",
    since: "0.1",
    doc: "Commands that no mail client sends; whoever does is sent away at once. Tables are passed over, save the one of the default: a first word that does not begin with a letter.",
  }),
  smtpd_forbid_unauth_pipelining: bool({
    default: "yes",
    since: "0.1",
    doc: "Send away clients that do not wait where SMTP demands it: before the greeting, and behind EHLO, DATA and others that end a group of commands.",
  }),
  smtpd_forbid_bare_newline: choice({
    of: ["normalize", "yes", "no", "note", "reject"],
    default: "normalize",
    since: "0.1",
    doc: "What becomes of a line that ends without CR. Whatever is chosen, it never ends a message and is never passed on: it is put right (normalize, yes, no), also noted in the log (note), or the message or command is refused (reject).",
  }),
  smtpd_forbid_bare_newline_exclusions: list({
    default: "$mynetworks",
    since: "0.1",
    doc: "Clients to which the reject of smtpd_forbid_bare_newline does not apply, in the form of mynetworks.",
  }),
  smtpd_forbid_bare_newline_reject_code: int({
    default: "550",
    min: 400,
    max: 599,
    since: "0.1",
    doc: "The reply code for smtpd_forbid_bare_newline = reject.",
  }),
  smtpd_discard_ehlo_keywords: words({
    of: ehloKeywords,
    default: "",
    since: "0.1",
    doc: "What the reply to EHLO does not offer; silent-discard keeps this out of the log.",
  }),
  smtpd_peername_lookup: bool({
    default: "yes",
    since: "0.1",
    doc: "Find the client's name from its address, and believe it only if the name leads back to that address; otherwise, or with no, the name is unknown.",
  }),
  smtpd_peername_timeout: time({
    default: "5s",
    min: 1,
    since: "0.1",
    doc: "How long the greeting may wait for the client's name. After that the name is unknown.",
  }),
  smtpd_client_port_logging: bool({
    default: "no",
    since: "0.1",
    doc: "Write the client's port behind its address in the log.",
  }),
  smtpd_relay_restrictions: text({
    default:
      "${{$compatibility_level} <level {1} ? {} : {permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination}}",
    since: "0.1",
    doc: "Who may send mail to whom. Evaluated for each RCPT, the first word that decides wins: permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination, defer_unauth_destination, permit, reject, defer. Any other word stops the start.",
  }),
  smtpd_recipient_restrictions: text({
    default: "",
    since: "0.1",
    doc: "The same as smtpd_relay_restrictions, evaluated as well: a recipient has to pass both.",
  }),
  smtpd_relay_before_recipient_restrictions: bool({
    default: "${{$compatibility_level} <level {3.6} ? {no} : {yes}}",
    since: "0.1",
    doc: "Evaluate smtpd_relay_restrictions before smtpd_recipient_restrictions. Both have to be passed either way; it decides which text a refused client reads.",
  }),
  relay_domains_reject_code: int({
    default: "554",
    min: 400,
    max: 599,
    since: "0.1",
    doc: "The reply code of reject_unauth_destination. Where it is 5xx, defer_unauth_destination uses the 4xx code that is 100 less.",
  }),
  reject_code: int({
    default: "554",
    min: 400,
    max: 599,
    since: "0.1",
    doc: "The reply code of the restriction reject.",
  }),
  defer_code: int({
    default: "450",
    min: 400,
    max: 599,
    since: "0.1",
    doc: "The reply code of the restriction defer.",
  }),
  permit_open_relay: bool({
    default: "no",
    since: "0.1",
    doc: "Start although mynetworks covers the whole world. Everybody can then send mail through this host.",
  }),
} as const;

type Global = Pick<
  typeof globalParams,
  "myhostname" | "mynetworks" | "message_size_limit" | "line_length_limit" | "smtputf8_enable" | "soft_bounce"
>;

export type SmtpdConf = Values<typeof smtpdParams & Global>;
