import { bool, int, list, tables, text } from "../conf/param.ts";
import { tlsLevel } from "./level.ts";
import { protocols } from "./protocols.ts";

/** TLS towards the servers that mail is delivered to. */
export const tlsParams = {
  smtp_tls_security_level: tlsLevel({
    default: "",
    since: "0.1",
    doc: "How much TLS a destination gets where smtp_tls_policy_maps says nothing: none, may (where it is offered), encrypt (or the mail waits), verify (a trusted certificate with the server's name), secure (a trusted certificate with the next hop's name). Empty: what smtp_use_tls and smtp_enforce_tls say. fingerprint, dane and dane-only are not available yet and stop the start.",
  }),
  smtp_use_tls: bool({
    default: "no",
    since: "0.1",
    doc: "The old way to write smtp_tls_security_level = may. Counts only while that is empty.",
  }),
  smtp_enforce_tls: bool({
    default: "no",
    since: "0.1",
    doc: "The old way to write smtp_tls_security_level = verify, or encrypt with smtp_tls_enforce_peername = no. Counts only while that is empty.",
  }),
  smtp_tls_enforce_peername: bool({
    default: "yes",
    since: "0.1",
    doc: "With smtp_enforce_tls: the certificate has to be trusted and to bear the server's name.",
  }),
  smtp_tls_wrappermode: bool({
    default: "no",
    since: "0.1",
    doc: "TLS from the first byte, as on port 465, instead of STARTTLS. Needs a security level of encrypt or more.",
  }),
  smtp_tls_policy_maps: tables({
    default: "",
    since: "0.1",
    doc: "TLS for single destinations: tables with the next hop as it is configured, brackets and port included, or a domain or .parent.domain, and a level with attributes: match= names separated by colons, protocols=, ciphers=, exclude=, servername=, connection_reuse=. An entry that cannot be understood defers the mail.",
  }),
  smtp_tls_CAfile: text({
    default: "",
    since: "0.1",
    doc: "A file of PEM certificates of authorities that are trusted to vouch for servers. Read as root at start.",
  }),
  smtp_tls_CApath: text({
    default: "",
    since: "0.1",
    doc: "A directory of such files. All of them are read, as root, at start; they need no hashed names.",
  }),
  tls_append_default_CA: bool({
    default: "no",
    since: "0.1",
    doc: "Trust the authorities of the system too, in addition to smtp_tls_CAfile and smtp_tls_CApath.",
  }),
  smtp_tls_verify_cert_match: list({
    default: "hostname",
    since: "0.1",
    doc: "The names that a certificate may bear at level verify: hostname, nexthop, dot-nexthop (any host below the next hop's domain), a name, or .domain.",
  }),
  smtp_tls_secure_cert_match: list({
    default: "nexthop, dot-nexthop",
    since: "0.1",
    doc: "The same at level secure. hostname would be the name that DNS gave, which a forger can choose.",
  }),
  smtp_tls_protocols: protocols({
    default: ">=TLSv1",
    since: "0.1",
    doc: "Versions of TLS at level may: >=TLSv1.2, or !excluded ones, or a list. Where one in the middle is excluded, the older ones are as well.",
  }),
  smtp_tls_mandatory_protocols: protocols({
    default: ">=TLSv1",
    since: "0.1",
    doc: "Versions of TLS at level encrypt and above.",
  }),
  smtp_tls_ciphers: text({
    default: "medium",
    since: "0.1",
    doc: "The least grade of ciphers at level may: high or medium.",
  }),
  smtp_tls_mandatory_ciphers: text({
    default: "medium",
    since: "0.1",
    doc: "The least grade of ciphers at level encrypt and above.",
  }),
  smtp_tls_exclude_ciphers: list({
    default: "",
    since: "0.1",
    doc: "Ciphers, or kinds of them in OpenSSL's terms, that are never used.",
  }),
  smtp_tls_mandatory_exclude_ciphers: list({
    default: "",
    since: "0.1",
    doc: "Ciphers that are not used at level encrypt and above, besides those of smtp_tls_exclude_ciphers.",
  }),
  tls_high_cipherlist: text({
    default: "aNULL:-aNULL:HIGH:@STRENGTH",
    since: "0.1",
    doc: "What the grade high stands for, as OpenSSL writes it. The suites of TLS 1.3 are always there.",
  }),
  tls_medium_cipherlist: text({
    default: "aNULL:-aNULL:HIGH:MEDIUM:+RC4:@STRENGTH",
    since: "0.1",
    doc: "What the grade medium stands for.",
  }),
  smtp_tls_servername: text({
    default: "",
    since: "0.1",
    doc: "The name sent to the server so that it can choose its certificate (SNI): hostname, nexthop, or a name. Empty: none.",
  }),
  smtp_tls_loglevel: int({
    default: "0",
    min: 0,
    max: 4,
    since: "0.1",
    doc: "What is logged of TLS: 0 nothing, 1 a line for each handshake and why a certificate is not trusted, 2 and more the same here.",
  }),
  smtp_tls_note_starttls_offer: bool({
    default: "no",
    since: "0.1",
    doc: "Log the names of servers that offer STARTTLS while no TLS is configured for them.",
  }),
  smtp_tls_connection_reuse: bool({
    default: "no",
    since: "0.1",
    doc: "Keep TLS sessions for further messages. Sessions are kept here in any case, TLS or not; the parameter is understood so that configurations need no change.",
  }),
} as const;
