/**
 * One delivery from its next hop to its results: a session that waits is used
 * first; then the hosts of each next hop in turn, and the fallback relays, until
 * every recipient has been answered for or nobody is left to ask.
 *
 * Moves on to the next host: a failed connect, a refused greeting or login, a
 * conversation that broke off, a 4xx to the envelope or the message. Ends here: what is
 * refused for good. At most smtp_mx_session_limit sessions get as far as MAIL FROM.
 */
import type { HostsFailure, MailHost } from "../dns/hosts.ts";
import type { NextHopAddress } from "../dns/nexthop.ts";
import type { Log } from "../log/log.ts";
import type { PassTo } from "../queue/delivery.ts";
import { splitTransport } from "../routing/next-hop.ts";
import type { Answer } from "../table/maps.ts";
import type { InvalidPolicy, TlsPolicy } from "../tls/policy.ts";
import { ContentFilter } from "./content-filter.ts";
import { type Credentials, findCredentials } from "./credentials.ts";
import { compose, conclude, logRemarks, type Message, mayPass, obstacle, placeOf, send } from "./exchange.ts";
import { type Failure, isTemporary, ownFailure } from "./failure.ts";
import { type Ledger, nowhere, type Place } from "./ledger.ts";
import { openSession } from "./opening.ts";
import type { SmtpParts } from "./parts.ts";
import type { SessionPool } from "./pool.ts";
import { relayText, type Session } from "./session.ts";
import { findSite, parseSite, type Sites, sitesOf } from "./sites.ts";
import type { TransferEnd, TransferLimits } from "./transfer.ts";

export interface AttemptContext {
  readonly parts: SmtpParts;
  readonly pool: SessionPool;
  readonly limits: TransferLimits;
  readonly log: Log;
  readonly figures: AttemptFigures;
}

/** Counted over the life of a client. */
export interface AttemptFigures {
  opened: number;
  reused: number;
  failedOpenings: number;
}

/** A host in turn, and whether it is the last one. */
interface Turn {
  readonly host: MailHost;
  readonly hop: NextHopAddress;
  readonly best: boolean;
  readonly final: boolean;
}

/** "mail for … loops back to myself" */
const loopDsn = "5.4.6";

export class Attempt {
  readonly #message: Message;
  readonly #ledger: Ledger;
  readonly #context: AttemptContext;
  readonly #sites: Sites;
  readonly #poolKey: string;
  /** "name[address]:port" of those that have been asked already. */
  readonly #asked = new Set<string>();
  #sessions = 0;
  #passTo: PassTo | undefined;
  /** A session of this delivery may be kept under its next hop: not one of a less preferred host, when a better one answered. */
  #mayKeep = true;

  constructor(message: Message, ledger: Ledger, context: AttemptContext) {
    this.#message = message;
    this.#ledger = ledger;
    this.#context = context;
    this.#sites = sitesOf(message.request.route.nexthop, context.parts);
    this.#poolKey = `${message.request.route.nexthop}\0${this.#sender()}`;
  }

  async run(): Promise<void> {
    await this.#useWaiting();
    if (this.#ledger.left.length > 0) await this.#useHosts();
    if (this.#ledger.left.length > 0 && !this.#passTo) this.#giveUp();
  }

  /** Where the recipients left go, who are not for us to deliver to. */
  get passTo(): PassTo | undefined {
    return this.#passTo;
  }

  /** The sender, where logins depend on it. */
  #sender(): string {
    const { conf } = this.#context.parts;
    return conf.smtp_sasl_auth_enable && conf.smtp_sender_dependent_authentication
      ? this.#message.request.envelope.sender
      : "";
  }

  /** Sessions that were kept for this destination and login, until one is found that still lives. */
  async #useWaiting(): Promise<void> {
    const { pool, figures, parts } = this.#context;
    for (let session = pool.take(this.#poolKey); session; session = pool.take(this.#poolKey)) {
      const fitting = this.#stillFits(session);
      if (!(fitting instanceof Promise ? await fitting : fitting)) {
        session.quit();
        continue;
      }
      figures.reused++;
      const connected_ms = parts.runtime.clock.monotonic();
      const failure = obstacle(this.#message, session);
      if (failure) {
        pool.put(this.#poolKey, session);
        return this.#ledger.failAll(failure, true, placeOf(session, connected_ms));
      }
      const outcome = await this.#transact(session, connected_ms, async () => this.#isLast(session));
      if (outcome !== "stale") {
        this.#sessions++;
        this.#asked.add(session.relay);
        return;
      }
    }
  }

  /** Would a session made now be under the same login and the same policy? Tables may have changed since. */
  #stillFits(session: Session): Answer<boolean> {
    const { facts } = session;
    const same = (policy: unknown, credentials: Credentials | undefined): boolean =>
      samePolicy(policy, facts.policy) && sameCredentials(credentials, facts);
    try {
      const policy = this.#policy(facts.nexthop, facts.host);
      const credentials = this.#credentials(facts.host.name, facts.nexthop);
      if (!(policy instanceof Promise) && !(credentials instanceof Promise)) return same(policy, credentials);
      return Promise.all([policy, credentials]).then(
        ([found, login]) => same(found, login),
        () => false,
      );
    } catch {
      // The table cannot tell: a fresh session will find that out again, and say so.
      return false;
    }
  }

  #policy(nexthop: string, host: MailHost): Answer<TlsPolicy | InvalidPolicy> {
    const { policies } = this.#context.parts;
    // Within one host, TLS that anybody could answer protects nobody.
    const fitting = <P extends TlsPolicy | InvalidPolicy>(found: P): P =>
      host.path !== undefined && found.kind === "policy" && found.level === "may" ? { ...found, level: "none" } : found;
    const policy = policies.find(nexthop);
    return policy instanceof Promise ? policy.then(fitting) : fitting(policy);
  }

  #credentials(host: string, nexthop: string): Answer<Credentials | undefined> {
    const { conf, passwords } = this.#context.parts;
    if (!conf.smtp_sasl_auth_enable || passwords.empty) return undefined;
    return findCredentials(passwords, {
      sender: this.#sender(),
      host,
      nexthop,
      recipientDelimiter: conf.recipient_delimiter,
      resultDelimiter: conf.smtp_sasl_password_result_delimiter,
    });
  }

  /** Nobody else could be asked after this session's host. Only found out where it matters: it takes look-ups. */
  async #isLast(session: Session): Promise<boolean> {
    const { parts, log } = this.#context;
    const [only = "", ...more] = this.#sites.texts;
    if (more.length > 0) return false;
    if (parts.conf.smtp_mx_session_limit === 1) return true;
    const site = parseSite(only, parts);
    if ("error" in site) return true;
    const found = await findSite(site, parts, log);
    return found.kind === "failure" || found.hosts.every((host) => relayText(host) === session.relay);
  }

  async #useHosts(): Promise<void> {
    const { parts, log } = this.#context;
    for (const [index, text] of this.#sites.texts.entries()) {
      const site = parseSite(text, parts);
      if ("error" in site) {
        log.warning(`${this.#message.request.envelope.id}: ${site.error}`);
        this.#ledger.note(ownFailure("4.3.5", site.error));
        continue;
      }
      this.#warnOfWrapper(site.hop);
      const found = await findSite(site, parts, log);
      const lastSite = index === this.#sites.texts.length - 1;
      if (found.kind === "failure") {
        const failure = this.#lookupFailure(found, index);
        this.#ledger.note(failure);
        if (found.loop) return this.#atHome(failure);
        continue;
      }
      await this.#useSite(site.hop, found.hosts, lastSite || found.foundSelf);
      if (this.#ledger.left.length === 0 || found.foundSelf) return;
    }
  }

  /** We are the best MX host of a domain that the configuration does not know. */
  #atHome({ dsn, reason }: Failure): void {
    const { parts, log } = this.#context;
    const { best_mx_transport } = parts.conf;
    if (best_mx_transport === "" || dsn !== loopDsn || parts.protocol !== "smtp") return;
    const { envelope, route } = this.#message.request;
    const [transport, nexthop] = splitTransport(best_mx_transport);
    for (const { recipient } of this.#ledger.left) {
      log.info(`${envelope.id}: passing <${recipient.address}> to transport=${transport}`);
    }
    this.#passTo = { hop: { transport, nexthop: nexthop || route.nexthop }, otherwise: { dsn, reason } };
  }

  #warnOfWrapper(hop: NextHopAddress): void {
    if (hop.port !== 465 || this.#context.parts.conf.smtp_tls_wrappermode) return;
    this.#context.log.info(
      'SMTPS wrappermode (TCP port 465) requires setting "smtp_tls_wrappermode = yes", and "smtp_tls_security_level = encrypt" (or stronger)',
    );
  }

  /** A relay host that is not found is the administrator's to mend, and no reason to return mail. */
  #lookupFailure({ dsn, text }: HostsFailure, site: number): Failure {
    const failure = ownFailure(dsn, text);
    if (isTemporary(failure)) return failure;
    const { conf, protocol } = this.#context.parts;
    const fallback = site >= this.#sites.own;
    const relayhost = protocol === "smtp" && conf.relayhost.includes(this.#sites.texts[0] ?? "");
    if (!fallback && !relayhost) return failure;
    this.#context.log.warning(`${fallback ? "smtp_fallback_relay" : "relayhost"} configuration problem`);
    return { ...failure, dsn: "4.3.5" };
  }

  async #useSite(hop: NextHopAddress, all: readonly MailHost[], lastSite: boolean): Promise<void> {
    const limit = this.#context.parts.conf.smtp_mx_session_limit || Number.POSITIVE_INFINITY;
    const hosts = all.filter((host) => !this.#asked.has(relayText(host)));
    const bestPreference = all[0]?.preference;
    let sessions = this.#sessions;
    for (const [index, host] of hosts.entries()) {
      if (sessions >= limit || this.#ledger.left.length === 0) return;
      this.#asked.add(relayText(host));
      const lastHost = index === hosts.length - 1;
      const turn = { host, hop, best: host.preference === bestPreference, final: lastSite && lastHost };
      const used = await this.#useHost(turn, lastSite && (lastHost || sessions + 1 >= limit));
      if (used) sessions++;
    }
    this.#sessions = 0;
  }

  /** Whether a session got as far as MAIL FROM. `finalSession`: the last host that may get that far. */
  async #useHost(turn: Turn, finalSession: boolean): Promise<boolean> {
    const policy = await this.#policy(turn.hop.written, turn.host);
    if (policy.kind === "invalid") {
      this.#ledger.note(ownFailure(policy.dsn, policy.text));
      return false;
    }
    const first = await this.#tryHost(turn, finalSession, policy, false);
    if (first !== "again in clear") return first === "used";
    return (await this.#tryHost(turn, finalSession, policy, true)) === "used";
  }

  async #tryHost(
    turn: Turn,
    finalSession: boolean,
    policy: TlsPolicy,
    inClear: boolean,
  ): Promise<"used" | "not used" | "again in clear"> {
    const { parts, figures, log } = this.#context;
    const { host, hop } = turn;
    const { envelope, route } = this.#message.request;
    const opened = await openSession(
      {
        host,
        hop,
        nexthop: route.nexthop,
        bestHost: turn.best,
        policy,
        inClear,
        needsSmtpUtf8: envelope.smtputf8,
        queueId: envelope.id,
        credentials: () => this.#credentials(host.name, hop.written),
        log,
      },
      parts,
    );
    const retry = !inClear && policy.level === "may" && (await this.#mayGoInClear(turn));
    if (opened.kind === "failed") {
      figures.failedOpenings++;
      const { failure, connected, overTls } = opened;
      if (!connected) {
        log.info(failure.reason);
        this.#ledger.note(failure);
        return "not used";
      }
      const again = overTls && retry;
      this.#ledger.failAll(failure, turn.final && !again, { ...nowhere, relay: relayText(host), host: host.name });
      return again ? "again in clear" : "not used";
    }
    figures.opened++;
    const { session } = opened;
    const again = session.facts.secured && retry;
    const broke = await this.#useSession(session, finalSession && !again);
    return broke && again && this.#ledger.left.length > 0 ? "again in clear" : "used";
  }

  /** TLS by chance has failed. Young mail waits for better luck; mail that needs a login is never sent without TLS. */
  async #mayGoInClear({ host, hop }: Turn): Promise<boolean> {
    const { runtime, minimalBackoff_s } = this.#context.parts;
    const { envelope, active_ms } = this.#message.request;
    const queued_ms = runtime.clock.now() - envelope.arrival_ms - (runtime.clock.monotonic() - active_ms);
    if (queued_ms < minimalBackoff_s * 1000) return false;
    try {
      return (await this.#credentials(host.name, hop.written)) === undefined;
    } catch {
      return false;
    }
  }

  /** Whether the conversation broke off. */
  async #useSession(session: Session, final: boolean): Promise<boolean> {
    const connected_ms = this.#context.parts.runtime.clock.monotonic();
    const failure = obstacle(this.#message, session);
    if (!failure) return (await this.#transact(session, connected_ms, async () => final)) === "broken";
    this.#ledger.serve();
    this.#ledger.failAll(failure, final, placeOf(session, connected_ms));
    if (this.#keeps(session)) this.#context.pool.put(this.#poolKey, session);
    else session.facts.dialogue.close();
    return false;
  }

  /**
   * `final` is asked only where the answer matters. "stale": a session that had
   * been kept turned out to be dead before it was asked for anything.
   */
  async #transact(
    session: Session,
    connected_ms: number,
    final: () => Promise<boolean>,
  ): Promise<"done" | "broken" | "stale"> {
    const { limits, parts, log } = this.#context;
    const manner = { last: !this.#keeps(session), eachAtEnd: parts.protocol === "lmtp" };
    const composed = compose(this.#message, session, parts.conf, this.#ledger, manner);
    if (!composed) {
      session.quit();
      return "done";
    }
    const kept = session.uses > 0;
    const { id } = this.#message.request.envelope;
    const filter = parts.checks && new ContentFilter(parts.checks, id, log);
    const end = await send(session, filter ? { ...composed.job, filter } : composed.job, limits);
    if (kept && isStale(end)) {
      session.quit();
      return "stale";
    }
    const place: Place = placeOf(session, connected_ms);
    const last = mayPass(end, parts.conf.soft_bounce) ? await final() : true;
    logRemarks(end, session, id, parts.conf, log);
    conclude(end, composed.targets, session, this.#ledger, last, place);
    this.#putAway(session, end);
    return end.broken ? "broken" : "done";
  }

  /** The recipients need not wait for this: what the server is told now is no part of their delivery. */
  #putAway(session: Session, end: TransferEnd): void {
    if (session.dead || end.quit) return;
    const keep = this.#keeps(session);
    this.#mayKeep = false;
    const store = (): void => (keep ? this.#context.pool.put(this.#poolKey, session) : session.quit());
    if (!end.resetDue) {
      store();
      return;
    }
    void session.reset(this.#context.parts.conf.smtp_rset_timeout).then((clean) => {
      if (clean) store();
      else session.quit();
    });
  }

  #keeps(session: Session): boolean {
    const { conf } = this.#context.parts;
    if (!this.#mayKeep || !this.#context.pool.reusable(session)) return false;
    if (conf.smtp_connection_cache_on_demand) return true;
    const domain = session.facts.nexthop.replace(/^\[([^\]]*)\].*$|:[^:]*$/, "$1").toLowerCase();
    return conf.smtp_connection_cache_destinations.some((each) => each.toLowerCase() === domain);
  }

  #giveUp(): void {
    const failure = this.#ledger.why ?? ownFailure("4.3.0", "server unavailable or unable to receive mail");
    this.#ledger.failAll(failure, true, nowhere);
  }
}

/** The server had hung up, or does so instead of answering: nothing was accepted, and nothing can be twice. */
function isStale({ broken, answered, settled }: TransferEnd): boolean {
  if (settled.some(({ command, by }) => command === "mail" && by.code === 421)) return true;
  return broken?.why === "lost" && !answered;
}

function samePolicy(found: unknown, held: TlsPolicy): boolean {
  return found === held || JSON.stringify(found) === JSON.stringify(held);
}

function sameCredentials(found: Credentials | undefined, { credentials, features }: Session["facts"]): boolean {
  // A server without AUTH is talked to without a login, whatever the table says.
  if (features.mechanisms === undefined) return credentials === undefined;
  return found?.username === credentials?.username && found?.password === credentials?.password;
}
