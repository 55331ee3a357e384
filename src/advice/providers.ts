import type { Entry } from "./explanation.ts";

/** What the large providers say, whose own words tell more than their codes do. */
export const providerAnswers: readonly Entry[] = [
  // -- Google
  {
    code: "google-application-password",
    matches: /(?:534|535)[- ](?:5\.7\.9 )?(?:.* )?Application-specific password required|InvalidSecondFactor/i,
    meaning: "Google wants an application password here, since the account is protected by a second factor.",
    remedy:
      "Make an application password at https://myaccount.google.com/apppasswords, and put it in place of the account's password into the table of smtp_sasl_password_maps.",
    act: "account",
    examples: [
      "SASL authentication failed; server smtp.gmail.com[192.0.2.1] said: 534-5.7.9 Application-specific password required. For more information, go to 534 5.7.9  https://support.google.com/mail/?p=InvalidSecondFactor a1-20020a",
    ],
  },
  {
    code: "google-login",
    matches:
      /Username and Password not accepted|p=BadCredentials|(?:smtp|smtp-relay)\.(?:gmail|google|googlemail)\.com\S* said: 535/i,
    meaning:
      "Google does not take this user name and password. The password of the account itself does not work with mail programs any more.",
    remedy:
      "Switch on two-step verification for the account, make an application password at https://myaccount.google.com/apppasswords, and use that. The user name is the whole address.",
    act: "account",
    examples: [
      "SASL authentication failed; server smtp.gmail.com[192.0.2.1] said: 535-5.7.8 Username and Password not accepted. For more information, go to 535 5.7.8  https://support.google.com/mail/?p=BadCredentials a1-20020a",
      "SASL authentication failed; server smtp.gmail.com[192.0.2.1] said: 535 5.7.8 no",
    ],
  },
  {
    code: "google-web-login",
    matches: /534[- ]5\.7\.14|Please log in (?:via|with) your web browser/i,
    meaning: "Google found this login unusual, and wants its owner to confirm it in a browser first.",
    remedy:
      "Log in to the account with a browser, best from this network, and confirm; then use an application password.",
    act: "account",
    examples: [
      "SASL authentication failed; server smtp.gmail.com[192.0.2.1] said: 534-5.7.14 <https://accounts.google.com/signin/continue?sarp=1> Please log in via your web browser and then try again.",
    ],
  },
  {
    code: "google-daily-limit",
    matches: /5\.4\.5 .*(?:Daily|sending limit)|Daily (?:user|SMTP relay) sending limit exceeded/i,
    meaning: "The account has sent as much as Google lets it send in a day.",
    remedy:
      "Wait a day. For more than about 500 messages a day (2,000 with Workspace), use a provider for bulk mail or Workspace's SMTP relay.",
    act: "account",
    examples: [
      "host smtp.gmail.com[192.0.2.1] said: 550-5.4.5 Daily user sending limit exceeded. For more information on Gmail 550-5.4.5 sending limits go to 550 5.4.5  https://support.google.com/a/answer/166852 (in reply to end of DATA command)",
    ],
  },
  {
    code: "google-unauthenticated-mail",
    matches: /5\.7\.26|requires all senders to authenticate with either SPF or DKIM|DMARC policy of/i,
    meaning:
      "Google takes mail of a domain only where it can see that the domain permits it: neither SPF nor DKIM says so for this message.",
    remedy:
      "Add this server, or the provider that mail goes through, to the SPF record of the sender's domain, or sign with DKIM. See https://support.google.com/mail/answer/81126.",
    act: "sender",
    examples: [
      "host gmail-smtp-in.l.google.com[192.0.2.1] said: 550-5.7.26 This mail has been blocked because the sender is unauthenticated. 550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM. (in reply to end of DATA command)",
    ],
  },
  {
    code: "google-rate",
    matches: /421[- ]4\.7\.(?:0|28) .*(?:unusual rate|suspicious|unsolicited|rate limited)/i,
    meaning:
      "Google gets more mail from this address, or mail that looks more like spam, than it likes, and slows it down.",
    remedy:
      "Nothing at once: it is tried again. If it goes on, look for a program here that sends in bulk or was broken into, and read https://support.google.com/mail/answer/81126.",
    act: "wait",
    examples: [
      "host gmail-smtp-in.l.google.com[192.0.2.1] said: 421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating 421-4.7.28 from your IP address. (in reply to end of DATA command)",
    ],
  },
  {
    code: "google-relay-denied",
    matches: /Mail relay denied|Invalid credentials for relay/i,
    meaning: "Google's SMTP relay does not know this host, or the sender's domain is not one of the organisation's.",
    remedy:
      "Add this host's public address in the Admin console (Apps, Gmail, Routing, SMTP relay service), or have it ask for a login; and send from one of the organisation's domains.",
    act: "account",
    examples: [
      "host smtp-relay.gmail.com[192.0.2.1] said: 550-5.7.1 Invalid credentials for relay [198.51.100.7]. The IP address you've 550-5.7.1 registered in your G Suite SMTP Relay service doesn't match (in reply to MAIL FROM command)",
    ],
  },
  // -- Microsoft
  {
    code: "microsoft-smtp-auth-disabled",
    matches: /SmtpClientAuthentication is disabled|smtp_auth_disabled/i,
    meaning:
      "Microsoft 365 does not let this account log in to send mail: SMTP AUTH is switched off, for the whole organisation or for the mailbox.",
    remedy:
      "An administrator switches it on for the mailbox (Microsoft 365 admin center: Users, Mail, Manage email apps, Authenticated SMTP), and security defaults must not forbid it. See https://aka.ms/smtp_auth_disabled.",
    act: "account",
    examples: [
      "SASL authentication failed; server smtp.office365.com[192.0.2.1] said: 535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant. Visit https://aka.ms/smtp_auth_disabled for more information. [FR0P281CA0001]",
      "SASL authentication failed; server smtp.office365.com[192.0.2.1] said: 535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox. Visit https://aka.ms/smtp_auth_disabled for more information.",
    ],
  },
  {
    code: "microsoft-basic-auth",
    matches: /5\.7\.30\b|basic authentication is (?:disabled|not supported)/i,
    meaning: "Microsoft does not take a user name and a password here any more, only modern logins (OAuth 2.0).",
    remedy:
      "Use another way out of Microsoft 365: direct send, a connector for this host's address, High Volume Email or Azure Communication Services; or another provider.",
    act: "account",
    examples: [
      "SASL authentication failed; server smtp.office365.com[192.0.2.1] said: 550 5.7.30 Basic authentication is not supported for Client Submission.",
      "SASL authentication failed; server smtp-mail.outlook.com[192.0.2.1] said: 535 5.7.139 Authentication unsuccessful, basic authentication is disabled. [AM0PR]",
    ],
  },
  {
    code: "microsoft-login",
    matches: /5\.7\.139|535 5\.7\.3 Authentication unsuccessful|(?:office365|outlook|hotmail)\.com\S* said: 535/i,
    meaning:
      "Microsoft does not take this login: user name or password are wrong, or a rule of the organisation (security defaults, conditional access, a second factor) forbids it.",
    remedy:
      "Try the login in a browser. Where there is a second factor, use an app password, if the organisation allows them; an administrator sees the reason in the sign-in log of Entra ID.",
    act: "account",
    examples: [
      "SASL authentication failed; server smtp.office365.com[192.0.2.1] said: 535 5.7.139 Authentication unsuccessful, the user credentials were incorrect. [ZR0P278CA0001]",
      "SASL authentication failed; server smtp.office365.com[192.0.2.1] said: 535 5.7.3 Authentication unsuccessful [AM0PR01CA0075]",
    ],
  },
  {
    code: "microsoft-send-as",
    matches: /5\.7\.60\b|SendAsDenied|5\.2\.252\b|does not have permissions to send as this sender/i,
    meaning: "The account that we log in with may not send as the sender that this message names.",
    remedy:
      "Give the account the permission Send As for that mailbox, or let mail go out under the account's own address (myorigin, sender_canonical_maps or smtp_generic_maps).",
    act: "account",
    examples: [
      "host smtp.office365.com[192.0.2.1] said: 550 5.7.60 SMTP; Client does not have permissions to send as this sender [AM0PR01] (in reply to end of DATA command)",
      "host smtp.office365.com[192.0.2.1] said: 554 5.2.252 SendAsDenied; me@example.com not allowed to send as root@host.example.com; STOREDRV.Submission.Exception (in reply to end of DATA command)",
    ],
  },
  {
    code: "microsoft-login-needed",
    matches: /5\.7\.57\b|Client (?:was )?not authenticated to send (?:anonymous )?mail/i,
    meaning: "The server wants a login before it takes mail, and there was none.",
    remedy:
      "Set smtp_sasl_auth_enable = yes and write an entry for this server into the table of smtp_sasl_password_maps; the key has to be exactly what relayhost says, brackets and port included.",
    act: "here",
    examples: [
      "host smtp.office365.com[192.0.2.1] said: 530 5.7.57 Client not authenticated to send mail. [FR0P281CA0001] (in reply to MAIL FROM command)",
    ],
  },
  {
    code: "microsoft-concurrency",
    matches: /432 4\.3\.2|(?:Concurrent connections|sender thread) limit exceeded/i,
    meaning: "Microsoft 365 takes mail of one account over three connections at a time, and 30 messages a minute.",
    remedy:
      "Set smtp_destination_concurrency_limit = 2, and smtp_destination_rate_delay = 2s where there is much to send.",
    act: "here",
    examples: [
      "host smtp.office365.com[192.0.2.1] said: 432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information. (in reply to MAIL FROM command)",
      "host smtp.office365.com[192.0.2.1] said: 432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded (in reply to end of DATA command)",
    ],
  },
  {
    code: "microsoft-reputation",
    matches: /4\.7\.(?:500|650|651|652)\b|5\.7\.(?:606|708|511)\b|\(S3(?:140|150)\)|\bbanned sending IP\b/i,
    meaning: "Microsoft distrusts the address that this mail comes from, and takes less mail from it, or none.",
    remedy:
      "Look for a program here that sends spam. Then ask for removal at https://sender.office.com, or send through a relay host with a good name. What begins with 4 is tried again.",
    act: "sender",
    examples: [
      "host example-com.mail.protection.outlook.com[192.0.2.1] said: 451 4.7.500 Server busy. Please try again later from [198.51.100.7]. (S77719) (in reply to MAIL FROM command)",
      "host hotmail-com.olc.protection.outlook.com[192.0.2.1] said: 550 5.7.1 Unfortunately, messages from [198.51.100.7] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150). (in reply to MAIL FROM command)",
      "host example-com.mail.protection.outlook.com[192.0.2.1] said: 550 5.7.606 Access denied, banned sending IP [198.51.100.7] (in reply to RCPT TO command)",
    ],
  },
  {
    code: "microsoft-bad-sender",
    matches: /5\.1\.8 Access denied, bad outbound sender|5\.7\.50[1-3]\b|5\.1\.90\b/i,
    meaning: "Microsoft has blocked the account from sending: it sent too much, or something that looked like spam.",
    remedy:
      "See whether somebody else has the password, change it, and have an administrator release the account (Microsoft Defender: Restricted entities).",
    act: "account",
    examples: [
      "host smtp.office365.com[192.0.2.1] said: 550 5.1.8 Access denied, bad outbound sender. (in reply to end of DATA command)",
    ],
  },
  {
    code: "microsoft-no-recipient",
    matches: /5\.4\.1 .*Recipient address rejected: Access denied|RESOLVER\.ADR\.RecipientNotFound|5\.1\.10\b/i,
    meaning: "There is no such address at the organisation that the mail is for.",
    remedy:
      "Correct the address. If it exists, the organisation has to look (Microsoft 365: accepted domains, edge blocking).",
    act: "recipient",
    examples: [
      "host example-com.mail.protection.outlook.com[192.0.2.1] said: 550 5.4.1 Recipient address rejected: Access denied. [AM0PR] (in reply to RCPT TO command)",
      "host example-com.mail.protection.outlook.com[192.0.2.1] said: 550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient you@example.com not found by SMTP address lookup (in reply to end of DATA command)",
    ],
  },
  {
    code: "microsoft-relay",
    matches: /5\.7\.64\b|TenantAttribution|5\.7\.54\b.*non-accepted domain/i,
    meaning:
      "Microsoft 365 does not know that this mail comes from the organisation, and does not pass it on to others.",
    remedy: "Make an inbound connector for this host's public address or certificate in the Exchange admin center.",
    act: "account",
    examples: [
      "host example-com.mail.protection.outlook.com[192.0.2.1] said: 550 5.7.64 TenantAttribution; Relay Access Denied [AM0] (in reply to RCPT TO command)",
    ],
  },
  {
    code: "microsoft-authentication-level",
    matches: /5\.7\.515\b|5\.7\.509\b/i,
    meaning:
      "Microsoft takes mail of a domain only where SPF, DKIM and DMARC say that it is genuine: they do not for this message.",
    remedy:
      "Publish an SPF record that names this way out, sign with DKIM, and see that one of them agrees with the domain in From:.",
    act: "sender",
    examples: [
      "host outlook-com.olc.protection.outlook.com[192.0.2.1] said: 550 5.7.515 Access denied, sending domain EXAMPLE.COM doesn't meet the required authentication level. (in reply to end of DATA command)",
    ],
  },
  // -- Amazon
  {
    code: "ses-not-verified",
    matches: /Email address is not verified|identities failed the check in region/i,
    meaning:
      "Amazon SES sends only for addresses and domains that were verified, in this region; in the sandbox this holds for recipients, too.",
    remedy:
      "Verify the sender's address or domain in the SES console, in the region of the relay host; for other recipients ask for production access.",
    act: "account",
    examples: [
      "host email-smtp.eu-west-1.amazonaws.com[192.0.2.1] said: 554 Message rejected: Email address is not verified. The following identities failed the check in region EU-WEST-1: root@host.example.com (in reply to end of DATA command)",
    ],
  },
  {
    code: "ses-quota",
    matches: /454 Throttling failure|Maximum sending rate exceeded|Daily message quota exceeded/i,
    meaning: "More was sent than the account at Amazon SES may send in a second, or in a day.",
    remedy:
      "It is tried again. Set smtp_destination_concurrency_limit and smtp_destination_rate_delay to stay below the rate, or ask for a higher quota.",
    act: "wait",
    examples: [
      "host email-smtp.eu-west-1.amazonaws.com[192.0.2.1] said: 454 Throttling failure: Maximum sending rate exceeded. (in reply to end of DATA command)",
      "host email-smtp.eu-west-1.amazonaws.com[192.0.2.1] said: 454 Throttling failure: Daily message quota exceeded. (in reply to end of DATA command)",
    ],
  },
  {
    code: "ses-login",
    matches: /amazonaws\.com\S* said: 535|Authentication Credentials Invalid/,
    meaning:
      "Amazon SES does not take this login. SMTP credentials are something else than access keys of AWS, and belong to one region.",
    remedy: "Make SMTP credentials in the SES console, in the region of the relay host, and use those.",
    act: "account",
    examples: [
      "SASL authentication failed; server email-smtp.eu-west-1.amazonaws.com[192.0.2.1] said: 535 Authentication Credentials Invalid",
    ],
  },
  {
    code: "ses-paused",
    matches: /Sending (?:is )?(?:paused|suspended) for this account|not authorized to perform [`']?ses:/i,
    meaning: "The account at Amazon SES may not send: it was paused, or its user lacks the permission.",
    remedy: "Look at the account's status in the SES console; the user of the SMTP credentials needs ses:SendRawEmail.",
    act: "account",
    examples: [
      "host email-smtp.eu-west-1.amazonaws.com[192.0.2.1] said: 554 Access denied: User `arn:aws:iam::1:user/x' is not authorized to perform `ses:SendRawEmail' on resource `arn:aws:ses' (in reply to end of DATA command)",
      "host email-smtp.eu-west-1.amazonaws.com[192.0.2.1] said: 454 Sending paused for this account. (in reply to MAIL FROM command)",
    ],
  },
  // -- Others that send for many
  {
    code: "sendgrid-sender",
    matches: /does not match a verified Sender Identity|Sender Signature on your account/i,
    meaning:
      "The provider sends only for senders that were verified with it, and this message's From: is none of them.",
    remedy: "Verify the sender's address or domain with the provider, or send under one that is.",
    act: "account",
    examples: [
      "host smtp.sendgrid.net[192.0.2.1] said: 550 The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved. (in reply to end of DATA command)",
      "host smtp.postmarkapp.com[192.0.2.1] said: 550 5.7.1 The 'From' address you supplied (a@example.com) is not a Sender Signature on your account. (in reply to end of DATA command)",
    ],
  },
  {
    code: "sendgrid-login",
    matches: /sendgrid\.net\S* said: 535|provided authorization grant is invalid/i,
    meaning: "SendGrid does not take this login. The user name is the word apikey, and the password is a key.",
    remedy: "Make a key with the permission Mail Send, and write apikey:KEY into the table of smtp_sasl_password_maps.",
    act: "account",
    examples: [
      "SASL authentication failed; server smtp.sendgrid.net[192.0.2.1] said: 535 Authentication failed: Bad username / password",
    ],
  },
  {
    code: "credits-exceeded",
    matches:
      /Maximum credits exceeded|(?:monthly|account|sending) (?:quota|limit|credits) (?:has been )?(?:exceeded|reached)/i,
    meaning: "The account has sent as much as its plan allows.",
    remedy: "Wait for the next period, or take a larger plan.",
    act: "account",
    examples: [
      "SASL authentication failed; server smtp.sendgrid.net[192.0.2.1] said: 451 Authentication failed: Maximum credits exceeded",
    ],
  },
  {
    code: "mailgun-sandbox",
    matches: /Sandbox subdomains are for test purposes only|domain is unverified and requires DNS configuration/i,
    meaning: "The domain at Mailgun is one for trials, or is not verified yet: it sends to authorized recipients only.",
    remedy: "Add and verify a domain of your own at Mailgun, and use its SMTP credentials.",
    act: "account",
    examples: [
      "host smtp.mailgun.org[192.0.2.1] said: 421 Domain sandbox1.mailgun.org is not allowed to send: Sandbox subdomains are for test purposes only. Please add your own domain or add the address to authorized recipients (in reply to end of DATA command)",
    ],
  },
  {
    code: "unknown-source-address",
    matches: /Unauthorized IP address|525[- ]5\.7\.1/i,
    meaning: "The account takes logins from certain addresses only, and this host's is none of them.",
    remedy: "Add this host's public address to the authorized ones of the account, or switch that protection off.",
    act: "account",
    examples: [
      "SASL authentication failed; server smtp-relay.brevo.com[192.0.2.1] said: 525 5.7.1 Unauthorized IP address",
    ],
  },
  {
    code: "yahoo-deferred",
    matches: /\[TSS?\d\d\]|temporarily deferred due to (?:unexpected volume|user complaints)/i,
    meaning: "Yahoo gets more mail from this address than it expects, or its users complained, and it puts mail off.",
    remedy:
      "It is tried again. If it goes on: send less at a time, and see https://senders.yahooinc.com/smtp-error-codes.",
    act: "wait",
    examples: [
      "host mta5.am0.yahoodns.net[192.0.2.1] said: 421 4.7.0 [TSS04] Messages from 198.51.100.7 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes (in reply to MAIL FROM command)",
    ],
  },
  {
    code: "yahoo-login",
    matches: /#AUTH00\d|(?:mail\.yahoo|aol)\.com\S* said: 535/i,
    meaning: "Yahoo and AOL do not take the account's own password from mail programs.",
    remedy: "Make an app password in the account's security settings, and use that.",
    act: "account",
    examples: [
      "SASL authentication failed; server smtp.mail.yahoo.com[192.0.2.1] said: 535 5.7.0 (#AUTH005) Too many bad auth attempts.",
    ],
  },
  {
    code: "apple-login",
    matches: /(?:me|icloud)\.com\S* said: 535/i,
    meaning: "iCloud does not take the account's own password from mail programs.",
    remedy: "Make an app-specific password at https://account.apple.com, and use that.",
    act: "account",
    examples: [
      "SASL authentication failed; server smtp.mail.me.com[192.0.2.1] said: 535 5.7.8 Error: authentication failed: authentication failure",
    ],
  },
  {
    code: "fastmail-login",
    matches: /(?:fastmail|messagingengine)\.com\S* said: 535/i,
    meaning: "Fastmail does not take the account's own password from mail programs.",
    remedy: "Make an app password with access to SMTP (Settings, Privacy & Security), and use that.",
    act: "account",
    examples: [
      "SASL authentication failed; server smtp.fastmail.com[192.0.2.1] said: 535 5.7.0 Incorrect username or password.",
    ],
  },
  {
    code: "zoho-relaying",
    matches: /Relaying disallowed as /i,
    meaning: "The account may not send as the sender that this message names.",
    remedy: "Send under the account's own address, or add the other one to it as an alias.",
    act: "account",
    examples: [
      "host smtp.zoho.eu[192.0.2.1] said: 553 Relaying disallowed as root@host.example.com (in reply to MAIL FROM command)",
    ],
  },
  {
    code: "telekom-contact",
    matches: /tobr@rx\.t-online\.de/i,
    meaning:
      "T-Online takes mail only from servers whose operator it knows: the host's name has to lead to a web page with an imprint.",
    remedy: "Write to tobr@rx.t-online.de as it says, or send through a relay host.",
    act: "sender",
    examples: [
      "host mx00.t-online.de[192.0.2.1] refused to talk to me: 554 IP=198.51.100.7 - A problem occurred. (Ask your postmaster for help or to contact tobr@rx.t-online.de to clarify.)",
    ],
  },
];
