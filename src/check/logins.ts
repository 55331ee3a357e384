/** Whether logins are used, found, and safe where they go, as far as the configuration tells without asking a server. */
import { parseNextHop } from "../dns/nexthop.ts";
import type { SmtpTransport } from "../relay/configuration.ts";
import type { RelayConf } from "../relay/params.ts";
import { clientMechanisms } from "../sasl/mechanisms.ts";
import { findCredentials } from "../smtp/credentials.ts";
import { TableError } from "../table/table.ts";
import { requiresMatch, requiresTls } from "../tls/level.ts";
import { defaultLevel } from "../tls/policy.ts";
import { type Finding, finding, placeOf } from "./finding.ts";
import type { NextHopUse } from "./next-hops.ts";
import type { Scene } from "./scene.ts";

export async function inspectLogins(scene: Scene): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const transport of usedTransports(scene)) {
    findings.push(...switchedOff(scene, transport), ...(await filteredAway(scene, transport)));
    findings.push(...noTables(scene, transport), ...tooStrict(scene, transport), ...inClear(scene, transport));
    findings.push(...plaintextRefused(scene, transport));
  }
  for (const hop of scene.hops) findings.push(...(await withoutLogin(scene, hop)));
  return findings;
}

/** Those that mail can be led to; the built-in one, where everything goes directly. */
function usedTransports({ configuration: { transports, conf }, hops }: Scene): SmtpTransport[] {
  const named = transports.filter((each) => hops.some(({ transport }) => transport === each));
  if (named.length > 0) return named;
  return transports.filter(({ name }) => name === conf.default_transport.split(":", 1)[0]);
}

function switchedOff({ shell }: Scene, { conf, settings }: SmtpTransport): Finding[] {
  if (conf.smtp_sasl_auth_enable || conf.smtp_sasl_password_maps.length === 0) return [];
  return [
    finding("warning", "auth-disabled", "smtp_sasl_password_maps is set, and smtp_sasl_auth_enable is not", {
      ...placeOf(settings, "smtp_sasl_password_maps"),
      why: "Postern never logs in, and a server that wants a login answers: Relay access denied, or Authentication required",
      remedy: "Switch it on",
      commands: shell.set({ smtp_sasl_auth_enable: "yes" }),
    }),
  ];
}

function noTables({ shell, directory }: Scene, { conf, settings }: SmtpTransport): Finding[] {
  if (!conf.smtp_sasl_auth_enable || conf.smtp_sasl_password_maps.length > 0) return [];
  const table = `hash:${directory}/sasl_passwd`;
  return [
    finding("warning", "no-passwords", "smtp_sasl_auth_enable is on, and smtp_sasl_password_maps names no table", {
      ...placeOf(settings, "smtp_sasl_auth_enable"),
      why: "There is no user name and no password to log in with",
      remedy: `Name a table, such as ${table}, write "[server]:port user:password" into it, and run: ${shell.postmap(table)}`,
    }),
  ];
}

async function filteredAway({ materials, shell }: Scene, transport: SmtpTransport): Promise<Finding[]> {
  const { conf, settings } = transport;
  const filter = materials.transports.get(transport)?.filter;
  if (!conf.smtp_sasl_auth_enable || !filter || conf.smtp_sasl_mechanism_filter.length === 0) return [];
  const known = clientMechanisms.map(({ name }) => name);
  try {
    if ((await filter.permitted(known)).length > 0) return [];
  } catch (error) {
    if (!(error instanceof TableError)) throw error;
    return [];
  }
  return [
    finding(
      "error",
      "filter-matches-nothing",
      "smtp_sasl_mechanism_filter lets no mechanism through that is known here",
      {
        ...placeOf(settings, "smtp_sasl_mechanism_filter"),
        why: `No login can work. Known here: ${known.join(", ")}`,
        remedy: "Take the filter out, or name mechanisms of this list",
        commands: shell.set({ smtp_sasl_mechanism_filter: undefined }),
      },
    ),
  ];
}

/** Security options under which no mechanism is left, whatever the server offers. */
function tooStrict({ shell }: Scene, { conf, settings }: SmtpTransport): Finding[] {
  if (!conf.smtp_sasl_auth_enable) return [];
  const name = securityOptions(conf);
  const required = conf[name];
  const usable = clientMechanisms.filter(({ properties }) => required.every((each) => properties.has(each)));
  if (usable.length > 0) return [];
  return [
    finding("error", "options-leave-nothing", `no mechanism satisfies ${name} = ${required.join(", ")}`, {
      ...placeOf(settings, settings.has(name) ? name : "smtp_sasl_security_options"),
      why: "Every login ends with: no mechanism available",
      remedy: "Ask for less: noanonymous is what most providers can do over TLS",
      commands: shell.set({ [name]: "noanonymous" }),
    }),
  ];
}

/** What hardly any provider can do without; only asking the server tells whether this one can. */
function plaintextRefused({ shell }: Scene, { conf, settings }: SmtpTransport): Finding[] {
  const name = securityOptions(conf);
  if (!conf.smtp_sasl_auth_enable || conf.smtp_sasl_password_maps.length === 0) return [];
  if (!conf[name].includes("noplaintext")) return [];
  const kept = conf[name].filter((each) => each !== "noplaintext").join(", ");
  return [
    finding("warning", "plaintext-refused", `${name} forbids mechanisms that send the password (noplaintext)`, {
      ...placeOf(settings, settings.has(name) ? name : "smtp_sasl_security_options"),
      why: "Most providers offer nothing but PLAIN and LOGIN; with them every login ends with: no mechanism available",
      remedy: "Over TLS the password is protected: allow it there",
      commands: shell.set({
        smtp_sasl_tls_security_options: kept,
        ...(name === "smtp_sasl_security_options" ? { smtp_tls_security_level: "encrypt" } : {}),
      }),
    }),
  ];
}

type OptionsName = "smtp_sasl_security_options" | "smtp_sasl_tls_security_options";

/** Which of them is in force at the server, where TLS is used if it can be. */
export function securityOptions(conf: RelayConf): OptionsName {
  return defaultLevel(conf) === "none" ? "smtp_sasl_security_options" : "smtp_sasl_tls_security_options";
}

/** Where TLS can be stripped, or nobody looks who is at the other end, a password can end up with a stranger. */
function inClear({ shell, configuration }: Scene, transport: SmtpTransport): Finding[] {
  const { conf, settings } = transport;
  if (!conf.smtp_sasl_auth_enable || conf.smtp_sasl_password_maps.length === 0) return [];
  const level = defaultLevel(conf);
  const place = placeOf(settings, settings.has("smtp_tls_security_level") ? "smtp_tls_security_level" : "smtp_use_tls");
  const authorities = settings.value("smtp_tls_CAfile") || settings.value("smtp_tls_CApath");
  const verified = {
    smtp_tls_security_level: "secure",
    ...(authorities || conf.tls_append_default_CA ? {} : { smtp_tls_CAfile: "/etc/ssl/certs/ca-certificates.crt" }),
  };
  if (!requiresTls(level)) {
    const plain = !conf.smtp_sasl_security_options.includes("noplaintext");
    return [
      finding(
        "warning",
        "tls-not-required",
        `TLS is not required (smtp_tls_security_level is ${level}), and logins are used`,
        {
          ...place,
          why: plain
            ? "Whoever sits between can take STARTTLS out of the conversation, and is then given the password in clear"
            : "Mail can go out in clear, and providers offer logins over TLS only",
          remedy: "Require TLS, and look who is at the other end",
          commands: shell.set(verified),
        },
      ),
    ];
  }
  if (requiresMatch(level) || configuration.conf.smtp_tls_policy_maps.length > 0) return [];
  return [
    finding("warning", "server-not-verified", "the server that is given the password is not verified (level encrypt)", {
      ...place,
      why: "Whoever can forge a name or reroute the connection is given the password",
      remedy: "Have the server's certificate verified",
      commands: shell.set(verified),
    }),
  ];
}

/** A relay host for which there is no entry at all gets mail without a login. */
async function withoutLogin(
  scene: Scene,
  { transport, nexthop, sender, parameter, place }: NextHopUse,
): Promise<Finding[]> {
  const { conf } = transport;
  if (!conf.smtp_sasl_auth_enable || conf.smtp_sasl_password_maps.length === 0) return [];
  const hop = parseNextHop(nexthop, conf.smtp_tcp_port);
  // The names of MX hosts, under which there may be an entry, only DNS tells.
  if ("error" in hop || !hop.bracketed) return [];
  const passwords = scene.materials.tables.maps(conf.smtp_sasl_password_maps);
  try {
    const found = await findCredentials(passwords, {
      sender: conf.smtp_sender_dependent_authentication ? (sender ?? "") : "",
      host: hop.host,
      nexthop,
      recipientDelimiter: conf.recipient_delimiter,
      resultDelimiter: conf.smtp_sasl_password_result_delimiter,
    });
    if (found) return [];
  } catch (error) {
    if (!(error instanceof TableError)) throw error;
    return [];
  }
  const [reference = ""] = conf.smtp_sasl_password_maps;
  return [
    finding("warning", "no-login", `there is no login for ${nexthop} (${parameter}) in smtp_sasl_password_maps`, {
      ...place,
      about: nexthop,
      why: "Mail goes there without a login, and most servers refuse that",
      remedy: `Write "${nexthop} user:password" into ${reference.replace(/^[a-z]+:/, "")}, then run: ${scene.shell.postmap(reference)}`,
    }),
  ];
}
