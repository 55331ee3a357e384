import type { Entry } from "./explanation.ts";

/** What servers of all kinds say, by their words; what only the code tells is in codes.ts. */
export const serverAnswers: readonly Entry[] = [
  {
    code: "greylisted",
    matches: /gr[ae]y-?list/i,
    meaning: "The server puts off mail from a sender that it sees for the first time, since spammers seldom try again.",
    remedy: "Nothing: it is tried again, and taken then.",
    act: "wait",
    examples: [
      "host mx.example.com[192.0.2.1] said: 450 4.2.0 <you@example.com>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.com.html (in reply to RCPT TO command)",
      "host mx.example.com[192.0.2.1] said: 451 4.7.1 Greylisting in action, please come back later (in reply to RCPT TO command)",
    ],
  },
  {
    code: "block-list",
    matches:
      /block(?:ed|ing)? (?:using|by|list)|blocklist|blacklist|spamhaus|spamcop|barracudacentral|dnsbl|\brbl\b|listed (?:at|in|by)/i,
    meaning: "The address that this mail comes from is on a list of sources of spam, which the server asks.",
    remedy:
      "Follow the link in the answer: it says why, and how to be taken off. Look for a program here that sends spam. Addresses of homes and of many hosting companies are listed for good: send through a relay host.",
    act: "sender",
    examples: [
      "host mx.example.com[192.0.2.1] said: 554 5.7.1 Service unavailable; Client host [198.51.100.7] blocked using zen.spamhaus.org; https://www.spamhaus.org/query/ip/198.51.100.7 (in reply to RCPT TO command)",
      "host mx01.emig.gmx.net[192.0.2.1] refused to talk to me: 554 gmx.net (mxgmx1) Nemesis ESMTP Service not available No SMTP service IP address is blacklisted",
    ],
  },
  {
    code: "no-reverse-name",
    matches: /cannot find your (?:reverse )?hostname|reverse (?:dns|hostname|lookup)|\bPTR\b|4\.7\.25|5\.7\.25/i,
    meaning: "The address that this mail comes from has no name in the DNS, or the name does not lead back to it.",
    remedy:
      "Have whoever runs the network give the address a name (a PTR record) that leads back to it, or send through a relay host.",
    act: "sender",
    examples: [
      "host mx.example.com[192.0.2.1] said: 450 4.7.25 Client host rejected: cannot find your hostname, [198.51.100.7] (in reply to RCPT TO command)",
      "host gmail-smtp-in.l.google.com[192.0.2.1] said: 550-5.7.25 [198.51.100.7] The IP address sending this message does not have a PTR record (in reply to end of DATA command)",
    ],
  },
  {
    code: "helo-name",
    matches:
      /Helo command rejected|(?:HELO|EHLO).*(?:invalid|rejected|not (?:fully|resolve))|need fully-qualified hostname/i,
    meaning: "The server does not like the name that this host gives itself (HELO).",
    remedy: "Set myhostname, or smtp_helo_name, to a full name that exists in the DNS.",
    act: "here",
    examples: [
      "host mx.example.com[192.0.2.1] said: 504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname (in reply to RCPT TO command)",
      "host mx.example.com[192.0.2.1] said: 450 4.7.1 <host.lan>: Helo command rejected: Host not found (in reply to RCPT TO command)",
    ],
  },
  {
    code: "sender-not-owned",
    matches:
      /not owned by user|not (?:authori[sz]ed|allowed|permitted) to (?:send|use)\b.*(?:from|as|address)|From address is not one of your addresses|Sender address is not allowed|sender (?:address )?(?:is )?not (?:allowed|permitted|authori[sz]ed)|Not authori[sz]ed to send from/i,
    meaning: "The account that we log in with may not send as this sender.",
    remedy:
      "Send under an address that belongs to the account (myorigin, sender_canonical_maps, smtp_generic_maps), or log in with the account of the sender (smtp_sender_dependent_authentication).",
    act: "here",
    examples: [
      "host smtp.example.com[192.0.2.1] said: 553 5.7.1 <root@host.example.com>: Sender address rejected: not owned by user me@example.com (in reply to RCPT TO command)",
      "host smtp.mail.me.com[192.0.2.1] said: 550 5.7.0 From address is not one of your addresses. (in reply to end of DATA command)",
      "host mail.gmx.net[192.0.2.1] said: 550 Requested action not taken: mailbox unavailable Sender address is not allowed. (in reply to end of DATA command)",
    ],
  },
  {
    code: "sender-domain",
    matches:
      /Sender address rejected: (?:Domain not found|need fully)|4\.1\.8|5\.1\.8|domain of sender address|sender (?:verify|verification) failed|Sender domain .*(?:not|does)/i,
    meaning: "The server finds no domain, or no mail server, for the sender's address, so that it could not answer it.",
    remedy: "Send under an address whose domain exists and takes mail: set myorigin to it.",
    act: "here",
    examples: [
      "host mx.example.com[192.0.2.1] said: 450 4.1.8 <root@host.lan>: Sender address rejected: Domain not found (in reply to RCPT TO command)",
      "host mx.example.com[192.0.2.1] said: 550 Sender verify failed (in reply to RCPT TO command)",
    ],
  },
  {
    code: "starttls-needed",
    matches:
      /(?:must|please) (?:first )?issue (?:a )?STARTTLS|STARTTLS (?:is )?(?:required|first)|5\.7\.0 .*STARTTLS|requires? (?:TLS|encryption)|encryption (?:is )?(?:required|needed)/i,
    meaning: "The server takes mail, or logins, only over an encrypted connection.",
    remedy: "Set smtp_tls_security_level = encrypt, or better: verify.",
    act: "here",
    examples: [
      "host smtp.example.com[192.0.2.1] said: 530 5.7.0 Must issue a STARTTLS command first. (in reply to MAIL FROM command)",
      "SASL authentication failed; server smtp.example.com[192.0.2.1] said: 538 5.7.11 Encryption required for requested authentication mechanism",
    ],
  },
  {
    code: "login-temporary",
    matches:
      /SASL authentication failed.* said: 4\d\d|454[- ]4\.7\.0|Temporary authentication failure|too many (?:login|auth)/i,
    meaning: "The server could not judge the login at the moment, or there were too many of them.",
    remedy: "It is tried again. If it goes on, ask the provider; many failed logins before it may be the cause.",
    act: "wait",
    examples: [
      "SASL authentication failed; server smtp.example.com[192.0.2.1] said: 454 4.7.0 Temporary authentication failure: Connection lost to authentication server",
      "SASL authentication failed; server smtp.gmail.com[192.0.2.1] said: 454 4.7.0 Too many login attempts, please try again later.",
    ],
  },
  {
    code: "login-refused",
    matches: /SASL authentication failed.* said: (?:5\d\d)|\b535[- ]/i,
    meaning: "The server does not take our user name and password.",
    remedy:
      "See whether they work elsewhere; many providers want an application password in place of the account's own. Put them into the table of smtp_sasl_password_maps, and run postmap: what waits goes out then.",
    act: "account",
    examples: [
      "SASL authentication failed; server smtp.example.com[192.0.2.1] said: 535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6",
      "SASL authentication failed; server smtp.example.com[192.0.2.1] said: 535 Incorrect authentication data",
    ],
  },
  {
    code: "login-needed",
    matches:
      /authentication (?:is )?required|5\.7\.0 Authentication|not (?:been )?authenticated|must (?:authenticate|log ?in)|Unauthenticated senders|SMTP AUTH (?:is )?required|530[- ]/i,
    meaning: "The server wants a login before it takes mail, and there was none.",
    remedy:
      "Set smtp_sasl_auth_enable = yes and write an entry for this server into the table of smtp_sasl_password_maps; the key has to be exactly what relayhost says, brackets and port included.",
    act: "here",
    examples: [
      "host smtp.gmail.com[192.0.2.1] said: 530-5.7.0 Authentication Required. For more information, go to 530 5.7.0  https://support.google.com/mail/?p=WantAuthError (in reply to MAIL FROM command)",
      "host smtp.example.com[192.0.2.1] said: 550 5.7.1 Client was not authenticated (in reply to MAIL FROM command)",
    ],
  },
  {
    code: "relay-denied",
    matches:
      /Relay(?:ing)? (?:access )?(?:is )?(?:denied|not permitted|not allowed|prohibited)|relay not permitted|unable to relay|not permitted to relay|we do not relay/i,
    meaning:
      "The server does not pass mail on for us: it takes mail for its own addresses only, or wants a login first.",
    remedy:
      "If it is your relay host: see that a login is configured for it (smtp_sasl_auth_enable, smtp_sasl_password_maps), and that the port is the one for submission (587). Else the address leads to the wrong server.",
    act: "here",
    examples: [
      "host smtp.example.com[192.0.2.1] said: 554 5.7.1 <you@far.example>: Relay access denied (in reply to RCPT TO command)",
      "host smtp.example.com[192.0.2.1] said: 550 relay not permitted (in reply to RCPT TO command)",
    ],
  },
  {
    code: "mailbox-full",
    matches: /over ?quota|quota exceeded|mailbox (?:is )?full|[45]\.2\.2\b|exceeded (?:its |the )?storage/i,
    meaning: "The recipient's mailbox is full.",
    remedy: "The recipient has to make room. While the answer begins with 4, it is tried again.",
    act: "recipient",
    examples: [
      "host mx.example.com[192.0.2.1] said: 452 4.2.2 The email account that you tried to reach is over quota. (in reply to RCPT TO command)",
      "host mx.example.com[192.0.2.1] said: 552 5.2.2 Mailbox full (in reply to end of DATA command)",
    ],
  },
  {
    code: "no-such-recipient",
    matches:
      /[45]\.1\.1\b|user unknown|unknown user|no such (?:user|recipient|mailbox|address|person)|(?:recipient|user|mailbox|account|address) (?:\S+ )?(?:not found|unknown|does(?: not|n't) exist|unavailable)|does not exist|unrouteable address|invalid recipient/i,
    meaning: "There is no such mailbox at the server that the mail is for.",
    remedy: "Correct the address, also where it comes from (an alias, a mailing list, a program's setting).",
    act: "recipient",
    examples: [
      "host mx.example.com[192.0.2.1] said: 550 5.1.1 <you@example.com>: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command)",
      "host gmail-smtp-in.l.google.com[192.0.2.1] said: 550-5.1.1 The email account that you tried to reach does not exist. (in reply to RCPT TO command)",
      "host mx.example.com[192.0.2.1] said: 550 Unrouteable address (in reply to RCPT TO command)",
    ],
  },
  {
    code: "mailbox-disabled",
    matches:
      /[45]\.2\.1\b|mailbox (?:is )?(?:disabled|inactive|suspended)|account (?:has been |is )?(?:disabled|inactive|suspended|locked)/i,
    meaning: "The mailbox exists, and takes no mail at the moment.",
    remedy: "The recipient, or whoever runs that server, has to look.",
    act: "recipient",
    examples: [
      "host mx.example.com[192.0.2.1] said: 550 5.2.1 Mailbox disabled, not accepting messages (in reply to RCPT TO command)",
    ],
  },
  {
    code: "message-too-large",
    matches:
      /[45]\.3\.4\b|[45]\.2\.3\b|message (?:size|is too|too) (?:exceeds|large|big)|size limit|too large|552 .*size/i,
    meaning: "The message is larger than the server takes.",
    remedy:
      "Send less at a time, or put the file elsewhere and send a link. A lower message_size_limit here says so to the sender at once.",
    act: "sender",
    examples: [
      "host mx.example.com[192.0.2.1] said: 552 5.3.4 Message size exceeds fixed limit (in reply to MAIL FROM command)",
    ],
  },
  {
    code: "spf",
    matches: /\bSPF\b|5\.7\.23\b/i,
    meaning:
      "The sender's domain says in the DNS (SPF) which servers send its mail, and the one that sent this is none of them.",
    remedy: "Add this host's public address, or the provider that mail goes through, to the domain's SPF record.",
    act: "sender",
    examples: [
      "host mx.example.com[192.0.2.1] said: 550 5.7.23 <you@example.com>: Recipient address rejected: Message rejected due to: SPF fail - not authorized (in reply to RCPT TO command)",
    ],
  },
  {
    code: "dmarc",
    matches: /\bDMARC\b|\bDKIM\b/i,
    meaning:
      "The domain in From: demands (DMARC) that its mail be signed, or come from its own servers, and this message is neither.",
    remedy: "Send under a domain of your own, and have it signed (DKIM), or listed in its SPF record.",
    act: "sender",
    examples: [
      "host mx.example.com[192.0.2.1] said: 550 5.7.1 Email rejected per DMARC policy for example.org (in reply to end of DATA command)",
    ],
  },
  {
    code: "virus",
    matches: /virus|malware|infected/i,
    meaning: "The server found a virus in the message, or believes so.",
    remedy: "See what the message brings along; an archive or a program as attachment is often enough for it.",
    act: "sender",
    examples: [
      "host mx.example.com[192.0.2.1] said: 554 5.7.1 Message contains a virus (Eicar-Test-Signature) (in reply to end of DATA command)",
    ],
  },
  {
    code: "spam",
    matches:
      /\bspam\b|unsolicited|looks like (?:spam|bulk)|content (?:rejected|filter)|rejected (?:due to|for) (?:content|policy)|policy (?:reasons|restrictions|violation)/i,
    meaning: "The server takes this message for spam, or its rules forbid something in it.",
    remedy:
      "Read the link in the answer, if there is one. A proper From:, Date: and Message-ID:, no links to strange places, and a sender's domain with SPF and DKIM help.",
    act: "sender",
    examples: [
      "host mx.example.com[192.0.2.1] said: 554 5.7.1 Message rejected as spam by Content Filtering. (in reply to end of DATA command)",
      "host mx00.gmx.net[192.0.2.1] said: 554-Transaction failed 554-Reject due to policy restrictions. 554 For explanation visit https://postmaster.gmx.net/en/case (in reply to end of DATA command)",
    ],
  },
  {
    code: "loop-there",
    matches: /[45]\.4\.(?:6|14)\b|too many hops|hop count exceeded|mail (?:forwarding )?loop/i,
    meaning: "The message goes round in circles: it passed the same servers again and again.",
    remedy: "Look at its Received: lines: two servers hand it to each other. An alias or a forwarding is wrong.",
    act: "recipient",
    examples: ["host mx.example.com[192.0.2.1] said: 554 5.4.6 Too many hops (in reply to end of DATA command)"],
  },
  {
    code: "too-much",
    matches:
      /too (?:many|much)|rate ?limit|throttl|(?:sending|hourly|message|recipient) (?:rate|limit|quota)|try again (?:in|later).*(?:limit|rate)|4\.7\.28/i,
    meaning: "We send more, or more at a time, than the server takes from us.",
    remedy:
      "It is tried again. Send more slowly: default_destination_concurrency_limit and default_destination_rate_delay, or those of the transport.",
    act: "wait",
    examples: [
      "host mx.example.com[192.0.2.1] said: 421 4.7.0 mx.example.com Error: too many errors (in reply to RCPT TO command)",
      "host mx.example.com[192.0.2.1] said: 451 4.7.1 Rate limit exceeded, slow down (in reply to MAIL FROM command)",
    ],
  },
  {
    code: "refused-to-talk",
    matches: /refused to talk to me: /i,
    meaning: "The server sent us away before it had heard anything of the message.",
    remedy:
      "Its own words say why. What begins with 4 passes by itself; else this host's address is mostly the reason: see whether it is on a list of sources of spam, and has a name in the DNS.",
    act: "sender",
    examples: ["host mx.example.com[192.0.2.1] refused to talk to me: 554 5.3.2 No service"],
  },
  {
    code: "server-full",
    matches: /[45]\.3\.1\b|insufficient (?:system )?(?:storage|resources)|out of disk|no space/i,
    meaning: "The server has no room for mail at the moment.",
    remedy: "Nothing here: it is tried again.",
    act: "wait",
    examples: [
      "host mx.example.com[192.0.2.1] said: 452 4.3.1 Insufficient system storage (in reply to MAIL FROM command)",
    ],
  },
  {
    code: "their-trouble",
    matches:
      /[45]\.3\.[0235]\b|(?:server )?configuration error|temporary (?:local|system|server|internal) (?:problem|error|failure)|internal (?:server )?error|local (?:error|problem)|queue file write error/i,
    meaning: "Something is wrong at the server itself, and not with this message.",
    remedy: "Nothing here: it is tried again. If it lasts for days, tell whoever runs that server.",
    act: "wait",
    examples: [
      "host mx.example.com[192.0.2.1] said: 451 4.3.5 <you@example.com>: Recipient address rejected: Server configuration error (in reply to RCPT TO command)",
      "host mx.example.com[192.0.2.1] said: 451 Temporary local problem - please try later (in reply to RCPT TO command)",
    ],
  },
];
