/** What the answers of a next hop mean for whoever has to make mail work, and what to do about it. */
import { explain } from "../advice/explain.ts";
import type { SaslProperty } from "../sasl/mechanism.ts";
import type { Rejected } from "../sasl/select.ts";
import { relayText } from "../smtp/session.ts";
import { certificateDaysLeft } from "./certificate.ts";
import { type Finding, finding, type Severity } from "./finding.ts";
import type { HopProbe, HostProbe } from "./probe.ts";
import type { Shell } from "./shell.ts";

/** What findings may refer to. */
export interface ProbeContext {
  readonly shell: Shell;
  readonly now_ms: number;
}

export function probeFindings(probe: HopProbe, context: ProbeContext): Finding[] {
  const { use, lookup, policy, hosts } = probe;
  const place = use.place;
  if (lookup) return [lookupFinding(probe)];
  if (policy) {
    return [
      finding("error", "tls-policy", `${use.nexthop}: ${policy.text}`, {
        ...place,
        why: "Mail for it is deferred, since less protection than was meant could be the wrong guess",
        remedy: "Look at smtp_tls_policy_maps and smtp_tls_security_level",
      }),
    ];
  }
  // One host that takes mail is enough; what is wrong with those before it slows mail down.
  const severity: Severity = hosts.some(({ failure }) => !failure) ? "warning" : "error";
  const findings: Finding[] = [];
  for (const host of hosts) {
    const found = host.failure ? hostFailure(probe, host, severity, context) : hostRemarks(probe, host, context);
    findings.push(...found.map((each) => ({ ...place, ...each, ...(each.file ? {} : place) })));
  }
  return findings;
}

function lookupFinding({ use, lookup, hop }: HopProbe): Finding {
  const text = `${use.nexthop}: ${lookup?.text ?? ""}`;
  if (lookup?.loop) {
    return finding("error", "loop", text, {
      ...use.place,
      why: "Mail would go round in circles, and bounces",
      remedy:
        "Name the server that mail should go to; or, where an MX record of ours is meant, add the domain to mydestination or relay_domains",
    });
  }
  const domain = hop && !hop.bracketed && !hop.numeric;
  if (lookup?.status === "deferred") {
    return finding("error", "name-service", text, {
      ...use.place,
      why: "The name servers do not answer, so that no mail can leave",
      remedy: "See that the name servers in /etc/resolv.conf can be reached: getent hosts deb.debian.org",
    });
  }
  return finding("error", "name-not-found", text, {
    ...use.place,
    why: "Mail for it bounces, or waits where it is a relay host",
    remedy: domain
      ? `Correct the name; if ${hop.host} is a host and not a mail domain, write it in brackets: [${hop.host}]`
      : "Correct the name of the server",
  });
}

function hostFailure(probe: HopProbe, host: HostProbe, severity: Severity, context: ProbeContext): Finding[] {
  const { failure } = host;
  if (!failure) return [];
  switch (failure.at) {
    case "connect":
      return [connectFinding(host, severity)];
    case "greeting":
    case "hello":
      return [greetingFinding(host, severity, context)];
    case "starttls":
      return [tlsFinding(host, severity, context)];
    case "login":
      return [loginFinding(host, severity, context)];
    default:
      return [senderFinding(probe, host, severity, context)];
  }
}

function connectFinding({ host, failure }: HostProbe, severity: Severity): Finding {
  const reason = failure?.failure.reason ?? "";
  const blocked = host.port === 25 && /timed out|no route|unreachable/i.test(reason);
  return finding(severity, "connect", reason, {
    why: blocked
      ? "Many hosting companies block port 25 outwards"
      : /refused/i.test(reason)
        ? `Nothing listens on port ${host.port} of ${host.address}, or a firewall turns connections away`
        : "The server does not answer: it is down, the port is wrong, or a firewall lies between",
    remedy: blocked
      ? "Send through a relay host on port 587, or ask the hosting company to open port 25"
      : `Try it by hand: nc -vz ${host.address} ${host.port}`,
  });
}

function greetingFinding({ host, failure, policy }: HostProbe, severity: Severity, { shell }: ProbeContext): Finding {
  const { reason = "" } = failure?.failure ?? {};
  const silent = /timed out/.test(reason) && !policy.wrapper;
  if (silent && host.port !== 25 && host.port !== 587) {
    return finding(severity, "silent", reason, {
      why: "The server waits for us to speak first, as servers do that speak TLS from the first byte",
      remedy: "If so, switch wrapper mode on",
      commands: shell.set({ smtp_tls_wrappermode: "yes", smtp_tls_security_level: "encrypt" }),
    });
  }
  return finding(severity, "greeting", reason, {
    ...told(reason, {
      why: "The server does not talk to us at the moment, whatever the message",
      remedy:
        "Its answer says why; where it names this host's address or name, look whether that is on a block list or without a name in DNS",
    }),
  });
}

function tlsFinding(probed: HostProbe, severity: Severity, { shell, now_ms }: ProbeContext): Finding {
  const { host, failure, tls, policy } = probed;
  const { reason = "", dsn = "" } = failure?.failure ?? {};
  const facts = tls?.facts;
  if (dsn === "4.7.4") {
    return finding(severity, "tls-not-offered", `${relayText(host)} offers no STARTTLS, and TLS is required`, {
      why: "Nothing is sent to it: whoever sits between could have taken the offer out",
      remedy: `Use the provider's port for submission (587), or 465 with wrapper mode. Only for a server on your own network: set smtp_tls_policy_maps for it to "none"`,
    });
  }
  if (!facts?.certificate) {
    const wrongVersion = probed.dialogue.some(
      ({ by, line }) => by === "tls" && /wrong version number|packet length/i.test(line),
    );
    if (policy.wrapper && wrongVersion) {
      return finding(
        severity,
        "wrapper-port",
        `${relayText(host)} does not begin with TLS, and smtp_tls_wrappermode is on`,
        {
          why: "Every connection fails in its first bytes",
          remedy: "Switch wrapper mode off; STARTTLS is used then",
          commands: shell.set({ smtp_tls_wrappermode: "no" }),
        },
      );
    }
    const words = probed.dialogue.findLast(({ by }) => by === "tls")?.line ?? reason;
    return finding(severity, "tls-handshake", `${relayText(host)}: ${words}`, {
      why: "The two sides have no version of TLS or no cipher in common, or something between them breaks it",
      remedy:
        "Look at smtp_tls_mandatory_protocols and smtp_tls_mandatory_ciphers; an old server may need TLSv1.2 or less",
    });
  }
  return certificateFinding(probed, severity, shell, now_ms);
}

/** The policy demands a verified certificate, and this one is not. */
function certificateFinding(
  { host, tls, policy }: HostProbe,
  severity: Severity,
  shell: Shell,
  now_ms: number,
): Finding {
  const facts = tls?.facts;
  const names = facts?.certificate?.names.join(", ") ?? "";
  const server = relayText(host);
  if (facts?.trusted) {
    const example = facts.certificate?.names[0] ?? "name";
    return finding(
      severity,
      "certificate-name",
      `${server}: the certificate is for ${names}, and level ${policy.level} wants another name`,
      {
        why: "Somebody else could be answering, so nothing is sent",
        remedy: `Write the server's own name as relayhost. If ${example} is the server that you mean, say so in smtp_tls_policy_maps: "${policy.level} match=${example}"`,
      },
    );
  }
  const why = "Nobody that we trust vouches for the server, so nothing is sent";
  if (facts?.distrust === "CERT_HAS_EXPIRED" || certificateDaysLeft(facts, now_ms) < 0) {
    return finding(severity, "certificate-expired", `${server}: the certificate has expired`, {
      why,
      remedy:
        "Its owner has to renew it; until then only level encrypt, which verifies nothing, would work. See that this host's clock is right",
    });
  }
  if (facts?.distrust === "CERT_NOT_YET_VALID") {
    return finding(severity, "certificate-not-yet", `${server}: the certificate is not valid yet`, {
      why,
      remedy: "Set this host's clock: timedatectl set-ntp true",
    });
  }
  const issuer = facts?.certificate?.issuer || "nobody";
  return finding(
    severity,
    "certificate-authority",
    `${server}: the certificate was issued by ${issuer}, whom this configuration does not trust`,
    {
      why,
      remedy: "Trust the authorities of the system; for one of your own, name its certificate as smtp_tls_CAfile",
      commands: shell.set({ smtp_tls_CAfile: "/etc/ssl/certs/ca-certificates.crt" }),
    },
  );
}

function loginFinding(probed: HostProbe, severity: Severity, context: ProbeContext): Finding {
  const { host, failure, selected, username = "" } = probed;
  const { reason = "", reply } = failure?.failure ?? {};
  const server = relayText(host);
  if (selected?.by.kind === "none") return noMechanism(probed, severity, context);
  if (reply === undefined) {
    return finding(severity, "login-failed", `${server}: ${reason}`, {
      why: "The login did not come to an end, and mail is deferred",
      remedy: "Look at the conversation: --show-dialogue",
    });
  }
  return finding(severity, "login-refused", `${server} refuses the login of ${username}: ${reply}`, {
    why: "Mail is held back until the login works",
    remedy: "Put the right user name and password into the table of smtp_sasl_password_maps, and make its index again",
  });
}

/** "no mechanism available": which option of ours keeps out what the server offers. */
function noMechanism({ host, selected, tls }: HostProbe, severity: Severity, { shell }: ProbeContext): Finding {
  const rejected = selected?.by.rejected ?? [];
  const server = relayText(host);
  const each = rejected.map((one) => `${one.name} (${reasonFor(one)})`).join(", ");
  const text = `${server} offers ${each || "an empty list of mechanisms"}: none of them can be used`;
  const options = tls ? "smtp_sasl_tls_security_options" : "smtp_sasl_security_options";
  const why = "Postfix calls this: no mechanism available. Mail is deferred";
  const lacking = rejected.filter(({ because }) => because === "lacks properties");
  if (lacking.length === 0) {
    const filtered = rejected.some(({ because }) => because === "filtered");
    return finding(severity, "no-mechanism", text, {
      why,
      remedy: filtered
        ? "Take the filter out"
        : "Ask the provider for a login by password (PLAIN, LOGIN, CRAM-MD5 or SCRAM), or for another server",
      commands: filtered ? shell.set({ smtp_sasl_mechanism_filter: undefined }) : [],
    });
  }
  const onlyPlain = lacking.every(({ lacking: missing }) => missing.every((property) => property === "noplaintext"));
  const kept = [...(selected?.required ?? [])].filter((property) => !needed(lacking).has(property));
  if (!tls && onlyPlain) {
    return finding(severity, "no-mechanism", text, {
      why: `${why}. They send the password as it is, which ${options} forbids; and this session has no TLS`,
      remedy: "Use TLS, and allow such mechanisms under it",
      commands: shell.set({ smtp_tls_security_level: "encrypt", smtp_sasl_tls_security_options: kept.join(", ") }),
    });
  }
  return finding(severity, "no-mechanism", text, {
    why: `${why}. ${options} asks for more than they have`,
    remedy: tls && onlyPlain ? "Over TLS the password is protected: allow it there" : "Ask for less",
    commands: shell.set({ [options]: kept.join(", ") }),
  });
}

/** The properties that would have to be given up for the mechanism that lacks the fewest. */
function needed(lacking: readonly Rejected[]): ReadonlySet<SaslProperty> {
  const [least] = [...lacking].sort((a, b) => a.lacking.length - b.lacking.length);
  return new Set(least?.lacking);
}

function reasonFor({ because, lacking }: Rejected): string {
  switch (because) {
    case "filtered":
      return "kept out by smtp_sasl_mechanism_filter";
    case "unknown here":
      return "not known here";
    case "lacks properties":
      return `lacks ${lacking.join(", ")}`;
    default:
      return because;
  }
}

function senderFinding(
  { sender }: HopProbe,
  { host, failure, username, features, tls }: HostProbe,
  severity: Severity,
  { shell }: ProbeContext,
): Finding {
  const reply = failure?.failure.reply ?? failure?.failure.reason ?? "";
  const server = relayText(host);
  if (!tls && features?.startTls && /tls|encrypt|secure/i.test(reply)) {
    return finding(severity, "tls-needed", `${server} wants TLS: ${reply}`, {
      why: "Servers often offer AUTH, and take mail, only after STARTTLS",
      remedy: "Require TLS",
      commands: shell.set({ smtp_tls_security_level: "encrypt" }),
    });
  }
  if (!username && /authenticat|log ?in|auth required/i.test(reply)) {
    return finding(severity, "login-needed", `${server} wants a login: ${reply}`, {
      why: "There is none for this server in smtp_sasl_password_maps, or logins are not switched on",
      remedy: "Write an entry for it, and set smtp_sasl_auth_enable = yes",
    });
  }
  const owner = username?.includes("@") ? username : "you@your-domain.org";
  return finding(severity, "sender-refused", `${server} does not take mail from <${sender}>: ${reply}`, {
    ...told(failure?.failure.reason ?? reply, {
      why: `Providers let an account${username ? ` such as ${username}` : ""} send only as its own addresses`,
      remedy: `Have mail of local programs go out under an address that the account owns, with myorigin or smtp_generic_maps; try one with: --from ${owner}`,
    }),
  });
}

/** What is known of such an answer, or what can be said of any. */
function told(reason: string, otherwise: Pick<Finding, "why" | "remedy">): Pick<Finding, "why" | "remedy"> {
  const known = explain(reason);
  return known ? { why: withoutStop(known.meaning), remedy: withoutStop(known.remedy) } : otherwise;
}

const withoutStop = (text: string): string => text.replace(/\.$/, "");

/** About a host that would take mail. */
function hostRemarks({ use }: HopProbe, probed: HostProbe, { now_ms, shell }: ProbeContext): Finding[] {
  const { host, tls, features, username, selected } = probed;
  const findings: Finding[] = [];
  const server = relayText(host);
  if (username !== undefined && selected === undefined && features && features.mechanisms === undefined) {
    findings.push(
      finding("warning", "auth-not-offered", `${server} offers no AUTH, and there is a login for it (${username})`, {
        why: "Mail goes there without the login",
        remedy: tls
          ? "Ask the provider which port takes logins: mostly 587"
          : features.startTls
            ? "Servers often offer AUTH only after STARTTLS: require TLS"
            : "Use the provider's port for submission: mostly 587",
        commands: !tls && features.startTls ? shell.set({ smtp_tls_security_level: "encrypt" }) : [],
      }),
    );
  }
  const days = certificateDaysLeft(tls?.facts, now_ms);
  if (days < 14) {
    findings.push(
      finding(
        "notice",
        "certificate-expires",
        `${server}: its certificate ${days < 0 ? "has expired" : `expires in ${Math.floor(days)} days`}`,
        {
          why: "Where certificates are verified, mail stops then",
          remedy: "Its owner has to renew it",
        },
      ),
    );
  }
  if (selected?.by.kind === "mechanism" && !tls && !selected.by.mechanism.properties.has("noplaintext")) {
    findings.push(
      finding(
        "warning",
        "password-in-clear",
        `the password for ${use.nexthop} goes out in clear (${selected.by.mechanism.name} without TLS)`,
        {
          why: "Everybody on the way can read it",
          remedy: "Require TLS",
          commands: shell.set({ smtp_tls_security_level: "encrypt" }),
        },
      ),
    );
  }
  return findings;
}
