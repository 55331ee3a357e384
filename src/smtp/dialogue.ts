/**
 * One connection to a server, as lines of conversation: bytes become replies,
 * and every wait has an end. Knows no SMTP beyond the form of a reply.
 *
 * Whoever is in conversation is the listener. With nobody listening the
 * connection is idle, and anything that happens on it makes it dead.
 *
 * Invariants
 *  1. A listener is told of a break once, and of nothing after it; one that comes when it has happened, too.
 *  2. A deadline covers the whole of what is awaited, however slowly it drips in.
 *  3. A reply that was there before its command was said answers nothing: it breaks the conversation off.
 */

import { ReplyParser, type ServerReply } from "../rfc5321/reply-parser.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import type { Connection, TlsClientOptions, TlsFacts } from "../runtime/net.ts";
import type { Break } from "./words.ts";

export interface Listener {
  onReply(reply: ServerReply): void;
  /** A line without a code; reading goes on. */
  onJunk(line: string): void;
  /** What was written has gone out, after send() had returned false. */
  onDrained(): void;
  onBreak(why: Break): void;
}

export class Dialogue {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #parser = new ReplyParser();
  #listener: Listener | undefined;
  #dead = false;
  /** What a listener who comes too late is told. */
  #why: Break = "lost";
  /** Something has come already that cannot be the answer to what is said now. */
  #ahead = false;
  #deadline_ms = Number.POSITIVE_INFINITY;
  #timer: Timer | undefined;
  #wakesAt_ms = Number.POSITIVE_INFINITY;

  constructor(connection: Connection, clock: Clock) {
    this.#connection = connection;
    this.#clock = clock;
    connection.listen({
      data: (bytes) => this.#onData(bytes),
      ended: () => this.#break("lost"),
      drained: () => this.#listener?.onDrained(),
      closed: () => this.#break("lost"),
    });
  }

  /** Nothing can be said here any more. */
  get dead(): boolean {
    return this.#dead;
  }

  /** Bytes have come that no reply has been made of. */
  get unread(): boolean {
    return !this.#parser.idle;
  }

  attend(listener: Listener): void {
    if (this.#dead) queueMicrotask(() => listener.onBreak(this.#why));
    else this.#listener = listener;
  }

  /** The conversation is over: from now on the connection is idle. */
  leave(): void {
    this.#listener = undefined;
    this.#deadline_ms = Number.POSITIVE_INFINITY;
  }

  /** It is our turn: what is said next is answered by what comes from now on. */
  turn(): void {
    this.#ahead = this.unread;
  }

  /** False: wait for onDrained. */
  send(bytes: string | Uint8Array): boolean {
    return this.#dead || this.#connection.write(bytes);
  }

  /** Unless something else is set meanwhile, this conversation breaks off by timeout in so many seconds. */
  within(seconds: number): void {
    if (this.#dead) return;
    const now = this.#clock.monotonic();
    this.#deadline_ms = now + seconds * 1000;
    if (this.#deadline_ms < this.#wakesAt_ms) this.#wakeAt(this.#deadline_ms, now);
  }

  /** What is left of the time set. */
  remaining_s(): number {
    return Math.max(0, (this.#deadline_ms - this.#clock.monotonic()) / 1000);
  }

  /** Rejects when the handshake fails, or does not end in time; the connection is dead then. */
  async startTls(options: TlsClientOptions, seconds: number): Promise<TlsFacts> {
    let late = false;
    // What was awaited before has come; the handshake has a time of its own.
    this.#deadline_ms = Number.POSITIVE_INFINITY;
    const timer = this.#clock.after(seconds * 1000, () => {
      late = true;
      this.destroy();
    });
    try {
      const facts = await this.#connection.startTls(options);
      if (late) throw new Error("the TLS handshake did not end in time");
      return facts;
    } catch (error) {
      this.destroy();
      throw error;
    } finally {
      timer.cancel();
    }
  }

  /** Says a last word and hangs up; the answer is not waited for. */
  close(lastWord?: string | Uint8Array): void {
    if (this.#dead) return;
    this.#die();
    this.#connection.end(lastWord);
    // The other side may keep its half open for as long as it likes; we do not.
    this.#clock.after(1000, () => this.#connection.destroy(), { idle: true });
  }

  destroy(): void {
    this.#die();
    this.#connection.destroy();
  }

  #onData(bytes: Buffer): void {
    if (this.#dead) return;
    this.#parser.push(bytes);
    for (let event = this.#parser.next(); event !== undefined; event = this.#parser.next()) {
      if (event.kind === "reply") {
        if (event.code < 200 || event.code > 699) this.#break("code");
        else if (this.#listener && !this.#ahead) this.#listener.onReply(event);
        else this.#break("unsolicited");
      } else if (event.kind === "junk") {
        this.#ahead &&= this.unread;
        this.#listener?.onJunk(event.line);
      } else this.#break(event.kind);
      if (this.#dead) return;
    }
    // Half a reply that nobody asked for is one too many.
    if (!this.#listener && !this.#parser.idle) this.#break("unsolicited");
  }

  #break(why: Break): void {
    if (this.#dead) return;
    const listener = this.#listener;
    this.#why = why;
    this.destroy();
    listener?.onBreak(why);
  }

  #die(): void {
    this.#dead = true;
    this.#listener = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** The timer is moved seldom: it wakes up early, and looks whether the deadline has moved on. */
  #wakeAt(at_ms: number, now_ms: number): void {
    this.#timer?.cancel();
    this.#wakesAt_ms = at_ms;
    this.#timer = this.#clock.after(Math.ceil(at_ms - now_ms), () => this.#onWake());
  }

  #onWake(): void {
    this.#timer = undefined;
    this.#wakesAt_ms = Number.POSITIVE_INFINITY;
    if (this.#dead || this.#deadline_ms === Number.POSITIVE_INFINITY) return;
    const now = this.#clock.monotonic();
    if (now >= this.#deadline_ms) this.#break("timeout");
    else this.#wakeAt(this.#deadline_ms, now);
  }
}
