/**
 * How much nonsense one client has sent since its last message was taken, and
 * what that means for it: held back from smtpd_soft_error_limit errors on, sent
 * away from smtpd_hard_error_limit on.
 */
import type { SmtpdConf } from "./params.ts";

export type PatienceConf = Pick<
  SmtpdConf,
  "smtpd_soft_error_limit" | "smtpd_hard_error_limit" | "smtpd_junk_command_limit" | "smtpd_recipient_overshoot_limit"
>;

export class Patience {
  readonly #conf: PatienceConf;
  #errors = 0;
  #junk = 0;
  #overshoot = 0;

  constructor(conf: PatienceConf) {
    this.#conf = conf;
  }

  get errors(): number {
    return this.#errors;
  }

  /** Replies are held back. */
  get slow(): boolean {
    return this.#errors >= this.#conf.smtpd_soft_error_limit;
  }

  get exhausted(): boolean {
    return this.#errors >= this.#conf.smtpd_hard_error_limit;
  }

  error(): void {
    this.#errors++;
  }

  /** A command of which a client may send only so many between messages. */
  junk(): void {
    if (this.#junk++ > this.#conf.smtpd_junk_command_limit) this.#errors++;
  }

  /** One more recipient than a message may have; false: it counts as an error. */
  overshoot(): boolean {
    return this.#overshoot++ < this.#conf.smtpd_recipient_overshoot_limit;
  }

  /** The transaction is over, whatever came of it. */
  transactionOver(): void {
    this.#overshoot = 0;
  }

  /** A message was taken: everything is forgotten. */
  delivered(): void {
    this.#errors = 0;
    this.#junk = 0;
  }
}
