import { type BounceParts, notifications } from "../bounce/notifications.ts";
import { LocalClients } from "../cleanup/local-clients.ts";
import { canonicalRecipients } from "../cleanup/recipients.ts";
import type { Log } from "../log/log.ts";
import { Pickup } from "../pickup/pickup.ts";
import { Scheduler } from "../qmgr/scheduler.ts";
import type { SchedulerState } from "../qmgr/state.ts";
import type { Deliver } from "../queue/delivery.ts";
import type { Envelope } from "../queue/message.ts";
import type { QueueStore } from "../queue/store.ts";
import { reply } from "../rfc5321/reply.ts";
import { filterRoute } from "../routing/filter.ts";
import { readInclude } from "../routing/include.ts";
import { Router } from "../routing/resolve.ts";
import type { AddressClass, Refusal } from "../routing/router.ts";
import { findAccountById } from "../runtime/accounts.ts";
import type { Connection, Listener } from "../runtime/net.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { SmtpClient } from "../smtp/client.ts";
import { ClientLimits } from "../smtpd/limits.ts";
import type { RecipientFacts, SmtpdPorts } from "../smtpd/ports.ts";
import { SmtpServer } from "../smtpd/server.ts";
import type { Answer } from "../table/maps.ts";
import { staleGrace_ms } from "../table/table-set.ts";
import { Cleanups } from "./cleanups.ts";
import { clientParts } from "./client-parts.ts";
import type { Configuration, SmtpdService, SmtpTransport } from "./configuration.ts";
import type { FlushWhich } from "./flush.ts";
import { FreeSpace } from "./free-space.ts";
import type { Materials } from "./materials.ts";
import { addressSet, ownAddresses } from "./own-addresses.ts";
import { type RejectedSubmission, rejectionNotice } from "./rejected.ts";
import { beginSubmission, openIntake, type SubmissionParts } from "./submission.ts";
import { authorizedUser } from "./submit-users.ts";

/**
 * One relay: the services of a configuration, joined. It is given its store, open, and its
 * sockets, and knows neither privileges nor processes: a test or a simulation makes one like any other object.
 *
 *   made    -> serving    serve     connections are taken, the maildrop is watched
 *   serving -> retired    retire    a successor serves: sessions and deliveries in hand are finished
 *   any     -> ended      stop      the same, with sessions told to come back later
 *
 * Scheduling begins with schedule(): at once, or when a predecessor has said what it knows. What is accepted
 * before that waits here, and is in the store anyway.
 */
export interface RelayParts {
  readonly runtime: Runtime;
  readonly configuration: Configuration;
  readonly materials: Materials;
  readonly store: QueueStore;
  readonly log: Log;
  readonly maildrop: string;
  /** Where the queue's file is, for its free space. */
  readonly queueDirectory: string;
  /** The store is broken; this relay can only end. May be called more than once. */
  readonly failed: (error: unknown) => void;
}

/** How many accepted messages wait for schedule(); beyond it, scheduling begins. */
const heldBack = 10_000;

export class Relay {
  readonly scheduler: Scheduler;
  readonly #parts: RelayParts;
  readonly #router: Router;
  readonly #servers = new Map<SmtpdService, SmtpServer>();
  readonly #clients: SmtpClient[] = [];
  readonly #listeners: Listener[] = [];
  readonly #pickup: Pickup;
  readonly #space: FreeSpace;
  /** Clients are counted over all services. */
  readonly #limits: ClientLimits;
  #waiting: Envelope[] | undefined = [];
  #staleTimer: { cancel(): void } | undefined;
  #endedOnce: Promise<void> | undefined;

  constructor(parts: RelayParts) {
    this.#parts = parts;
    const { runtime, configuration, materials, store, log } = parts;
    const { conf } = configuration;
    this.#limits = new ClientLimits(runtime.clock, conf.anvil_rate_time_unit);
    const self = ownAddresses(conf, runtime.host.interfaces(), materials.named);
    const isOwn = addressSet(self);
    const sources = {
      maps: materials.tables.maps,
      file: materials.tables.file,
      ownAddress: isOwn,
      include: (path: string) => readInclude(runtime.files, path),
    };
    this.#router = new Router(conf, sources);
    const cleanups = new Cleanups(configuration, {
      ...{ router: this.#router, sources, store, clock: runtime.clock, log: log.as("cleanup") },
    });
    const bounce: BounceParts = {
      conf,
      runtime,
      store,
      log: log.as("bounce"),
      recipients: (address) => canonicalRecipients(this.#router, address),
      addressField: (name, value) => cleanups.named("cleanup").addressField(name, value),
    };
    this.#space = new FreeSpace({ ...runtime, log }, parts.queueDirectory, () => store.reusableSpace(), conf);
    const submission: Omit<SubmissionParts, "cleanup"> = {
      store,
      log: log.as("cleanup"),
      admission: () => this.scheduler.admission(),
      accepted: (each) => this.#accepted(each),
      failed: parts.failed,
    };
    for (const service of configuration.smtpd) {
      const cleanup = cleanups.named(service.conf.cleanup_service_name);
      this.#servers.set(service, this.#server(service, { ...submission, cleanup }, isOwn));
    }
    const transports = new Map<string, Deliver>();
    for (const transport of configuration.transports) {
      const client = this.#client(transport, self);
      this.#clients.push(client);
      transports.set(transport.name, client.deliver);
    }
    const limits = new Map(configuration.transports.map(({ name, processLimit }) => [name, processLimit]));
    this.scheduler = new Scheduler({
      conf,
      clock: runtime.clock,
      log: log.as("qmgr"),
      store,
      route: (sender, recipient, filter) =>
        filter === undefined ? this.#router.route(sender, recipient) : filterRoute(filter, recipient, conf),
      transports,
      untried: configuration.untried,
      transportValue: (transport, suffix) => configuration.settings.value(`${transport}_${suffix}`),
      slots: (transport) => limits.get(transport) ?? conf.default_process_limit,
      notify: (due) => notifications(due, bounce),
      failed: parts.failed,
    });
    this.#pickup = new Pickup({
      directory: parts.maildrop,
      files: runtime.files,
      clock: runtime.clock,
      log: log.as("pickup"),
      scanLimit: conf.maildrop_scan_limit,
      ports: {
        authorized: authorizedUser({
          words: conf.authorized_submit_users,
          nameOf: async (uid) => (await findAccountById(runtime.files, uid))?.[0],
          maps: materials.tables.maps,
          file: materials.tables.file,
          relayUid: runtime.processes.uid(),
        }),
        begin: (each) => {
          const reject = (rejected: RejectedSubmission) => rejectionNotice(rejected, bounce);
          const own = configuration.pickup.conf;
          const { receive_override_options: overrides, content_filter: filter } = own;
          const cleanup = cleanups.named(own.cleanup_service_name);
          return beginSubmission(each, { ...submission, cleanup, reject, overrides, filter }, `${each.uid}`);
        },
      },
    });
  }

  /** Takes connections on descriptors handed down, by the line of master.cf. Throws Node's error. */
  async serve(sockets: readonly { readonly line: number; readonly fd: number }[]): Promise<void> {
    await this.#space.start();
    for (const [service, server] of this.#servers) {
      for (const { fd } of sockets.filter(({ line }) => line === service.service.line)) {
        const taken = (connection: Connection): void => {
          this.#space.refresh();
          server.take(connection);
        };
        this.#listeners.push(await this.#parts.runtime.net.listen({ fd }, taken));
      }
    }
    this.#pickup.start();
    this.#lookForStale();
  }

  /** Scheduling begins; `state` is what a predecessor knew of destinations. */
  schedule(state: SchedulerState | undefined): void {
    const waiting = this.#waiting;
    // Begun already, or closing: look() does nothing then.
    if (!waiting) return this.scheduler.look();
    this.#waiting = undefined;
    if (state) this.scheduler.restore(state);
    this.scheduler.start();
    for (const envelope of waiting) this.scheduler.enqueue(envelope);
  }

  /** A successor serves. Takes nothing new; resolves when sessions and deliveries are finished. `handedOver` is called first, with what the successor should know. */
  async retire(handedOver: (state: SchedulerState) => void, wake: () => void): Promise<void> {
    this.#closeListeners();
    handedOver(this.scheduler.stateForSuccessor());
    const picked = this.#pickup.close();
    const sessions = Promise.all([...this.#servers.values()].map((server) => server.finish()));
    // What is not in hand is put back at once, for the successor, and so is what sessions that go on still bring.
    const waker = this.#parts.runtime.clock.after(wakeInterval_ms, function again() {
      wake();
      waker.restart();
    });
    await this.#closeScheduler();
    wake();
    await Promise.all([sessions, picked]);
    waker.cancel();
    await this.#end();
    wake();
  }

  /** Ends in order: clients are told to come back, deliveries in hand are finished. Also while it retires. */
  async stop(): Promise<void> {
    this.#closeListeners();
    const sessions = Promise.all([...this.#servers.values()].map((server) => server.close()));
    // A client that stalls in the middle of a message has not been told that it was taken.
    const cut = this.#parts.runtime.clock.after(stalledSession_ms, () => {
      for (const server of this.#servers.values()) server.destroy();
    });
    await Promise.all([this.#pickup.close(), this.#closeScheduler(), sessions]);
    cut.cancel();
    await this.#end();
  }

  /** What still waits for schedule() goes back to the store, too: a closing scheduler puts back what it is given. */
  async #closeScheduler(): Promise<void> {
    const closed = this.scheduler.close();
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    for (const envelope of waiting) this.scheduler.enqueue(envelope);
    await closed;
  }

  flush(which: FlushWhich): Promise<number> {
    return this.scheduler.flush(which);
  }

  /** New bytes of a table's file. False: they cannot be used. */
  async replaceTable(path: string, snapshot: { bytes: Buffer; mtime_ms: number }): Promise<boolean> {
    const used = await this.#parts.materials.tables.replace(path, snapshot);
    this.#lookForStale();
    if (used) await this.scheduler.loginsChanged();
    return used;
  }

  sourceChanged(path: string, mtime_ms: number): void {
    this.#parts.materials.tables.sourceChanged(path, mtime_ms);
    this.#lookForStale();
  }

  get figures(): object {
    return {
      sessions: [...this.#servers.values()].reduce((sum, server) => sum + server.sessions, 0),
      transports: this.#clients.map((client) => client.figures),
      scheduler: this.scheduler.figures(),
    };
  }

  #accepted(envelope: Envelope): void {
    this.#space.took(envelope.size_bytes);
    if (!this.#waiting) return this.scheduler.enqueue(envelope);
    if (this.#waiting.length < heldBack) this.#waiting.push(envelope);
    else {
      // A predecessor that takes this long does not hold us up any more.
      this.schedule(undefined);
      this.scheduler.enqueue(envelope);
    }
  }

  #closeListeners(): void {
    // close() resolves when its connections have ended, too: that is waited for elsewhere.
    for (const listener of this.#listeners.splice(0)) void listener.close();
  }

  /** Once, whoever asks: a relay may be told to stop while it retires. */
  #end(): Promise<void> {
    this.#endedOnce ??= this.#endNow();
    return this.#endedOnce;
  }

  async #endNow(): Promise<void> {
    this.#staleTimer?.cancel();
    this.#space.close();
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.#parts.store.release(this.#parts.store.owner);
    await this.#parts.store.close();
  }

  /** Says which indexes are older than their sources; where that is too new to be said, it is looked at again when it is not. */
  #lookForStale(): void {
    const { runtime, materials, log } = this.#parts;
    this.#staleTimer?.cancel();
    if (this.#endedOnce) return;
    const now_ms = runtime.clock.now();
    for (const text of materials.tables.stale(now_ms)) log.warning(text);
    const next_ms = materials.tables.nextStale_ms();
    if (next_ms === undefined) return;
    const wait_ms = Math.min(Math.max(next_ms - now_ms, 0), staleGrace_ms);
    this.#staleTimer = runtime.clock.after(wait_ms, () => this.#lookForStale(), { idle: true });
  }

  #server(service: SmtpdService, submission: SubmissionParts, isOwn: (address: string) => boolean): SmtpServer {
    const { runtime, materials, log, store } = this.#parts;
    const { conf } = service;
    const rules = materials.rules.get(service);
    if (!rules) throw new Error(`no rules were made for ${service.service.name}`);
    const facts = {
      localClients: new LocalClients(conf.local_header_rewrite_clients, materials.tables.maps),
      overrides: conf.receive_override_options,
      filter: conf.content_filter,
      onThisHost: isOwn,
      inMyNetworks: (name: string, address: string) => rules.mynetworks.matches(name, address) === true,
    };
    const ports: SmtpdPorts = {
      classify: (recipient, sender) => this.#classify(recipient, sender, conf),
      nextId: () => store.nextId(),
      open: (transaction) => openIntake(transaction, submission, facts),
      freeSpace: () => this.#space.enough,
    };
    return new SmtpServer({
      conf,
      rules,
      service: service.service.name,
      ports,
      clock: runtime.clock,
      names: runtime.names,
      log: log.as("smtpd", undefined, conf.syslog_name),
      limits: this.#limits,
    });
  }

  #classify(recipient: string, sender: string, conf: SmtpdService["conf"]): Answer<RecipientFacts> {
    const listed = new Set<AddressClass>(["virtual"]);
    if (conf.local_recipient_maps.length > 0) listed.add("local");
    if (conf.virtual_mailbox_maps.length > 0) listed.add("mailbox");
    if (conf.relay_recipient_maps.length > 0) listed.add("relay");
    const address = this.#router.rewriter.rewrite(recipient);
    const kind = this.#router.classify(address);
    const unchecked = conf.receive_override_options.includes("no_unknown_recipient_checks");
    const refusal = unchecked ? undefined : this.#router.refusal(sender, address, listed);
    if (kind instanceof Promise || refusal instanceof Promise) {
      return Promise.all([kind, refusal]).then(([a, b]) => recipientFacts(a, b, conf));
    }
    return recipientFacts(kind, refusal, conf);
  }

  #client(transport: SmtpTransport, self: readonly string[]): SmtpClient {
    const { runtime, materials, log } = this.#parts;
    const own = log.as(transport.protocol, undefined, transport.conf.syslog_name);
    return new SmtpClient(clientParts(transport, { runtime, materials, router: this.#router, self }, own));
  }
}

const stalledSession_ms = 3000;
const wakeInterval_ms = 1000;

function recipientFacts(
  kind: RecipientFacts["class"],
  refusal: Refusal | undefined,
  conf: SmtpdService["conf"],
): RecipientFacts {
  return refusal ? { class: kind, refusal: reply(codeOf(refusal, conf), refusal.dsn, refusal.text) } : { class: kind };
}

function codeOf({ kind }: Refusal, conf: SmtpdService["conf"]): number {
  switch (kind) {
    case "error":
      return 550;
    case "retry":
      return 450;
    case "local recipient":
      return conf.unknown_local_recipient_reject_code;
    case "virtual alias":
      return conf.unknown_virtual_alias_reject_code;
    case "virtual mailbox":
      return conf.unknown_virtual_mailbox_reject_code;
    case "relay recipient":
      return conf.unknown_relay_recipient_reject_code;
    default:
      return kind satisfies never;
  }
}
