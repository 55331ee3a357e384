import type { Log } from "../log/log.ts";
import type { RecipientResult } from "../queue/delivery.ts";
import type { NewMessage, Settled } from "../queue/store.ts";
import type { Clock } from "../runtime/clock.ts";
import type { ActiveMessage } from "./active.ts";
import { type Conclusion, conclude, outcomeOf, wantsSuccess } from "./conclusion.ts";
import { errorText, type NotificationDue, type Notifications, type SchedulerConf } from "./options.ts";
import type { Settler } from "./settler.ts";

interface FinishOptions {
  readonly conf: SchedulerConf;
  readonly clock: Clock;
  readonly log: Log;
  readonly settler: Settler;
  readonly notify: (due: NotificationDue) => Promise<Notifications>;
  /** The store knows `unfinished`. */
  readonly early: boolean;
  /** False when the operator has removed the message: there is nothing to settle, and nobody to notify. */
  readonly wanted: (message: ActiveMessage) => boolean;
  /** The message is out of our hands. `settled` is undefined where it was set aside as unreadable. */
  readonly finished: (message: ActiveMessage, settled: Settled | undefined, nextAttempt_ms: number) => void;
}

const none: Notifications = [];

/** The end of an attempt: from a message's results to its notifications and its settlement. */
export class Finish {
  readonly #options: FinishOptions;
  /** Messages whose end has begun. */
  inHand = 0;

  constructor(options: FinishOptions) {
    this.#options = options;
  }

  /**
   * Settles a message of which nothing is in hand. Recipients without a result
   * stay as they are, due at once: we are being replaced.
   */
  finish(message: ActiveMessage): void {
    message.settling = true;
    this.inHand++;
    // A report that is under way goes first: what it says is said once.
    if (!message.reporting) this.#finish(message);
  }

  /** Tells the store of what has been delivered while the rest of a large message is still in work. */
  report(message: ActiveMessage): void {
    if (!this.#options.early || message.reporting || message.settling) return;
    const { envelope, results } = message;
    const { conf, settler } = this.#options;
    const outcomes = [];
    let upTo = message.reported;
    for (; upTo < results.length; upTo++) {
      const result = results[upTo];
      // Whoever has to be told of something is settled together with that notification.
      if (result?.status !== "sent" || wantsSuccess(envelope, result, conf)) break;
      outcomes.push(outcomeOf(result));
    }
    if (outcomes.length === 0) return;
    message.reporting = true;
    const settlement = {
      id: envelope.id,
      outcomes,
      nextAttempt_ms: 0,
      destination: "",
      notifications: none,
      unfinished: true,
    };
    settler.settle(settlement, () => {
      message.reporting = false;
      message.reported = upTo;
      if (message.settling) this.#finish(message);
      else this.report(message);
    });
  }

  #finish(message: ActiveMessage): void {
    const { envelope, results, undecided, reported } = message;
    const { clock, conf, log, wanted } = this.#options;
    if (!wanted(message)) {
      queueMicrotask(() => this.#over(message, undefined, 0));
      return;
    }
    const left = reported === 0 ? results : results.slice(reported);
    const conclusion = conclude(envelope, left, clock.now(), conf, undecided > 0);
    const { expired, failures, delays, successes } = conclusion;
    if (expired) log.info(`${envelope.id}: from=<${envelope.sender}>, status=${expired}, returned to sender`);
    if (failures.length === 0 && delays.length === 0 && successes.length === 0) {
      this.#settle(message, conclusion, none, false);
    } else {
      void this.#withNotifications(message, conclusion);
    }
  }

  async #withNotifications(message: ActiveMessage, conclusion: Conclusion): Promise<void> {
    const { clock, conf, log } = this.#options;
    const { id } = message.envelope;
    const success = await this.#notify(message, "success", conclusion.successes);
    const failure = await this.#notify(message, "failure", conclusion.failures);
    const delay = await this.#notify(message, "delay", conclusion.delays);
    let decided = conclusion;
    if (!failure) {
      log.info(`${id}: status=deferred (bounce failed)`);
      decided = keepFailures(conclusion, clock.now() + conf.minimal_backoff_time * 1000);
    }
    const notifications = [...(success ?? none), ...(failure ?? none), ...(delay ?? none)];
    this.#settle(message, decided, notifications, delay !== undefined && conclusion.delays.length > 0);
  }

  /** Undefined when they could not be written. */
  async #notify(
    { envelope, body }: ActiveMessage,
    kind: NotificationDue["kind"],
    results: readonly RecipientResult[],
  ): Promise<Notifications | undefined> {
    if (results.length === 0) return none;
    try {
      return await this.#options.notify({ kind, envelope, results, body });
    } catch (error) {
      this.#options.log.warning(`${envelope.id}: ${kind} notification failed: ${errorText(error)}`);
      return undefined;
    }
  }

  #settle(message: ActiveMessage, conclusion: Conclusion, notifications: Notifications, warned: boolean): void {
    const { outcomes, nextAttempt_ms } = conclusion;
    const destination = message.waitsFor ?? "";
    const settlement = { id: message.envelope.id, outcomes, nextAttempt_ms, destination, notifications };
    // A body that the store takes piece by piece may lack some when it says no: it has to be written again.
    const inPieces = notifications.filter(({ message: { body } }) => !Buffer.isBuffer(body));
    const again = (): void => {
      for (const { message: notification } of inPieces) abandon(notification);
      void this.#withNotifications(message, conclusion);
    };
    this.#options.settler.settle(
      warned ? { ...settlement, warned } : settlement,
      (settled) => this.#over(message, settled, nextAttempt_ms),
      inPieces.length > 0 ? again : undefined,
    );
  }

  #over(message: ActiveMessage, settled: Settled | undefined, nextAttempt_ms: number): void {
    this.inHand--;
    this.#options.finished(message, settled, nextAttempt_ms);
  }
}

function abandon({ body }: NewMessage): void {
  if (!Buffer.isBuffer(body)) body.abandon();
}

/** A notification could not be written: those it was about are tried again, so that nobody is given up in silence. */
function keepFailures(conclusion: Conclusion, nextAttempt_ms: number): Conclusion {
  const failed = new Set(conclusion.failures.map(({ index }) => index));
  const outcomes = conclusion.outcomes.map((each) =>
    failed.has(each.index) ? { ...each, status: "pending" as const } : each,
  );
  return { ...conclusion, outcomes, nextAttempt_ms };
}
