/**
 * The SMTP server of one inet service: takes connections, holds their sessions,
 * and lets them end.
 *
 * Limits: smtpd_session_limit sessions at the same time. Above four fifths of
 * that the time limits become short (smtpd_stress_timeout), so that idle
 * clients make room; beyond it clients get 421 without a look at them, as many
 * as turnedAwayLimit at the same time, and those beyond that nothing.
 * A single client's connections are counted from the first moment, before its
 * name is known: it cannot fill the server by having a slow name server.
 */
import type { Log } from "../log/log.ts";
import { withoutMapping } from "../rfc5321/ip.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import type { Names } from "../runtime/names.ts";
import type { Connection } from "../runtime/net.ts";
import type { Answer } from "../table/maps.ts";
import type { DialogueClient, DialogueSetting } from "./dialogue.ts";
import { type ClientEvent, ClientLimits, clientKey } from "./limits.ts";
import type { SmtpdConf } from "./params.ts";
import { PeerNames } from "./peername.ts";
import type { Client, SmtpdPorts } from "./ports.ts";
import type { SmtpdRules } from "./rules.ts";
import { Session } from "./session.ts";
import { logs, replies } from "./words.ts";

export interface SmtpServerOptions {
  /** Of this service instance, its -o overrides applied. */
  readonly conf: SmtpdConf;
  /** From compileRules() of that configuration. */
  readonly rules: SmtpdRules;
  /** The service's name in master.cf, for the log. */
  readonly service: string;
  readonly ports: SmtpdPorts;
  readonly clock: Clock;
  readonly names: Names;
  /** Of this service instance; the slot number is replaced by each session's. */
  readonly log: Log;
  /** Postfix's program name in the log; "smtpd" where it is not given. */
  readonly program?: string;
  /** Shared by the services of a relay; made here where it is not given. */
  readonly limits?: ClientLimits;
}

export class SmtpServer {
  readonly #options: SmtpServerOptions;
  readonly #setting: DialogueSetting;
  readonly #limits: ClientLimits;
  readonly #peers: PeerNames;
  readonly #sessions = new Set<Session>();
  /** Logs by slot number; a free slot is used again, the last freed first. */
  readonly #logs: Log[] = [];
  readonly #free: number[] = [];
  readonly #stressAt: number;
  /** Connections whose client's name is still being looked up; nothing is read from them. */
  #unnamed = 0;
  /** Connections that were told to go, and have not gone yet. */
  #turnedAway = 0;
  #stressed = false;
  #full = false;
  #leaving: "no" | "idle" | "now" = "no";
  #drained: (() => void)[] = [];
  #drainTimer: Timer | undefined;

  constructor(options: SmtpServerOptions) {
    const { conf, rules, ports, clock, names, log, service } = options;
    this.#options = options;
    this.#limits = options.limits ?? new ClientLimits(clock, conf.anvil_rate_time_unit);
    this.#peers = new PeerNames({ names, clock, log, timeout_s: conf.smtpd_peername_timeout });
    this.#stressAt = Math.ceil(conf.smtpd_session_limit * 0.8);
    this.#setting = {
      conf,
      relayRestrictions: rules.relayRestrictions,
      recipientRestrictions: rules.recipientRestrictions,
      service,
      nextId: () => ports.nextId(),
      freeSpace: () => ports.freeSpace(),
      now: () => clock.now(),
    };
  }

  /** The number of sessions. */
  get sessions(): number {
    return this.#sessions.size;
  }

  /** A client has connected. */
  take(connection: Connection): void {
    if (this.#leaving === "now") {
      this.#turnAway(connection, replies.shuttingDown(this.#options.conf.myhostname));
      return;
    }
    if (this.#sessions.size + this.#unnamed >= this.#options.conf.smtpd_session_limit) {
      this.#turnAwayBusy(connection);
      return;
    }
    const caller = this.#callerOf(withoutMapping(connection.remote.address.replace(/%.*/, "")));
    const name = this.#nameOf(caller);
    if (typeof name === "string") {
      this.#start(connection, caller, name);
      return;
    }
    this.#unnamed++;
    name
      .then((found) => {
        this.#unnamed--;
        this.#start(connection, caller, found);
      })
      .catch((error: unknown) => {
        this.#options.log.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
        connection.destroy();
      });
  }

  #callerOf(address: string): Caller {
    const { smtpd_client_ipv4_prefix_length, smtpd_client_ipv6_prefix_length } = this.#options.conf;
    const key = clientKey(address, smtpd_client_ipv4_prefix_length, smtpd_client_ipv6_prefix_length);
    return { address, key, ...this.#limits.connected(key) };
  }

  /** Nobody waits for the name of a client that is refused whatever its name is. */
  #nameOf(caller: Caller): Answer<string> {
    const { conf, rules } = this.#options;
    if (!conf.smtpd_peername_lookup) return "unknown";
    const refused = this.#excess(caller) !== undefined && rules.unlimited.addressesOnly;
    if (refused && rules.unlimited.matches("unknown", caller.address) !== true) return "unknown";
    return this.#peers.nameOf(caller.address);
  }

  #excess({ connections, rate }: Caller): "connections" | "rate" | undefined {
    const { conf } = this.#options;
    if (exceeds(connections, conf.smtpd_client_connection_count_limit)) return "connections";
    return exceeds(rate, conf.smtpd_client_connection_rate_limit) ? "rate" : undefined;
  }

  /**
   * Lets every session go on: for smtpd_drain_time_limit with further messages,
   * after that until the end of its transaction. Resolves when all are gone.
   */
  finish(): Promise<void> {
    if (this.#leaving === "no" && !this.#drainTimer) {
      const limit_ms = this.#options.conf.smtpd_drain_time_limit * 1000;
      this.#drainTimer = this.#options.clock.after(limit_ms, () => this.#leave("idle"), { idle: true });
    }
    return this.#gone();
  }

  /** Ends every session with 421, those in the middle of a message when that is settled. Resolves when all are gone. */
  close(): Promise<void> {
    this.#leave("now");
    return this.#gone();
  }

  /** Cuts every connection. */
  destroy(): void {
    this.#leaving = "now";
    for (const session of [...this.#sessions]) session.destroy();
  }

  #leave(when: "idle" | "now"): void {
    this.#leaving = when;
    this.#drainTimer?.cancel();
    for (const session of [...this.#sessions]) session.leave(when);
  }

  #gone(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained.push(resolve);
      this.#settled();
    });
  }

  #settled(): void {
    if (this.#sessions.size > 0 || this.#unnamed > 0 || this.#drained.length === 0) return;
    this.#drainTimer?.cancel();
    const waiting = this.#drained;
    this.#drained = [];
    for (const resolve of waiting) resolve();
  }

  #turnAwayBusy(connection: Connection): void {
    if (!this.#full) this.#options.log.warning(logs.busy(this.#options.conf.smtpd_session_limit));
    this.#full = true;
    this.#turnAway(connection, replies.busy);
  }

  /** Says one line to a client that gets no session, and hangs up whatever the client does. */
  #turnAway(connection: Connection, text: string): void {
    if (this.#turnedAway >= turnedAwayLimit) {
      connection.destroy();
      return;
    }
    this.#turnedAway++;
    const late = this.#options.clock.after(turnedAway_ms, () => connection.destroy(), { idle: true });
    const closed = (): void => {
      late.cancel();
      this.#turnedAway--;
    };
    connection.listen({ data() {}, drained() {}, ended: () => connection.destroy(), closed });
    connection.end(`${text}\r\n`);
  }

  #start(connection: Connection, caller: Caller, name: string): void {
    const { conf, ports, clock } = this.#options;
    const { address, key } = caller;
    const port = conf.smtpd_client_port_logging ? `:${connection.remote.port}` : "";
    const client: Client = { name, address, port: connection.remote.port, shown: `${name}[${address}]${port}` };
    const slot = this.#free.pop() ?? this.#logs.length;
    const log = this.#logOf(slot);
    log.info(logs.connect(client));
    const session = new Session({
      connection,
      client,
      setting: this.#setting,
      ports,
      clock,
      log,
      timeout_s: () => this.#timeout_s,
      ended: () => {
        this.#sessions.delete(session);
        this.#free.push(slot);
        this.#limits.disconnected(key);
        if (this.#stressed && this.#sessions.size < this.#stressAt * 0.9) this.#stressed = false;
        if (this.#full && this.#sessions.size < this.#stressAt) this.#full = false;
        this.#settled();
      },
    });
    this.#sessions.add(session);
    if (!this.#stressed && this.#sessions.size > this.#stressAt) this.#stress();
    const opened = this.#look(session, client, caller, log);
    if (opened instanceof Promise) void opened.catch((error) => this.#cannotTell(session, log, error));
    if (this.#leaving !== "no") session.leave(this.#leaving);
  }

  /** Finds out what the client may, and begins; at once where no table has to be asked. */
  #look(session: Session, client: Client, caller: Caller, log: Log): void | Promise<void> {
    const { mynetworks, unlimited, mayBareLf } = this.#options.rules;
    const { name, address } = client;
    try {
      const answers = [mynetworks, unlimited, mayBareLf].map((list) => list.matches(name, address));
      if (answers.some((answer) => answer instanceof Promise)) {
        return Promise.all(answers).then(([trusted, free, bare]) =>
          this.#begin(session, client, caller, trusted === true, free === true, bare === true, log),
        );
      }
      const [trusted, free, bare] = answers;
      this.#begin(session, client, caller, trusted === true, free === true, bare === true, log);
    } catch (error) {
      this.#cannotTell(session, log, error);
    }
  }

  #begin(
    session: Session,
    client: Client,
    caller: Caller,
    inMynetworks: boolean,
    unlimited: boolean,
    mayBareLf: boolean,
    log: Log,
  ): void {
    const { conf, service } = this.#options;
    const excess = unlimited ? undefined : this.#excess(caller);
    if (excess) {
      const { connections, rate } = caller;
      const tooMany = excess === "connections";
      log.warning(
        tooMany ? logs.concurrency(connections, client, service) : logs.connectionRate(rate, client, service),
      );
      session.refuse(replies.tooManyConnections(conf.myhostname, client));
      return;
    }
    const limited = {
      message: !unlimited && conf.smtpd_client_message_rate_limit > 0,
      recipient: !unlimited && conf.smtpd_client_recipient_rate_limit > 0,
    };
    const count: DialogueClient["count"] = (event: Exclude<ClientEvent, "connection">) =>
      limited[event] ? this.#limits.count(caller.key, event) : 0;
    session.begin({ client, inMynetworks, mayBareLf, count });
  }

  /** A table that says who the client is cannot be read: come back later. */
  #cannotTell(session: Session, log: Log, error: unknown): void {
    log.warning(error instanceof Error ? error.message : String(error));
    session.refuse(replies.localDataError(this.#options.conf.myhostname));
  }

  #logOf(slot: number): Log {
    const known = this.#logs[slot];
    if (known) return known;
    const made = this.#options.log.as(this.#options.program ?? "smtpd", slot + 1);
    this.#logs[slot] = made;
    return made;
  }

  get #timeout_s(): number {
    const { smtpd_timeout, smtpd_stress_timeout } = this.#options.conf;
    return this.#stressed ? Math.min(smtpd_timeout, smtpd_stress_timeout) : smtpd_timeout;
  }

  #stress(): void {
    this.#stressed = true;
    this.#options.log.warning(logs.stress(this.#options.conf.smtpd_session_limit));
    for (const session of this.#sessions) session.hurry();
  }
}

/** How long a client that was turned away may take to go, and how many of them are waited for. */
const turnedAway_ms = 1000;
const turnedAwayLimit = 500;

/** Who has connected, as far as its address tells; counted already. */
interface Caller {
  readonly address: string;
  readonly key: string;
  readonly connections: number;
  readonly rate: number;
}

function exceeds(count: number, limit: number): boolean {
  return limit > 0 && count > limit;
}
