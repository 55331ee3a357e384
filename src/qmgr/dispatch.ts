import type { Log } from "../log/log.ts";
import type { Deliver, DeliveryResult, DestinationHealth, NextHop } from "../queue/delivery.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import type { ActiveMessage } from "./active.ts";
import { Destination, type Suspension, type Work } from "./destination.ts";
import { Fifo } from "./fifo.ts";
import { Lane } from "./lane.ts";
import { type TransportValue, transportLimits } from "./limits.ts";
import { errorText, type SchedulerConf } from "./options.ts";
import { type RefusedLogin, RefusedLogins } from "./refused-logins.ts";
import { maxHandedOver, type SchedulerState, stateOf } from "./state.ts";
import { deferral, type Verdict } from "./verdict.ts";

interface DispatchOptions {
  readonly conf: SchedulerConf;
  readonly clock: Clock;
  readonly log: Log;
  readonly transports: ReadonlyMap<string, Deliver>;
  readonly transportValue: TransportValue;
  readonly slots: (transport: string) => number;
  /** False when the operator has removed the message. */
  readonly wanted: (message: ActiveMessage) => boolean;
  /** What came of a batch. Every recipient of it has its result when this returns. */
  readonly delivered: (
    message: ActiveMessage,
    destination: Destination,
    batch: readonly number[],
    result: DeliveryResult,
    took_ms: number,
  ) => void;
  /** A recipient that is not handed over: its destination is suspended. */
  readonly decide: (message: ActiveMessage, index: number, verdict: Verdict, destination: string) => void;
  /** Work that is not wanted any more: its recipients need no result in words. */
  readonly abandon: (work: Work) => void;
  /** Batches or verdicts of this message have ended. */
  readonly progressed: (message: ActiveMessage) => void;
  /** May more suspended work be deferred now? Each deferral is a settlement. */
  readonly mayDefer: () => boolean;
  /** A destination has been given another chance, or has room again: the store may have mail for it. */
  readonly opened: () => void;
}

/** How many destinations the store is told to leave out. */
const maxExcluded = 1000;
/**
 * A destination may hold this share of the active set; its further mail is left in the store until it has less than `relief`.
 * An active set that is full by as much is full, as far as senders are concerned: all of it may be for one smarthost.
 */
export const share = 0.8;
const relief = 0.5;

/**
 * Destinations at work: what is handed to transports, what is learnt from the
 * results, and which destinations are left alone for a while.
 *
 * States of a destination, and what makes each move:
 *   open      -> suspended  feedBack   a failed cohort, or a refused login
 *   suspended -> open       resume     minimal_backoff_time is over; flush; a delivery that was under way got through; new credentials
 *   open      -> paused     pause      a rate delay after each delivery
 *   paused    -> open       the clock
 *   idle      -> (gone)     forget     nothing is left to remember
 *
 * Work for a suspended destination is deferred, some at a time (drain).
 */
export class Dispatch {
  readonly #options: DispatchOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #destinations = new Map<string, Destination>();
  readonly #refused: RefusedLogins;
  readonly #draining = new Fifo<Destination>();
  /** Pauses of transports with a rate delay. */
  readonly #laneTimers = new Map<Lane, Timer>();
  #ended = false;
  /** Suspended or saturated: the store leaves out what waits for these alone. */
  readonly excluded = new Set<string>();
  /** Batches that transports are working on. */
  inHand = 0;

  constructor(options: DispatchOptions) {
    this.#options = options;
    const { minimal_backoff_time, maximal_backoff_time } = options.conf;
    // What waits for a destination is tried twice in that time.
    this.#refused = new RefusedLogins(2000 * Math.max(minimal_backoff_time, maximal_backoff_time));
  }

  get destinations(): Iterable<Destination> {
    return this.#destinations.values();
  }

  get refusedLogins(): readonly RefusedLogin[] {
    return this.#refused.list(this.#options.clock.now());
  }

  lane(name: string): Lane {
    const known = this.#lanes.get(name);
    if (known) return known;
    const { conf, transportValue } = this.#options;
    const slots = this.#options.slots(name);
    const limits = transportLimits(name, conf, transportValue);
    const lane = new Lane(name, limits, slots > 0 ? slots : Number.POSITIVE_INFINITY);
    this.#lanes.set(name, lane);
    return lane;
  }

  destination(key: string, hop: NextHop): Destination {
    const known = this.#destinations.get(key);
    if (known) return known;
    const destination = new Destination(key, hop, this.lane(hop.transport));
    this.#destinations.set(key, destination);
    return destination;
  }

  /** Work whose delivery may begin before this returns. */
  add(work: Work): void {
    const { destination } = work;
    destination.lane.add(work);
    this.#watchShare(destination);
    if (destination.suspension) this.#drainLater(destination);
    else this.#pump(destination.lane);
  }

  /** Nothing is begun any more; what is in hand ends as usual. */
  end(): void {
    this.#ended = true;
    for (const { timer } of this.#destinations.values()) timer?.cancel();
    for (const timer of this.#laneTimers.values()) timer.cancel();
  }

  /** Another chance for suspended destinations: those of this key or next hop, or all. */
  resumeAll(which?: string): void {
    for (const destination of [...this.#destinations.values()]) {
      if (which === undefined || destination.key === which || destination.route.nexthop === which)
        this.#resume(destination);
    }
  }

  /** Another chance for those that refused our login. Their keys. */
  retryRefused(): string[] {
    const keys = this.#refused.clear();
    for (const key of keys) {
      const destination = this.#destinations.get(key);
      if (destination?.suspension?.kind === "refused") this.#resume(destination);
    }
    return keys;
  }

  stateForSuccessor(): SchedulerState {
    const lanes = this.#lanes.values();
    return stateOf(this.#destinations.values(), lanes, this.refusedLogins, this.#options.clock.now());
  }

  restore(state: SchedulerState): void {
    const now_ms = this.#options.clock.now();
    for (const [key, reason, seen_ms = now_ms] of state.refused) this.#refused.refused({ key, reason, seen_ms });
    for (const { name, pausedUntil_ms } of state.transports ?? []) {
      const lane = this.lane(name);
      const left_ms = Math.min(pausedUntil_ms - now_ms, lane.limits.transportDelay_ms);
      if (left_ms > 0) this.#pauseLane(lane, left_ms);
    }
    for (const { key, transport, nexthop, suspension, pausedUntil_ms } of state.destinations.slice(0, maxHandedOver)) {
      const destination = this.destination(key, { transport, nexthop });
      if (suspension && suspension.until_ms > now_ms) this.#suspend(destination, suspension);
      else if (pausedUntil_ms !== undefined && pausedUntil_ms > now_ms) {
        this.#pause(destination, Math.min(pausedUntil_ms - now_ms, destination.lane.limits.rateDelay_ms));
      }
      this.#forgetIfIdle(destination);
    }
  }

  // -- Deliveries

  #pump(lane: Lane): void {
    if (this.#ended) return;
    for (;;) {
      // What a lane gives is what add() gave it.
      const work = lane.take() as Work | undefined;
      if (!work) return;
      if (work.destination.suspension) {
        work.destination.waiting.push(work);
        this.#drainLater(work.destination);
      } else if (this.#options.wanted(work.message)) {
        this.#deliver(lane, work);
      } else {
        this.#options.abandon(work);
        lane.offer(work.destination);
        this.#forgetIfIdle(work.destination);
      }
    }
  }

  #deliver(lane: Lane, work: Work): void {
    const { message, destination } = work;
    const batch = lane.begin(work);
    message.inHand++;
    this.inHand++;
    const started_ms = this.#options.clock.monotonic();
    this.#attempt(lane.name, message, destination, batch).then(
      (result) => this.#batchEnded(message, destination, batch, result, started_ms),
      (error) => this.#batchEnded(message, destination, batch, this.#broken(lane.name, error), started_ms),
    );
  }

  #attempt(
    transport: string,
    message: ActiveMessage,
    { route }: Destination,
    recipients: readonly number[],
  ): Promise<DeliveryResult> {
    const { transports, clock } = this.#options;
    const deliver = transports.get(transport);
    if (!deliver) return Promise.reject(new Error("there is no such transport"));
    const { envelope, body, active_ms } = message;
    try {
      return deliver({ envelope, recipients, route, body, active_ms, started_ms: clock.monotonic() });
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #broken(transport: string, error: unknown): DeliveryResult {
    this.#options.log.warning(`transport ${transport} failure: ${errorText(error)}`);
    return { recipients: [], health: { kind: "failed", dsn: "4.3.0", reason: "unknown mail transport error" } };
  }

  #batchEnded(
    message: ActiveMessage,
    destination: Destination,
    batch: readonly number[],
    result: DeliveryResult,
    started_ms: number,
  ): void {
    const { lane, busy } = destination;
    lane.end(destination);
    message.inHand--;
    this.inHand--;
    this.#options.delivered(message, destination, batch, result, this.#options.clock.monotonic() - started_ms);
    this.#feedBack(destination, result.health, busy);
    if (!this.#ended) {
      const { rateDelay_ms, transportDelay_ms } = lane.limits;
      if (rateDelay_ms > 0) this.#pause(destination, rateDelay_ms);
      if (transportDelay_ms > 0) this.#pauseLane(lane, transportDelay_ms);
      lane.offer(destination);
      this.#forgetIfIdle(destination);
      if (destination.saturated) this.#watchShare(destination);
      this.#pump(lane);
    }
    this.#options.progressed(message);
  }

  #feedBack(destination: Destination, health: DestinationHealth, busy: number): void {
    const { concurrency, key, route } = destination;
    const { log, clock, conf } = this.#options;
    if (health.kind === "ok") {
      if (this.#refused.accepted(key)) log.info(`${route.nexthop} accepts our login again`);
      concurrency.succeeded(busy);
      this.#resume(destination);
      return;
    }
    if (destination.suspension) return;
    if (health.kind === "refused") this.#sayRefused(destination, health.reason);
    else if (!concurrency.failed()) return;
    const until_ms = clock.now() + conf.minimal_backoff_time * 1000;
    this.#suspend(destination, { kind: health.kind, dsn: health.dsn, reason: health.reason, until_ms });
  }

  #sayRefused({ key, route }: Destination, reason: string): void {
    const { log, clock } = this.#options;
    if (!this.#refused.refused({ key, reason, seen_ms: clock.now() })) return;
    log.warning(`mail for ${route.nexthop} is held back, since our login is refused: ${reason}`);
  }

  // -- Destinations that are left alone

  #suspend(destination: Destination, suspension: Suspension): void {
    const { clock, conf } = this.#options;
    const { concurrency, busy } = destination;
    destination.timer?.cancel();
    destination.timer = undefined;
    destination.pausedUntil_ms = undefined;
    // Beyond this many, a dead destination is found dead again rather than remembered.
    if (this.#destinations.size > 2 * conf.qmgr_message_recipient_limit && destination.load === 0) {
      if (concurrency.dead) concurrency.resume(busy);
      return;
    }
    concurrency.kill();
    destination.suspension = suspension;
    if (this.excluded.size < maxExcluded) this.excluded.add(destination.key);
    if (this.#ended) return;
    const left_ms = Math.min(suspension.until_ms - clock.now(), conf.minimal_backoff_time * 1000);
    destination.timer = clock.after(left_ms, () => this.#resume(destination));
    this.#drainLater(destination);
  }

  #resume(destination: Destination): void {
    if (!destination.suspension || this.#ended) return;
    const { concurrency, lane, busy, key, saturated } = destination;
    destination.timer?.cancel();
    destination.timer = undefined;
    destination.suspension = undefined;
    if (concurrency.dead) concurrency.resume(busy);
    if (!saturated) this.excluded.delete(key);
    lane.offer(destination);
    this.#pump(lane);
    this.#forgetIfIdle(destination);
    this.#options.opened();
  }

  /** A rate delay: nothing to this destination until it is over. */
  #pause(destination: Destination, delay_ms: number): void {
    if (destination.suspension) return;
    const { clock } = this.#options;
    destination.pausedUntil_ms = clock.now() + delay_ms;
    destination.timer?.cancel();
    destination.timer = clock.after(delay_ms, () => {
      destination.timer = undefined;
      destination.pausedUntil_ms = undefined;
      destination.lane.offer(destination);
      this.#pump(destination.lane);
      this.#forgetIfIdle(destination);
    });
  }

  /** A transport rate delay: nothing over this transport until it is over. */
  #pauseLane(lane: Lane, delay_ms: number): void {
    const { clock } = this.#options;
    lane.pausedUntil_ms = clock.now() + delay_ms;
    this.#laneTimers.get(lane)?.cancel();
    const timer = clock.after(delay_ms, () => {
      this.#laneTimers.delete(lane);
      lane.pausedUntil_ms = undefined;
      this.#pump(lane);
    });
    this.#laneTimers.set(lane, timer);
  }

  #drainLater(destination: Destination): void {
    if (!destination.draining) {
      destination.draining = true;
      this.#draining.push(destination);
    }
    this.drain();
  }

  /** Defers what waits for suspended destinations, each in its turn, for as long as it may. */
  drain(): void {
    const { mayDefer, decide, progressed } = this.#options;
    while (this.#draining.length > 0 && !this.#ended && mayDefer()) {
      const destination = this.#draining.shift();
      const { suspension } = destination ?? {};
      const work = suspension && destination?.waiting.shift();
      if (!destination || !suspension || !work) {
        if (destination) destination.draining = false;
        continue;
      }
      this.#draining.push(destination);
      const verdict = deferral(suspension.dsn, `delivery temporarily suspended: ${suspension.reason}`);
      for (let at = work.next; at < work.recipients.length; at++) {
        decide(work.message, work.recipients[at] ?? 0, verdict, destination.key);
      }
      work.next = work.recipients.length;
      if (destination.saturated) this.#watchShare(destination);
      progressed(work.message);
    }
  }

  /** A destination that takes up most of the active set gets no more from the store until it has less. */
  #watchShare(destination: Destination): void {
    const { qmgr_message_active_limit: limit, qmgr_clog_warn_time } = this.#options.conf;
    const { load, key, route, saturated } = destination;
    if (load > limit / 5 && qmgr_clog_warn_time > 0) {
      const now_ms = this.#options.clock.monotonic();
      if (now_ms >= destination.nextClogWarning_ms) {
        destination.nextClogWarning_ms = now_ms + qmgr_clog_warn_time * 1000;
        this.#options.log.warning(`mail for ${route.nexthop} is using up ${load} of ${limit} active queue entries`);
      }
    }
    if (!saturated && load >= limit * share) {
      destination.saturated = true;
      this.excluded.add(key);
    } else if (saturated && load < limit * relief) {
      destination.saturated = false;
      if (!destination.suspension) this.excluded.delete(key);
      this.#options.opened();
    }
  }

  #forgetIfIdle(destination: Destination): void {
    if (destination.idle) this.#destinations.delete(destination.key);
  }
}
