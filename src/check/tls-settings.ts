/** TLS settings that cannot work together, or not with the port that is named. */
import { parseNextHop } from "../dns/nexthop.ts";
import { requiresMatch, requiresTls } from "../tls/level.ts";
import { defaultLevel } from "../tls/policy.ts";
import { type Finding, finding, placeOf } from "./finding.ts";
import type { NextHopUse } from "./next-hops.ts";
import type { Scene } from "./scene.ts";

/** The port on which TLS begins with the first byte (RFC 8314). */
export const wrapperPort = 465;

const systemAuthorities = "/etc/ssl/certs/ca-certificates.crt";

export async function inspectTlsSettings(scene: Scene): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const hop of scene.hops) findings.push(...wrongPort(scene, hop));
  for (const transport of new Set(scene.hops.map((hop) => hop.transport))) {
    const { conf, settings } = transport;
    const { shell, materials } = scene;
    const level = defaultLevel(conf);
    if (conf.smtp_tls_wrappermode && !requiresTls(level)) {
      findings.push(
        finding(
          "error",
          "wrapper-without-tls",
          `smtp_tls_wrappermode needs TLS, and smtp_tls_security_level is ${level}`,
          {
            ...placeOf(settings, "smtp_tls_wrappermode"),
            why: "All mail is deferred: client TLS configuration problem",
            remedy: "Require TLS",
            commands: shell.set({ smtp_tls_security_level: "encrypt" }),
          },
        ),
      );
    }
    const authorities = materials.transports.get(transport)?.authorities ?? [];
    if (requiresMatch(level) && authorities.length === 0) {
      findings.push(
        finding("error", "no-authorities", `level ${level} verifies certificates, and no authority is trusted`, {
          ...placeOf(settings, "smtp_tls_security_level"),
          why: "No server can be verified, so that all mail is deferred: Server certificate not verified",
          remedy: "Trust the authorities of the system",
          commands: shell.set({ smtp_tls_CAfile: systemAuthorities }),
        }),
      );
    }
  }
  return findings;
}

function wrongPort(
  { shell }: Scene,
  { transport: { conf, settings }, nexthop, parameter, place }: NextHopUse,
): Finding[] {
  const hop = parseNextHop(nexthop, conf.smtp_tcp_port);
  if ("error" in hop) {
    return [
      finding("error", "next-hop", `${parameter}: ${hop.error}`, {
        ...place,
        why: "Mail that is led there is deferred",
        remedy: "Write it as [host]:port",
      }),
    ];
  }
  if (hop.port === wrapperPort && !conf.smtp_tls_wrappermode) {
    return [
      finding(
        "error",
        "port-465",
        `${nexthop}: port 465 speaks TLS from the first byte, and smtp_tls_wrappermode is off`,
        {
          ...place,
          why: "Both sides wait for the other one to speak, until the connection times out",
          remedy: "Switch wrapper mode on, which requires TLS; or use port 587 without it",
          commands: shell.set({
            smtp_tls_wrappermode: "yes",
            ...(requiresTls(defaultLevel(conf)) ? {} : { smtp_tls_security_level: "encrypt" }),
          }),
        },
      ),
    ];
  }
  if ((hop.port === 587 || hop.port === 25) && conf.smtp_tls_wrappermode) {
    return [
      finding("error", "wrapper-port", `${nexthop}: port ${hop.port} begins in clear, and smtp_tls_wrappermode is on`, {
        ...placeOf(settings, "smtp_tls_wrappermode"),
        why: "The server takes the beginning of TLS for a command that it does not know: wrong version number",
        remedy: "Switch wrapper mode off; STARTTLS is used on this port",
        commands: shell.set({ smtp_tls_wrappermode: "no" }),
      }),
    ];
  }
  return [];
}
