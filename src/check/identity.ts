/** How this host presents itself, and whom it takes mail from. */
import { parseNextHop } from "../dns/nexthop.ts";
import { addressSet } from "../relay/own-addresses.ts";
import { addressBytes } from "../rfc5321/ip.ts";
import { type Finding, finding, placeOf } from "./finding.ts";
import type { Scene } from "./scene.ts";

export async function inspectIdentity(scene: Scene): Promise<Finding[]> {
  return [...helloName(scene), ...relaysToItself(scene), ...(await wideNetworks(scene))];
}

/** Endings that only this network knows. */
const privateEndings = /\.(?:local|localdomain|lan|internal|intranet|home|corp)$/i;

function helloName({ configuration }: Scene): Finding[] {
  const { conf, settings } = configuration;
  const parameter = conf.smtp_helo_name !== conf.myhostname && conf.smtp_helo_name ? "smtp_helo_name" : "myhostname";
  const name = conf.smtp_helo_name || conf.myhostname;
  const wrong = wrongWith(name);
  if (!wrong) return [];
  return [
    finding("warning", "hello-name", `${parameter} = ${name} ${wrong}`, {
      ...placeOf(settings, parameter),
      why: "Servers are told this name, and many refuse mail from a host that has no proper one",
      remedy: `Give the name that this host has in DNS, such as: postconf -e 'myhostname = mail.your-domain.org'`,
    }),
  ];
}

function wrongWith(name: string): string | undefined {
  if (/^localhost(?:\.|$)/i.test(name)) return "is every host's name for itself";
  if (!name.includes(".")) return "has no domain";
  if (addressBytes(name)) return "is an address, not a name";
  if (name.includes("_")) return "has an underscore, which names of hosts cannot have";
  if (privateEndings.test(name)) return "is known to nobody outside this network";
  return undefined;
}

/** A relay host that is ourselves would send mail in circles. */
function relaysToItself({ configuration: { conf }, hops, self }: Scene): Finding[] {
  const own = addressSet(self);
  const findings: Finding[] = [];
  for (const { nexthop, parameter, place, transport } of hops) {
    const hop = parseNextHop(nexthop, transport.conf.smtp_tcp_port);
    if ("error" in hop || hop.port !== 25) continue;
    const ours = hop.numeric ? own(hop.host) : hop.host.toLowerCase() === conf.myhostname.toLowerCase();
    if (!ours) continue;
    findings.push(
      finding("error", "loop", `${parameter} leads to ${nexthop}, which is this host`, {
        ...place,
        why: "Mail would go round in circles, and bounces: mail loops back to myself",
        remedy: "Name the server that mail should go to, or take the parameter out",
      }),
    );
  }
  return findings;
}

/** The shortest prefixes that are no cause for doubt, in bits. */
const widest = { four: 16, six: 48 };

/** Networks that belong to nobody in particular are theirs who use them (RFC 1918, RFC 4193, RFC 6598, loopback, link-local). */
const anyonesOwn =
  /^(?:10\.|127\.|192\.168\.|172\.(?:1[6-9]|2\d|3[01])\.|169\.254\.|100\.(?:6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|\[?f[cd]|\[?fe80|\[?::1)/i;

async function wideNetworks({ configuration: { smtpd } }: Scene): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { conf, settings } of smtpd) {
    for (const word of conf.mynetworks) {
      const [, address = "", bits] = /^\[?([\da-fA-F.:]+)\]?\/(\d+)$/.exec(word) ?? [];
      if (bits === undefined || anyonesOwn.test(address)) continue;
      if (Number(bits) >= (address.includes(":") ? widest.six : widest.four)) continue;
      findings.push(
        finding("warning", "wide-network", `mynetworks has ${word}: everybody there may send mail through this host`, {
          ...placeOf(settings, "mynetworks"),
          why: "A relay that strangers can use is found within hours, and its address ends up on block lists",
          remedy: "Name only networks that are yours",
        }),
      );
    }
  }
  return findings;
}
