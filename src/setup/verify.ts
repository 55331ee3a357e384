/**
 * Tries a login before anything is written: the session that mail would get, with the parameters and the password as they
 * would be. Where the port is not known, 587, 465 and 25 are tried in this order.
 */

import { type Finding, nowhere } from "../check/finding.ts";
import { type HopProbe, probeHop, silent } from "../check/probe.ts";
import { probeFindings } from "../check/probe-findings.ts";
import { setScene } from "../check/scene.ts";
import { clientParts } from "../relay/client-parts.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { Maps } from "../table/maps.ts";
import { type Login, SetupError } from "./changes.ts";

export interface ServerChoice {
  readonly host: string;
  /** undefined: to be found out. */
  readonly port: number | undefined;
  readonly wrapper: boolean;
}

export interface VerifyRequest extends Pick<Login, "level" | "authorities" | "username" | "password"> {
  readonly directory: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly server: ServerChoice;
  /** The sender to try, and the one that this host's own programs send under. */
  readonly sender: string;
  readonly local: string;
  readonly patience_s: number;
  /** Told of each try. */
  readonly tried: (probe: HopProbe) => void;
}

export type Verified =
  /** `refused`: the server takes no mail from this host's own sender, and says so. */
  | { readonly ok: true; readonly login: Login; readonly probe: HopProbe; readonly refused: readonly Finding[] }
  | { readonly ok: false; readonly probe: HopProbe; readonly findings: readonly Finding[] };

interface Candidate {
  readonly port: number;
  readonly wrapper: boolean;
}

/** The first that works; else the one that came farthest, with what is wrong with it. */
export async function verifyLogin(runtime: Runtime, request: VerifyRequest): Promise<Verified> {
  const { port, wrapper } = request.server;
  const candidates: readonly Candidate[] =
    port === undefined
      ? [
          { port: 587, wrapper: false },
          { port: 465, wrapper: true },
          { port: 25, wrapper: false },
        ]
      : [{ port, wrapper }];
  let farthest: Verified | undefined;
  for (const candidate of candidates) {
    const verified = await tryCandidate(runtime, request, candidate);
    request.tried(verified.probe);
    if (verified.ok) return verified;
    if (!farthest || stepsOf(verified.probe) > stepsOf(farthest.probe)) farthest = verified;
    // It took the login, or refused it: another port would say the same.
    if (verified.probe.hosts.some(({ failure }) => failure && ["login", "mail"].includes(failure.at))) return verified;
  }
  if (!farthest) throw new SetupError("there is no port to try");
  return farthest;
}

const stepsOf = ({ hosts }: HopProbe): number =>
  Math.max(0, ...hosts.map(({ steps }) => steps.filter(({ ok }) => ok).length));

async function tryCandidate(runtime: Runtime, request: VerifyRequest, candidate: Candidate): Promise<Verified> {
  const { directory, env, server, level, authorities, username, password } = request;
  const nexthop = `[${server.host}]:${candidate.port}`;
  const overrides = {
    relayhost: nexthop,
    smtp_sasl_auth_enable: "yes",
    smtp_sasl_password_maps: "",
    smtp_sasl_tls_security_options: "noanonymous",
    smtp_tls_security_level: level,
    smtp_tls_wrappermode: candidate.wrapper ? "yes" : "no",
    ...(level === "secure" ? { smtp_tls_CAfile: authorities ?? "/etc/ssl/certs/ca-certificates.crt" } : {}),
  };
  const { scene, findings } = await setScene(runtime, { directory, env, overrides });
  const use = scene?.hops.find((hop) => hop.nexthop === nexthop);
  if (!scene || !use) {
    const [first] = findings.filter(({ severity }) => severity === "error");
    throw new SetupError(
      first ? `the configuration cannot be used: ${first.file}: ${first.text}` : `no mail would go to ${nexthop}`,
    );
  }
  const delimiter = use.transport.conf.smtp_sasl_password_result_delimiter.slice(0, 1) || ":";
  const parts = {
    ...clientParts(use.transport, scene, silent(runtime.clock)),
    passwords: onePassword(nexthop, `${username}${delimiter}${password}`),
  };
  const asked = (sender: string): Promise<HopProbe> =>
    probeHop({ ...use, place: nowhere }, sender, parts, request.patience_s);
  const wrongWith = (probe: HopProbe): Finding[] =>
    probeFindings(probe, { shell: scene.shell, now_ms: runtime.clock.now() }).filter(
      ({ severity }) => severity !== "notice",
    );
  const probe = await asked(request.sender);
  const reached = probe.hosts.find(({ failure }) => failure === undefined);
  if (reached?.selected?.by.kind !== "mechanism") return { ok: false, probe, findings: wrongWith(probe) };
  const login = { nexthop, wrapper: candidate.wrapper, level, authorities, username, password };
  const local = request.local === request.sender ? probe : await asked(request.local);
  const refused = wrongWith(local).filter(({ code }) => code === "sender-refused");
  return { ok: true, probe, login, refused };
}

/** A table of one entry. */
function onePassword(key: string, value: string): Maps {
  const current = { get: (asked: string) => (asked === key ? value : undefined), close: async () => {} };
  return new Maps([{ reference: "setup", patterns: false, current }]);
}
