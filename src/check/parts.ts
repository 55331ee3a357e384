import { createLog } from "../log/log.ts";
import type { SmtpTransport } from "../relay/configuration.ts";
import type { SmtpParts } from "../smtp/parts.ts";
import { TlsPolicies } from "../tls/policy.ts";
import type { Scene } from "./scene.ts";

/** What the SMTP client of a transport is made of. */
export function partsOf({ runtime, materials, self }: Scene, transport: SmtpTransport): SmtpParts {
  const { conf, protocol } = transport;
  const log = createLog({ sink: () => {}, now: () => runtime.clock.now(), service: "check", slot: 0, tag: "postfix" });
  const gathered = materials.transports.get(transport);
  if (!gathered) throw new Error(`nothing was gathered for transport ${transport.name}`);
  return {
    ...{ protocol, conf, runtime, log, self },
    queueDirectory: conf.queue_directory,
    passwords: materials.tables.maps(conf.smtp_sasl_password_maps),
    discardMaps: materials.tables.maps(conf.smtp_discard_ehlo_keyword_address_maps),
    filter: gathered.filter,
    policies: new TlsPolicies(conf, materials.tables.maps(conf.smtp_tls_policy_maps), log),
    authorities: gathered.authorities,
    minimalBackoff_s: conf.minimal_backoff_time,
  };
}
