import type { Log } from "../log/log.ts";
import type { DeliveryResult, PassTo } from "../queue/delivery.ts";
import type { Envelope } from "../queue/message.ts";
import type { QueueStore, Settled, Settlement } from "../queue/store.ts";
import type { Route } from "../routing/router.ts";
import { ActiveMessage, ActiveSet } from "./active.ts";
import { Assignment } from "./assignment.ts";
import type { Destination, Work } from "./destination.ts";
import { Dispatch, share } from "./dispatch.ts";
import { DueWatch } from "./due-watch.ts";
import { describe, type SchedulerFigures } from "./figures.ts";
import { Finish } from "./finish.ts";
import { InFlow } from "./in-flow.ts";
import type { SchedulerOptions } from "./options.ts";
import { untriedLine } from "./recipient-line.ts";
import { Settler } from "./settler.ts";
import type { SchedulerState } from "./state.ts";
import { Traffic } from "./traffic.ts";
import { builtInUntried, deferral, resultOf, UntriedHops, type Verdict } from "./verdict.ts";

/**
 * The scheduler: what is tried when, and over which next hop.
 *
 * A message's way, and what makes each step:
 *   (accepted) -> active     enqueue            there is room; else it goes back to the store, due at once
 *   (due)      -> active     DueWatch           claimed in pages while there is room
 *   active     -> work       Assignment, place  its recipients wait at their destinations, or have a verdict at once
 *   work       -> in hand    Dispatch           a batch of recipients is with a transport
 *   in hand    -> decided    delivered          each recipient of the batch has a result
 *   work       -> decided    Dispatch.drain     its destination is suspended
 *   decided    -> (settled)  Finish             one settlement, with the notifications that it causes
 *
 * Invariants
 *  1. A recipient gets exactly one result an attempt: the first. One that a transport forgot is deferred, one it invented is ignored.
 *  2. A message is settled for good exactly once an attempt, when nothing of it is in hand, and stays in the active set until
 *     the store has said yes. A store without room is asked again: what was delivered is not delivered again for that.
 *  3. What is not settled stays ours in the store: ending at any moment loses nothing.
 *  4. Memory is bounded: the active set by its limits (active.ts); what is accepted beyond them is put back, due at once, and
 *     claimed later. Destinations exist while they have work or a suspension, and suspensions are bounded.
 *  5. Whatever throws in a transport, a table or a notification defers the recipients concerned.
 *
 * Fails by calling `failed`, once: the store answers nothing any more. Nothing is begun after that.
 */
export class Scheduler {
  readonly #options: SchedulerOptions;
  readonly #log: Log;
  readonly #errorLog: Log;
  readonly #discardLog: Log;
  readonly #untried: UntriedHops;
  readonly #store: QueueStore;
  readonly #active: ActiveSet;
  readonly #settler: Settler;
  readonly #watch: DueWatch;
  readonly #assignment: Assignment;
  readonly #dispatch: Dispatch;
  readonly #finish: Finish;
  readonly #inFlow: InFlow;
  readonly #traffic: Traffic;
  /** Claimed in the very transaction that had put them back, so that we heard of the claim first: their turn comes when we have heard of both. */
  readonly #early = new Map<string, Envelope>();
  #closing = false;
  #stopped = false;
  #waitingForClose: (() => void)[] = [];
  /** What a flush has asked for: defer_transports does not hold it back. */
  #lifted: "all" | ReadonlySet<string> | undefined;
  /** Flushes that the store has not answered. */
  #flushing = 0;

  constructor(options: SchedulerOptions) {
    const { conf, clock, log, store, notify } = options;
    const broken = (error: unknown) => this.#broken(error);
    const wanted = ({ envelope }: ActiveMessage) => store.owns(envelope.id);
    this.#options = options;
    this.#log = log;
    this.#errorLog = log.as("error");
    this.#discardLog = log.as("discard");
    this.#untried = new UntriedHops({
      services: options.untried ?? builtInUntried,
      transports: options.transports,
      softBounce: conf.soft_bounce,
      sayAgain_ms: conf.transport_retry_time * 1000,
      clock,
      log,
    });
    this.#store = store;
    this.#active = new ActiveSet(conf);
    this.#traffic = new Traffic(clock.now());
    this.#inFlow = new InFlow({
      clock,
      delay_ms: conf.in_flow_delay * 1000,
      full: () => this.#active.size >= conf.qmgr_message_active_limit * share,
    });
    this.#settler = new Settler({ store, clock, log, broken });
    this.#dispatch = new Dispatch({
      conf,
      clock,
      log,
      transports: options.transports,
      transportValue: options.transportValue,
      slots: options.slots ?? (() => 100),
      wanted,
      abandon: (work) => this.#abandon(work),
      delivered: (...batch) => this.#delivered(...batch),
      decide: (message, index, verdict, destination) => this.#decide(message, index, verdict, destination),
      progressed: (message) => this.#progressed(message),
      mayDefer: () => this.#finish.inHand < maxFinishing,
      opened: () => this.#watch.look(),
    });
    this.#finish = new Finish({
      conf,
      clock,
      log,
      settler: this.#settler,
      notify,
      early: store.keepsUnfinished === true,
      wanted,
      finished: (message, settled, nextAttempt_ms) => this.#finished(message, settled, nextAttempt_ms),
    });
    this.#assignment = new Assignment({
      log,
      route: options.route,
      deferTransports: conf.defer_transports,
      lifted: (id) => this.#lifted === "all" || this.#lifted?.has(id) === true,
      keyOf: (address, route) => this.#keyOf(address, route),
      place: (message, route, key, indices) => this.#place(message, route, key, indices),
    });
    this.#watch = new DueWatch({
      store,
      clock,
      log,
      queueRunDelay_ms: conf.queue_run_delay * 1000,
      longestWait_ms: Math.max(conf.minimal_backoff_time, conf.maximal_backoff_time) * 1000,
      page: Math.min(claimPage, conf.qmgr_message_active_limit),
      room: () => this.#active.room,
      excluded: this.#dispatch.excluded,
      take: (envelope) => this.#claimed(envelope),
      looked: (complete) => this.#looked(complete),
      broken,
    });
  }

  /** Begins to look into the store. What was enqueued before is being delivered already. */
  start(): void {
    this.#watch.start();
  }

  /** To be waited for before a message is accepted: pressure on those who bring more than goes out. Undefined where nobody has to wait. */
  admission(): Promise<void> | undefined {
    return this.#inFlow.enter();
  }

  /** A message that was just accepted and is ours. Its delivery may begin before this returns. */
  enqueue(envelope: Envelope): void {
    this.#traffic.accepted(this.#options.clock.monotonic());
    if (envelope.held || this.#stopped) return;
    if (!this.#closing && this.#active.admits(envelope.recipients.length)) {
      this.#activate(envelope);
    } else {
      this.#watch.leftBehind(envelope.recipients.length);
      this.#putBack(envelope, "");
    }
  }

  /** Looks for what is due now: another process has put something into the store, or a predecessor has let go of it. */
  look(): void {
    this.#watch.look();
  }

  /**
   * Makes deferred messages due now and gives suspended destinations another
   * chance: the one that is named (by key or next hop), else all of them, since
   * the destinations of messages named by id are not known before they are read.
   * The number of messages made due.
   */
  async flush(which: Parameters<QueueStore["flush"]>[0]): Promise<number> {
    const destination = typeof which === "object" && "destination" in which ? which.destination : undefined;
    if (destination === undefined) this.#lift(typeof which === "object" && "ids" in which ? which.ids : "all");
    this.#flushing++;
    try {
      // This looks into the store: what is flushed may be claimed before we hear that it was.
      this.#dispatch.resumeAll(destination);
      return await this.#store.flush(which);
    } finally {
      this.#flushing--;
      this.#watch.look();
    }
  }

  #lift(which: "all" | readonly string[]): void {
    if (which === "all" || this.#lifted === "all") this.#lifted = "all";
    else this.#lifted = new Set([...(this.#lifted ?? []), ...which]);
  }

  /** Credentials have changed: destinations that refused our login get another chance, with all their mail. */
  async loginsChanged(): Promise<void> {
    const keys = this.#dispatch.retryRefused();
    for (const destination of keys) await this.#store.flush({ destination });
    if (keys.length > 0) this.#watch.look();
  }

  /**
   * Begins nothing new, waits for the deliveries in hand and their settlements,
   * and gives everything else back to the store, due at once. Messages that are
   * enqueued meanwhile, or later, go the same way: a successor finds them with look().
   */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#closing = true;
      this.#watch.stop();
      this.#dispatch.end();
      this.#inFlow.end();
      this.#waitingForClose.push(resolve);
      for (const message of [...this.#active.values()]) this.#progressed(message);
      this.#closeIfDone();
    });
  }

  /** Suspensions, rate delays and refused logins: plain data, for restore() in another process. */
  stateForSuccessor(): SchedulerState {
    return this.#dispatch.stateForSuccessor();
  }

  /** What a predecessor knew of destinations. To be called before anything is enqueued. */
  restore(state: SchedulerState): void {
    this.#dispatch.restore(state);
  }

  figures(): SchedulerFigures {
    const { inHand, destinations, refusedLogins } = this.#dispatch;
    const traffic = this.#traffic.figures(this.#options.clock.monotonic());
    const settling = this.#finish.inHand;
    return describe({ active: this.#active.size, inHand, settling, destinations, refusedLogins, traffic });
  }

  /** False where there is no room for so many recipients. */
  #claimed(envelope: Envelope): boolean {
    if (this.#stopped) return true;
    if (this.#active.isSettling(envelope.id)) {
      this.#early.set(envelope.id, envelope);
      return true;
    }
    const admitted = this.#active.admits(envelope.recipients.length);
    if (this.#closing || !admitted) this.#putBack(envelope, "");
    else this.#activate(envelope);
    return admitted;
  }

  #looked(complete: boolean): void {
    if (complete && this.#flushing === 0) this.#lifted = undefined;
    if (this.#closing) queueMicrotask(() => this.#closeIfDone());
  }

  #activate(envelope: Envelope): void {
    const { id, sender, recipients, size_bytes } = envelope;
    if (this.#active.has(id)) {
      this.#log.panic(`${id}: handed to the scheduler twice`);
      return;
    }
    let undecided = 0;
    for (const { status } of recipients) if (status === "pending") undecided++;
    const message = new ActiveMessage(envelope, this.#store.body(id), undecided, this.#options.clock.monotonic());
    this.#active.add(message);
    this.#log.info(`${id}: from=<${sender}>, size=${size_bytes}, nrcpt=${undecided} (queue active)`);
    if (undecided === 0) this.#finish.finish(message);
    else this.#assignment.assign(message, () => this.#progressed(message));
  }

  /** What is ours and cannot be held in memory waits in the store, due at once. */
  #putBack({ id }: Envelope, destination: string, message?: ActiveMessage): void {
    const settlement: Settlement = {
      id,
      outcomes: [],
      nextAttempt_ms: this.#options.clock.now(),
      destination,
      notifications: [],
    };
    this.#settler.settle(settlement, () => {
      if (message) this.#leave(message);
      this.#afterSettling();
    });
  }

  /** Recipients of one message with the same next hop become work, or have their verdict at once. */
  #place(message: ActiveMessage, route: Route, key: string, indices: readonly number[]): void {
    const { hop } = route;
    const first = message.envelope.recipients[indices[0] ?? 0]?.address ?? "";
    if (route.class === "local" && this.#isDoubleBounce(first)) {
      for (const index of indices) this.#decide(message, index, discarded, "");
    } else if (this.#untried.includes(hop)) {
      const verdict = this.#untried.verdict(hop);
      for (const index of indices) this.#decide(message, index, verdict, "");
    } else {
      const destination = this.#dispatch.destination(key, hop);
      if (destination.saturated && message.undecided === indices.length && message.results.length === 0) {
        message.settling = true;
        this.#putBack(message.envelope, key, message);
      } else {
        this.#dispatch.add({ message, destination, recipients: indices, next: 0 });
      }
    }
  }

  #isDoubleBounce(address: string): boolean {
    const local = address.slice(0, Math.max(0, address.lastIndexOf("@")));
    return local.toLowerCase() === this.#options.conf.double_bounce_sender.toLowerCase();
  }

  /** Destinations are told apart by next hop; by recipient too where a delivery has only one. */
  #keyOf(address: string, { hop, class: kind }: Route): string {
    // By itself: place() looks at one address of a group.
    if (kind === "local" && this.#isDoubleBounce(address)) return `${hop.transport}:${address}`;
    if (this.#untried.includes(hop)) return `${hop.transport}:${hop.nexthop}`;
    const nexthop = hop.nexthop.toLowerCase();
    if (this.#dispatch.lane(hop.transport).limits.recipients !== 1) return `${hop.transport}:${nexthop}`;
    const local = address.slice(0, Math.max(0, address.lastIndexOf("@"))).toLowerCase();
    const { recipient_delimiter } = this.#options.conf;
    const extension = [...local].findIndex((char, at) => at > 0 && recipient_delimiter.includes(char));
    return `${hop.transport}:${extension < 0 ? local : local.slice(0, extension)}@${nexthop}`;
  }

  #delivered(
    message: ActiveMessage,
    { key, lane }: Destination,
    batch: readonly number[],
    result: DeliveryResult,
    took_ms: number,
  ): void {
    const { id } = message.envelope;
    const { clock } = this.#options;
    this.#traffic.delivered(key, result.recipients, took_ms, clock.now());
    for (const each of result.recipients) {
      if (message.record(each, key)) {
        this.#traffic.result(each.status, clock.monotonic());
        continue;
      }
      this.#log.warning(`${id}: transport ${lane.name} gave a second or unasked result for recipient ${each.index}`);
    }
    const { health, passTo } = result;
    if (passTo) this.#passOn(message, batch, passTo, key);
    for (const index of batch) {
      if (message.isDecided(index) || (passTo && message.passed?.has(index))) continue;
      const verdict = health.kind === "ok" ? forgotten : deferral(health.dsn, health.reason);
      this.#decide(message, index, verdict, key);
    }
  }

  /** Recipients without a result go over another transport; those that did so before have come back. */
  #passOn(message: ActiveMessage, batch: readonly number[], { hop, otherwise }: PassTo, from: string): void {
    message.passed ??= new Set();
    const { passed } = message;
    const first = batch.filter((index) => !message.isDecided(index) && !passed.has(index));
    for (const index of batch) {
      if (passed.has(index)) this.#decide(message, index, this.#untried.refusal(otherwise.dsn, otherwise.reason), from);
    }
    for (const index of first) passed.add(index);
    this.#assignment.place(message, first, { hop, class: "other" });
  }

  /** A recipient that no transport was asked about, or that it forgot: logged here, since nobody else has. */
  #decide(message: ActiveMessage, index: number, verdict: Verdict, destination: string): void {
    const result = resultOf(verdict, index);
    if (!message.record(result, destination)) return;
    const { envelope, active_ms } = message;
    const { clock, conf } = this.#options;
    this.#traffic.result(result.status, clock.monotonic());
    const { logged, dsn, reason } = verdict;
    const now_ms = clock.now();
    const inActive_ms = clock.monotonic() - active_ms;
    const digits = conf.delay_logging_resolution_limit;
    const log = verdict.status === "sent" ? this.#discardLog : this.#errorLog;
    log.info(untriedLine({ envelope, index, status: logged, dsn, reason, now_ms, inActive_ms, digits }));
  }

  #abandon({ message, recipients, next, destination }: Work): void {
    for (const index of recipients.slice(next)) message.record(resultOf(forgotten, index), destination.key);
    this.#progressed(message);
  }

  #progressed(message: ActiveMessage): void {
    if (message.settling || message.routing || this.#stopped) return;
    if (message.inHand === 0 && (message.undecided === 0 || this.#closing)) this.#finish.finish(message);
    else this.#finish.report(message);
  }

  #finished(message: ActiveMessage, settled: Settled | undefined, nextAttempt_ms: number): void {
    this.#leave(message);
    this.#inFlow.left();
    if (settled?.applied) {
      if (settled.gone) this.#log.info(`${message.envelope.id}: removed`);
      else this.#watch.dueAt(nextAttempt_ms);
      for (const { envelope, repeated } of settled.notifications) if (!repeated) this.enqueue(envelope);
    }
    this.#afterSettling();
  }

  /** It is put back or gone, and may have been claimed again already. */
  #leave(message: ActiveMessage): void {
    const { id } = message.envelope;
    this.#active.delete(message);
    const again = this.#early.get(id);
    if (!again) return;
    this.#early.delete(id);
    this.#claimed(again);
  }

  #afterSettling(): void {
    this.#watch.roomAgain();
    this.#dispatch.drain();
    if (this.#closing) this.#closeIfDone();
  }

  #closeIfDone(): void {
    if (!this.#stopped && (this.#active.size > 0 || this.#settler.inHand > 0 || this.#watch.looking)) return;
    const waiting = this.#waitingForClose;
    this.#waitingForClose = [];
    for (const resolve of waiting) resolve();
  }

  #broken(error: unknown): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#inFlow.end();
    this.#settler.stop();
    this.#watch.stop();
    this.#dispatch.end();
    this.#options.failed(error);
    this.#closeIfDone();
  }
}

/** How many envelopes are claimed at once, at most. */
const claimPage = 500;
/** Messages on their way out beyond which suspended work waits for its deferral. */
const maxFinishing = 500;

const forgotten = deferral("4.3.0", "unknown mail transport error");
const discarded: Verdict = {
  status: "sent",
  logged: "sent",
  dsn: "2.0.0",
  reason: "undeliverable postmaster notification discarded",
};
