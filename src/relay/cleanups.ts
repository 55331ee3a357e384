import { Cleanup, type CleanupOptions } from "../cleanup/cleanup.ts";
import { contentRules } from "../cleanup/content-rules.ts";
import { Router, type RoutingSources } from "../routing/resolve.ts";
import type { Configuration, ServiceConf } from "./configuration.ts";

/** What all cleanup services share. */
interface CleanupParts extends Pick<CleanupOptions, "store" | "clock" | "log"> {
  /** For whoever has the configuration of main.cf. */
  readonly router: Router;
  readonly sources: RoutingSources;
}

/**
 * The cleanup services of master.cf, each with its own -o: tables that look into content, aliases, canonical maps. Which of
 * them a message passes through, whoever takes it says (cleanup_service_name).
 */
export class Cleanups {
  readonly #byName = new Map<string, Cleanup>();
  readonly #usual: Cleanup;

  constructor({ conf, settings, cleanups }: Configuration, parts: CleanupParts) {
    const usual = { conf, settings };
    this.#usual = cleanupOf(usual, usual, parts);
    for (const [name, service] of cleanups) this.#byName.set(name, cleanupOf(service, usual, parts));
  }

  /** The service of that name; configure() has seen to it that there is one, or that it is the usual one. */
  named(name: string): Cleanup {
    return this.#byName.get(name) ?? this.#usual;
  }
}

function cleanupOf({ conf }: ServiceConf, usual: ServiceConf, parts: CleanupParts): Cleanup {
  const { sources, store, clock, log } = parts;
  const router = conf === usual.conf ? parts.router : new Router(conf, sources);
  return new Cleanup({ conf, router, store, clock, log, content: contentRules(conf, sources.maps) });
}
