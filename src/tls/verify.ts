import type { TlsFacts } from "../runtime/net.ts";
import { certificateNameMatches } from "./certificate-name.ts";
import { requiresMatch } from "./level.ts";
import type { ServerNames, TlsPolicy } from "./policy.ts";

/**
 * What a handshake is worth under a policy.
 *
 *   Verified   trusted, and the name is one that verify or secure asked for
 *   Trusted    an authority that we trust vouches for the certificate
 *   Untrusted  encrypted, but anybody could be at the other end
 *   Anonymous  the server showed no certificate
 */
export type PeerStatus = "Verified" | "Trusted" | "Untrusted" | "Anonymous";

export interface Verdict {
  readonly status: PeerStatus;
  /** The name of the certificate that matched; smtp_sasl_tls_verified_security_options applies where there is one. */
  readonly matched: string | undefined;
  /** Why nothing may be delivered over this session; undefined: it may. The server itself is deferred. */
  readonly failure: { readonly dsn: "4.7.5"; readonly text: string } | undefined;
}

export function judge(facts: TlsFacts, policy: TlsPolicy, names: ServerNames): Verdict {
  const demanded = requiresMatch(policy.level);
  const matched = demanded && facts.trusted ? matchingName(facts, wantedNames(policy.match, names)) : undefined;
  const status = !facts.certificate ? "Anonymous" : matched ? "Verified" : facts.trusted ? "Trusted" : "Untrusted";
  const failure =
    demanded && matched === undefined
      ? ({ dsn: "4.7.5", text: "Server certificate not verified" } as const)
      : undefined;
  return { status, matched, failure };
}

/** The names that will do: strategies replaced by this connection's names, one that begins with a dot standing for what is below it. */
export function wantedNames(match: readonly string[], { hostname, nexthop }: ServerNames): readonly string[] {
  return match.map((word) => {
    switch (word.toLowerCase()) {
      case "hostname":
        return hostname;
      case "nexthop":
        return nexthop;
      case "dot-nexthop":
        return `.${nexthop}`;
      default:
        return word;
    }
  });
}

function matchingName(facts: TlsFacts, wanted: readonly string[]): string | undefined {
  const presented = facts.certificate?.names ?? [];
  return presented.find((name) => wanted.some((each) => certificateNameMatches(name, each)));
}

/** smtp_tls_loglevel 1. `server` is "NAME[IP]:PORT". */
export function handshakeText(facts: TlsFacts, { status }: Verdict, server: string): string {
  const { protocol, cipher, cipherBits } = facts;
  return `${status} TLS connection established to ${server}: ${protocol} with cipher ${cipher} (${cipherBits}/${cipherBits} bits)`;
}

/** Why the certificate is not what it should be; undefined when it is. For smtp_tls_loglevel 1, beside handshakeText(). */
export function distrustText(
  facts: TlsFacts,
  policy: TlsPolicy,
  names: ServerNames,
  server: string,
): string | undefined {
  if (!facts.certificate) return undefined;
  if (facts.trusted) {
    if (!requiresMatch(policy.level) || judge(facts, policy, names).matched) return undefined;
    const wanted = printable(wantedNames(policy.match, names).join(", "));
    const presented = printable(facts.certificate.names.slice(0, 10).join(", "));
    return `certificate verification failed for ${server}: the certificate is for ${presented || "no host"}, not for ${wanted}`;
  }
  const issuer = printable(facts.certificate.issuer);
  switch (facts.distrust) {
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
      return `certificate verification failed for ${server}: self-signed certificate`;
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
      return `certificate verification failed for ${server}: untrusted issuer ${issuer || "<unknown>"}`;
    case "CERT_NOT_YET_VALID":
      return `server certificate verification failed for ${server}: certificate not yet valid`;
    case "CERT_HAS_EXPIRED":
      return `server certificate verification failed for ${server}: certificate has expired`;
    case "INVALID_PURPOSE":
      return `certificate verification failed for ${server}: not designated for use as a server certificate`;
    default:
      return `server certificate verification failed for ${server}: ${printable(facts.distrust ?? "not verified")}`;
  }
}

/** What a certificate says is the server's choice: it must not break a log line. */
function printable(text: string): string {
  return text.slice(0, 500).replace(/[^\x20-\x7e]/g, "?");
}
