import type { Entry } from "./explanation.ts";

/** What we find out ourselves, before a server has said anything about the message. The texts are those of the log. */
export const localFailures: readonly Entry[] = [
  // -- Logging in
  {
    code: "no-mechanism",
    matches: /no mechanism available|offered no compatible authentication mechanisms/i,
    meaning:
      "The server offers only kinds of login that this configuration forbids: mostly those that send the password as it is, which smtp_sasl_security_options = noplaintext (the default) keeps from going out.",
    remedy:
      "Encrypt, and allow them there: smtp_tls_security_level = encrypt and smtp_sasl_tls_security_options = noanonymous. Without TLS, as a last resort: smtp_sasl_security_options = noanonymous.",
    act: "here",
    examples: [
      "SASL authentication failed; cannot authenticate to server mail.my-isp.org[192.0.2.1]: no mechanism available",
      "SASL authentication failed: server mail.my-isp.org[192.0.2.1] offered no compatible authentication mechanisms for this type of connection security",
    ],
  },
  {
    code: "login-broke-off",
    matches: /SASL authentication failed(?!.* said: )/i,
    meaning:
      "The login did not come to an end: the server did not keep to the rules of its mechanism, or did not prove that it knows the password.",
    remedy:
      "Look at the conversation with postern check --show-dialogue. Another mechanism may work: smtp_sasl_mechanism_filter = plain, login (over TLS only).",
    act: "here",
    examples: [
      "SASL authentication failed; authentication protocol loop with server mail.my-isp.org[192.0.2.1]",
      "SASL authentication failed; cannot authenticate to server mail.my-isp.org[192.0.2.1]: the server did not prove that it knows the password",
    ],
  },
  // -- Encryption
  {
    code: "tls-not-offered",
    matches: /TLS is required, but was not offered/i,
    meaning: "This configuration demands encryption, and the server offers none on this port.",
    remedy:
      "Use the provider's port for submission: relayhost = [server]:587, or 465 with smtp_tls_wrappermode = yes. For one server that has none: an entry in smtp_tls_policy_maps.",
    act: "here",
    examples: ["TLS is required, but was not offered by host smtp.example.com[192.0.2.1]"],
  },
  {
    code: "certificate",
    matches: /Server certificate not (?:verified|trusted)|certificate verification failed/i,
    meaning:
      "The server could not prove who it is: its certificate is not from an authority that we trust, is for another name, or has expired.",
    remedy:
      "Set smtp_tls_CAfile = /etc/ssl/certs/ca-certificates.crt, and write the server's name in relayhost as its certificate has it. postern check shows the certificate.",
    act: "here",
    examples: ["Server certificate not verified"],
  },
  {
    code: "tls-handshake",
    matches: /Cannot start TLS|TLS handshake/i,
    meaning:
      "The encrypted connection could not be set up: no protocol or cipher in common, or something between breaks it.",
    remedy:
      "Look at the warning before it in the log, and at smtp_tls_protocols and smtp_tls_ciphers. On port 465, smtp_tls_wrappermode = yes is needed; on others it must not be set.",
    act: "here",
    examples: ["Cannot start TLS: handshake failure"],
  },
  // -- Names
  {
    code: "name-servers-silent",
    matches: /Host not found, try again|Temporary failure in name resolution/i,
    meaning: "The name servers do not answer, so that it is not known where the mail has to go.",
    remedy:
      "See that those in /etc/resolv.conf can be reached. If other names work, the domain's own name servers are down: it is tried again.",
    act: "wait",
    examples: [
      "Host or domain name not found. Name service error for name=example.com type=MX: Host not found, try again",
      "unable to look up host smtp.example.com: Temporary failure in name resolution",
    ],
  },
  {
    code: "name-not-found",
    matches:
      /Host not found|host not found|Name or service not known|no data record of requested type|No address associated|unable to find primary relay/,
    meaning: "There is no host or domain of that name, or none that takes mail.",
    remedy:
      "Correct the address. If it is the relay host: correct relayhost; a host's name goes into brackets, as in [smtp.example.com]:587.",
    act: "recipient",
    examples: [
      "Host or domain name not found. Name service error for name=exmaple.com type=AAAA: Host not found",
      "Host or domain name not found. Name service error for name=example.net type=MX: Host found but no data record of requested type",
      "smtp.example.com: host not found",
    ],
  },
  {
    code: "takes-no-mail",
    matches: /does not accept mail \(nullMX\)/i,
    meaning: "The domain says that it takes no mail at all.",
    remedy: "Correct the address.",
    act: "recipient",
    examples: ["Domain example.com does not accept mail (nullMX)"],
  },
  {
    code: "no-mail-host-address",
    matches: /no MX host for .* has a valid address record/i,
    meaning: "The domain names mail servers, and none of them has an address.",
    remedy: "Whoever runs that domain has to mend its records in the DNS.",
    act: "recipient",
    examples: ["no MX host for example.com has a valid address record"],
  },
  {
    code: "loops-back",
    matches: /loops back to myself/i,
    meaning: "The DNS says that this host itself is responsible for the domain, and this configuration does not.",
    remedy: "Add the domain to mydestination or relay_domains, with a way for its mail; or correct its MX records.",
    act: "here",
    examples: ["mail for example.com loops back to myself"],
  },
  // -- Connections
  {
    code: "connection-refused",
    matches: /connect to .*: Connection refused/i,
    meaning:
      "Nothing takes connections at that address and port: the server is down, the port is wrong, or a firewall turns us away.",
    remedy:
      "It is tried again. If it lasts, see that relayhost has the right port (587 for most providers), and try it: nc -vz SERVER PORT.",
    act: "wait",
    examples: ["connect to smtp.example.com[192.0.2.1]:587: Connection refused"],
  },
  {
    code: "port-25-blocked",
    matches: /connect to .*:25: (?:Connection timed out|No route to host|Network is unreachable)/i,
    meaning:
      "The server does not answer on port 25. Many hosting companies and internet providers let no mail out there.",
    remedy:
      "Send through a relay host on port 587, or ask the hosting company to open port 25. If it is one server alone, it may be down.",
    act: "here",
    examples: ["connect to mx.example.com[192.0.2.1]:25: Connection timed out"],
  },
  {
    code: "no-connection",
    matches:
      /connect to .*: (?:Connection timed out|No route to host|Network is unreachable|Host is down|Connection reset by peer)/i,
    meaning: "The server does not answer: it is down, its address is wrong, or something between lets nothing through.",
    remedy:
      "It is tried again. See that this host has a way out: nc -vz SERVER PORT. Where only IPv6 fails: inet_protocols = ipv4.",
    act: "wait",
    examples: [
      "connect to smtp.example.com[2001:db8::1]:587: Network is unreachable",
      "connect to smtp.example.com[192.0.2.1]:587: Connection timed out",
    ],
  },
  {
    code: "cannot-connect",
    matches: /connect to \S+: /i,
    meaning: "No connection could be made to the server, for a reason of this host's own system.",
    remedy: "Look at the words behind it; smtp_bind_address has to be an address of this host.",
    act: "here",
    examples: ["connect to smtp.example.com[192.0.2.1]:587: Cannot assign requested address"],
  },
  {
    code: "connection-broke",
    matches: /lost connection with .* while|conversation with .* timed out while/i,
    meaning: "The connection broke off, or the server fell silent, in the middle of the conversation.",
    remedy:
      "It is tried again. If it is always at the same place: a firewall that looks into mail, a network that loses large packets, or a server that turns us away without a word.",
    act: "wait",
    examples: [
      "lost connection with mx.example.com[192.0.2.1] while sending end of data -- message may be sent more than once",
      "conversation with mx.example.com[192.0.2.1] timed out while receiving the initial server greeting",
    ],
  },
  {
    code: "protocol-error",
    matches: /Protocol error: |spoke out of turn|which cannot be trusted/i,
    meaning: "The server did not keep to the rules of SMTP, and its answers cannot be relied upon.",
    remedy:
      "It is tried again. If it lasts, something between may be answering in its place: see the conversation with postern check --show-dialogue.",
    act: "wait",
    examples: [
      "Protocol error: host mx.example.com[192.0.2.1] sent one reply with different codes while sending MAIL FROM",
    ],
  },
  {
    code: "larger-than-taken",
    matches: /exceeds size limit \d+ of server/i,
    meaning: "The message is larger than the server says that it takes.",
    remedy:
      "Send less at a time, or put the file elsewhere and send a link. A lower message_size_limit here says so to the sender at once.",
    act: "sender",
    examples: ["message size 31457280 exceeds size limit 26214400 of server mx.example.com[192.0.2.1]"],
  },
  {
    code: "smtputf8",
    matches: /SMTPUTF8 is required, but was not offered/i,
    meaning: "An address of the message has letters beyond ASCII, and the server takes only ASCII.",
    remedy: "Write to an address in ASCII.",
    act: "recipient",
    examples: ["SMTPUTF8 is required, but was not offered by host mx.example.com[192.0.2.1]"],
  },
  // -- Ourselves
  {
    code: "deferred-transport",
    matches: /deferred transport/i,
    meaning: "This configuration keeps mail of that transport until the queue is flushed (defer_transports).",
    remedy: "postqueue -f sends it now. Take the transport out of defer_transports if that was not meant.",
    act: "here",
    examples: ["deferred transport"],
  },
  {
    code: "transport-missing",
    matches: /mail transport unavailable|unknown mail transport error/i,
    meaning: "The way that this mail has to go (a transport) is not there, or failed.",
    remedy: "Look at the warning before it in the log; the transport has to be a service in master.cf.",
    act: "here",
    examples: ["mail transport unavailable", "unknown mail transport error"],
  },
  {
    code: "table-trouble",
    matches: /address resolver failure|local data error while talking to|unable to look up|lookup error/i,
    meaning:
      "A table could not tell: its file cannot be read, or its server does not answer. So nothing is done rather than the wrong thing.",
    remedy: "Look at the warning before it in the log, and run postern check.",
    act: "here",
    examples: ["address resolver failure", "local data error while talking to smtp.example.com[192.0.2.1]"],
  },
  {
    code: "expired-by-operator",
    matches: /administratively expired/i,
    meaning: "An operator asked for the message's return (postsuper -e).",
    remedy: "Nothing: it goes back to its sender at the next attempt.",
    act: "wait",
    examples: ["message is administratively expired"],
  },
];
