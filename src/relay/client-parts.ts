import type { Log } from "../log/log.ts";
import type { Router } from "../routing/resolve.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { outgoingRules } from "../smtp/content-filter.ts";
import type { SmtpParts } from "../smtp/parts.ts";
import { TlsPolicies } from "../tls/policy.ts";
import type { SmtpTransport } from "./configuration.ts";
import type { Materials } from "./materials.ts";

export interface ClientContext {
  readonly runtime: Runtime;
  readonly materials: Materials;
  readonly router: Router;
  /** Addresses at which we take mail ourselves. */
  readonly self: readonly string[];
}

/** What the SMTP client of a transport is made of. `log`: under the client's own name. */
export function clientParts(
  transport: SmtpTransport,
  { runtime, materials, router, self }: ClientContext,
  log: Log,
): SmtpParts {
  const { conf, protocol } = transport;
  const gathered = materials.transports.get(transport);
  if (!gathered) throw new Error(`nothing was gathered for transport ${transport.name}`);
  return {
    ...{ conf, protocol, runtime, log, self },
    queueDirectory: conf.queue_directory,
    passwords: materials.tables.maps(conf.smtp_sasl_password_maps),
    discardMaps: materials.tables.maps(conf.smtp_discard_ehlo_keyword_address_maps),
    generic: router.addressMap("smtp_generic_maps", conf.smtp_generic_maps, "generic"),
    filter: gathered.filter,
    checks: outgoingRules(conf, materials.tables.maps),
    policies: new TlsPolicies(conf, materials.tables.maps(conf.smtp_tls_policy_maps), log),
    authorities: gathered.authorities,
    minimalBackoff_s: conf.minimal_backoff_time,
  };
}
