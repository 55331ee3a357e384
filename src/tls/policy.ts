import type { Values } from "../conf/param.ts";
import { isHostName } from "../dns/host-name.ts";
import type { Log } from "../log/log.ts";
import type { TlsClientOptions } from "../runtime/net.ts";
import type { Answer, Maps } from "../table/maps.ts";
import { TableError } from "../table/table.ts";
import { cipherList } from "./ciphers.ts";
import { requiresMatch, requiresTls, type TlsLevel, usesTls } from "./level.ts";
import type { tlsParams } from "./params.ts";
import { type PolicyEntry, parsePolicyEntry } from "./policy-entry.ts";
import type { TlsProtocols } from "./protocols.ts";

export type TlsConf = Values<typeof tlsParams>;

/** What TLS a destination gets. */
export interface TlsPolicy {
  readonly kind: "policy";
  readonly level: TlsLevel;
  /** TLS from the first byte. Never with a level below encrypt. */
  readonly wrapper: boolean;
  /** At verify and secure: names and strategies ("hostname", "nexthop", "dot-nexthop", ".domain", "name"), any of which will do. */
  readonly match: readonly string[];
  readonly protocols: TlsProtocols;
  /** For OpenSSL. */
  readonly ciphers: string;
  /** SNI: "hostname", "nexthop", a name, or "" for none. */
  readonly serverName: string;
  readonly connectionReuse: boolean;
}

/** The configuration does not tell what to do: the mail waits, since less protection than was meant could be the wrong guess. */
export interface InvalidPolicy {
  readonly kind: "invalid";
  readonly dsn: "4.7.5";
  readonly text: string;
}

/** The level where no table says otherwise. */
export function defaultLevel(conf: TlsConf): TlsLevel {
  if (conf.smtp_tls_security_level) return conf.smtp_tls_security_level;
  if (conf.smtp_enforce_tls) return conf.smtp_tls_enforce_peername ? "verify" : "encrypt";
  return conf.smtp_use_tls ? "may" : "none";
}

/**
 * The policy of every destination: main.cf, and smtp_tls_policy_maps before it.
 *
 * A table is asked for the next hop as it is written, `[mail.example]:587`
 * say. Only where that is a plain domain are its parents asked too, each with
 * a leading dot: sub.example.com, .example.com, .com.
 */
export class TlsPolicies {
  readonly #conf: TlsConf;
  readonly #maps: Maps;
  readonly #log: Log;
  readonly #default: TlsPolicy | InvalidPolicy;

  constructor(conf: TlsConf, maps: Maps, log: Log) {
    this.#conf = conf;
    this.#maps = maps;
    this.#log = log;
    this.#default = this.#complete({ level: defaultLevel(conf), ignored: [] }, "main.cf");
  }

  /** `destination`: the next hop as written, `fallback` relays likewise. */
  find(destination: string): Answer<TlsPolicy | InvalidPolicy> {
    if (this.#maps.empty) return this.#default;
    try {
      const found = this.#search(keysOf(destination), 0);
      if (!(found instanceof Promise)) return this.#decide(found, destination);
      return found.then(
        (value) => this.#decide(value, destination),
        (error: unknown) => this.#unreadable(error, destination),
      );
    } catch (error) {
      return this.#unreadable(error, destination);
    }
  }

  #search(keys: readonly string[], from: number): Answer<string | undefined> {
    for (let index = from; index < keys.length; index++) {
      const found = this.#maps.find(keys[index] ?? "", index > 0);
      if (found instanceof Promise) return found.then((value) => value ?? this.#search(keys, index + 1));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #decide(value: string | undefined, destination: string): TlsPolicy | InvalidPolicy {
    if (value === undefined) return this.#default;
    const where = `smtp_tls_policy_maps, next-hop destination "${destination}"`;
    const entry = parsePolicyEntry(value);
    if ("error" in entry) return this.#invalid(`${where}: ${entry.error}`);
    for (const word of entry.ignored) this.#log.warning(`${where}: ignoring attribute "${word}" with TLS disabled`);
    return this.#complete(entry, where);
  }

  #complete(entry: PolicyEntry, where: string): TlsPolicy | InvalidPolicy {
    const { level } = entry;
    const conf = this.#conf;
    const ciphers = this.#ciphers(entry);
    if (typeof ciphers === "object") return this.#invalid(`${where}: ${ciphers.error}`);
    if (usesTls(level) && conf.smtp_tls_servername && !isHostName(conf.smtp_tls_servername)) {
      return this.#invalid(`"smtp_tls_servername = ${conf.smtp_tls_servername}" specifies an invalid hostname`);
    }
    if (conf.smtp_tls_wrappermode && !requiresTls(level)) {
      return this.#invalid('smtp_tls_wrappermode requires "smtp_tls_security_level = encrypt" (or stronger)');
    }
    return {
      kind: "policy",
      level,
      wrapper: conf.smtp_tls_wrappermode,
      match: entry.match ?? this.#defaultMatch(level),
      protocols: entry.protocols ?? (requiresTls(level) ? conf.smtp_tls_mandatory_protocols : conf.smtp_tls_protocols),
      ciphers,
      serverName: entry.serverName ?? conf.smtp_tls_servername,
      connectionReuse: entry.connectionReuse ?? conf.smtp_tls_connection_reuse,
    };
  }

  #defaultMatch(level: TlsLevel): readonly string[] {
    if (!requiresMatch(level)) return [];
    const { smtp_tls_verify_cert_match, smtp_tls_secure_cert_match } = this.#conf;
    const words = level === "verify" ? smtp_tls_verify_cert_match : smtp_tls_secure_cert_match;
    return words.flatMap((word) => word.split(":")).filter(Boolean);
  }

  #ciphers({ level, ciphers, exclude }: PolicyEntry): string | { readonly error: string } {
    const conf = this.#conf;
    const mandatory = requiresTls(level);
    const grade = ciphers ?? (mandatory ? conf.smtp_tls_mandatory_ciphers : conf.smtp_tls_ciphers);
    const excluded = exclude === undefined ? [...conf.smtp_tls_exclude_ciphers] : [exclude];
    if (exclude === undefined && mandatory) excluded.push(...conf.smtp_tls_mandatory_exclude_ciphers);
    if (mandatory) excluded.push(requiresMatch(level) ? "aNULL" : "eNULL");
    return cipherList(grade, excluded, conf);
  }

  #unreadable(error: unknown, destination: string): InvalidPolicy {
    if (!(error instanceof TableError)) throw error;
    return this.#invalid(
      `smtp_tls_policy_maps, next-hop destination "${destination}": policy table lookup error: ${error.message}`,
    );
  }

  #invalid(warning: string): InvalidPolicy {
    this.#log.warning(warning);
    return { kind: "invalid", dsn: "4.7.5", text: "client TLS configuration problem" };
  }
}

function keysOf(destination: string): readonly string[] {
  const keys = [destination];
  if (!isHostName(destination)) return keys;
  for (let dot = destination.indexOf("."); dot > 0; dot = destination.indexOf(".", dot + 1)) {
    keys.push(destination.slice(dot));
  }
  return keys;
}

/** The names of one connection, for strategies and SNI. */
export interface ServerNames {
  /** The host that was connected to, as the MX record or the configuration names it. */
  readonly hostname: string;
  /** The next hop without brackets and port. */
  readonly nexthop: string;
}

/** What the handshake is asked for. `authorities`: loadAuthorities(). */
export function handshakeOptions(
  policy: TlsPolicy,
  names: ServerNames,
  authorities: readonly string[],
): TlsClientOptions {
  const { serverName, protocols, ciphers } = policy;
  const sni = serverName === "hostname" ? names.hostname : serverName === "nexthop" ? names.nexthop : serverName;
  return { serverName: sni, authorities, minVersion: protocols.least, maxVersion: protocols.most, ciphers };
}
