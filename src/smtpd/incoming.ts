/**
 * One message on its way from the wire into an intake: the end of data, the
 * size limit, and an intake that asks to wait. Knows no socket.
 *
 * Invariants
 *  1. The intake gets nothing while a promise of its data() is open, and every piece in order.
 *  2. Exactly one of its commit() and abandon() is called, once.
 */
import { DataScanner } from "../rfc5321/dot.ts";
import type { Intake, IntakeResult } from "./ports.ts";

export interface IncomingEvents {
  /** The message is larger than the limit; nothing more of it is kept. Told once. */
  tooLarge(): void;
  /** The intake takes more again; never told before `busy` was true. */
  ready(): void;
}

export class Incoming {
  /** Bytes of text so far, those that were not kept included. */
  size_bytes = 0;
  tooLarge = false;
  /** The end of data has come. */
  complete = false;
  readonly #scanner = new DataScanner();
  readonly #limit_bytes: number;
  readonly #events: IncomingEvents;
  #intake: Intake | undefined;
  #waiting = false;
  #pieces: Buffer[] = [];

  /** `limit_bytes`: 0 for no limit. */
  constructor(intake: Intake, limit_bytes: number, events: IncomingEvents) {
    this.#intake = intake;
    this.#limit_bytes = limit_bytes;
    this.#events = events;
  }

  /** The intake has asked to wait: nothing should be read before ready(). */
  get busy(): boolean {
    return this.#waiting;
  }

  /** A line ended without CR. */
  get bareLf(): boolean {
    return this.#scanner.bareLf;
  }

  /** Reads on; returns the index behind the end of data, or -1. */
  read(bytes: Buffer, from: number): number {
    const end = this.#scanner.scan(bytes, from, this.#take);
    this.complete = end >= 0;
    return end;
  }

  /** Undefined where there is nothing to commit. Not while busy. */
  commit(): Promise<IntakeResult> | undefined {
    const intake = this.#intake;
    this.#intake = undefined;
    return intake?.commit();
  }

  abandon(): void {
    const intake = this.#intake;
    this.#intake = undefined;
    this.#pieces = [];
    intake?.abandon();
  }

  readonly #take = (piece: Buffer): void => {
    this.size_bytes += piece.length;
    if (!this.#intake) return;
    if (this.#limit_bytes > 0 && this.size_bytes > this.#limit_bytes) {
      this.tooLarge = true;
      this.abandon();
      this.#events.tooLarge();
    } else if (this.#waiting) this.#pieces.push(piece);
    else this.#feed(piece);
  };

  #feed(piece: Buffer): void {
    const wait = this.#intake?.data(piece);
    if (!wait) return;
    this.#waiting = true;
    const fed = (): void => this.#fed();
    void wait.then(fed, fed);
  }

  #fed(): void {
    this.#waiting = false;
    while (!this.#waiting) {
      const next = this.#pieces.shift();
      if (!next) break;
      this.#feed(next);
    }
    if (!this.#waiting) this.#events.ready();
  }
}
