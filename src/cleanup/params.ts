import { bool, choice, int, list, tables, text, words } from "../conf/param.ts";

/** What cleanup does to messages on their way into the queue. */
export const cleanupParams = {
  hopcount_limit: int({
    default: "50",
    min: 1,
    since: "0.1",
    doc: "How many Received: headers a message may have, the one that is added here included, before it is taken for a loop and refused.",
  }),
  always_add_missing_headers: bool({
    default: "no",
    since: "0.1",
    doc: "Add missing Message-Id:, Date: and From: headers to the mail of all clients, not only of those in local_header_rewrite_clients.",
  }),
  local_header_rewrite_clients: list({
    default: "permit_inet_interfaces",
    since: "0.1",
    doc: "SMTP clients in whose mail missing headers are added and addresses without a domain completed: permit_inet_interfaces (clients on this host), permit_mynetworks, permit_sasl_authenticated, and type:table (also behind check_address_map) for tables of client addresses. Mail from sendmail is always treated so.",
  }),
  message_drop_headers: list({
    default: "bcc, content-length, resent-bcc, return-path",
    since: "0.1",
    doc: "The names of headers that are taken out of every message.",
  }),
  header_address_token_limit: int({
    default: "10240",
    min: 1,
    since: "0.1",
    doc: "How many words, signs and comments of one header are looked at for addresses; what stands behind them is left as it is.",
  }),
  undisclosed_recipients_header: text({
    default: "",
    since: "0.1",
    doc: "A whole header, such as To: undisclosed-recipients:;, for messages without To: and Cc:, where missing headers are added.",
  }),
  enable_original_recipient: bool({
    default: "yes",
    since: "0.1",
    doc: "Keep an address twice that two recipients have become, so that either is accounted for; no: once. The server gets the message once in any case.",
  }),
  duplicate_filter_limit: int({
    default: "1000",
    min: 0,
    since: "0.1",
    doc: "How many recipients of a message are remembered to recognise duplicates; 0: all.",
  }),
  header_from_format: choice({
    of: ["standard", "obsolete"],
    default: "standard",
    since: "0.1",
    doc: "The form of a From: that is added, where a full name is known: standard, name <address>; obsolete, address (name).",
  }),
  smtputf8_autodetect_classes: words({
    of: ["sendmail", "smtpd", "qmqpd", "forward", "bounce", "notify", "verify", "all"],
    default: "sendmail, verify",
    since: "0.1",
    doc: "Where mail may come from that is sent with SMTPUTF8 (RFC 6531) merely because an address or a header is not ASCII. For mail from elsewhere the client has to ask for it.",
  }),
  header_checks: tables({
    default: "",
    since: "0.1",
    doc: "Tables, usually regexp: or pcre:, that are asked about each header of a message, folded lines joined; what they answer is done (header_checks(5)): BCC, DISCARD, DUNNO, FILTER, HOLD, IGNORE, INFO, PASS, PREPEND, REDIRECT, REJECT, REPLACE, STRIP, WARN. Notifications that are made here are not checked.",
  }),
  mime_header_checks: tables({
    default: "$header_checks",
    since: "0.1",
    doc: "The same for MIME headers: Content-Type: and the like wherever they stand, and all headers of the parts of a multipart message.",
  }),
  nested_header_checks: tables({
    default: "$header_checks",
    since: "0.1",
    doc: "The same for the headers of messages inside a message, MIME headers excepted.",
  }),
  body_checks: tables({
    default: "",
    since: "0.1",
    doc: "The same for each line of text; a line longer than line_length_limit is shown in pieces.",
  }),
  body_checks_size_limit: int({
    default: "51200",
    min: 0,
    since: "0.1",
    doc: "How many bytes of the text of each part of a message body_checks are asked about; 0: all of it.",
  }),
  disable_mime_input_processing: bool({
    default: "no",
    since: "0.1",
    doc: "Take everything behind a message's own header for text: headers of parts are then checked with body_checks.",
  }),
  message_strip_characters: text({
    default: "",
    since: "0.1",
    doc: "Characters that are taken out of every message, such as \\0; escapes as in C, \\ddd in octal.",
  }),
  message_reject_characters: text({
    default: "",
    since: "0.1",
    doc: "Characters for which a message is refused, in the same notation.",
  }),
  strict_7bit_headers: bool({
    default: "no",
    since: "0.1",
    doc: "Refuse messages with octets above 127 in a header.",
  }),
  strict_8bitmime_body: bool({
    default: "no",
    since: "0.1",
    doc: "Refuse messages with octets above 127 in text that no MIME header declares to be 8bit.",
  }),
  strict_8bitmime: bool({
    default: "no",
    since: "0.1",
    doc: "strict_7bit_headers and strict_8bitmime_body together.",
  }),
  strict_mime_encoding_domain: bool({
    default: "no",
    since: "0.1",
    doc: "Refuse multipart and message parts whose Content-Transfer-Encoding: is another one than 7bit, 8bit or binary.",
  }),
} as const;
