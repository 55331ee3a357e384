/**
 * The SMTP client of one transport of master.cf: takes delivery requests, and
 * answers each with what became of its recipients.
 *
 * Each delivery in work has a slot, whose number stands in brackets in the log:
 * log readers take the lines of one number for those of one session.
 */
import type { Log } from "../log/log.ts";
import type { DeliveryRequest, DeliveryResult } from "../queue/delivery.ts";
import { chunkSize_bytes } from "../queue/message.ts";
import { TableError } from "../table/table.ts";
import { Attempt, type AttemptFigures } from "./attempt.ts";
import type { Message } from "./exchange.ts";
import { ownFailure } from "./failure.ts";
import { GenericBody, wireAddresses } from "./generic.ts";
import { Ledger, type LedgerConf, nowhere } from "./ledger.ts";
import type { SmtpParts } from "./parts.ts";
import { SessionPool } from "./pool.ts";
import type { TransferLimits } from "./transfer.ts";

export interface SmtpFigures {
  /** Deliveries in work. */
  readonly active: number;
  /** Sessions that wait for their next message. */
  readonly idle: number;
  /** Since the client was made. */
  readonly sessionsOpened: number;
  readonly sessionsReused: number;
  readonly openingsFailed: number;
  readonly deliveries: number;
}

export class SmtpClient {
  readonly #parts: SmtpParts;
  readonly #pool: SessionPool;
  readonly #limits: TransferLimits;
  /** Made once: to copy a configuration for each message costs as much as to deliver it. */
  readonly #ledgerConf: LedgerConf;
  readonly #figures: AttemptFigures = { opened: 0, reused: 0, failedOpenings: 0 };
  /** Logs by slot; a free slot's number is on the stack. */
  readonly #logs: Log[] = [];
  readonly #free: number[] = [];
  #active = 0;
  #deliveries = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(parts: SmtpParts) {
    const { conf, runtime, protocol } = parts;
    this.#parts = parts;
    const { soft_bounce, delay_logging_resolution_limit, lmtp_assume_final } = conf;
    const assumeFinal = protocol === "lmtp" && lmtp_assume_final;
    this.#ledgerConf = { soft_bounce, delay_logging_resolution_limit, assumeFinal };
    this.#pool = new SessionPool(runtime.clock, {
      idle_s: conf.smtp_connection_cache_time_limit,
      reuse_s: conf.smtp_connection_reuse_time_limit,
      reuseCount: conf.smtp_connection_reuse_count_limit,
    });
    this.#limits = {
      mail_s: conf.smtp_mail_timeout,
      rcpt_s: conf.smtp_rcpt_timeout,
      data_s: conf.smtp_data_init_timeout,
      transfer_s: conf.smtp_data_xfer_timeout,
      dot_s: conf.smtp_data_done_timeout,
      leastRate_bytes_per_s: conf.smtp_min_data_rate,
      lineLength_bytes: conf.smtp_line_length_limit,
    };
  }

  /** A `Deliver` (src/queue/delivery.ts): never rejects. Can be passed on by itself. */
  readonly deliver = async (request: DeliveryRequest): Promise<DeliveryResult> => {
    const slot = this.#free.pop() ?? this.#newSlot();
    const log = this.#logs[slot - 1] as Log;
    this.#active++;
    this.#deliveries++;
    try {
      return await this.#attempt(request, log);
    } finally {
      this.#free.push(slot);
      if (--this.#active === 0) for (const done of this.#waiting.splice(0)) done();
    }
  };

  get figures(): SmtpFigures {
    const { opened, reused, failedOpenings } = this.#figures;
    return {
      active: this.#active,
      idle: this.#pool.size,
      sessionsOpened: opened,
      sessionsReused: reused,
      openingsFailed: failedOpenings,
      deliveries: this.#deliveries,
    };
  }

  /** Says QUIT on sessions that wait, and resolves when the deliveries in work have ended; their sessions are not kept. */
  async close(): Promise<void> {
    this.#pool.close();
    if (this.#active === 0) return;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #newSlot(): number {
    this.#logs.push(this.#parts.log.as(this.#parts.protocol, this.#logs.length + 1));
    return this.#logs.length;
  }

  /** Rejects with a TableError where smtp_generic_maps cannot tell. */
  async #message(request: DeliveryRequest, first: Buffer): Promise<Message> {
    const { generic } = this.#parts;
    const { envelope, recipients } = request;
    const more = envelope.size_bytes > chunkSize_bytes;
    if (!generic || generic.empty) return { request, first, more };
    const names = recipients.map((index) => envelope.recipients[index]?.address ?? "");
    const addresses = await wireAddresses(envelope, names, generic);
    const body = new GenericBody(first, request.body, envelope, generic);
    return { request, first: (await body.chunk(0)) ?? first, more, outside: { addresses, body } };
  }

  async #attempt(request: DeliveryRequest, log: Log): Promise<DeliveryResult> {
    const ledger = new Ledger(request, this.#ledgerConf, this.#parts.runtime.clock, log);
    try {
      const first = await firstChunk(request);
      if (first === undefined) {
        ledger.failAll(ownFailure("4.3.0", "unreadable mail queue entry", "message"), true, nowhere);
      } else {
        const message = await this.#message(request, first);
        const context = { parts: this.#parts, pool: this.#pool, limits: this.#limits, log, figures: this.#figures };
        const attempt = new Attempt(message, ledger, context);
        await attempt.run();
        const { passTo } = attempt;
        if (passTo) return { recipients: ledger.results, health: ledger.health, passTo };
      }
    } catch (error) {
      if (error instanceof TableError) {
        const reason = `smtp_generic_maps lookup error: ${error.message}`;
        ledger.failAll(ownFailure("4.3.0", reason, "message"), true, nowhere);
        return { recipients: ledger.results, health: ledger.health };
      }
      // A bug must not lose mail: whoever has no answer yet waits.
      const words = error instanceof Error ? (error.stack ?? error.message) : String(error);
      log.error(`${request.envelope.id}: unexpected: ${words.replace(/\s+/g, " ")}`);
      ledger.failAll(ownFailure("4.3.0", "internal error of the SMTP client", "message"), true, nowhere);
    }
    return { recipients: ledger.results, health: ledger.health };
  }
}

/** Undefined where the queue cannot give it, or gives less than it should. */
async function firstChunk({ body, envelope }: DeliveryRequest): Promise<Buffer | undefined> {
  try {
    const chunk = (await body.chunk(0)) ?? Buffer.alloc(0);
    return chunk.length === Math.min(envelope.size_bytes, chunkSize_bytes) ? chunk : undefined;
  } catch {
    return undefined;
  }
}
