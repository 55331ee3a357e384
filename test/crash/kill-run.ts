import { type RunningPostern, startPostern } from "../peers/postern.ts";
import { type Load, startLoad } from "./load.ts";
import { messagesInQueue } from "./queue-snapshot.ts";
import { type ReceivingSink, startReceivingSink } from "./receiving-sink.ts";
import { type Rng, rngFrom } from "./rng.ts";

/**
 * kill -9 under load, over and over: 20 clients hand over messages, a server at the far end takes them, and in
 * between master and relay, or the relay alone, are killed at random moments and come back.
 *
 * What must hold at each kill: what was acknowledged is in the queue's file, or has arrived.
 * And in the end, when the queue has emptied itself:
 *   1. everything acknowledged has arrived;
 *   2. a message has arrived once more at most for each kill that found it in flight: arrived, and still in the queue's file;
 *   3. nothing has arrived that was refused, or whose end was never sent.
 *
 * Killing alone tests no sync: what was written survives in the kernel. sync-order.test.ts does.
 */
export interface KillFigures {
  readonly seed: number;
  readonly kills: { all: number; relay: number; starting: number };
  readonly acknowledged: number;
  /** Messages that have arrived, each counted once. */
  readonly delivered: number;
  /** Arrivals beyond the first. */
  readonly duplicates: number;
  /** Messages that had arrived and were still in the queue, summed up over the kills; and the most at one. */
  readonly inFlight: number;
  readonly inFlight_most: number;
  /** The reply was lost with the connection: how many of those arrived. */
  readonly cut: number;
  readonly cutDelivered: number;
  readonly refused: number;
  readonly refusals: Readonly<Record<string, number>>;
  readonly lost: readonly string[];
  /** What broke a promise, in words. */
  readonly violations: readonly string[];
}

export interface KillOptions {
  readonly kills: number;
  readonly seed: number;
  readonly sessions?: number;
  readonly progress?: (text: string) => void;
}

/** Retries within a second, so that what the far end puts off comes back during the run. */
const parameters = {
  mynetworks: "127.0.0.0/8",
  smtp_tls_security_level: "none",
  minimal_backoff_time: "1s",
  maximal_backoff_time: "2s",
  queue_run_delay: "1s",
  // A small log is checkpointed often: kills shall hit that, too.
  postern_queue_checkpoint_size: "1048576",
};

/** One in so many is put off the first time, so that deferred messages are in the queue at a kill. */
const putOff = 100;

const drainLimit_ms = 120_000;

export async function killUnderLoad(options: KillOptions): Promise<KillFigures> {
  const rng = rngFrom(options.seed);
  const sink = await startReceivingSink({ answer: puttingOff(rng) });
  const relay = await startPostern({ mainCf: { ...parameters, relayhost: `[127.0.0.1]:${sink.port}` } });
  const load = startLoad({ port: relay.port, sessions: options.sessions ?? 20, rng });
  try {
    return await new KillRun(options, rng, sink, relay, load).run();
  } finally {
    await load.stop();
    await relay.stop();
    await sink.close();
  }
}

function puttingOff(rng: Rng): (messageId: string) => string {
  const seen = new Set<string>();
  return (messageId) => {
    const first = !seen.has(messageId);
    seen.add(messageId);
    return first && rng() < 1 / putOff ? "451 4.3.0 later" : "250 2.0.0 Ok: taken";
  };
}

class KillRun {
  readonly #options: KillOptions;
  readonly #rng: Rng;
  readonly #sink: ReceivingSink;
  readonly #relay: RunningPostern;
  readonly #load: Load;
  readonly #kills = { all: 0, relay: 0, starting: 0 };
  /** By message: the kills that found it in flight. */
  readonly #repeatable = new Map<string, number>();
  readonly #violations: string[] = [];
  #inFlight = 0;
  #inFlight_most = 0;
  /** Kills of the relay since the last start of a master: with each it waits longer before it mends. */
  #mended = 0;

  constructor(options: KillOptions, rng: Rng, sink: ReceivingSink, relay: RunningPostern, load: Load) {
    this.#options = options;
    this.#rng = rng;
    this.#sink = sink;
    this.#relay = relay;
    this.#load = load;
  }

  async run(): Promise<KillFigures> {
    const { kills, progress } = this.#options;
    for (let kill = 1; kill <= kills; kill++) {
      await this.#flowing();
      await pause(this.#rng() * 300);
      await this.#kill();
      progress?.(`kill ${kill}: ${this.#load.book.acknowledged.size} acknowledged, ${this.#sink.taken.size} arrived`);
    }
    await this.#flowing();
    await this.#load.stop();
    await this.#drained();
    return this.#figures();
  }

  /** Resolves when messages are being acknowledged again. */
  async #flowing(): Promise<void> {
    const { acknowledged } = this.#load.book;
    const before = acknowledged.size;
    const since_ms = performance.now();
    while (acknowledged.size < before + 20) {
      if (performance.now() - since_ms > 60_000)
        throw new Error(`nothing is acknowledged\n${this.#relay.log().slice(-5000)}`);
      await pause(1);
    }
  }

  async #kill(): Promise<void> {
    if (this.#mended < 2 && this.#rng() < 0.4) {
      this.#mended++;
      this.#kills.relay++;
      await this.#relay.kill("relay", () => this.#look());
      return;
    }
    this.#mended = 0;
    this.#kills.all++;
    await this.#relay.kill("all", () => this.#look());
    while (this.#rng() < 0.1) await this.#killStarting();
    await this.#relay.start();
  }

  /** Recovery is the moment at which a second crash would hurt most. */
  async #killStarting(): Promise<void> {
    this.#kills.starting++;
    const starting = this.#relay.start().catch(() => {});
    await pause(this.#rng() * 600);
    await this.#relay.kill("all", () => this.#look());
    await starting;
  }

  /** Everything is dead: what is in the queue, and what has arrived? */
  async #look(): Promise<void> {
    const queued = messagesInQueue(this.#relay.queue);
    // What the dead relay had sent is still on its way through the kernel.
    while (this.#sink.connections > 0) await pause(1);
    const { taken } = this.#sink;
    for (const id of this.#load.book.acknowledged) {
      if (!queued.has(id) && !taken.has(id)) this.#violations.push(`${id}: acknowledged, and gone after a kill`);
    }
    let inFlight = 0;
    for (const id of queued) {
      if (!taken.has(id)) continue;
      inFlight++;
      this.#repeatable.set(id, (this.#repeatable.get(id) ?? 0) + 1);
    }
    this.#inFlight += inFlight;
    this.#inFlight_most = Math.max(this.#inFlight_most, inFlight);
  }

  async #drained(): Promise<void> {
    const since_ms = performance.now();
    for (;;) {
      const { stdout, stderr } = this.#relay.run("mailq");
      if (stdout.includes("Mail queue is empty")) return;
      if (performance.now() - since_ms > drainLimit_ms) {
        throw new Error(
          `the queue does not empty itself:\n${stdout.slice(-2000)}${stderr}\n${this.#relay.log().slice(-3000)}`,
        );
      }
      await pause(200);
    }
  }

  #figures(): KillFigures {
    const { book } = this.#load;
    const { taken } = this.#sink;
    const lost = [...book.acknowledged].filter((id) => !taken.has(id));
    let duplicates = 0;
    for (const [id, times] of taken) {
      duplicates += times - 1;
      const allowed = this.#repeatable.get(id) ?? 0;
      if (times - 1 > allowed) this.#violations.push(`${id}: arrived ${times} times, in flight at ${allowed} kills`);
      if (book.refused.has(id)) this.#violations.push(`${id}: refused, and it arrived`);
      if (book.unfinished.has(id)) this.#violations.push(`${id}: its end was never sent, and it arrived`);
      if (!book.acknowledged.has(id) && !book.cut.has(id)) this.#violations.push(`${id}: arrived, and nobody knows it`);
    }
    for (const id of lost) this.#violations.push(`${id}: acknowledged, and it never arrived`);
    return {
      ...{ seed: this.#options.seed, kills: this.#kills, acknowledged: book.acknowledged.size, delivered: taken.size },
      ...{ duplicates, inFlight: this.#inFlight, inFlight_most: this.#inFlight_most, cut: book.cut.size },
      cutDelivered: [...book.cut].filter((id) => taken.has(id)).length,
      refused: book.refused.size,
      refusals: Object.fromEntries(book.refusals),
      ...{ lost, violations: this.#violations },
    };
  }
}

/** The figures in one line. */
export function describeKills(figures: KillFigures): string {
  const {
    kills,
    acknowledged,
    delivered,
    duplicates,
    inFlight,
    inFlight_most,
    cut,
    cutDelivered,
    refused,
    lost,
    seed,
  } = figures;
  return (
    `${kills.all} kills of everything, ${kills.relay} of the relay alone, ${kills.starting} while starting (seed ${seed}): ` +
    `${acknowledged} acknowledged, ${delivered} delivered, ${duplicates} duplicates, ${inFlight} in flight at kills ` +
    `(${inFlight_most} at most), ${cut} cut off before a reply (${cutDelivered} of them delivered), ${refused} refused, lost=${lost.length}`
  );
}

const pause = (delay_ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delay_ms));
