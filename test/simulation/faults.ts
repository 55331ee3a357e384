/**
 * Planted faults: what the simulation must be able to find. The list was made from the invariants of the queue and
 * from what went wrong in other queues; that of the store before there was an oracle, so that it is not chosen by its catcher.
 *
 * Each is an exact piece of a production module, and what stands in its place when the fault is on (plant.ts). The
 * module itself knows nothing of it.
 */
export interface Fault {
  readonly name: string;
  /** What somebody would notice, or the class of bug as it is known from elsewhere. */
  readonly why: string;
  readonly edits: readonly Edit[];
}

export interface Edit {
  /** Below src/. */
  readonly file: string;
  /** Has to be there exactly once. */
  readonly text: string;
  readonly becomes: string;
}

const coordinator = "queue/coordinator.ts";
const store = "queue/engine-store.ts";
const engine = "queue/memory-engine.ts";
const outcome = "queue/outcome.ts";
const ids = "queue/id.ts";

const fault = (name: string, why: string, file: string, text: string, becomes: string): Fault => {
  return { name, why, edits: [{ file, text, becomes }] };
};

export const storeFaults: readonly Fault[] = [
  fault(
    "acknowledge before the sync",
    "the client is told 250 while the batch is still being written",
    coordinator,
    "const number = ++this.#batch;",
    'const number = ++this.#batch;\n    for (const each of entries) if (each.op.kind === "accept") each.resolve("stored");',
  ),
  fault(
    "acknowledge after a failed sync",
    "the error of a sync is dropped on the way to whoever waits",
    coordinator,
    "for (const { reject } of entries) reject(failure);",
    'for (const { op, resolve, reject } of entries) op.kind === "accept" ? resolve("stored") : reject(failure);',
  ),
  fault(
    "refused mail that was held is not removed",
    "a failed batch reappears, and what it had for the hold queue belongs to nobody",
    engine,
    "const by = each.acceptedHeld ?? each;",
    "const by = each;",
  ),
  fault(
    "sync again after a failed sync",
    "a second sync succeeds without the pages that the first one lost (PostgreSQL, 2018)",
    coordinator,
    'if (kind === "failed") return this.#refuseBatch(number, entries, message);',
    'if (kind === "failed") return this.#waitFor("busy", entries);',
  ),
  fault(
    "refused batches are not noted",
    "what was refused comes back with the file and is delivered",
    coordinator,
    "this.refused.push(number);",
    "",
  ),
  fault(
    "refused batches are not removed",
    "the same, at the successor",
    engine,
    "for (const message of refused) this.#delete(message);",
    "",
  ),
  fault(
    "outcomes are refused for want of room",
    "a full disk makes the relay forget what it delivered",
    coordinator,
    'return kind === "settle" || kind === "claim"',
    'return kind === "claim"',
  ),
  fault(
    "lost wake-up after a batch",
    "what came while a batch was written waits until something else comes",
    coordinator,
    "// The next batch goes out before these are answered: the engine works while we do.\n    this.#write();",
    "",
  ),
  fault(
    "a pause that never ends",
    "after a full disk the queue writes nothing, though there is room again",
    coordinator,
    "this.#pause?.cancel();\n    this.#pause = undefined;",
    "this.#pause?.cancel();",
  ),
  {
    name: "two batches at once",
    why: "a batch is begun while another is being written",
    edits: [
      {
        file: coordinator,
        text: "if (this.#writing || this.#pause || this.#failure || this.#queue.length === 0) return;",
        becomes: "if (this.#pause || this.#failure || this.#queue.length === 0) return;",
      },
      {
        file: coordinator,
        text: "if (this.#scheduled || this.#writing || this.#pause) return;",
        becomes: "if (this.#scheduled || this.#pause) return;",
      },
    ],
  },
  fault(
    "order is lost over a full disk",
    "what waits for room goes behind what came later",
    coordinator,
    "for (const entry of [...entries, ...this.#queue]) {",
    "for (const entry of [...this.#queue, ...entries]) {",
  ),
  fault(
    "the answer of another operation",
    "results are handed to the wrong callers",
    coordinator,
    "entries[i]?.resolve(results[i]);",
    "entries[i]?.resolve(results[0]);",
  ),
  fault(
    "a batch loses its last operation",
    "an off-by-one where a batch is cut",
    coordinator,
    "return this.#queue.splice(0, count);",
    "return this.#queue.splice(0, count + 1).slice(0, count);",
  ),
  fault(
    "a settle by anybody is accepted",
    "a relay that was thought dead, and is not, undoes its successor's work",
    engine,
    "if (message?.owner !== this.#owner) return false;",
    "if (!message) return false;",
  ),
  fault(
    "a message may be claimed twice",
    "two relays on one queue deliver the same",
    engine,
    "Object.assign(message, { state: state.active, owner: this.#owner, batch: undefined });",
    "Object.assign(message, { owner: this.#owner, batch: undefined });",
  ),
  fault(
    "a release takes from the living",
    "taking back what a dead relay had takes the mail of the other one too",
    engine,
    "filter((each) => each.owner === owner);",
    "filter((each) => each.owner !== undefined);",
  ),
  fault(
    "a release forgets to make due",
    "what a dead relay had stays nobody's",
    engine,
    'for (const message of owned.slice(0, limit)) this.#disown(message, 0, "");',
    "for (const message of owned.slice(0, limit)) message.owner = undefined;",
  ),
  fault(
    "held mail is claimed",
    "what an operator held goes out",
    engine,
    "filter((each) => each.state === state.deferred);",
    "filter((each) => each.state === state.deferred || each.state === state.hold);",
  ),
  fault(
    "mail is claimed before its time",
    "no back-off",
    engine,
    "filter((each) => each.due <= now)",
    "filter(() => true)",
  ),
  fault(
    "gone when the first recipient is done",
    "the others of the message are lost",
    store,
    'const gone = envelope.recipients.every(({ status }) => status !== "pending");',
    'const gone = envelope.recipients.some(({ status }) => status !== "pending");',
  ),
  fault(
    "progress is forgotten",
    "recipients noted as done while others were under way are tried again",
    store,
    "if (keep) this.#owned.set(id, { ...owned, envelope });",
    "if (keep) this.#owned.set(id, owned);",
  ),
  fault(
    "a deferral forgets what was done",
    "the envelope from before the attempt is written back",
    store,
    "const stored = encodeEnvelope(envelope);",
    'const stored = encodeEnvelope({ ...envelope, recipients: envelope.recipients.map((each) => ({ ...each, status: "pending" as const })) });',
  ),
  fault(
    "a recipient comes back",
    "a late outcome overwrites the one that counted",
    outcome,
    'if (recipient?.status !== "pending") continue;',
    "if (!recipient) continue;",
  ),
  fault(
    "notifications are not stored with their cause",
    "the bounce is lost though the recipient is given up",
    engine,
    "return notifications.map((each) => this.#insert(each, undefined));",
    'return notifications.map(() => "stored" as const);',
  ),
  fault(
    "a source leaves no trace",
    "a maildrop file that survived a crash is delivered again",
    engine,
    "if (source !== undefined) this.#queue.traces.set(source, { id, gone_ms, envelope });",
    "",
  ),
  fault(
    "a source is not looked at",
    "the same maildrop file is queued twice",
    engine,
    "const known = source === undefined ? undefined : this.#bySource(source);",
    "const known = undefined as StoredMessage | Trace | undefined;",
  ),
  fault(
    "removed mail is still ours",
    "what the operator deleted is delivered afterwards",
    store,
    'if (action === "remove") this.#forget(id, owned);',
    "",
  ),
  fault(
    "ids follow the clock back",
    "an id is given twice when the clock is set back",
    ids,
    "let next = Math.max(now, this.#last + 1);",
    "let next = now;",
  ),
  fault(
    "a claim that is lost",
    "claimed messages are not handed to anybody",
    store,
    "if (envelope) claimed.push(envelope);",
    "if (envelope && claimed.length === 0) claimed.push(envelope);",
  ),
];

const scheduler = "qmgr/scheduler.ts";
const dispatch = "qmgr/dispatch.ts";
const conclusion = "qmgr/conclusion.ts";

export const schedulerFaults: readonly Fault[] = [
  fault(
    "done before the reply",
    "a recipient counts as delivered when it has been handed to the transport",
    dispatch,
    "return deliver({ envelope, recipients, route, body, active_ms, started_ms: clock.monotonic() });",
    `void deliver({ envelope, recipients, route, body, active_ms, started_ms: clock.monotonic() });
      const sent = { status: "sent", dsn: "2.0.0", reason: "", remoteHost: "", remoteReply: undefined } as const;
      return Promise.resolve({ recipients: recipients.map((index) => ({ index, ...sent })), health: { kind: "ok" } });`,
  ),
  fault(
    "put off counts as done",
    "450 is taken for 250",
    conclusion,
    'status === "deferred" ? "pending" : status',
    'status === "deferred" ? "sent" : status',
  ),
  fault(
    "given up in silence",
    "nobody is told of a 550",
    conclusion,
    'const refused = results.filter(({ status }) => status === "bounced");',
    "const refused = none;",
  ),
  fault(
    "given up though the notification could not be written",
    "the same, on a bad day",
    "qmgr/finish.ts",
    "if (!failure) {",
    "if (failure === null) {",
  ),
  fault(
    "forgotten by the transport, and done",
    "a recipient without a result counts as delivered",
    scheduler,
    'const verdict = health.kind === "ok" ? forgotten : deferral(health.dsn, health.reason);',
    'const verdict = health.kind === "ok" ? discarded : deferral(health.dsn, health.reason);',
  ),
  fault(
    "forgotten by the transport, and by the scheduler",
    "a message waits for ever for the result of a recipient",
    scheduler,
    "this.#decide(message, index, verdict, key);",
    "",
  ),
  fault(
    "settled with a delivery in hand",
    "a relay that is replaced does not wait for its deliveries",
    scheduler,
    "if (message.inHand === 0 && (message.undecided === 0 || this.#closing))",
    "if (message.undecided === 0 || this.#closing)",
  ),
  fault(
    "left out beyond the limit",
    "what is accepted while the active set is full is nobody's",
    scheduler,
    'this.#watch.leftBehind(envelope.recipients.length);\n      this.#putBack(envelope, "");',
    "",
  ),
  fault(
    "lost wake-up of the due watch",
    "deferred mail stays until the next start",
    "qmgr/due-watch.ts",
    "this.#timer = undefined;\n      this.look();",
    "this.#timer = undefined;",
  ),
  fault(
    "a place that is not given back",
    "after some deliveries a transport does nothing any more",
    dispatch,
    "lane.end(destination);",
    "",
  ),
  fault(
    "a destination that stays suspended",
    "one outage, and its mail waits for ever",
    dispatch,
    "destination.timer = clock.after(left_ms, () => this.#resume(destination));",
    "",
  ),
  fault(
    "work lost at a suspended destination",
    "what waits for a destination when it goes down is forgotten",
    dispatch,
    "work.destination.waiting.push(work);",
    "",
  ),
  fault(
    "removed mail is delivered",
    "what the operator deleted goes out from the active set",
    dispatch,
    "} else if (this.#options.wanted(work.message)) {",
    "} else if (work.message) {",
  ),
];
